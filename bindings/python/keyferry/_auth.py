"""What the adapters for HTTP clients share."""

from .error import BadResource, LoginRequired, NoHeader, NotConfigured, NotFound, NotMine, Refused, WrongAccess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session import Session

#: A request to such a URL goes as it is: it is of no configured service, open to all, or can't be read.
NOT_OURS = (NotMine, NoHeader, BadResource)
#: After a 401: there is nothing else to try, so that is the answer.
NOTHING_ELSE = (LoginRequired, NotConfigured, NotFound, Refused, WrongAccess)


def headers_for(session: "Session", url: str) -> "dict[str, str]":
    """The headers that a request to a URL wears, and no others."""
    try:
        return session.headers(url)
    except NOT_OURS:
        return {}


def renewed(session: "Session", url: str, worn: "dict[str, str]") -> "dict[str, str]":
    """What to wear after a 401 instead, which rejects what was worn; nothing if there is nothing else."""
    _reject(session, url, worn)
    try:
        headers = headers_for(session, url)
    except NOTHING_ELSE:
        return {}
    return {} if headers == worn else headers


def _reject(session: "Session", url: str, worn: "dict[str, str]") -> None:
    for value in worn.values():
        session.reject_value(url, value)


async def aheaders_for(session: "Session", url: str) -> "dict[str, str]":
    """`headers_for` for asyncio."""
    try:
        return await session.aheaders(url)
    except NOT_OURS:
        return {}


async def arenewed(session: "Session", url: str, worn: "dict[str, str]") -> "dict[str, str]":
    """`renewed` for asyncio: cancelling the task cancels the request."""
    from asyncio import get_running_loop

    await get_running_loop().run_in_executor(None, _reject, session, url, worn)
    try:
        headers = await aheaders_for(session, url)
    except NOTHING_ELSE:
        return {}
    return {} if headers == worn else headers
