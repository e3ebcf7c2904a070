"""Uploads a directory to a new MASV package, with progress, and lists the files in FileVerbs.

    pip install keyferry requests
    python upload_folder.py DIRECTORY [--job ID ...]

keyferry's configuration has your credentials: an API key, or e-mail and password. This file
contains no token.
"""

import argparse
import pathlib
import sys
from typing import Any, Iterator, List, Tuple

import keyferry
import keyferry.requests
import requests

client = requests.Session()
client.auth = keyferry.requests.Auth()

# The configuration also has the URLs of the services.
MASV = keyferry.default.explain("masv:user")["base"] + "/v1"
FILEVERBS = keyferry.default.explain("fileverbs:bearer")["base"] + "/api/v1"

PART_BYTES = 100 * 1024 * 1024


def call(method: str, url: str, **body: Any) -> Any:
    response = client.request(method, url, json=body if method in ("POST", "PUT") else None, timeout=60)
    response.raise_for_status()
    return response.json() if response.content else None


def upload(directory: pathlib.Path) -> Iterator[Tuple[str, int]]:
    """Uploads a directory.

    Yields the package's id, then the name and size of each file once it is uploaded.
    """
    team = call("GET", f"{MASV}/teams")[0]["id"]
    package = call("POST", f"{MASV}/teams/{team}/packages", name=directory.name, description="")["id"]
    yield package, 0
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        size = path.stat().st_size
        parent = "" if path.parent == directory else str(path.parent.relative_to(directory))
        file = call("POST", f"{MASV}/packages/{package}/files", kind="file", name=path.name, path=parent, size=size)["file"]["id"]
        count = -(-size // PART_BYTES)
        parts = call("POST", f"{MASV}/packages/{package}/files/{file}", start_part=1, part_count=count)
        sent = send(path, parts if isinstance(parts, list) else [])
        call("POST", f"{MASV}/packages/{package}/files/{file}/finalize", size=size, chunk_size=PART_BYTES, chunk_extras=sent)
        yield path.name, size
    call("POST", f"{MASV}/packages/{package}/finalize")


def send(path: pathlib.Path, parts: "List[Any]") -> "List[Any]":
    """Uploads a file's parts to the URLs that MASV returned.

    They are signed URLs of a storage service, so keyferry adds no headers to these requests.
    """
    sent = []
    with path.open("rb") as content:
        for number, part in enumerate(parts, 1):
            response = client.request(part["method"], part["url"], headers=part.get("headers"), data=content.read(PART_BYTES), timeout=600)
            response.raise_for_status()
            sent.append({"partNumber": str(number), "etag": response.headers.get("ETag", "")})
    return sent


def main() -> int:
    parser = argparse.ArgumentParser(description="Upload a directory to MASV and list the files in FileVerbs.")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--job", action="append", default=[], help="ID of a FileVerbs job to show; can be repeated")
    arguments = parser.parse_args()
    total = sum(path.stat().st_size for path in arguments.directory.rglob("*") if path.is_file())
    done = 0
    try:
        for name, size in upload(arguments.directory):
            done += size
            print(f"{100 * done // max(total, 1):3} %  {name}", flush=True)
        for file in call("GET", f"{FILEVERBS}/fileuploads"):
            print(f"FileVerbs has {file['FileName']}")
        for job in arguments.job:
            outputs = call("GET", f"{FILEVERBS}/jobrequests/{job}/outputs")
            status = call("GET", f"{FILEVERBS}/jobrequests/{job}")["Status"]
            print(f"job {job} is {status}: {', '.join(output['FileName'] for output in outputs)}")
    except keyferry.Error as error:
        # The message says what failed and what to do. It never contains a secret.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
