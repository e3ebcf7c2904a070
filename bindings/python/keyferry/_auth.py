"""Code that the adapters for HTTP clients share."""

from .error import BadCredentials, InsufficientAccess, InvalidResource, LoginRequired, NoHeader, NotConfigured, NotFound, UnknownService

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session import Session

#: Errors after which a request is sent without headers: its URL belongs to no configured service,
#: needs no credential, or is invalid.
NOT_OURS = (UnknownService, NoHeader, InvalidResource)
#: Errors that mean that there is no other token. After a 401, the caller then gets the 401
#: response.
NO_OTHER_TOKEN = (LoginRequired, NotConfigured, NotFound, BadCredentials, InsufficientAccess)


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
    """The asyncio version of `headers_for`."""
    try:
        return await session.aheaders(url)
    except NOT_OURS:
        return {}


async def areject_headers(session: "Session", url: str, sent_headers: "dict[str, str]") -> None:
    """The asyncio version of `reject_headers`."""
    if sent_headers:
        from asyncio import get_running_loop

        await get_running_loop().run_in_executor(None, reject_headers, session, url, sent_headers)


async def aheaders_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """The asyncio version of `headers_after_401`.

    Cancelling the task cancels the request for the token.
    """
    try:
        headers = await aheaders_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers
