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
from ._call import call_status
from ._library import bind_nogil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["start", "stop"]

_set_callback = bind_nogil("keyferry_log_set_callback")
_Callback = CFUNCTYPE(None, c_int32, c_char_p, c_void_p)

_LEVELS = {
    _abi.KEYFERRY_LOG_ERROR: logging.ERROR,
    _abi.KEYFERRY_LOG_WARN: logging.WARNING,
    _abi.KEYFERRY_LOG_INFO: logging.INFO,
    _abi.KEYFERRY_LOG_DEBUG: logging.DEBUG,
}

#: Every logger that was logged to, by what the library hands to `_write`. They stay, as those of `logging` do: which of them is in use,
#: only the library knows, for two threads may come at once.
_loggers: "dict[int, logging.Logger]" = {}


def _forward(level: int, message: bytes, logger: int) -> None:
    _loggers[logger].log(_LEVELS[level], "%s", message.decode())


#: One for all, never freed: the library may be calling it.
_forward_callback = _Callback(_forward)


def start(level: int = logging.INFO, logger: "Optional[logging.Logger]" = None) -> None:
    """Logs to the logger `keyferry`, or to another, from `level` on. Replaces what was there before.

    Messages come on any thread, several at once. A handler must not call keyferry: that raises `Reentrant`; a `QueueHandler` may. In a
    forked child nothing is logged until it calls this itself. Ends by itself when the interpreter does.
    """
    target = logger or logging.getLogger("keyferry")
    _loggers[id(target)] = target
    levels = [number for number, python_level in _LEVELS.items() if python_level >= level]
    call_status(_set_callback, max(levels, default=_abi.KEYFERRY_LOG_OFF), _forward_callback, id(target), None)


def stop() -> None:
    """Logs nothing any more. Returns when no message is under way."""
    call_status(_set_callback, _abi.KEYFERRY_LOG_OFF, None, None, None)


# A message that came while the interpreter ends would find no interpreter.
atexit.register(stop)
