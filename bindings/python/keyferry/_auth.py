"""What the adapters for HTTP clients share."""

from .error import BadCredentials, InsufficientAccess, InvalidResource, LoginRequired, NoHeader, NotConfigured, NotFound, UnknownService

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session import Session

#: A request to such a URL goes as it is: it is of no configured service, open to all, or can't be read.
NOT_OURS = (UnknownService, NoHeader, InvalidResource)
#: After a 401: there is nothing else to try, so that is the answer.
NO_OTHER_TOKEN = (LoginRequired, NotConfigured, NotFound, BadCredentials, InsufficientAccess)


def headers_for(session: "Session", url: str) -> "dict[str, str]":
    """The authentication headers for a request to a URL; empty for a URL that needs none of ours."""
    try:
        return session.headers(url)
    except NOT_OURS:
        return {}


def headers_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """Rejects the headers that were answered with 401, and gets others; empty if there are none."""
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
    """`headers_for` for asyncio."""
    try:
        return await session.aheaders(url)
    except NOT_OURS:
        return {}


async def aheaders_after_401(session: "Session", url: str, sent_headers: "dict[str, str]") -> "dict[str, str]":
    """`headers_after_401` for asyncio: cancelling the task cancels the request."""
    from asyncio import get_running_loop

    await get_running_loop().run_in_executor(None, _reject, session, url, sent_headers)
    try:
        headers = await aheaders_for(session, url)
    except NO_OTHER_TOKEN:
        return {}
    return {} if headers == sent_headers else headers
