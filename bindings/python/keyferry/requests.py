"""Authentication for the HTTP client `requests`, which has to be installed."""

from urllib.parse import urljoin

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
    no new one, the 401 is the answer. A redirect takes no header to a place that it is not for. Getting a token raises as
    `keyferry.Session.token_for` does. Source: RFC 9110, 15.5.2.
    """

    def __init__(self, session: "Optional[Session]" = None) -> None:
        """Takes the session to ask; without it the default one."""
        self._session = session or default

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        exchange = _Exchange(self._session, r)
        r.register_hook("response", exchange)  # type: ignore[no-untyped-call]
        return r


class _Exchange:
    """One request and what follows from it: redirects, a 401."""

    def __init__(self, session: Session, request: PreparedRequest) -> None:
        self._session = session
        self._tried = False
        self._body_start = _position(request.body)
        self._worn: "dict[str, str]" = {}
        self._dress(request, headers_for(session, str(request.url)))

    def __call__(self, response: Response, **options: "Any") -> Response:
        request = response.request
        if response.is_redirect:
            # The client copies this request's headers for the next place: it must find there what is for that one.
            self._dress(request, headers_for(self._session, urljoin(response.url, response.headers["location"])))
        elif response.status_code == 401 and not self._tried:
            self._tried = True
            if self._rewound(request):
                headers = renewed(self._session, str(request.url), self._sent(request))
                if headers:
                    self._dress(request, headers)
                    return self(_again(response, options), **options)
        return response

    def _dress(self, request: PreparedRequest, headers: "dict[str, str]") -> None:
        for name in self._sent(request):
            del request.headers[name]
        self._worn = headers
        request.headers.update(headers)

    def _sent(self, request: PreparedRequest) -> "dict[str, str]":
        """What of ours the request has: a redirect may have taken some of it off."""
        return {name: value for name, value in self._worn.items() if request.headers.get(name) == value}

    def _rewound(self, request: PreparedRequest) -> bool:
        body: "Any" = request.body
        if self._body_start is None:
            return not body or isinstance(body, (bytes, str))
        body.seek(self._body_start)
        return True


def _again(response: Response, options: "dict[str, Any]") -> Response:
    # The connection goes back to its pool when all of the answer was read.
    _ = response.content
    response.close()
    connection: "Any" = response.connection
    again: Response = connection.send(response.request, **options)
    again.history.append(response)
    again.request = response.request
    return again


def _position(body: "Any") -> "Optional[int]":
    """Where a file that is to be sent stands; none for what is no file, or can't go back."""
    try:
        position: int = body.tell()
        body.seek(position)
    except (AttributeError, OSError):
        return None
    return position
