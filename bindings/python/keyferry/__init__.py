"""The right, unexpired request headers for MASV cloud, the local MASV Agent and FileVerbs.

```
import keyferry.requests, requests

client = requests.Session()
client.auth = keyferry.requests.Auth()
client.get("https://api.massive.app/v1/packages/01EXAMPLE/files")
```

`keyferry.httpx.Auth()` does the same for httpx. For any other client there are `headers`, `header` and `token_for`: they ask the
process's default session, which is opened from the user's `config.toml` and the environment at its first use. `Session` opens another
one. `keyferry.log.start()` sends the log to `logging`.

Units: all times are seconds, as `int` or `float`; moments are aware `datetime` objects in UTC.
Errors: every failure is an `Error` of its kind, with `status`, `remedy`, `http_status`, `service_code` and `retry_after`.
Secrets: values of headers are secrets. A password handed over as a `bytearray` is wiped; `str` and `bytes` can't be.
Threads: everything here may be used from any thread at once, but a `Config` that is still being set. A forked child gets a session of
         its own by itself.
Source: `keyferry.h` and the services' documents that it names; each docstring names its own.
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

#: The session of the whole process.
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
