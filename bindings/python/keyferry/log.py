"""Sends keyferry's log to `logging`. Messages hold no secret.

```
import keyferry.log, logging

logging.basicConfig(level=logging.DEBUG)
keyferry.log.start(logging.DEBUG)
```
"""

import atexit
import logging
from ctypes import CFUNCTYPE, c_char_p, c_int32, c_void_p

from . import _abi
from ._call import done
from ._library import slow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__ = ["start", "stop"]

_log_to = slow("keyferry_log_to")
_Function = CFUNCTYPE(None, c_int32, c_char_p, c_void_p)

_LEVELS = {
    _abi.KEYFERRY_LOG_ERROR: logging.ERROR,
    _abi.KEYFERRY_LOG_WARN: logging.WARNING,
    _abi.KEYFERRY_LOG_INFO: logging.INFO,
    _abi.KEYFERRY_LOG_DEBUG: logging.DEBUG,
}

#: What the library calls must live as long as it may be called.
_installed: "Any" = None


def start(level: int = logging.INFO, logger: "Optional[logging.Logger]" = None) -> None:
    """Logs to the logger `keyferry`, or to another, from `level` on. Replaces what was there before.

    Messages come on any thread, several at once. A handler must not call keyferry: that raises `Reentrant`; a `QueueHandler` may. In a
    forked child nothing is logged until it calls this itself. Ends by itself when the interpreter does.
    """
    global _installed
    to = logger or logging.getLogger("keyferry")

    def write(level: int, message: bytes, _: "Any") -> None:
        to.log(_LEVELS[level], "%s", message.decode())

    function = _Function(write)
    wanted = [number for number, here in _LEVELS.items() if here >= level]
    done(_log_to, max(wanted, default=_abi.KEYFERRY_LOG_OFF), function, None, None)
    # Only now does nobody call the one before any more.
    _installed = function


def stop() -> None:
    """Logs nothing any more. Returns when no message is under way."""
    global _installed
    done(_log_to, _abi.KEYFERRY_LOG_OFF, None, None, None)
    _installed = None


# A message that came while the interpreter ends would find no interpreter.
atexit.register(stop)
