#!/usr/bin/env bash
# Uploads a file from a CI job: deliver.sh FILE [TEAM]
#
# Pass the API key to this step only, in one of these variables:
#
#     KEYFERRY_MASV_API_KEY=KEY        or MASV_API_KEY
#     KEYFERRY_MASV_API_KEY_FILE=PATH  or MASV_API_KEY_FILE: a file with the key, such as /run/secrets/masv. This is safer, because child
#                                      processes inherit variables. The file must be readable by the job's user only.
#
# The script retries after temporary failures, and stops at once if somebody has to correct the key. It waits longer before a retry if MASV
# asks for that (Retry-After). Each attempt creates a new package; see upload.sh.
#
# The package is the output `package` of the step (GITHUB_OUTPUT). Outside GitHub, the script prints it as package=packages/01EXAMPLE.
#
# Exit codes: 0 uploaded, 1 failed, 2 usage, 3 the key is missing or was rejected, 4 still unavailable after all retries.
set -euo pipefail
set +x # A trace of the commands would print the values of variables.

upload=$(dirname "$0")/../shell/upload.sh
delays=${DELIVER_DELAYS:-10 30 90} # seconds before each retry
longest_pause=600 # seconds. If MASV asks for a longer pause, the script ends instead.

if [ -z "${KEYFERRY_MASV_API_KEY:-}${KEYFERRY_MASV_API_KEY_FILE:-}${MASV_API_KEY:-}${MASV_API_KEY_FILE:-}" ]; then
    echo '::error::no API key in KEYFERRY_MASV_API_KEY or KEYFERRY_MASV_API_KEY_FILE; set the secret MASV_API_KEY in the settings of the' \
        'repository, and pass it to this step as KEYFERRY_MASV_API_KEY' >&2
    exit 3
fi
# A runner may be shared. The tokens of this job are stored in a directory of its own, and removed when it ends.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export XDG_STATE_HOME=$state XDG_DATA_HOME=$state/data RETRY_AFTER_FILE=$state/retry-after

for delay in $delays last; do
    code=0
    rm -f "$RETRY_AFTER_FILE"
    package=$("$upload" "$@") || code=$?
    case $code in
        0)
            if [ -n "${GITHUB_OUTPUT:-}" ]; then
                echo "package=$package" >> "$GITHUB_OUTPUT"
            else
                echo "package=$package"
            fi
            exit 0
            ;;
        3)
            echo '::error::a setting is wrong, see the message above; correct the secret MASV_API_KEY, or the setting that the message names' >&2
            exit 3
            ;;
        4)
            [ "$delay" != last ] || break
            if [ -f "$RETRY_AFTER_FILE" ]; then
                pause=$(cat "$RETRY_AFTER_FILE")
                if [ "$pause" -gt "$longest_pause" ]; then
                    echo "::error::MASV asks for a pause of $pause s; run this job again after that" >&2
                    exit 4
                fi
                [ "$pause" -le "$delay" ] || delay=$pause
            fi
            echo "MASV is unavailable; retrying in $delay s" >&2
            sleep "$delay"
            ;;
        *) exit "$code" ;;
    esac
done
echo '::error::MASV is still unavailable; run this job again later' >&2
exit 4
