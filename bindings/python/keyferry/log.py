"""Sends keyferry's log messages to `logging`. They contain no secret.

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

#: Every logger ever passed to `start`, by the number that the library passes to `_forward`. None is
#: removed: two threads may call `start` at once, and only the library knows which logger is in use.
#: `logging` keeps its loggers too.
_loggers: "dict[int, logging.Logger]" = {}


def _forward(level: int, message: bytes, logger: int) -> None:
    _loggers[logger].log(_LEVELS[level], "%s", message.decode())


#: The only callback. It is never freed, because the library may be calling it.
_forward_callback = _Callback(_forward)


def start(level: int = logging.INFO, logger: "Optional[logging.Logger]" = None) -> None:
    """Sends messages of at least `level` to `logger`, by default the logger `keyferry`.

    Replaces an earlier `start`.

    Messages may come from any thread, and from several threads at once. A handler must not call
    keyferry, which would raise `Reentrant`. A `QueueHandler` can pass the messages to a thread
    that may call keyferry. A forked child logs nothing until it calls `start` itself. Logging stops
    when the interpreter exits.
    """
    target = logger or logging.getLogger("keyferry")
    _loggers[id(target)] = target
    levels = [number for number, python_level in _LEVELS.items() if python_level >= level]
    call_status(_set_callback, max(levels, default=_abi.KEYFERRY_LOG_OFF), _forward_callback, id(target), None)


def stop() -> None:
    """Stops logging. Waits for messages that are being handled."""
    call_status(_set_callback, _abi.KEYFERRY_LOG_OFF, None, None, None)


# Python can't handle a message while the interpreter shuts down.
atexit.register(stop)
