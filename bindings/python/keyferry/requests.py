"""Authentication for the HTTP client `requests`, which has to be installed."""

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from . import default
from ._auth import headers_for, renewed
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
        _dress(r, headers_for(self._session, str(r.url)))
        r.register_hook("response", _Exchange(self._session, r.body))  # type: ignore[no-untyped-call]
        return r


class _Dressed(PreparedRequest):
    """A request that wears headers of ours, which its copies don't: at a redirect the client makes a copy for the next place, wherever
    that is. The caller's own request is for one place and may be sent again: it stays as it is.
    """

    worn: "dict[str, str]"

    def copy(self) -> PreparedRequest:
        bare = super().copy()
        for name in _worn(self):
            del bare.headers[name]
        return bare


def _dress(request: PreparedRequest, headers: "dict[str, str]") -> PreparedRequest:
    for name in _worn(request):
        del request.headers[name]
    if headers:
        request.__class__ = _Dressed
        request.__dict__["worn"] = headers
        request.headers.update(headers)
    return request


def _worn(request: PreparedRequest) -> "dict[str, str]":
    """What of ours a request has: its owner may have put on another."""
    worn = request.worn if isinstance(request, _Dressed) else {}
    return {name: value for name, value in worn.items() if request.headers.get(name) == value}


class _Exchange:
    """What follows an answer. It remembers nothing of it: a prepared request may be sent many times."""

    def __init__(self, session: Session, body: "Any") -> None:
        self._session = session
        self._body_start = _position(body)

    def __call__(self, response: Response, **options: "Any") -> Response:
        request = response.request
        if response.status_code != 401 or not self._rewound(request.body):
            return response
        worn = _worn(request)
        headers = renewed(self._session, str(request.url), worn)
        if not headers:
            return response
        # The caller's request, which may be sent again, wears the new ones; the answer keeps what it was sent.
        response.request = _dress(request.copy(), worn)
        again = _again(response, _dress(request, headers), options)
        # What came by a redirect wore nothing, so that no token was refused yet.
        return again if worn else self(again, **options)

    def _rewound(self, body: "Any") -> bool:
        if not body or isinstance(body, (bytes, str)):
            return True
        if self._body_start is None:
            return False
        body.seek(self._body_start)
        return True


def _again(response: Response, request: PreparedRequest, options: "dict[str, Any]") -> Response:
    # The connection goes back to its pool when all of the answer was read.
    _ = response.content
    response.close()
    connection: "Any" = response.connection
    again: Response = connection.send(request, **options)
    again.history.append(response)
    return again


def _position(body: "Any") -> "Optional[int]":
    """Where a file that is to be sent stands; none for what is no file, or can't go back."""
    try:
        position: int = body.tell()
        body.seek(position)
    except (AttributeError, OSError):
        return None
    return position
