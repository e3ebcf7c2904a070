"""Authentication for the HTTP client `requests`, which must be installed."""

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from . import default
from ._auth import SharedSession, headers_after_401, headers_for, reject_headers
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__ = ["Auth"]


class Auth(SharedSession, AuthBase):
    """Adds the headers that match each request's URL.

    Only requests to the configured services get headers.

    ```
    client = requests.Session()
    client.auth = keyferry.requests.Auth()
    client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
    ```

    After a 401 the token is rejected, and the request is sent once more with a new token, unless
    its body can't be sent again. If there is no new token, the caller gets the 401 response. The
    headers are never sent along a redirect. If the redirect's target responds with a 401, the
    request is sent there once more with the target's own headers. Raises the errors of
    `keyferry.Session.token_for` if keyferry cannot get a token. Can be pickled if it uses the
    default session. Source: RFC 9110, 15.5.2.
    """

    def __init__(self, session: "Optional[Session]" = None) -> None:
        """Takes the session to use; the default session if there is none."""
        self._session = session or default

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        _add_auth(r, headers_for(self._session, str(r.url)))
        r.register_hook("response", _RetryAfter401(self._session, r.body))  # type: ignore[no-untyped-call]
        return r


class _RequestWithAuth(PreparedRequest):
    """A request with authentication headers, which its copies don't have.

    On a redirect `requests` sends a copy to the new URL, which may be anywhere. The caller's own
    request keeps its headers and can be sent again.
    """

    auth_headers: "dict[str, str]"

    def copy(self) -> PreparedRequest:
        copy_without_auth = super().copy()
        for name in _auth_headers_of(self):
            del copy_without_auth.headers[name]
        return copy_without_auth

    def __reduce__(self) -> "tuple[Any, ...]":
        """Pickles the request without its authentication headers, which are secrets."""
        return _unpickle_request, (self.copy().__dict__,)


def _unpickle_request(fields: "dict[str, Any]") -> PreparedRequest:
    request = PreparedRequest()
    request.__dict__.update(fields)
    return request


def _add_auth(request: PreparedRequest, headers: "dict[str, str]") -> PreparedRequest:
    for name in _auth_headers_of(request):
        del request.headers[name]
    if headers:
        request.__class__ = _RequestWithAuth
        request.__dict__["auth_headers"] = headers
        request.headers.update(headers)
    return request


def _auth_headers_of(request: PreparedRequest) -> "dict[str, str]":
    """Returns the authentication headers that keyferry added to a request, without those that the
    caller has replaced since.
    """
    auth_headers = request.auth_headers if isinstance(request, _RequestWithAuth) else {}
    return {name: value for name, value in auth_headers.items() if request.headers.get(name) == value}


class _RetryAfter401:
    """Response hook that sends a request again after a 401.

    It keeps no state between responses, because a prepared request may be sent many times.
    """

    def __init__(self, session: Session, body: "Any") -> None:
        self._session = session
        self._body_start = _position(body)

    def __call__(self, response: Response, **options: "Any") -> Response:
        request = response.request
        if response.status_code != 401:
            return response
        auth_headers = _auth_headers_of(request)
        self._reject(request)
        if not self._rewind(request.body):
            return response
        headers = headers_after_401(self._session, str(request.url), auth_headers)
        if not headers:
            return response
        # The caller's request gets the new headers, because the caller may send it again. The
        # response keeps a request with the headers that were sent.
        response.request = _add_auth(request.copy(), auth_headers)
        retried = _send_again(response, _add_auth(request, headers), options)
        # A request that followed a redirect had no authentication headers, so no token was rejected
        # yet. Allow it one more retry.
        if not auth_headers:
            return self(retried, **options)
        if retried.status_code == 401:
            self._reject(retried.request)
        return retried

    def __deepcopy__(self, memo: "dict[int, Any]") -> "_RetryAfter401":
        return self

    def __reduce__(self) -> "tuple[Any, ...]":
        """Pickles as a hook that does nothing: a response can be pickled whatever its session is."""
        return _no_retry_hook, ()

    def _reject(self, request: PreparedRequest) -> None:
        reject_headers(self._session, str(request.url), _auth_headers_of(request))

    def _rewind(self, body: "Any") -> bool:
        if not body or isinstance(body, (bytes, str)):
            return True
        if self._body_start is None:
            return False
        try:
            body.seek(self._body_start)
        except (OSError, ValueError):
            # The file was closed.
            return False
        return True


def _no_retry_hook() -> "Any":
    return _no_retry


def _no_retry(response: Response, **options: "Any") -> Response:
    return response


def _send_again(response: Response, request: PreparedRequest, options: "dict[str, Any]") -> Response:
    # Read the whole response, so that the connection returns to its pool.
    _ = response.content
    response.close()
    connection: "Any" = response.connection
    retried: Response = connection.send(request, **options)
    retried.history.append(response)
    return retried


def _position(body: "Any") -> "Optional[int]":
    """Returns the current position of a file-like body, or `None` if it isn't a file or can't seek."""
    try:
        position: int = body.tell()
        body.seek(position)
    except (AttributeError, OSError, ValueError):
        return None
    return position
