"""How a function of the C ABI is called: its texts go in, its result comes out, or its error is raised."""

from ctypes import byref, c_char, c_size_t, c_void_p, memset, string_at

from ._library import bind_gil
from .error import InvalidValue, error_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Optional, Union

    from ._library import Function

    Secret = Union[str, bytes, bytearray]

_text_free = bind_gil("keyferry_text_free")

#: Room for the one number or address that a call writes, with the reference that the function takes. Whoever calls takes one out and
#: puts it back, so that no two calls share one, not even where a signal handler calls in the middle of another call.
out_params: "list[tuple[c_size_t, Any]]" = []


def new_out_param() -> "tuple[c_size_t, Any]":
    """One more, where all are in use."""
    value = c_size_t()
    return value, byref(value)


def call_status(function: "Function", *arguments: "Any") -> None:
    """A call that gives nothing but its status."""
    error = c_void_p()
    status = function(*arguments, byref(error))
    if status:
        raise error_from(status, error.value)


def call_ptr(function: "Function", *arguments: "Any") -> int:
    """A call that gives an address."""
    out = c_void_p()
    call_status(function, *arguments, byref(out))
    return out.value or 0


def call_text(function: "Function", *arguments: "Any") -> str:
    """A call that gives a text."""
    address = call_ptr(function, *arguments)
    try:
        return string_at(address).decode()
    finally:
        _text_free(address)


def encode(text: str) -> bytes:
    """A text as C reads it. C would cut it at a NUL, and ask for something else."""
    if not isinstance(text, str):
        raise wrong_type(text)
    if "\0" in text:
        raise InvalidValue("a text holds NUL: copy it again")
    return encode_utf8(text)


def wrong_type(value: object) -> TypeError:
    """Names the type alone: the value may be a secret."""
    return TypeError(f"a text is wanted: give a str, not {type(value).__name__}")


def encode_utf8(text: str) -> bytes:
    """A text's bytes. Half a character has none; Python's own error would keep the text, which may be a secret."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise InvalidValue("a text holds half a character: decode it again")


def encode_optional(text: "Optional[str]") -> "Optional[bytes]":
    """The same, or NULL."""
    return None if text is None else encode(text)


class WipedSecrets:
    """Secrets for one call, in memory that is wiped behind it. A `bytearray` is wiped with it, also where the
    call fails: whatever can fail stands inside. `str` and `bytes` can't be wiped.
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
            raise InvalidValue("a secret holds NUL: copy it again")
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
