#!/usr/bin/env bash
# 64 processes want a token at once, the store is empty, a login takes 200 ms: when the last of them is served, beside the least that
# C programs with a lock and a file can do.
#
#   make && benches/race.sh [ROUNDS]
#
# KEYFERRY_BENCH_FOLDER puts the store elsewhere than into memory. Fails if there is more than one login.
. "$(dirname "$0")/stage.sh"
rounds=${1:-10}
processes=64
login_ms=200
control POST fault "{\"path\": \"/api/v1/accounts/access-token\", \"latency_ms\": $login_ms, \"times\": \"forever\"}" > "$place/noise"

logins() { control GET counts | sed -n 's/.*"fileverbs_login":\([0-9]*\).*/\1/p'; }
middle() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }

before=0
for ((round = 1; round <= rounds; round++)); do
    rm -rf "$place/least" "$HOME/.local"
    mkdir "$place/least"
    "$place/crowd" $processes "$place/question" "$place/flock" "$place/least" $login_ms >> "$place/least_ms"
    "$place/crowd" $processes "$place/question" "$installed/bin/git-credential-keyferry" get >> "$place/ours_ms"
    now=$(logins)
    if [ "$now" -ne $((before + 1)) ]; then
        printf '%d logins in round %d\n' $((now - before)) "$round" >&2
        exit 1
    fi
    before=$now
done
printf '%d processes, a login of %d ms, %d rounds: last served, median and worst, ms\n' $processes $login_ms "$rounds"
for who in least ours; do printf '%-6s %8s %8s\n' $who "$(middle "$place/${who}_ms")" "$(sort -n "$place/${who}_ms" | tail -1)"; done
awk -v least="$(middle "$place/least_ms")" -v ours="$(middle "$place/ours_ms")" 'BEGIN { printf "times  %8.2f\n", ours / least }'
