# The setup of helper.sh, race.sh and status.sh, which source this file. Creates a temporary home directory, compiles the C programs, starts a
# sandbox and writes a config.toml for it. Sets $place (a temporary directory), $installed (the prefix of `make install`) and $host (the
# sandbox), and defines `control METHOD ROUTE JSON` and `fill TOKENS`. Removes everything on exit, and never uses the user's own home
# directory.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$(mktemp -d "${KEYFERRY_BENCH_FOLDER:-/dev/shm}/keyferry-bench.XXXXXX")
at_end=()

finish() {
    local command
    for command in "${at_end[@]}"; do eval "$command" 2> "$place/noise" || true; done
    rm -rf "$place"
}
trap finish EXIT

umask 077
export HOME=$place/home GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME XDG_CACHE_HOME "${!KEYFERRY_@}" "${!MASV_@}"
mkdir -p "$HOME/.config/keyferry"
for program in turns crowd; do gcc -O2 -o "$place/$program" "benches/$program.c"; done
for program in reader flock; do gcc -O2 -static -o "$place/$program" "benches/$program.c"; done

installed=$place/installed
make --silent install PREFIX="$installed"

mkfifo "$place/variables"
"$installed/bin/keyferry" sandbox > "$place/variables" &
at_end+=("kill $!")
eval "$(sed 's/^export //' "$place/variables")"
cat > "$HOME/.config/keyferry/config.toml" << TOML
# the sandbox's services and the account
[masv]
url = "$KEYFERRY_MASV_URL"
email = "$KEYFERRY_MASV_EMAIL"
password = "made up"

[fileverbs]
url = "$KEYFERRY_FILEVERBS_URL"
secret_key = "$KEYFERRY_FILEVERBS_SECRET_KEY"
api_key = "$KEYFERRY_FILEVERBS_API_KEY"
TOML
services=$KEYFERRY_FILEVERBS_URL
host=${services#http://}
unset "${!KEYFERRY_@}"
printf 'capability[]=authtype\nprotocol=http\nhost=%s\n\n' "$host" > "$place/request"

# Stores made-up tokens of this number of packages.
fill() {
    local library=$installed/lib/libkeyferry.so
    if [ ! -e "$place/fill" ]; then
        gcc -O2 -Iinclude -o "$place/fill" benches/fill.c "$library"
        ln -s "$library" "$place/$(readelf -d "$library" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')"
    fi
    LD_LIBRARY_PATH=$place "$place/fill" "$1"
}

# Sends a request to the sandbox's control route, with the shell only.
control() {
    local method=$1 route=$2 body=${3:-} line
    exec 5<> "/dev/tcp/${host%:*}/${host#*:}"
    printf '%s /sandbox/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
        "$method" "$route" "$host" "${#body}" "$body" >&5
    while IFS= read -r line <&5 && [ "$line" != $'\r' ]; do :; done
    cat <&5
    exec 5>&-
}
