"""How a function of the C ABI is called: its texts go in, its result comes out, or its error is raised."""

from ctypes import byref, c_char, c_size_t, c_void_p, memset, string_at

from ._library import quick
from .error import BadValue, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Optional, Union

    from ._library import Function

    Secret = Union[str, bytes, bytearray]

_text_free = quick("keyferry_text_free")

#: Room for the one number or address that a call writes, with the reference that the function takes. Whoever calls takes one out and
#: puts it back, so that no two calls share one, not even where a signal handler calls in the middle of another call.
words: "list[tuple[c_size_t, Any]]" = []


def new_word() -> "tuple[c_size_t, Any]":
    """One more, where all are in use."""
    room = c_size_t()
    return room, byref(room)


def done(function: "Function", *arguments: "Any") -> None:
    """A call that gives nothing but its status."""
    error = c_void_p()
    status = function(*arguments, byref(error))
    if status:
        raise raised(status, error.value)


def made(function: "Function", *arguments: "Any") -> int:
    """A call that gives an address."""
    out = c_void_p()
    done(function, *arguments, byref(out))
    return out.value or 0


def told(function: "Function", *arguments: "Any") -> str:
    """A call that gives a text."""
    address = made(function, *arguments)
    try:
        return string_at(address).decode()
    finally:
        _text_free(address)


def encoded(text: str) -> bytes:
    """A text as C reads it. C would cut it at a NUL, and ask for something else."""
    if not isinstance(text, str):
        raise no_text(text)
    if "\0" in text:
        raise BadValue("a text holds NUL: copy it again")
    return utf8(text)


def no_text(value: object) -> TypeError:
    """Names the type alone: the value may be a secret."""
    return TypeError(f"a text is wanted: give a str, not {type(value).__name__}")


def utf8(text: str) -> bytes:
    """A text's bytes. Half a character has none; Python's own error would keep the text, which may be a secret."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise BadValue("a text holds half a character: decode it again")


def optional(text: "Optional[str]") -> "Optional[bytes]":
    """The same, or NULL."""
    return None if text is None else encoded(text)


class Wiped:
    """Secrets for one call, in memory that is wiped behind it. A `bytearray` is wiped with it, also where the
    call fails: whatever can fail stands inside. `str` and `bytes` can't be wiped.
    """

    __slots__ = ("_copies", "_given")

    def __init__(self, *secrets: "Optional[Secret]") -> None:
        self._given = secrets
        self._copies: "list[Any]" = []

    def __enter__(self) -> "list[Any]":
        try:
            return [None if secret is None else self._copy(secret) for secret in self._given]
        except BaseException:
            self._wipe()
            raise

    def _copy(self, secret: "Secret") -> "Any":
        raw = utf8(secret) if isinstance(secret, str) else secret
        if 0 in raw:
            raise BadValue("a secret holds NUL: copy it again")
        copy = (c_char * (len(raw) + 1))()
        self._copies.append(copy)
        memoryview(copy).cast("B")[: len(raw)] = raw
        return copy

    def __exit__(self, kind: "Optional[type[BaseException]]", value: "Optional[BaseException]", trace: "Optional[TracebackType]") -> None:
        self._wipe()

    def _wipe(self) -> None:
        for copy in self._copies:
            memset(copy, 0, len(copy))
        for secret in self._given:
            if isinstance(secret, bytearray):
                secret[:] = bytes(len(secret))
