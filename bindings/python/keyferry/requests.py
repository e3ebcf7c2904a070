"""Authentication for the HTTP client `requests`, which has to be installed."""

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from . import default
from ._auth import headers_after_401, headers_for
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__ = ["Auth"]


class Auth(AuthBase):
    """Puts the right headers on each request by its URL, for the origins of the configured services only. Other requests go as they are.

    ```
    client = requests.Session()
    client.auth = keyferry.requests.Auth()
    client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    On a 401 the token is rejected, and the request is sent once more with a new one, unless its body can't be sent again; where there is
    no new one, the 401 is the answer. A redirect takes no header anywhere: the next place gets its own after a 401. Getting a token
    raises as `keyferry.Session.token_for` does. Source: RFC 9110, 15.5.2.
    """

    def __init__(self, session: "Optional[Session]" = None) -> None:
        """Takes the session to ask; without it the default one."""
        self._session = session or default

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        _add_auth(r, headers_for(self._session, str(r.url)))
        r.register_hook("response", _RetryAfter401(self._session, r.body))  # type: ignore[no-untyped-call]
        return r


class _RequestWithAuth(PreparedRequest):
    """A request that wears headers of ours, which its copies don't: at a redirect the client makes a copy for the next place, wherever
    that is. The caller's own request is for one place and may be sent again: it stays as it is.
    """

    auth_headers: "dict[str, str]"

    def copy(self) -> PreparedRequest:
        copy_without_auth = super().copy()
        for name in _auth_headers_of(self):
            del copy_without_auth.headers[name]
        return copy_without_auth


def _add_auth(request: PreparedRequest, headers: "dict[str, str]") -> PreparedRequest:
    for name in _auth_headers_of(request):
        del request.headers[name]
    if headers:
        request.__class__ = _RequestWithAuth
        request.__dict__["auth_headers"] = headers
        request.headers.update(headers)
    return request


def _auth_headers_of(request: PreparedRequest) -> "dict[str, str]":
    """What of ours a request has: its owner may have put on another."""
    auth_headers = request.auth_headers if isinstance(request, _RequestWithAuth) else {}
    return {name: value for name, value in auth_headers.items() if request.headers.get(name) == value}


class _RetryAfter401:
    """What follows an answer. It remembers nothing of it: a prepared request may be sent many times."""

    def __init__(self, session: Session, body: "Any") -> None:
        self._session = session
        self._body_start = _position(body)

    def __call__(self, response: Response, **options: "Any") -> Response:
        request = response.request
        if response.status_code != 401 or not self._rewind(request.body):
            return response
        auth_headers = _auth_headers_of(request)
        headers = headers_after_401(self._session, str(request.url), auth_headers)
        if not headers:
            return response
        # The caller's request, which may be sent again, wears the new ones; the answer keeps what it was sent.
        response.request = _add_auth(request.copy(), auth_headers)
        retried = _send_again(response, _add_auth(request, headers), options)
        # What came by a redirect wore nothing, so that no token was refused yet.
        return retried if auth_headers else self(retried, **options)

    def _rewind(self, body: "Any") -> bool:
        if not body or isinstance(body, (bytes, str)):
            return True
        if self._body_start is None:
            return False
        body.seek(self._body_start)
        return True


def _send_again(response: Response, request: PreparedRequest, options: "dict[str, Any]") -> Response:
    # The connection goes back to its pool when all of the answer was read.
    _ = response.content
    response.close()
    connection: "Any" = response.connection
    retried: Response = connection.send(request, **options)
    retried.history.append(response)
    return retried


def _position(body: "Any") -> "Optional[int]":
    """Where a file that is to be sent stands; none for what is no file, or can't go back."""
    try:
        position: int = body.tell()
        body.seek(position)
    except (AttributeError, OSError):
        return None
    return position
