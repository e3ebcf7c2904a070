"""What the adapters for HTTP clients share: which headers a request wears, and what happens to them at a redirect and at a 401."""

from .error import BadResource, LoginRequired, NoHeader, NotConfigured, NotMine, Refused
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import MutableMapping, Optional


class Wearer:
    """The headers of one request through all its stations. Those that it put on it takes off again; it touches no others."""

    __slots__ = ("_session", "_worn")

    def __init__(self, session: "Optional[Session]") -> None:
        from . import default

        self._session = session or default
        self._worn: "dict[str, str]" = {}

    def dress(self, url: str, headers: "MutableMapping[str, str]") -> None:
        """Leaves exactly the headers on that belong to a URL: none where it is of no configured service, or open to all."""
        self.undress(headers)
        try:
            self._worn = self._session.headers(url)
        except (NotMine, NoHeader, BadResource):
            return
        headers.update(self._worn)

    def undress(self, headers: "MutableMapping[str, str]") -> None:
        """Takes off what was put on."""
        for name, value in self._worn.items():
            if headers.get(name) == value:
                del headers[name]
        self._worn = {}

    def renew(self, url: str, headers: "MutableMapping[str, str]") -> bool:
        """Rejects what a 401 came for and puts on what there is instead; false where there is nothing else to try."""
        old = self._worn
        for value in old.values():
            self._session.reject_value(url, value)
        try:
            self.dress(url, headers)
        except (LoginRequired, NotConfigured, Refused):
            return False
        return self._worn not in ({}, old)
