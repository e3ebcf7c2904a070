"""Uploads a directory to a new MASV package.

    pip install ./bindings/python requests    # in a checkout of keyferry
    python examples/python/upload_folder.py DIRECTORY [--team ID]

keyferry's configuration has your credentials: an API key, or e-mail and password. This file
contains no token. The program prints the package, such as `packages/01EXAMPLE`. It shows the
progress if standard error is a terminal.

If your account has several teams, name one with --team. The program does not read `masv.team`,
because the library does not return settings.

Exit codes: 0 uploaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
"""

import argparse
import datetime
import pathlib
import re
import sys
from typing import Any, Callable, Dict, List
from urllib.parse import urlsplit

import keyferry
import keyferry.requests
import requests

PART_BYTES = 100 * 1024 * 1024
TIMEOUT_S = 600

ACTION_REQUIRED = (
    keyferry.BadCredentials,
    keyferry.ConfigError,
    keyferry.LoginRequired,
    keyferry.NotConfigured,
    keyferry.SecretSourceError,
    keyferry.UnsafeFile,
)
TEMPORARY = (keyferry.Busy, keyferry.NoResponse, keyferry.Throttled, keyferry.Timeout, keyferry.Unavailable, keyferry.Unreachable)

# Adds the headers to requests to MASV. After a 401, it rejects the token and tries once with a new one.
masv = requests.Session()
masv.auth = keyferry.requests.Auth()
# Upload URLs are signed and lead to a storage service. They take no header of MASV.
storage = requests.Session()


class Failed(Exception):
    """A response that the upload can't go on after, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def call(method: str, path: str, document: Any = None) -> Any:
    """Calls MASV and returns the JSON of the response."""
    url = keyferry.default.explain("masv:user")["base"] + path
    headers = {} if method == "GET" else {"Content-Type": "application/json"}
    response = masv.request(method, url, json=document, headers=headers, timeout=TIMEOUT_S)
    if response.status_code == 401:
        raise Failed(f"MASV rejected the login ({method} {path}, status 401); run `keyferry doctor`", 3)
    check(response, f"MASV refused {method} {path}", "check the team and the rights of your account")
    try:
        return response.json() if response.content else None
    except ValueError:
        raise Failed(f"the response to {method} {path} is not JSON; check `masv.url` and the proxy") from None


def send(blueprint: Any, content: bytes, what: str) -> requests.Response:
    """Sends bytes to the storage service, as MASV's blueprint says."""
    method, url = field(blueprint, "method"), field(blueprint, "url")
    response = storage.request(method, url, headers=blueprint.get("headers"), data=content, timeout=TIMEOUT_S)
    if response.status_code == 403:
        raise Failed(f"cannot {what}: the upload URL has expired or is invalid (status 403); run this program again")
    check(response, f"cannot {what}", f"{xml_text(response, 'Code') or 'no reason'}: if the storage is full, delete packages")
    return response


def xml_text(response: requests.Response, name: str) -> str:
    """Returns the text of an XML element in a response of the storage service; an empty string if there is none."""
    found = re.search(rf"<{name}>([\w.+/=-]+)</{name}>", response.text)
    return found[1] if found else ""


def check(response: requests.Response, what: str, remedy: str) -> None:
    """Raises `Failed` unless the response is a success."""
    status = response.status_code
    if status == 429 or status in (500, 502, 503, 504):
        raise Failed(f"{what} (status {status}); retry later", 4)
    if not response.ok:
        raise Failed(f"{what} (status {status}); {remedy}")


def field(document: Any, *names: Any) -> Any:
    """Returns a field of a response. A response without it is a failure: the file would get lost."""
    try:
        for name in names:
            document = document[name]
        return document
    except (IndexError, KeyError, TypeError):
        path = ".".join(map(str, names))
        raise Failed(f"the response of MASV has no field `{path}`; check `masv.url`, or update this program") from None


def only_team() -> str:
    teams = call("GET", "/v1/teams")
    if isinstance(teams, list) and len(teams) > 1:
        ids = ", ".join(field(team, "id") for team in teams)
        raise Failed(f"your account has {len(teams)} teams, and this program does not read `masv.team`; choose one with --team: {ids}", 2)
    return str(field(teams, 0, "id"))


def upload_file(package: str, path: pathlib.Path, parent: str, progress: Callable[[int], None]) -> None:
    size = path.stat().st_size
    modified = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    description = {"kind": "file", "name": path.name, "path": parent, "last_modified": modified, "size": size, "chunk_size": PART_BYTES}
    created = call("POST", f"/v1/packages/{package}/files", description)
    file = f"/v1/packages/{package}/files/{field(created, 'file', 'id')}"

    started = send(field(created, "create_blueprint"), b"", f"start the upload of {path}")
    upload_id = xml_text(started, "UploadId")
    if not upload_id:
        raise Failed("the response of the storage service has no UploadId; check the proxy")
    count = max(1, -(-size // PART_BYTES))  # an empty file has one empty part
    parts = call("POST", f"{file}?start=0&count={count}", {"upload_id": upload_id})

    chunks: List[Dict[str, str]] = []
    with path.open("rb") as content:
        for number in range(1, count + 1):
            what = f"upload part {number} of {path}"
            sent = send(field(parts, number - 1), content.read(PART_BYTES), what)
            if "ETag" not in sent.headers:
                raise Failed(f"cannot {what}: the response of the storage service has no ETag; check the proxy")
            chunks.append({"part_number": str(number), "etag": sent.headers["ETag"]})
            progress(min(size, number * PART_BYTES))
    extras = {"file_extras": {"upload_id": upload_id}, "chunk_extras": chunks}
    call("POST", f"{file}/finalize", {"size": size, "chunk_size": PART_BYTES, **extras})


def upload(directory: pathlib.Path, files: List[pathlib.Path], team: str) -> str:
    """Uploads files and returns the package's ID."""
    total, done = sum(path.stat().st_size for path in files), 0
    description = {"name": directory.resolve().name, "description": "", "recipients": []}
    package = str(field(call("POST", f"/v1/teams/{team}/packages", description), "id"))
    for path in files:
        parent = path.parent.relative_to(directory).as_posix()

        def progress(sent: int) -> None:
            if sys.stderr.isatty():
                print(f"\r{100 * (done + sent) // max(total, 1):3} %  {path.name:.40}\x1b[K", end="", file=sys.stderr, flush=True)

        upload_file(package, path, "" if parent == "." else parent, progress)
        done += path.stat().st_size
    call("POST", f"/v1/packages/{package}/finalize")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return package


def main() -> int:
    parser = argparse.ArgumentParser(description="Upload a directory to a new MASV package.")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--team", help="ID of the team; required if your account has several, because `masv.team` is not read")
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.directory.rglob("*") if path.is_file())
    if not files:
        parser.error(f"no files in {arguments.directory}; pass a directory with files")
    try:
        print(f"packages/{upload(arguments.directory, files, arguments.team or only_team())}")
        return 0
    except keyferry.Error as error:
        # The message says what failed and what to do. It never contains a secret.
        message, code = str(error), 3 if isinstance(error, ACTION_REQUIRED) else 4 if isinstance(error, TEMPORARY) else 1
    except Failed as error:
        message, code = str(error), error.code
    except requests.RequestException as error:
        # Its text has the whole URL, which contains a signature.
        host = urlsplit(str(error.request.url)).netloc if error.request else "the service"
        message, code = f"cannot reach {host} ({type(error).__name__}); check the network, and retry later", 4
    except OSError as error:
        message, code = f"cannot read {error.filename}: {error.strerror}", 1
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
