#!/usr/bin/env bash
# Measures one call of git-credential-keyferry, and of keyferry's commands header, token, curl and get, with a token in the store, from
# spawn to exit. Compares the helper with git-credential-cache and with a C program that only reads three files (reader.c), and the
# commands with the helper. Runs the programs that `make install` lays down.
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

# The requests of the other commands, for the same token.
resource=fileverbs:bearer
printf '{"uri":"http://%s/api/v1/git"}\n' "$host" > "$place/bazel"
"$installed/bin/keyferry" get < "$place/bazel" | grep -q '"Authorization"'
"$installed/bin/keyferry" header $resource | grep -q '^Authorization: '

git=$(command -v git)
full=$installed/libexec/keyferry/keyferry
measure() {
    "$place/turns" "$rounds" "$place/request" \
        'static C that reads three files' \
        "$place/reader" "$HOME/.config/keyferry/config.toml" "$HOME/.local/share/keyferry/store.key" "$place/response" -- \
        'git-credential-keyferry get' "$installed/bin/git-credential-keyferry" get -- \
        'git-credential-cache get' "$cache" --socket "$socket" get -- \
        'keyferry git get' "$full" git get
    "$place/turns" "$rounds" "$place/request" \
        'git-credential-keyferry get' "$installed/bin/git-credential-keyferry" get -- \
        'keyferry header' "$installed/bin/keyferry" header $resource -- \
        'keyferry token' "$installed/bin/keyferry" token $resource -- \
        'keyferry curl' "$installed/bin/keyferry" curl $resource -- \
        'keyferry header, the full program' "$full" header $resource
    "$place/turns" "$rounds" "$place/bazel" \
        'keyferry header' "$installed/bin/keyferry" header $resource -- \
        'keyferry get' "$installed/bin/keyferry" get
    "$place/turns" "$rounds" "$place/request" \
        'git credential fill, -cache' "$git" -c credential.helper= -c "credential.helper=cache --socket $socket" credential fill -- \
        'git credential fill, keyferry' "$git" -c credential.helper= -c "credential.helper=$installed/bin/git-credential-keyferry" credential fill
}

for records in 10 10000; do
    fill $((records - 1))
    printf '\n%d records stored\n' "$(find "$HOME/.local/state/keyferry/tokens" -type f | wc -l)"
    measure
done

# Prints how many instructions a command takes. The first argument is its standard input.
count_instructions() {
    local input=$1 name=$2
    shift 2
    valgrind --tool=callgrind --callgrind-out-file="$place/callgrind" "$@" < "$input" 2>&1 > "$place/noise" |
        sed -n "s/.*Collected : /$name, instructions: /p"
}

if command -v valgrind > /dev/null; then
    printf '\n'
    count_instructions "$place/request" 'git-credential-keyferry get' "$installed/bin/git-credential-keyferry" get
    count_instructions "$place/request" 'keyferry git get' "$full" git get
    for command in header token curl; do
        count_instructions "$place/request" "keyferry $command" "$installed/bin/keyferry" $command $resource
    done
    count_instructions "$place/bazel" 'keyferry get' "$installed/bin/keyferry" get
    count_instructions "$place/request" 'keyferry header, the full program' "$full" header $resource
fi
