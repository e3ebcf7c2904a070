"""Calls functions of the C ABI: converts arguments, returns results, and raises errors."""

from ctypes import byref, c_char, c_size_t, c_void_p, memset, string_at
from os import fsencode

from ._library import bind_gil
from .error import InvalidValue, error_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType
    from typing import Any, Optional, Union

    from ._library import Function

    Secret = Union[str, bytes, bytearray]

_text_free = bind_gil("keyferry_text_free")

#: Out-parameters for C functions: memory for one number or address, and a reference to it. A caller
#: takes an entry from the list and puts it back, so two calls never share one. That holds even if a
#: signal handler makes a call in the middle of another call.
out_params: "list[tuple[c_size_t, Any]]" = []


def new_out_param() -> "tuple[c_size_t, Any]":
    """Returns a new entry for `out_params`, for use when the list is empty."""
    value = c_size_t()
    return value, byref(value)


def call_status(function: "Function", *arguments: "Any") -> None:
    """Calls a function that returns only a status."""
    error = c_void_p()
    status = function(*arguments, byref(error))
    if status:
        raise error_from(status, error.value)


def call_ptr(function: "Function", *arguments: "Any") -> int:
    """Calls a function that returns an address."""
    out = c_void_p()
    call_status(function, *arguments, byref(out))
    return out.value or 0


def call_text(function: "Function", *arguments: "Any") -> str:
    """Calls a function that returns a string."""
    address = call_ptr(function, *arguments)
    try:
        return string_at(address).decode()
    finally:
        _text_free(address)


def encode(text: str) -> bytes:
    """Encodes a string for C. Refuses a NUL, because C would read only the part before it."""
    if not isinstance(text, str):
        raise wrong_type(text)
    if "\0" in text:
        raise InvalidValue("the string contains a NUL; copy it again")
    return encode_utf8(text)


def wrong_type(value: object) -> TypeError:
    """Returns an error that names the value's type only, because the value may be a secret."""
    return TypeError(f"expected a str, not {type(value).__name__}; pass a str")


def encode_utf8(text: str) -> bytes:
    """Encodes a string as UTF-8.

    Python's own error for a lone surrogate would contain the string, which may be a secret.
    """
    try:
        return str.encode(text)
    except UnicodeEncodeError:
        pass
    raise InvalidValue("the string contains a lone surrogate; decode it again")


def encode_optional(text: "Optional[str]") -> "Optional[bytes]":
    """Encodes a string for C; `None` becomes NULL."""
    return None if text is None else encode(text)


def encode_path(path: "Union[str, bytes, PathLike[str], PathLike[bytes]]") -> bytes:
    """Encodes a path for C, as Python encodes it for the operating system. It need not be UTF-8."""
    try:
        encoded = fsencode(path)
    except UnicodeEncodeError:
        raise InvalidValue("the path contains a lone surrogate; decode it with os.fsdecode") from None
    if 0 in encoded:
        raise InvalidValue("the path contains a NUL; check it")
    return encoded


class WipedSecrets:
    """Copies of secrets for one call, in memory that is wiped afterwards.

    A secret that is a `bytearray` is wiped too, even if the call fails, as long as the failure is
    inside the `with` block. `str` and `bytes` can't be wiped.
    """

    __slots__ = ("_copies", "_secrets")

    def __init__(self, *secrets: "Optional[Secret]") -> None:
        self._secrets = secrets
        self._copies: "list[Any]" = []

    def __enter__(self) -> "list[Any]":
        try:
            return [None if secret is None else self._copy(secret) for secret in self._secrets]
        except BaseException:
            self._wipe()
            raise

    def _copy(self, secret: "Secret") -> "Any":
        encoded = encode_utf8(secret) if isinstance(secret, str) else secret
        if 0 in encoded:
            raise InvalidValue("the secret contains a NUL; copy it again")
        copy = (c_char * (len(encoded) + 1))()
        self._copies.append(copy)
        memoryview(copy).cast("B")[: len(encoded)] = encoded
        return copy

    def __exit__(self, kind: "Optional[type[BaseException]]", value: "Optional[BaseException]", trace: "Optional[TracebackType]") -> None:
        self._wipe()

    def _wipe(self) -> None:
        for copy in self._copies:
            memset(copy, 0, len(copy))
        for secret in self._secrets:
            if isinstance(secret, bytearray):
                secret[:] = bytes(len(secret))
