#!/usr/bin/env bash
# Measures one call of git-credential-keyferry with a token in its store, from spawn to exit. Compares it with git-credential-cache and
# with a C program that only reads three files (reader.c).
#
#   make && benches/helper.sh [ROUNDS]
#
# Needs gcc and git, and valgrind to count instructions. KEYFERRY_BENCH_FOLDER names a directory for the store; the default is in memory
# (/dev/shm).
. "$(dirname "$0")/stage.sh"
rounds=${1:-300}
cache=$(git --exec-path)/git-credential-cache
socket=$place/cache/socket
at_end+=("'$cache' --socket '$socket' exit")

# All programs get the same request. git-credential-cache stores no ephemeral credential, so it gets the same token as a password.
"$installed/bin/git-credential-keyferry" get < "$place/request" > "$place/response"
grep -q '^credential=' "$place/response"
mkdir "$place/cache"
{
    printf 'protocol=http\nhost=%s\nusername=default\npassword=' "$host"
    sed -n 's/^credential=//p' "$place/response"
} | "$cache" --timeout 3600 --socket "$socket" store
"$cache" --socket "$socket" get < "$place/request" | grep -q '^password='

git=$(command -v git)
measure() {
    "$place/turns" "$rounds" "$place/request" \
        'static C that reads three files' \
        "$place/reader" "$HOME/.config/keyferry/config.toml" "$HOME/.local/share/keyferry/store.key" "$place/response" -- \
        'git-credential-keyferry get' "$installed/bin/git-credential-keyferry" get -- \
        'git-credential-cache get' "$cache" --socket "$socket" get -- \
        'keyferry git get' "$installed/bin/keyferry" git get
    "$place/turns" "$rounds" "$place/request" \
        'git credential fill, -cache' "$git" -c credential.helper= -c "credential.helper=cache --socket $socket" credential fill -- \
        'git credential fill, keyferry' "$git" -c credential.helper= -c "credential.helper=$installed/bin/git-credential-keyferry" credential fill
}

for records in 10 10000; do
    fill $((records - 1))
    printf '\n%d records stored\n' "$(find "$HOME/.local/state/keyferry/tokens" -type f | wc -l)"
    measure
done

if command -v valgrind > /dev/null; then
    printf '\n'
    for program in git-credential-keyferry 'keyferry git'; do
        # shellcheck disable=SC2086 # 'keyferry git' is a program and its argument
        valgrind --tool=callgrind --callgrind-out-file="$place/callgrind" "$installed"/bin/$program get < "$place/request" 2>&1 > "$place/noise" |
            sed -n "s/.*Collected : /$program get, instructions: /p"
    done
fi
