"""Code that the adapters for HTTP clients share."""

from ._wait import await_call
from .error import BadCredentials, InsufficientAccess, InvalidResource, LoginRequired, NoHeader, NotConfigured, NotFound, UnknownService

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .session import Session

#: Errors after which a request is sent without headers: its URL belongs to no configured service,
#: needs no credential, or is invalid.
NOT_OURS = (UnknownService, NoHeader, InvalidResource)
#: Errors that mean that there is no other token. After a 401, the caller then gets the 401
#: response.
NO_OTHER_TOKEN = (LoginRequired, NotConfigured, NotFound, BadCredentials, InsufficientAccess)


class SharedSession:
    """The part of `Auth` that copies and pickles it. Copies use the same session."""

    _session: "Session"

    def __copy__(self) -> "Any":
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __deepcopy__(self, memo: "dict[int, Any]") -> "Any":
        return self.__copy__()

    def __reduce__(self) -> "tuple[Any, ...]":
        if self._session._is_default:
            return type(self), ()
        raise TypeError(
            f"cannot pickle a {type(self).__module__}.Auth: its session contains secrets; use `Auth()`, which has the default session, "
            "or create the Auth again where it is needed"
        )


def headers_for(session: "Session", url: str) -> "dict[str, str]":
    """Returns the authentication headers for a URL, or an empty dict if keyferry has none for it."""
    try:
        return session.headers(url)
    except NOT_OURS:
        return {}


def reject_headers(session: "Session", url: str, sent_headers: "dict[str, str]") -> None:
    """Rejects the headers of a request that got a 401.

    The adapters call this after every 401, also if the request can't be sent again. Otherwise a
    program that only sends streams would use a revoked token until it expires.
    """
    for value in sent_headers.values():
        session.reject_value(url, value)


def headers_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """Returns new headers for a request whose headers were rejected, or an empty dict if there are
    none.
    """
    try:
        headers = headers_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers


async def aheaders_for(session: "Session", url: str) -> "dict[str, str]":
    """The asynchronous version of `headers_for`."""
    try:
        return await session.aheaders(url)
    except NOT_OURS:
        return {}


async def areject_headers(session: "Session", url: str, sent_headers: "dict[str, str]") -> None:
    """The asynchronous version of `reject_headers`.

    Cancelling the task doesn't cancel it: the rejection is reported all the same. Tasks that report
    the same headers share one report.
    """
    if sent_headers:
        key = (session, url, *sent_headers.items())
        await await_call(key, lambda _: (lambda: reject_headers(session, url, sent_headers), None))


async def aheaders_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """The asynchronous version of `headers_after_401`."""
    try:
        headers = await aheaders_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers
