#!/usr/bin/env bash
# Measures 64 processes that request a token at the same time, with an empty store and a login of 200 ms: the time until the last one
# has its token. Compares it with a baseline of C programs that share a file and a lock (flock.c).
#
#   make && benches/race.sh [ROUNDS]
#
# KEYFERRY_BENCH_FOLDER names a directory for the store; the default is in memory (/dev/shm). Fails if there is more than one login.
. "$(dirname "$0")/stage.sh"
rounds=${1:-10}
processes=64
login_ms=200
control POST fault "{\"path\": \"/api/v1/accounts/access-token\", \"latency_ms\": $login_ms, \"times\": \"forever\"}" > "$place/noise"

logins() { control GET counts | sed -n 's/.*"fileverbs_login":\([0-9]*\).*/\1/p'; }
middle() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }

before=0
for ((round = 1; round <= rounds; round++)); do
    rm -rf "$place/baseline" "$HOME/.local"
    mkdir "$place/baseline"
    "$place/crowd" $processes "$place/request" "$place/flock" "$place/baseline" $login_ms >> "$place/baseline_ms"
    "$place/crowd" $processes "$place/request" "$installed/bin/git-credential-keyferry" get >> "$place/keyferry_ms"
    now=$(logins)
    if [ "$now" -ne $((before + 1)) ]; then
        printf 'race: %d logins instead of 1 in round %d\n' $((now - before)) "$round" >&2
        exit 1
    fi
    before=$now
done
printf '%d processes, a login of %d ms, %d rounds: ms until the last process has its token\n' $processes $login_ms "$rounds"
printf '%-8s %8s %8s\n' '' median worst
for row in baseline keyferry; do printf '%-8s %8s %8s\n' $row "$(middle "$place/${row}_ms")" "$(sort -n "$place/${row}_ms" | tail -1)"; done
awk -v baseline="$(middle "$place/baseline_ms")" -v keyferry="$(middle "$place/keyferry_ms")" \
    'BEGIN { printf "ratio    %8.2f\n", keyferry / baseline }'
