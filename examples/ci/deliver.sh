#!/usr/bin/env bash
# Uploads a file from a CI job: deliver.sh FILE
#
# The API key is in the environment of this step only, in KEYFERRY_MASV_API_KEY, or better in a file that KEYFERRY_MASV_API_KEY_FILE names.
# The script retries after temporary failures, and stops at once if somebody has to correct the key.
#
# Exit codes: 0 uploaded, 1 failed, 2 usage, 3 the key is missing or was rejected, 4 still unavailable after all retries.
set -euo pipefail
set +x # A trace of the commands would print the values of variables.

upload=$(dirname "$0")/../shell/upload.sh
delays=${DELIVER_DELAYS:-10 30 90} # seconds before each retry

if [ -z "${KEYFERRY_MASV_API_KEY:-}${KEYFERRY_MASV_API_KEY_FILE:-}" ]; then
    echo '::error::no API key; set the secret MASV_API_KEY in the settings of the repository' >&2
    exit 3
fi
# A runner may be shared. The tokens of this job are stored in a directory of its own, and removed when it ends.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export XDG_STATE_HOME=$state XDG_DATA_HOME=$state/data

for delay in $delays last; do
    code=0
    package=$("$upload" "$@") || code=$?
    case $code in
        0)
            echo "package=$package" >> "${GITHUB_OUTPUT:-/dev/stdout}"
            exit 0
            ;;
        3)
            echo '::error::the API key cannot be used, see the message above; correct the secret MASV_API_KEY' >&2
            exit 3
            ;;
        4)
            [ "$delay" != last ] || break
            echo "MASV is unavailable; retrying in $delay s" >&2
            sleep "$delay"
            ;;
        *) exit "$code" ;;
    esac
done
echo '::error::MASV is still unavailable; run this job again later' >&2
exit 4
