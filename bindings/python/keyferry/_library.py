"""Loads the shared library and declares its functions.

Each function is bound by its name in C. `bind_gil` keeps the GIL and is for functions that
never wait. `bind_nogil` releases the GIL during the call and is for functions that may wait for a
lock, a file or the network.
"""

import os
from ctypes import CDLL, PyDLL

from . import _abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    Function = Callable[..., Any]


def _load() -> CDLL:
    """Loads the library in the wheel.

    If there is none, loads the one that `make install` installed for the system.
    """
    directory = os.path.dirname(os.path.abspath(__file__))
    bundled = os.path.join(directory, "libkeyferry.so")
    try:
        if os.path.exists(bundled):
            return CDLL(bundled)
        archived = None if os.path.isdir(directory) else _load_from_archive()
        return archived or CDLL(f"libkeyferry.so.{_abi.KEYFERRY_ABI_VERSION}")
    except OSError as error:
        raise ImportError(f"cannot load the keyferry library: {error}; install a wheel of keyferry, or run `make install`") from error


def _load_from_archive() -> "Optional[CDLL]":
    """Loads the library from the zip file that contains this package. Returns `None` if the zip
    file doesn't have it.

    The kernel can't map a file inside a zip file. Therefore Python writes it to a temporary file
    that only this user can read, and deletes the file once it is loaded.
    """
    from importlib.resources import as_file, files
    from tempfile import gettempdir

    archived = files(__name__.rpartition(".")[0]) / "libkeyferry.so"
    if not archived.is_file():
        return None
    with as_file(archived) as path:
        try:
            return CDLL(str(path))
        except OSError as error:
            raise ImportError(
                f"cannot load the keyferry library from a zip file: {error}; "
                f"set TMPDIR to a directory that allows programs, because {gettempdir()} may not, or unpack the zip file"
            ) from error


_nogil_library = _load()
_gil_library = PyDLL(_nogil_library._name, handle=_nogil_library._handle)


def _bind(library: CDLL, name: str) -> "Function":
    function = library[name]
    function.restype, function.argtypes = _abi.FUNCTIONS[name]
    return function


def bind_gil(name: str) -> "Function":
    """Binds a function that never waits. The GIL is kept during the call."""
    return _bind(_gil_library, name)


def bind_gil_converted(name: str) -> "Function":
    """Binds a function that never waits, for callers that convert the arguments themselves.

    Each argument is `None`, `bytes`, or a result of `byref` or of a type's `from_param`. ctypes
    then takes half the time of a call, because it looks at no argument type.
    """
    function = _gil_library[name]
    function.restype = _abi.FUNCTIONS[name][0]
    return function


def bind_nogil(name: str) -> "Function":
    """Binds a function that may wait. The GIL is released during the call."""
    return _bind(_nogil_library, name)


if bind_gil("keyferry_abi_version")() != _abi.KEYFERRY_ABI_VERSION:
    raise ImportError(f"cannot use {_nogil_library._name}: its ABI differs from this package's; install both in the same version")

#: The version of the library.
version: str = bind_gil("keyferry_version")().decode()
