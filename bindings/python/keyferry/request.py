"""Requests: a resource and what the caller needs of its token."""

from . import _abi
from ._call import WipedSecrets, call_ptr, call_status, encode, encode_optional
from ._library import bind_gil
from .error import InvalidValue
from .token import ACCESS_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Optional

    from ._call import Secret
    from .token import Access

_request_new = bind_gil("keyferry_request_new")
_set_min_valid_s = bind_gil("keyferry_request_set_min_valid_s")
_set_access = bind_gil("keyferry_request_set_access")
_set_account = bind_gil("keyferry_request_set_account")
_set_link_password = bind_gil("keyferry_request_set_link_password")
_set_timeout_ms = bind_gil("keyferry_request_set_timeout_ms")
_cancel = bind_gil("keyferry_request_cancel")
_free = bind_gil("keyferry_request_free")

_MAX_UINT32 = 2**32 - 1


def _round_up(amount: float, name: str) -> int:
    """A number for C, rounded up; one that is too large for it is too large for keyferry too."""
    if not amount >= 0:
        raise InvalidValue(f"{name} is not a number from 0 on")
    return int(-(-amount // 1)) if amount < _MAX_UINT32 else _MAX_UINT32


class Request:
    """A resource and what is wanted of its token. Any thread may use it, several times, and cancel it.

    `resource` is a URL of a service, `SERVICE:PATH`, or the path of a MASV thing: `user`, `packages/ID`, `packages/ID/transfers/ID`,
    `transfers/ID`, `links/ID?secret=S`. A request belongs to the process that made it: in a forked child it raises `Forked`.
    """

    __slots__ = ("_address", "_key")

    def __init__(
        self,
        resource: str,
        *,
        min_valid: float = 0,
        access: "Access" = "any",
        account: "Optional[str]" = None,
        link_password: "Optional[Secret]" = None,
        timeout: "Optional[float]" = None,
    ) -> None:
        """
        min_valid      for how many seconds the token must be good; 0 for keyferry's own windows. Where a service gives shorter ones,
                       the freshest is returned.
        access         `read`, `write` or `manage` instead of what the resource says. Source: MASV API, package tokens.
        account        the profile in the configuration to act as; without it the default one.
        link_password  the password of a protected link; a `bytearray` is wiped.
        timeout        how many seconds to wait, 0.001 to 600; without it the configured `http.timeout_ms`.

        Raises `InvalidResource` if the resource can't be read, `InvalidValue` for a number out of range.
        """
        with WipedSecrets(link_password) as (password,):
            self._key = encode(resource)
            self._address = call_ptr(_request_new, self._key)
            if min_valid:
                call_status(_set_min_valid_s, self._address, _round_up(min_valid, "min_valid"))
            if access != "any":
                call_status(_set_access, self._address, _access_number(access))
            if account is not None:
                call_status(_set_account, self._address, encode_optional(account))
            if password is not None:
                call_status(_set_link_password, self._address, password)
            if timeout is not None:
                call_status(_set_timeout_ms, self._address, max(1, _round_up(timeout * 1000, "timeout")))

    def cancel(self) -> None:
        """Ends the wait of whoever waits with this request, now and from now on, with `Cancelled`. For any thread."""
        _cancel(self._address)

    def __del__(self, _free: "Any" = _free) -> None:
        # What could not be made has none.
        _free(getattr(self, "_address", None))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("a request can't be copied or sent to another process: make another there")


def _access_number(access: "Access") -> int:
    for number, name in ACCESS_NAMES.items():
        if name == access:
            return number
    raise InvalidValue(f"access {access!r} is none of {', '.join(ACCESS_NAMES.values())}")
