"""Requests for tokens: a resource, and what the caller requires of its token."""

import os
from ctypes import c_char, c_void_p, memset

from . import _abi
from ._call import WipedSecrets, call_ptr, call_status, encode, encode_optional
from ._library import bind_gil
from .error import Error, InvalidValue, error_from
from .token import ACCESS_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Hashable, NoReturn, Optional

    from ._call import Secret
    from ._wait import Waiter
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

    __slots__ = ("_account", "_address", "_argument", "_can_peek", "_is_cancelled", "_key", "_numbers", "_password", "_process", "_waiters")

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
            #: A copy of the link password, which `__del__` wipes.
            self._password = None if password is None else _copy_array(password)
            self._key = encode(resource)
            self._account = encode_optional(account)
            #: `min_valid`, `access` and `timeout` as C has them. 0 is the default.
            self._numbers = (
                _round_up(min_valid, "min_valid"),
                _access_number(access),
                0 if timeout is None else max(1, _round_up(timeout * 1000, "timeout")),
            )
            self._create()

    def _create(self) -> None:
        """Creates the request of the C ABI from the settings."""
        self._process = os.getpid()
        self._is_cancelled = False
        #: The callers that wait for a token with this request.
        self._waiters: "dict[Waiter, None]" = {}
        self._address = call_ptr(_request_new, self._key)
        #: The address, converted for functions of `bind_gil_converted`.
        self._argument: "Any" = c_void_p.from_param(self._address)
        min_valid_s, access, timeout_ms = self._numbers
        #: Whether `peek`, which knows only the resource, finds the token of this request. It need not
        #: know `min_valid`, because `cached` checks that.
        self._can_peek = not access and self._account is None and self._password is None
        if min_valid_s:
            call_status(_set_min_valid_s, self._address, min_valid_s)
        if access:
            call_status(_set_access, self._address, access)
        if self._account is not None:
            call_status(_set_account, self._address, self._account)
        if self._password is not None:
            call_status(_set_link_password, self._address, self._password)
        if timeout_ms:
            call_status(_set_timeout_ms, self._address, timeout_ms)

    def _copy(self, max_timeout: "Optional[float]" = None) -> "Request":
        """Returns a copy that can be cancelled by itself, with a timeout of at most `max_timeout`.

        Raises `Forked` as the library does for this request.
        """
        if self._process != os.getpid():
            raise error_from(_abi.KEYFERRY_E_FORKED, None)
        copy = Request.__new__(Request)
        copy._password = None if self._password is None else _copy_array(self._password)
        copy._key, copy._account = self._key, self._account
        min_valid_s, access, timeout_ms = self._numbers
        if max_timeout is not None:
            max_timeout_ms = _round_up(max_timeout * 1000, "timeout")
            timeout_ms = min(timeout_ms or max_timeout_ms, max_timeout_ms)
        copy._numbers = (min_valid_s, access, timeout_ms)
        copy._create()
        return copy

    def _sharing_key(self) -> "Hashable":
        """Returns a value that is the same for all requests that get the same token."""
        return self._key, self._account, self._numbers, self._password and id(self)

    def _add_waiter(self, waiter: "Waiter") -> None:
        self._waiters[waiter] = None
        if self._is_cancelled:
            waiter.end(_cancelled())

    def _remove_waiter(self, waiter: "Waiter") -> None:
        self._waiters.pop(waiter, None)

    def cancel(self) -> None:
        """Cancels every wait with this request, current and future.

        The waiting calls raise `Cancelled`. May be called from any thread.
        """
        self._is_cancelled = True
        self._can_peek = False
        _cancel(self._address)
        for waiter in list(self._waiters):
            waiter.end(_cancelled())

    def __del__(self, _free: "Any" = _free, _memset: "Any" = memset) -> None:
        # The attributes are missing if the constructor failed.
        _free(getattr(self, "_address", None))
        password = getattr(self, "_password", None)
        if password is not None:
            _memset(password, 0, len(password))

    def __reduce__(self) -> "NoReturn":
        raise TypeError("cannot copy or pickle a Request: it belongs to this process; create another one where it is needed")


def _copy_array(array: "Any") -> "Any":
    return (c_char * len(array)).from_buffer_copy(array)


def _cancelled() -> "Error":
    return error_from(_abi.KEYFERRY_E_CANCELLED, None)


def _access_number(access: "Access") -> int:
    for number, name in ACCESS_NAMES.items():
        if name == access:
            return number
    raise InvalidValue(f"unknown access {access!r}; use one of {', '.join(ACCESS_NAMES.values())}")
