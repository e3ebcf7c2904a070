"""Authentication for the HTTP client `requests`, which has to be installed."""

from urllib.parse import urljoin

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from ._auth import Wearer
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
        self._session = session

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        exchange = _Exchange(Wearer(self._session), r)
        r.register_hook("response", exchange)
        return r


class _Exchange:
    """One request and what follows from it: a redirect, a 401."""

    def __init__(self, wearer: Wearer, request: PreparedRequest) -> None:
        self._wearer = wearer
        self._tried = False
        self._start = _position(request.body)
        wearer.dress(str(request.url), request.headers)

    def __call__(self, response: Response, **options: "Any") -> Response:
        request = response.request
        if response.is_redirect:
            # The client copies this request for the next place: it must not find there what is for this one.
            self._wearer.dress(urljoin(response.url, response.headers["location"]), request.headers)
        elif response.status_code == 401 and not self._tried:
            self._tried = True
            if self._rewound(request) and self._wearer.renew(str(request.url), request.headers):
                return self._again(response, **options)
        return response

    def _rewound(self, request: PreparedRequest) -> bool:
        if self._start is None:
            return not request.body or isinstance(request.body, (bytes, str))
        request.body.seek(self._start)  # type: ignore[union-attr]
        return True

    @staticmethod
    def _again(response: Response, **options: "Any") -> Response:
        # The connection goes back to its pool only when all of the answer was read.
        response.content  # noqa: B018
        response.close()
        again: Response = response.connection.send(response.request, **options)  # type: ignore[attr-defined]
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
