#!/usr/bin/env bash
# Measures the commands that read every stored token, from spawn to exit. Compares them with a C program that only opens, reads and
# closes the same files (files.c).
#
#   make && benches/status.sh [ROUNDS [TOKENS]]
#
# Needs gcc. KEYFERRY_BENCH_FOLDER names a directory for the store; the default is in memory (/dev/shm).
. "$(dirname "$0")/stage.sh"
rounds=${1:-20} tokens=${2:-100000}
gcc -O2 -static -o "$place/files" benches/files.c
fill "$tokens"
stored=$HOME/.local/state/keyferry/tokens
printf '%d tokens stored\n' "$(find "$stored" -type f | wc -l)"
"$place/turns" "$rounds" "$place/request" \
    'static C that reads the files' "$place/files" "$stored" -- \
    'keyferry status' "$installed/bin/keyferry" status -- \
    'keyferry status --json' "$installed/bin/keyferry" status --json
