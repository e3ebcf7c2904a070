"""Loads the shared library and declares its functions.

Each function is bound once, by its name in C. `bind_gil` keeps the GIL and is for functions that
never wait. `bind_nogil` releases the GIL during the call and is for functions that may wait for a
lock, a file or the network.
"""

import os
from ctypes import CDLL, PyDLL

from . import _abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Function = Callable[..., Any]


def _load() -> CDLL:
    """Loads the library in the wheel.

    If there is none, loads the one that `make install` installed for the system.
    """
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libkeyferry.so")
    name = bundled if os.path.exists(bundled) else f"libkeyferry.so.{_abi.KEYFERRY_ABI_VERSION}"
    try:
        return CDLL(name)
    except OSError as error:
        raise ImportError(f"cannot load the keyferry library: {error}; install a wheel of keyferry, or run `make install`") from error


_nogil_library = _load()
_gil_library = PyDLL(_nogil_library._name, handle=_nogil_library._handle)


def _bind(library: CDLL, name: str) -> "Function":
    function = library[name]
    function.restype, function.argtypes = _abi.FUNCTIONS[name]
    return function


def bind_gil(name: str) -> "Function":
    """Binds a function that never waits. The GIL is kept during the call."""
    return _bind(_gil_library, name)


def bind_nogil(name: str) -> "Function":
    """Binds a function that may wait. The GIL is released during the call."""
    return _bind(_nogil_library, name)


if bind_gil("keyferry_abi_version")() != _abi.KEYFERRY_ABI_VERSION:
    raise ImportError(f"cannot use {_nogil_library._name}: its ABI differs from this package's; install both in the same version")

#: The version of the library.
version: str = bind_gil("keyferry_version")().decode()
