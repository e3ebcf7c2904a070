"""Tokens: a set of headers with an expiry."""

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
    """Maps the numbers of a group of C constants to the ends of their names, in lower case."""
    constants = ((name, number) for name, number in vars(_abi).items() if name.startswith(prefix))
    return {number: name[len(prefix) :].lower() for name, number in constants}


KIND_NAMES: "dict[int, TokenKind]" = _words_by_number("KEYFERRY_TOKEN_KIND_")
ACCESS_NAMES: "dict[int, Access]" = _words_by_number("KEYFERRY_ACCESS_")


class Token:
    """The headers for a request, and when they expire.

    Immutable. Any thread may use a token. A token outlives its session.

    `Session.token_for` and similar methods return tokens. The library wipes a token's memory when
    the last reference is dropped. Copies in Python can't be wiped.
    """

    __slots__ = ("_address",)
    _address: int

    def __new__(cls) -> "Token":
        raise TypeError("cannot create a Token directly; call Session.token_for")

    def __del__(self, _free: "Any" = _free) -> None:
        _free(self._address)

    @property
    def headers(self) -> "dict[str, str]":
        """The headers to send, by name.

        Their values are secrets: keep them out of logs and argument lists.
        """
        address = self._address
        return {
            _header_name(address, index).decode(): _header_value(address, index).decode() for index in range(_header_count(address))
        }

    @property
    def value(self) -> str:
        """The value of the first header, without the scheme of an `Authorization` header.

        A secret.
        """
        value: str = _value(self._address).decode()
        return value

    @property
    def service(self) -> str:
        """The service that the token is for: `masv` or `fileverbs`, or the name of a plugin's
        service.
        """
        service: str = _service(self._address).decode()
        return service

    @property
    def kind(self) -> "TokenKind":
        """The kind of token: `key`, `user`, `package`, `transfer` or `bearer`."""
        return KIND_NAMES[_kind(self._address)]

    @property
    def access(self) -> "Access":
        """What the token permits: `read`, `write` or `manage`, or `full` if this kind of token has
        no levels.

        Source: MASV API, package tokens.
        """
        return ACCESS_NAMES[_access(self._address)]

    @property
    def expires_at(self) -> "Optional[datetime]":
        """When the token expires, in UTC by the service's clock, or `None` if it is valid until it
        is rejected.

        Later dates than a `datetime` can represent are returned as the end of the year 9999.
        Source: RFC 7519, `exp`.
        """
        from datetime import datetime, timezone

        seconds: int = _expires_unix_s(self._address)
        return None if seconds == _abi.KEYFERRY_NO_EXPIRY else datetime.fromtimestamp(min(seconds, _MAX_UNIX_S), timezone.utc)

    @property
    def generation(self) -> int:
        """A number that orders the tokens of a resource.

        Later tokens have greater numbers, in all processes that share a store.
        """
        generation: int = _generation(self._address)
        return generation

    @property
    def details(self) -> "dict[str, Any]":
        """Further data that the service sent with the token, without secrets.

        A user token has `user` and `teams`, as the service sent them.
        """
        import json

        details: "dict[str, Any]" = json.loads(_details_json(self._address))
        return details

    def __repr__(self) -> str:
        return f"<keyferry.Token {self.service} {self.kind}, access {self.access}, generation {self.generation}>"

    def __reduce__(self) -> "NoReturn":
        raise TypeError("cannot copy or pickle a Token: it contains a secret; get another one from a session where it is needed")


_new_object = object.__new__


def take_token(address: int) -> Token:
    """Returns a token object for an address. Takes ownership of the address."""
    token = _new_object(Token)
    token._address = address
    return token
