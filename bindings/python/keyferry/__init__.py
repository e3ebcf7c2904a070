"""Valid request headers for MASV cloud and FileVerbs, and the session of the local MASV Agent.

```
import keyferry.requests, requests

client = requests.Session()
client.auth = keyferry.requests.Auth()
client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
```

`keyferry.httpx.Auth()` does the same for httpx. For any other client, use `headers`, `header` and
`token_for`. They use the default session of the process, which opens at its first use with the
user's `config.toml` and the environment. To open another session, use `Session`.
`keyferry.log.start()` sends keyferry's log messages to `logging`.

Units: times are seconds, as `int` or `float`; points in time are aware `datetime` objects in UTC.
Errors: every failure raises a subclass of `Error`, with `status`, `remedy`, `http_status`, `service_code` and `retry_after`.
Secrets: header values are secrets. A secret passed as a `bytearray` is overwritten with zeros; `str` and `bytes` can't be.
Threads: all objects may be used from any thread, except a `Config` that is still being changed. A forked child opens its own
         session automatically.
Source: `keyferry.h`. In a docstring, "Source" names the documentation or standard that the method follows.
"""

from ._library import version as __version__
from .config import Config
from .error import (
    BadCredentials,
    BadResponse,
    Busy,
    Cancelled,
    ConfigError,
    Error,
    Forked,
    InsufficientAccess,
    InvalidResource,
    InvalidValue,
    LoginRequired,
    MultipleHeaders,
    NoHeader,
    NoResponse,
    NotCached,
    NotConfigured,
    NotFound,
    PanicError,
    PluginError,
    Redirected,
    Reentrant,
    SecretSourceError,
    StoreError,
    Throttled,
    Timeout,
    TlsError,
    Unavailable,
    UnknownService,
    Unreachable,
    UnsafeFile,
    Unsupported,
)
from .request import Request
from .session import Session
from .token import Token

#: The default session of the process.
default: Session = Session.default()
header = default.header
headers = default.headers
token_for = default.token_for

__all__ = [
    "__version__",
    "BadCredentials",
    "BadResponse",
    "Busy",
    "Cancelled",
    "Config",
    "ConfigError",
    "default",
    "Error",
    "Forked",
    "header",
    "headers",
    "InsufficientAccess",
    "InvalidResource",
    "InvalidValue",
    "LoginRequired",
    "MultipleHeaders",
    "NoHeader",
    "NoResponse",
    "NotCached",
    "NotConfigured",
    "NotFound",
    "PanicError",
    "PluginError",
    "Redirected",
    "Reentrant",
    "Request",
    "SecretSourceError",
    "Session",
    "StoreError",
    "Throttled",
    "Timeout",
    "TlsError",
    "Token",
    "token_for",
    "Unavailable",
    "UnknownService",
    "Unreachable",
    "UnsafeFile",
    "Unsupported",
]
