"""Tokens: a set of headers with its expiry."""

from . import _abi
from ._library import bind_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Literal, NoReturn, Optional

    Access = Literal["any", "full", "read", "write", "manage"]
    TokenKind = Literal["key", "user", "package", "transfer", "bearer"]

_header_count = bind_gil("keyferry_token_header_count")
_header_name = bind_gil("keyferry_token_header_name")
_header_value = bind_gil("keyferry_token_header_value")
_value = bind_gil("keyferry_token_value")
_service = bind_gil("keyferry_token_service")
_kind = bind_gil("keyferry_token_kind")
_access = bind_gil("keyferry_token_access")
_expires_unix_s = bind_gil("keyferry_token_expires_unix_s")
_generation = bind_gil("keyferry_token_generation")
_details_json = bind_gil("keyferry_token_details_json")
_free = bind_gil("keyferry_token_free")

#: The last second of the year 9999.
_MAX_UNIX_S = 253_402_300_799


def _words_by_number(prefix: str) -> "dict[int, Any]":
    """The words for the numbers of one group: the ends of their names in C."""
    constants = ((name, number) for name, number in vars(_abi).items() if name.startswith(prefix))
    return {number: name[len(prefix) :].lower() for name, number in constants}


KIND_NAMES: "dict[int, TokenKind]" = _words_by_number("KEYFERRY_TOKEN_KIND_")
ACCESS_NAMES: "dict[int, Access]" = _words_by_number("KEYFERRY_ACCESS_")


class Token:
    """The headers that a request needs, and until when they are good. Immutable; any thread may use it; it outlives its session.

    Made by `Session.token_for` and its kin. Its memory in the library is wiped when the last reference goes; copies in Python can't be.
    """

    __slots__ = ("_address",)
    _address: int

    def __new__(cls) -> "Token":
        raise TypeError("tokens come from a session: ask Session.token_for")

    def __del__(self, _free: "Any" = _free) -> None:
        _free(self._address)

    @property
    def headers(self) -> "dict[str, str]":
        """The headers to send, by name. Their values are secrets: keep them out of logs and argument lists."""
        address = self._address
        return {
            _header_name(address, index).decode(): _header_value(address, index).decode() for index in range(_header_count(address))
        }

    @property
    def value(self) -> str:
        """The bare value of the first header, without the scheme of an `Authorization`. A secret."""
        value: str = _value(self._address).decode()
        return value

    @property
    def service(self) -> str:
        """The service that it is for: `masv`, `fileverbs`."""
        service: str = _service(self._address).decode()
        return service

    @property
    def kind(self) -> "TokenKind":
        """What it is: `key`, `user`, `package`, `transfer` or `bearer`."""
        return KIND_NAMES[_kind(self._address)]

    @property
    def access(self) -> "Access":
        """What it allows: `read`, `write`, `manage`, or `full` where there is only one sort. Source: MASV API, package tokens."""
        return ACCESS_NAMES[_access(self._address)]

    @property
    def expires_at(self) -> "Optional[datetime]":
        """When it ends, in UTC by the service's clock; `None` if it is good until it is rejected. What ends later than a
        `datetime` can say ends with the year 9999. Source: RFC 7519, `exp`.
        """
        from datetime import datetime, timezone

        seconds: int = _expires_unix_s(self._address)
        return None if seconds == _abi.KEYFERRY_NO_EXPIRY else datetime.fromtimestamp(min(seconds, _MAX_UNIX_S), timezone.utc)

    @property
    def generation(self) -> int:
        """Which one of its resource's tokens it is: each later one has a greater number, in all processes that share a store."""
        generation: int = _generation(self._address)
        return generation

    @property
    def details(self) -> "dict[str, Any]":
        """What else the service said with it, without secrets: of a user token `user` and `teams`, as they came."""
        import json

        details: "dict[str, Any]" = json.loads(_details_json(self._address))
        return details

    def __repr__(self) -> str:
        return f"<keyferry.Token {self.service} {self.kind}, access {self.access}, generation {self.generation}>"

    def __reduce__(self) -> "NoReturn":
        raise TypeError("a token can't be copied or sent to another process: ask a session there")


_new_object = object.__new__


def take_token(address: int) -> Token:
    """The token that the library gave away."""
    token = _new_object(Token)
    token._address = address
    return token
