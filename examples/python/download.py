"""Downloads the files of a MASV link into a directory.

    pip install ./bindings/python httpx    # in a checkout of keyferry
    python examples/python/download.py DIRECTORY < link.txt

The link, such as `https://get.massive.io/ID?secret=SECRET`, is a secret, so the program reads it
from standard input: every user of the machine can read the arguments of a program. If the link has a
password, pass it in the environment variable LINK_PASSWORD. The program prints the path of each
file. It shows the progress if standard error is a terminal.

Exit codes: 0 downloaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
"""

import argparse
import os
import pathlib
import sys
from typing import Any

import httpx
import keyferry

ACTION_REQUIRED = (
    keyferry.BadCredentials,
    keyferry.ConfigError,
    keyferry.LoginRequired,
    keyferry.NotConfigured,
    keyferry.SecretSourceError,
    keyferry.UnsafeFile,
)
TEMPORARY = (keyferry.Busy, keyferry.NoResponse, keyferry.Throttled, keyferry.Timeout, keyferry.Unavailable, keyferry.Unreachable)

client = httpx.Client(timeout=60)


class Failed(Exception):
    """A response that the download can't go on after, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def token_for(link: str) -> keyferry.Token:
    """Returns the token of a link, from the cache until it expires."""
    return keyferry.default.token_for(keyferry.Request(link, link_password=os.environ.get("LINK_PASSWORD")))


def get(link: str, path: str) -> Any:
    """Calls MASV with the token of a link and returns the JSON of the response."""
    url = keyferry.default.explain("masv:user")["base"] + path
    for _ in range(2):
        token = token_for(link)
        response = client.get(url, headers=token.headers)
        if response.status_code != 401:
            break
        keyferry.default.reject(token)  # the next call returns another token, or says why there is none
    else:
        raise Failed(f"MASV rejected the link (GET {path}, status 401); check that the link has not expired", 3)
    check(response, f"MASV refused GET {path}", "check that the link has not expired")
    try:
        return response.json()
    except ValueError:
        raise Failed(f"the response to GET {path} is not JSON; check `masv.url` and the proxy") from None


def field(document: Any, name: str) -> Any:
    """Returns a field of a response. A response without it is a failure."""
    if not isinstance(document, dict) or document.get(name) is None:
        raise Failed(f"the response of MASV has no field `{name}`; check `masv.url`, or update this program")
    return document[name]


def check(response: httpx.Response, what: str, remedy: str) -> None:
    """Raises `Failed` unless the response is a success."""
    status = response.status_code
    if status == 429 or status >= 500:
        raise Failed(f"{what} (status {status}); retry later", 4)
    if not response.is_success:
        raise Failed(f"{what} (status {status}); {remedy}")


def save(url: str, path: pathlib.Path) -> int:
    """Streams a file to disk. The file gets its name when it is complete.

    The URL is signed and leads to a storage service, so the request takes no header of MASV.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with client.stream("GET", url) as response, part.open("wb") as file:
        check(response, f"cannot download {path}", "the download URL has expired; run this program again")
        expected, done = int(response.headers.get("Content-Length", 0)), 0
        for chunk in response.iter_bytes():
            done += file.write(chunk)
            if sys.stderr.isatty():
                print(f"\r{100 * done // max(expected, 1):3} %  {path.name:.40}\x1b[K", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    part.replace(path)
    return done


def local_path(directory: pathlib.Path, file: Any) -> pathlib.Path:
    """Returns where to save a file. The sender chose its name, so it may lead out of the directory."""
    name = pathlib.PurePosixPath(field(file, "path"), field(file, "name"))
    if name.is_absolute() or ".." in name.parts or not str(name).isprintable():
        raise Failed(f"cannot save {str(name)!r}: it is not a name inside the directory; ask the sender to rename the file")
    return directory / name


def download(link: str, directory: pathlib.Path) -> None:
    package = f"/v1/packages/{token_for(link).details['package_id']}"
    files = get(link, f"{package}/files")
    if not isinstance(files, list):
        raise Failed("the response of MASV is not a list of files; check `masv.url`, or update this program")
    for file in files:
        path = local_path(directory, file)
        size = save(field(get(link, f"{package}/files/{field(file, 'id')}/download"), "url"), path)
        if size != field(file, "size"):
            raise Failed(f"{path} has {size} bytes instead of {file['size']}; run this program again")
        print(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Download the files of the MASV link on standard input.")
    parser.add_argument("directory", type=pathlib.Path)
    arguments = parser.parse_args()
    if sys.stdin.isatty():
        print("Paste the link, then press Enter:", file=sys.stderr)
    try:
        download(sys.stdin.readline().strip(), arguments.directory)
        return 0
    except keyferry.Error as error:
        # The message says what failed and what to do. It never contains a secret.
        message, code = str(error), 3 if isinstance(error, ACTION_REQUIRED) else 4 if isinstance(error, TEMPORARY) else 1
    except Failed as error:
        message, code = str(error), error.code
    except httpx.RequestError as error:
        message, code = f"cannot reach {error.request.url.host} ({type(error).__name__}); check the network, and retry later", 4
    except OSError as error:
        message, code = f"cannot write {error.filename or 'the file'}: {error.strerror}; check the directory and its free space", 1
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
