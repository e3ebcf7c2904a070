"""Requests for tokens: a resource, and what the caller requires of its token."""

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
    """Rounds a number up for C.

    A number too large for C becomes the largest one, which the library refuses as too large.
    """
    if not amount >= 0:
        raise InvalidValue(f"{name} must be a number of at least 0")
    return int(-(-amount // 1)) if amount < _MAX_UINT32 else _MAX_UINT32


class Request:
    """A resource and what the caller requires of its token.

    Any thread may use it repeatedly and cancel it.

    `resource` is a URL of a service, a link copied from `get.massive.io`, or exactly one of the
    short forms `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`,
    `links/ID?secret=S`, `fileverbs:bearer`, `fileverbs:secret-key` and `agent:session`.
    `SERVICE:/PATH` is the URL of PATH at a service, and `PLUGIN:PATH` a route of a plugin.

    A request belongs to the process that created it. In a forked child it raises `Forked`.
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
        """Creates a request.

        min_valid      how many seconds the token must remain valid. With 0, keyferry refreshes a token only shortly
                       before its expiry (docs/behaviour.md). If the service issues tokens with a shorter life, the
                       newest one is returned.
        access         `read`, `write` or `manage`; by default the resource determines it. Source: MASV API,
                       package tokens.
        account        the profile to use from the configuration; by default the default profile.
        link_password  the password of a protected link. A `bytearray` is wiped.
        timeout        how many seconds to wait, 0.001 to 600; by default the setting `http.timeout_ms`.

        Raises `InvalidResource` if the resource is invalid, `InvalidValue` if a number is out of
        range.
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
        """Cancels every wait with this request, current and future.

        The waiting calls raise `Cancelled`. May be called from any thread.
        """
        _cancel(self._address)

    def __del__(self, _free: "Any" = _free) -> None:
        # The attribute is missing if the constructor failed.
        _free(getattr(self, "_address", None))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("cannot copy or pickle a Request: it belongs to this process; create another one where it is needed")


def _access_number(access: "Access") -> int:
    for number, name in ACCESS_NAMES.items():
        if name == access:
            return number
    raise InvalidValue(f"unknown access {access!r}; use one of {', '.join(ACCESS_NAMES.values())}")
