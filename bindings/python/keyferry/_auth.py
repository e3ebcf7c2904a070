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


def headers_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """Rejects the headers of a request that got a 401 and returns new ones, or an empty dict if
    there are none.
    """
    _reject(session, url, sent_headers)
    try:
        headers = headers_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers


def _reject(session: "Session", url: str, sent_headers: "dict[str, str]") -> None:
    for value in sent_headers.values():
        session.reject_value(url, value)


async def aheaders_for(session: "Session", url: str) -> "dict[str, str]":
    """The asyncio version of `headers_for`."""
    try:
        return await session.aheaders(url)
    except NOT_OURS:
        return {}


async def aheaders_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """The asyncio version of `headers_after_401`.

    Cancelling the task cancels the request for the token.
    """
    from asyncio import get_running_loop

    await get_running_loop().run_in_executor(None, _reject, session, url, sent_headers)
    try:
        headers = await aheaders_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers
