"""Authentication for the HTTP client `httpx`, which has to be installed."""

import httpx

from . import default
from ._auth import aheaders_after_401, aheaders_for, headers_after_401, headers_for
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AsyncGenerator, Generator, Optional

__all__ = ["Auth"]


class Auth(httpx.Auth):
    """Puts the right headers on each request by its URL, for the origins of the configured services only. Other requests go as they are.

    ```
    client = httpx.Client(auth=keyferry.httpx.Auth())
    client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    On a 401 the token is rejected, and the request is sent once more with a new one, unless its body comes from a stream; where there is
    no new one, the 401 is the answer. A redirect takes no header anywhere. With `httpx.AsyncClient` it runs on asyncio, off the event
    loop. Getting a token raises as `keyferry.Session.token_for` does. Source: RFC 9110, 15.5.2.
    """

    def __init__(self, session: "Optional[Session]" = None) -> None:
        """Takes the session to ask; without it the default one."""
        self._session = session or default
        if "x-probe" in httpx.Headers(_HeadersWithAuth(httpx.Headers(), {"x-probe": "x"})):
            raise ImportError("this version of httpx would take headers along at a redirect: use another, or do without keyferry.httpx")

    def sync_auth_flow(self, request: httpx.Request) -> "Generator[httpx.Request, httpx.Response, None]":
        sent = [request]
        try:
            response = yield _with_auth(request, headers_for(self._session, str(request.url)))
            if _can_retry(response):
                sent.append(retry := response.request)
                headers = headers_after_401(self._session, str(retry.url), _auth_headers_of(retry))
                if headers:
                    yield _with_auth(retry, headers)
        finally:
            _remove_auth(sent)

    async def async_auth_flow(self, request: httpx.Request) -> "AsyncGenerator[httpx.Request, httpx.Response]":
        sent = [request]
        try:
            response = yield _with_auth(request, await aheaders_for(self._session, str(request.url)))
            if _can_retry(response):
                sent.append(retry := response.request)
                headers = await aheaders_after_401(self._session, str(retry.url), _auth_headers_of(retry))
                if headers:
                    yield _with_auth(retry, headers)
        finally:
            _remove_auth(sent)


class _HeadersWithAuth(httpx.Headers):
    """A request's headers with ours beside them. They are sent with these and are not copied with them: at a redirect httpx makes a new
    request of the old one's headers, wherever that goes.
    """

    def __init__(self, headers: httpx.Headers, auth_headers: "dict[str, str]") -> None:
        self.auth_headers = auth_headers
        super().__init__(headers)

    @property
    def raw(self) -> "list[tuple[bytes, bytes]]":
        return [*super().raw, *httpx.Headers(self.auth_headers).raw]


def _with_auth(request: httpx.Request, auth_headers: "dict[str, str]") -> httpx.Request:
    headers = httpx.Headers(request.headers)
    for name in auth_headers:
        headers.pop(name, None)
    request.headers = _HeadersWithAuth(headers, auth_headers)
    return request


def _auth_headers_of(request: httpx.Request) -> "dict[str, str]":
    return request.headers.auth_headers if isinstance(request.headers, _HeadersWithAuth) else {}


def _remove_auth(requests: "list[httpx.Request]") -> None:
    """Takes ours off again: the caller may send the request elsewhere, with a client that does not know of us."""
    for request in requests:
        request.headers = httpx.Headers(request.headers)


def _can_retry(response: httpx.Response) -> bool:
    return response.status_code == 401 and _is_in_memory(response.request.stream)


def _is_in_memory(stream: object) -> bool:
    """Whether a body is there once more: all of it, or each part of a form. A file may have been closed, a generator is used up."""
    fields = getattr(stream, "fields", None)
    parts = fields and all(isinstance(getattr(field, "file", b""), (bytes, str)) for field in fields)
    return isinstance(stream, httpx.ByteStream) or bool(parts)
