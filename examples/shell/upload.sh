#!/usr/bin/env bash
# Uploads a file to a new MASV package: upload.sh FILE [TEAM]
#
# Needs keyferry, curl and jq. keyferry's configuration has your credentials; this script contains none, and no token or signed URL is in
# the arguments of a program. It prints the package, such as packages/01EXAMPLE, and shows the progress if standard error is a terminal.
#
# Without TEAM, it uses the team in keyferry's setting `masv.team`, or else the only team of your account.
#
# Each run creates a new package. If a run fails during the upload, its package stays in MASV, unfinished; you can delete it there.
#
# A script that retries can set the variable RETRY_AFTER_FILE to a path. If MASV asks for a pause, upload.sh writes the number of seconds
# to that file.
#
# Exit codes: 0 uploaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
set -euo pipefail
set +x # `bash -x` would print the headers, and so the API key or token.

part_mib=100
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { # fail EXIT_CODE MESSAGE
    printf 'upload.sh: %s\n' "$2" >&2
    exit "$1"
}

# retry_after SECONDS: writes the pause that MASV asked for to RETRY_AFTER_FILE. Does nothing if SECONDS is empty or a date.
retry_after() {
    [ -n "${RETRY_AFTER_FILE:-}" ] || return 0
    [[ ! $1 =~ ^[0-9]{1,9}$ ]] || printf '%s\n' "$1" > "$RETRY_AFTER_FILE"
}

# response_header NAME: prints a header of the last response.
response_header() {
    tr -d '\r' < "$work/headers" | sed -n "s/^$1: *//Ip" | tail -n 1
}

# masv METHOD PATH [JSON]: calls MASV, and once more after a 401. Prints the response.
masv() {
    local resource=masv:${2%%\?*} attempt token code status data=()
    [ "$1" = GET ] || data=(--data-binary "${3-}")
    for attempt in 1 2; do
        token=$(keyferry header --json "$resource") || {
            code=$? # keyferry has printed the reason, and its exit codes are those of this script
            retry_after "$(jq -r '.error.retry_after_s // empty' <<< "$token")"
            exit "$code"
        }
        status=$(printf '%s\n' "$token" | jq -r '.headers | to_entries[] | "\(.key): \(.value)"' |
            curl -sS -D "$work/headers" -o "$work/body" -w '%{http_code}' -X "$1" -H @- -H 'Content-Type: application/json' "${data[@]}" "$base$2") ||
            fail 4 'cannot reach MASV; check the network, and retry later'
        if [ "$status" != 401 ] || [ "$attempt" = 2 ]; then break; fi
        keyferry reject "$resource" > /dev/null || exit $? # keyferry returns another token, or says why there is none
    done
    case $status in
        2??)
            jq empty "$work/body" 2> /dev/null || fail 1 "the response to $1 $2 is not JSON; check masv.url and the proxy"
            cat "$work/body"
            ;;
        401) fail 3 "MASV rejected the login ($1 $2, status 401); run \`keyferry doctor\`" ;;
        429 | 5??)
            retry_after "$(response_header Retry-After)"
            fail 4 "MASV is unavailable ($1 $2, status $status); retry later"
            ;;
        *) fail 1 "MASV refused $1 $2 (status $status); check the team and the rights of your account" ;;
    esac
}

# storage WHAT BLUEPRINT: sends standard input to the storage service, as MASV's blueprint says. The URL is signed, so the request takes
# no header of MASV. The response is in $work/headers and $work/body.
storage() {
    local status config
    config='"request = \(.method | @json)", "url = \(.url | @json)", (.headers // {} | to_entries[] | "header = \("\(.key): \(.value)" | @json)")'
    status=$(curl -sS -K <(jq -r "$config" <<< "$2") -H 'Content-Type:' --data-binary @- -D "$work/headers" -o "$work/body" -w '%{http_code}') ||
        fail 4 "cannot $1; check the network, and retry later"
    case $status in
        2??) ;;
        403) fail 1 "cannot $1: the upload URL has expired or is invalid (status 403); run this script again" ;;
        429 | 500 | 502 | 503 | 504)
            retry_after "$(response_header Retry-After)"
            fail 4 "cannot $1 (status $status); retry later"
            ;;
        *) fail 1 "cannot $1 (status $status, $(xml_text Code)); if the storage is full, delete packages" ;;
    esac
}

# xml_text NAME: prints the text of an XML element in the response of the storage service.
xml_text() {
    sed -n "s|.*<$1>\([A-Za-z0-9_.+/=-]*\)</$1>.*|\1|p" "$work/body" | head -n 1
}

# field FILTER: prints a field of the JSON on standard input. A response without it is a failure: the file would get lost.
field() {
    jq -er "$1" 2> /dev/null || fail 1 "the response of MASV has no field $1; check masv.url, or update this script"
}

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    fail 2 'usage: upload.sh FILE [TEAM]'
fi
file=$1
if [ ! -f "$file" ] || [ ! -r "$file" ]; then
    fail 1 "cannot read $file; pass a file that you may read"
fi
base=$(keyferry explain --json masv:user) || exit $?
base=$(field .base <<< "$base")

if [ $# -eq 2 ]; then
    team=$2
else
    teams=$(masv GET /v1/teams)
    jq -e 'type == "array"' <<< "$teams" > /dev/null || fail 1 'the response to GET /v1/teams is not a list; check masv.url, or update this script'
    setting=$(keyferry config --json) || exit $?
    setting=$(jq -r '.settings[] | select(.key == "masv.team").value // empty' <<< "$setting") # an ID or a subdomain
    if [ -n "$setting" ]; then
        # shellcheck disable=SC2016 # $name is a variable of jq.
        teams=$(jq --arg name "$setting" \
            'map(select([.id, .subdomain] | map(strings | ascii_downcase) | index($name | ascii_downcase)))' <<< "$teams")
        [ "$teams" != '[]' ] || fail 3 "your account has no team $setting; correct \`masv.team\`, or name the team: upload.sh FILE TEAM"
    fi
    [ "$(jq length <<< "$teams")" -le 1 ] || fail 2 "your account has several teams; set \`masv.team\`, or name one: upload.sh FILE TEAM"
    team=$(field '.[0].id' <<< "$teams")
fi
name=$(basename -- "$file")
size=$(stat -c %s -- "$file")
chunk_size=$((part_mib * 1024 * 1024))
count=$(((size + chunk_size - 1) / chunk_size))
[ "$count" -gt 0 ] || count=1 # an empty file has one empty part

package=$(masv POST "/v1/teams/$team/packages" "$(jq -n --arg name "$name" '{name: $name, description: "", recipients: []}')")
package=$(field .id <<< "$package")
description=$(jq -n --arg name "$name" --arg modified "$(date -u -r "$file" +%Y-%m-%dT%H:%M:%S.000Z)" --argjson size "$size" \
    --argjson chunk_size "$chunk_size" '{kind: "file", name: $name, path: "", last_modified: $modified, size: $size, chunk_size: $chunk_size}')
created=$(masv POST "/v1/packages/$package/files" "$description")
path=/v1/packages/$package/files/$(field .file.id <<< "$created")

blueprint=$(field .create_blueprint <<< "$created")
storage 'start the upload' "$blueprint" < /dev/null
upload_id=$(xml_text UploadId)
[ -n "$upload_id" ] || fail 1 'the response of the storage service has no UploadId; check the proxy'
parts=$(masv POST "$path?start=0&count=$count" "$(jq -n --arg id "$upload_id" '{upload_id: $id}')")
for ((number = 1; number <= count; number++)); do
    blueprint=$(field ".[$((number - 1))]" <<< "$parts")
    dd if="$file" bs=1M skip=$(((number - 1) * part_mib)) count=$part_mib iflag=fullblock status=none |
        storage "upload part $number" "$blueprint"
    etag=$(response_header ETag)
    [ -n "$etag" ] || fail 1 "cannot upload part $number: the response of the storage service has no ETag; check the proxy"
    jq -n --arg number "$number" --arg etag "$etag" '{part_number: $number, etag: $etag}' >> "$work/chunks"
    [ ! -t 2 ] || printf '\r%3d %%' $((100 * number / count)) >&2
done
[ ! -t 2 ] || printf '\n' >&2
finalize=$(jq -s --arg id "$upload_id" --argjson size "$size" --argjson chunk_size "$chunk_size" \
    '{size: $size, chunk_size: $chunk_size, file_extras: {upload_id: $id}, chunk_extras: .}' "$work/chunks")
masv POST "$path/finalize" "$finalize" > /dev/null
masv POST "/v1/packages/$package/finalize" > /dev/null
printf 'packages/%s\n' "$package"
