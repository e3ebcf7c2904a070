"""Authentication for the HTTP client `httpx`, which must be installed."""

import httpx

from . import default
from ._auth import SharedSession, aheaders_after_401, aheaders_for, areject_headers, headers_after_401, headers_for, reject_headers
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AsyncGenerator, Generator, Optional

__all__ = ["Auth"]


class Auth(SharedSession, httpx.Auth):
    """Adds the headers that match each request's URL.

    Only requests to the configured services get headers.

    ```
    client = httpx.Client(auth=keyferry.httpx.Auth())
    client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    After a 401 the token is rejected, and the request is sent once more with a new token, unless its
    body is a stream. If there is no new token, the caller gets the 401 response. The headers are
    never sent along a redirect. With `httpx.AsyncClient`, keyferry runs on asyncio and trio and
    doesn't block the event loop. Raises the errors of `keyferry.Session.token_for` if keyferry
    cannot get a token. Can be pickled if it uses the default session. Source: RFC 9110, 15.5.2.
    """

    def __init__(self, session: "Optional[Session]" = None) -> None:
        """Takes the session to use; the default session if there is none."""
        self._session = session or default
        if "x-probe" in httpx.Headers(_HeadersWithAuth(httpx.Headers(), {"x-probe": "x"})):
            raise ImportError(
                "cannot use this version of httpx: it would send the headers along redirects; "
                "install another version, or get the headers from `keyferry.headers`"
            )

    def sync_auth_flow(self, request: httpx.Request) -> "Generator[httpx.Request, httpx.Response, None]":
        sent = [request]
        try:
            response = yield _with_auth(request, headers_for(self._session, str(request.url)))
            if response.status_code == 401:
                sent.append(retry := response.request)
                url, auth_headers = str(retry.url), _auth_headers_of(retry)
                reject_headers(self._session, url, auth_headers)
                headers = headers_after_401(self._session, url, auth_headers) if _is_in_memory(retry.stream) else {}
                if headers:
                    response = yield _with_auth(retry, headers)
                    if response.status_code == 401:
                        reject_headers(self._session, url, headers)
        finally:
            _remove_auth(sent)

    async def async_auth_flow(self, request: httpx.Request) -> "AsyncGenerator[httpx.Request, httpx.Response]":
        sent = [request]
        try:
            response = yield _with_auth(request, await aheaders_for(self._session, str(request.url)))
            if response.status_code == 401:
                sent.append(retry := response.request)
                url, auth_headers = str(retry.url), _auth_headers_of(retry)
                await areject_headers(self._session, url, auth_headers)
                headers = await aheaders_after_401(self._session, url, auth_headers) if _is_in_memory(retry.stream) else {}
                if headers:
                    response = yield _with_auth(retry, headers)
                    if response.status_code == 401:
                        await areject_headers(self._session, url, headers)
        finally:
            _remove_auth(sent)


class _HeadersWithAuth(httpx.Headers):
    """A request's headers, together with the authentication headers. httpx sends both, but copies
    only the request's own headers.

    On a redirect it builds the new request from that copy, so the authentication headers don't go
    to another URL.
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
    """Removes the authentication headers, because the caller may send the request again with a
    client that doesn't use keyferry.
    """
    for request in requests:
        request.headers = httpx.Headers(request.headers)


def _is_in_memory(stream: object) -> bool:
    """Returns whether a body can be sent again: either the whole body is in memory,
    or the body is a form and all its parts are in memory.

    A file may have been closed, and a generator can be read only once.
    """
    fields = getattr(stream, "fields", None)
    parts = fields and all(isinstance(getattr(field, "file", b""), (bytes, str)) for field in fields)
    return isinstance(stream, httpx.ByteStream) or bool(parts)
