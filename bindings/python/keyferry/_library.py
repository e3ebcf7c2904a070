"""The shared library, loaded and declared: what every other module binds its functions from. Holds no policy.

Each function is bound once, by the name that it has in C. `bind_gil` keeps the GIL and is for functions that never wait; `bind_nogil`
releases it while the function runs, and is for all that may wait for a lock, a file or the network.
"""

import os
from ctypes import CDLL, PyDLL

from . import _abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Function = Callable[..., Any]


def _load() -> CDLL:
    """The library that the wheel carries, else the one that `make install` put where the system looks."""
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libkeyferry.so")
    name = bundled if os.path.exists(bundled) else f"libkeyferry.so.{_abi.KEYFERRY_ABI_VERSION}"
    try:
        return CDLL(name)
    except OSError as error:
        raise ImportError(f"the keyferry library can't be loaded: {error}; install a wheel of keyferry, or the library") from error


_nogil_library = _load()
_gil_library = PyDLL(_nogil_library._name, handle=_nogil_library._handle)


def _bind(library: CDLL, name: str) -> "Function":
    function = library[name]
    function.restype, function.argtypes = _abi.FUNCTIONS[name]
    return function


def bind_gil(name: str) -> "Function":
    """A function that never waits: the GIL is kept."""
    return _bind(_gil_library, name)


def bind_nogil(name: str) -> "Function":
    """A function that may wait: the GIL is released."""
    return _bind(_nogil_library, name)


if bind_gil("keyferry_abi_version")() != _abi.KEYFERRY_ABI_VERSION:
    raise ImportError(f"{_nogil_library._name} has another ABI than this package: install both in one version")

#: The version of the library.
version: str = bind_gil("keyferry_version")().decode()
