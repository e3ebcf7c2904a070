"""Uploads a folder to a new MASV package, with progress, and lists what FileVerbs has.

    pip install keyferry requests
    python upload_folder.py FOLDER [--job ID ...]

Who you are stands in keyferry's configuration: an API key, or e-mail and password. No token appears in this file.
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

# Where the services are is configured too.
MASV = keyferry.default.explain("masv:user")["base"] + "/v1"
FILEVERBS = keyferry.default.explain("fileverbs:bearer")["base"] + "/api/v1"

PART_BYTES = 100 * 1024 * 1024


def call(method: str, url: str, **body: Any) -> Any:
    answer = client.request(method, url, json=body if method in ("POST", "PUT") else None, timeout=60)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def upload(folder: pathlib.Path) -> Iterator[Tuple[str, int]]:
    """Yields the package's id, then each file's name with its size once it is there."""
    team = call("GET", f"{MASV}/teams")[0]["id"]
    package = call("POST", f"{MASV}/teams/{team}/packages", name=folder.name, description="")["id"]
    yield package, 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        parent = "" if path.parent == folder else str(path.parent.relative_to(folder))
        file = call("POST", f"{MASV}/packages/{package}/files", kind="file", name=path.name, path=parent, size=size)["file"]["id"]
        count = -(-size // PART_BYTES)
        parts = call("POST", f"{MASV}/packages/{package}/files/{file}", start_part=1, part_count=count)
        sent = send(path, parts if isinstance(parts, list) else [])
        call("POST", f"{MASV}/packages/{package}/files/{file}/finalize", size=size, chunk_size=PART_BYTES, chunk_extras=sent)
        yield path.name, size
    call("POST", f"{MASV}/packages/{package}/finalize")


def send(path: pathlib.Path, parts: "List[Any]") -> "List[Any]":
    """Puts a file's parts where the service says. That is a storage with signed URLs, and no header of ours goes there."""
    sent = []
    with path.open("rb") as content:
        for number, part in enumerate(parts, 1):
            answer = client.request(part["method"], part["url"], headers=part.get("headers"), data=content.read(PART_BYTES), timeout=600)
            answer.raise_for_status()
            sent.append({"partNumber": str(number), "etag": answer.headers.get("ETag", "")})
    return sent


def main() -> int:
    arguments = argparse.ArgumentParser(description="Uploads a folder to MASV and lists what FileVerbs has.")
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--job", action="append", default=[], help="a FileVerbs job to show; may be repeated")
    given = arguments.parse_args()
    total = sum(path.stat().st_size for path in given.folder.rglob("*") if path.is_file())
    done = 0
    try:
        for name, size in upload(given.folder):
            done += size
            print(f"{100 * done // max(total, 1):3} %  {name}", flush=True)
        for file in call("GET", f"{FILEVERBS}/fileuploads"):
            print(f"FileVerbs has {file['FileName']}")
        for job in given.job:
            outputs = call("GET", f"{FILEVERBS}/jobrequests/{job}/outputs")
            status = call("GET", f"{FILEVERBS}/jobrequests/{job}")["Status"]
            print(f"job {job} is {status}: {', '.join(output['FileName'] for output in outputs)}")
    except keyferry.Error as error:
        # One sentence with the remedy, and never a secret.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
