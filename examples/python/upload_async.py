"""Uploads files to a new MASV package, several parts at a time, with asyncio.

    pip install ./bindings/python httpx    # in a checkout of keyferry
    python examples/python/upload_async.py FILE... [--team ID]

keyferry's configuration has your credentials: an API key, or e-mail and password. This file
contains no token. The program prints the package, such as `packages/01EXAMPLE`. It shows the
progress if standard error is a terminal.

If your account has several teams, name one with --team. The program does not read `masv.team`,
because the library does not return settings.

Exit codes: 0 uploaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
"""

import argparse
import asyncio
import datetime
import pathlib
import re
import sys
from typing import Any, Dict, List, Optional

import httpx
import keyferry
import keyferry.httpx

PART_BYTES = 100 * 1024 * 1024
#: Each part is in memory while it is sent, so this also limits the memory.
PARTS_AT_A_TIME = 4

ACTION_REQUIRED = (
    keyferry.BadCredentials,
    keyferry.ConfigError,
    keyferry.LoginRequired,
    keyferry.NotConfigured,
    keyferry.SecretSourceError,
    keyferry.UnsafeFile,
)
TEMPORARY = (keyferry.Busy, keyferry.NoResponse, keyferry.Throttled, keyferry.Timeout, keyferry.Unavailable, keyferry.Unreachable)


class Failed(Exception):
    """A response that the upload can't go on after, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Upload:
    """An upload of files to a new package."""

    def __init__(self, masv: httpx.AsyncClient, storage: httpx.AsyncClient, files: List[pathlib.Path]) -> None:
        self.masv, self.storage, self.files = masv, storage, files
        self.base: str = keyferry.default.explain("masv:user")["base"]
        self.slots = asyncio.Semaphore(PARTS_AT_A_TIME)
        self.total, self.done = sum(path.stat().st_size for path in files), 0

    async def run(self, team: Optional[str]) -> str:
        """Uploads all files and returns the ID of the package."""
        name = self.files[0].name
        team = team or await self.only_team()
        created = await self.call("POST", f"/v1/teams/{team}/packages", {"name": name, "description": "", "recipients": []})
        package = str(field(created, "id"))
        await run_all([self.upload_file(package, path) for path in self.files])
        await self.call("POST", f"/v1/packages/{package}/finalize")
        return package

    async def only_team(self) -> str:
        teams = await self.call("GET", "/v1/teams")
        if isinstance(teams, list) and len(teams) > 1:
            ids = ", ".join(field(team, "id") for team in teams)
            raise Failed(f"your account has {len(teams)} teams, and this program does not read `masv.team`; choose one with --team: {ids}", 2)
        return str(field(teams, 0, "id"))

    async def upload_file(self, package: str, path: pathlib.Path) -> None:
        size = path.stat().st_size
        modified = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        description = {"kind": "file", "name": path.name, "path": "", "last_modified": modified, "size": size, "chunk_size": PART_BYTES}
        created = await self.call("POST", f"/v1/packages/{package}/files", description)
        file = f"/v1/packages/{package}/files/{field(created, 'file', 'id')}"

        started = await self.send(field(created, "create_blueprint"), b"", f"start the upload of {path}")
        upload_id = xml_text(started, "UploadId")
        if not upload_id:
            raise Failed("the response of the storage service has no UploadId; check the proxy")
        count = max(1, -(-size // PART_BYTES))  # an empty file has one empty part
        parts = await self.call("POST", f"{file}?start=0&count={count}", {"upload_id": upload_id})
        chunks = await run_all([self.send_part(field(parts, index), path, index) for index in range(count)])
        extras = {"file_extras": {"upload_id": upload_id}, "chunk_extras": chunks}
        await self.call("POST", f"{file}/finalize", {"size": size, "chunk_size": PART_BYTES, **extras})

    async def send_part(self, blueprint: Any, path: pathlib.Path, index: int) -> Dict[str, str]:
        async with self.slots:
            content = await asyncio.get_running_loop().run_in_executor(None, read_part, path, index)
            what = f"upload part {index + 1} of {path}"
            sent = await self.send(blueprint, content, what)
        if "ETag" not in sent.headers:
            raise Failed(f"cannot {what}: the response of the storage service has no ETag; check the proxy")
        self.done += len(content)
        if sys.stderr.isatty():
            print(f"\r{100 * self.done // max(self.total, 1):3} %", end="", file=sys.stderr, flush=True)
        return {"part_number": str(index + 1), "etag": sent.headers["ETag"]}

    async def call(self, method: str, path: str, document: Any = None) -> Any:
        """Calls MASV and returns the JSON of the response."""
        headers = {} if method == "GET" else {"Content-Type": "application/json"}
        response = await self.masv.request(method, self.base + path, json=document, headers=headers)
        if response.status_code == 401:
            raise Failed(f"MASV rejected the login ({method} {path}, status 401); run `keyferry doctor`", 3)
        check(response, f"MASV refused {method} {path}", "check the team and the rights of your account")
        try:
            return response.json() if response.content else None
        except ValueError:
            raise Failed(f"the response to {method} {path} is not JSON; check `masv.url` and the proxy") from None

    async def send(self, blueprint: Any, content: bytes, what: str) -> httpx.Response:
        """Sends bytes to the storage service, as MASV's blueprint says."""
        method, url = field(blueprint, "method"), field(blueprint, "url")
        response = await self.storage.request(method, url, headers=blueprint.get("headers"), content=content)
        if response.status_code == 403:
            raise Failed(f"cannot {what}: the upload URL has expired or is invalid (status 403); run this program again")
        check(response, f"cannot {what}", f"{xml_text(response, 'Code') or 'no reason'}: if the storage is full, delete packages")
        return response


async def run_all(coroutines: List[Any]) -> List[Any]:
    """Runs coroutines at the same time. If one fails, cancels the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def read_part(path: pathlib.Path, index: int) -> bytes:
    with path.open("rb") as content:
        content.seek(index * PART_BYTES)
        return content.read(PART_BYTES)


def xml_text(response: httpx.Response, name: str) -> str:
    """Returns the text of an XML element in a response of the storage service; an empty string if there is none."""
    found = re.search(rf"<{name}>([\w.+/=-]+)</{name}>", response.text)
    return found[1] if found else ""


def check(response: httpx.Response, what: str, remedy: str) -> None:
    """Raises `Failed` unless the response is a success."""
    status = response.status_code
    if status == 429 or status in (500, 502, 503, 504):
        raise Failed(f"{what} (status {status}); retry later", 4)
    if not response.is_success:
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


async def upload(files: List[pathlib.Path], team: Optional[str]) -> str:
    # The first client adds the headers of MASV. After a 401, it rejects the token and tries once with a new one.
    # Upload URLs are signed and lead to a storage service. They take no header of MASV, so the second client has no auth.
    async with httpx.AsyncClient(auth=keyferry.httpx.Auth(), timeout=60) as masv, httpx.AsyncClient(timeout=600) as storage:
        return await Upload(masv, storage, files).run(team)


def main() -> int:
    parser = argparse.ArgumentParser(description="Upload files to a new MASV package.")
    parser.add_argument("files", metavar="FILE", nargs="+", type=pathlib.Path)
    parser.add_argument("--team", help="ID of the team; required if your account has several, because `masv.team` is not read")
    arguments = parser.parse_args()
    try:
        print(f"packages/{asyncio.run(upload(arguments.files, arguments.team))}")
        return 0
    except keyferry.Error as error:
        # The message says what failed and what to do. It never contains a secret.
        message, code = str(error), 3 if isinstance(error, ACTION_REQUIRED) else 4 if isinstance(error, TEMPORARY) else 1
    except Failed as error:
        message, code = str(error), error.code
    except httpx.RequestError as error:
        message, code = f"cannot reach {error.request.url.host} ({type(error).__name__}); check the network, and retry later", 4
    except OSError as error:
        message, code = f"cannot read {error.filename}: {error.strerror}", 1
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
