"""Exceptions by kind. Each kind is one status number of the C ABI; the texts are the library's."""

from . import _abi
from ._library import bind_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

_status_text = bind_gil("keyferry_status_text")
_message = bind_gil("keyferry_error_message")
_http_status = bind_gil("keyferry_error_http_status")
_service_code = bind_gil("keyferry_error_service_code")
_retry_after_ms = bind_gil("keyferry_error_retry_after_ms")
_free = bind_gil("keyferry_error_free")


class Error(Exception):
    """What keyferry could not do. `str()` says it in one sentence with the remedy, and holds no secret.

    Source: the table of status numbers in `keyferry.h`.
    """

    #: The status number of the C ABI, one of `KEYFERRY_E_…`.
    status: int = _abi.KEYFERRY_E_PANIC
    #: The HTTP status behind it, or `None` where no answer came.
    http_status: "Optional[int]" = None
    #: The service's own error number, or `None` where it sent none.
    service_code: "Optional[int]" = None
    #: After how many seconds a new try makes sense, or `None` where nobody named a time.
    retry_after: "Optional[float]" = None

    @property
    def remedy(self) -> str:
        """What helps against this kind of failure, in a few words; what is special to this one stands in the message."""
        text: str = _status_text(self.status).decode()
        return text.partition(": ")[2] or text

    def __reduce__(self) -> "tuple[Any, ...]":
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(error_class: "type[Error]", arguments: "tuple[Any, ...]", details: "dict[str, Any]") -> Error:
    error = error_class(*arguments)
    error.__dict__.update(details)
    return error


class InvalidValue(Error, ValueError):
    """A value is empty, too long, out of range, or holds a control character."""

    status = _abi.KEYFERRY_E_INVALID_VALUE


class InvalidResource(Error, ValueError):
    """The resource can't be read: write `user`, `packages/ID`, `links/ID?secret=S`, `SERVICE:PATH` or an https URL."""

    status = _abi.KEYFERRY_E_INVALID_RESOURCE


class UnknownService(Error):
    """The resource belongs to no configured service."""

    status = _abi.KEYFERRY_E_UNKNOWN_SERVICE


class NoHeader(Error):
    """The resource is reached without any header: send the request as it is."""

    status = _abi.KEYFERRY_E_NO_HEADER


class MultipleHeaders(Error):
    """The token has several headers: use `headers`."""

    status = _abi.KEYFERRY_E_MULTIPLE_HEADERS


class Cancelled(Error):
    """`Request.cancel` was called."""

    status = _abi.KEYFERRY_E_CANCELLED


class Timeout(Error, TimeoutError):
    """The request's time was over first. Ask again, or give it a longer `timeout`."""

    status = _abi.KEYFERRY_E_TIMEOUT


class Forked(Error):
    """The request was made before a fork: make another in the child."""

    status = _abi.KEYFERRY_E_FORKED


class Reentrant(Error):
    """Called from a handler of keyferry's own log: hand the message to another thread."""

    status = _abi.KEYFERRY_E_REENTRANT


class PanicError(Error):
    """A fault inside keyferry. The process is fine; what the call was about is not done. Report it."""

    status = _abi.KEYFERRY_E_PANIC


class ConfigError(Error):
    """The configuration can't be read or understood; the message names file, key and line."""

    status = _abi.KEYFERRY_E_CONFIG


class NotConfigured(Error):
    """A setting that is needed is not there; the message names it."""

    status = _abi.KEYFERRY_E_NOT_CONFIGURED


class UnsafeFile(Error):
    """A file with secrets can be read or changed by others; the message has the `chmod`."""

    status = _abi.KEYFERRY_E_UNSAFE_FILE


class SecretSourceError(Error):
    """A secret's source did not give it; the message names source and setting."""

    status = _abi.KEYFERRY_E_SECRET_SOURCE


class NotCached(Error, LookupError):
    """Nothing usable in memory: ask `token_for`."""

    status = _abi.KEYFERRY_E_NOT_CACHED


class Busy(Error):
    """Another process holds the lock: ask again."""

    status = _abi.KEYFERRY_E_BUSY


class StoreError(Error):
    """The store can't be used; the message names it."""

    status = _abi.KEYFERRY_E_STORE


class Unreachable(Error, ConnectionError):
    """No connection. Check the network, the URL in the configuration and, for the MASV Agent, that it runs."""

    status = _abi.KEYFERRY_E_UNREACHABLE


class TlsError(Error, ConnectionError):
    """TLS refused the server. Check the clock, the URL, and `http.ca_file` for a private CA."""

    status = _abi.KEYFERRY_E_TLS


class NoResponse(Error, ConnectionError):
    """The service did not answer in time, or broke off: ask again later."""

    status = _abi.KEYFERRY_E_NO_RESPONSE


class BadCredentials(Error):
    """The service refused the credential. Check it; the same one is not sent again for a while."""

    status = _abi.KEYFERRY_E_BAD_CREDENTIALS


class LoginRequired(Error):
    """The login ended and can't be renewed without a person: `Session.masv_login`, or configure e-mail and password."""

    status = _abi.KEYFERRY_E_LOGIN_REQUIRED


class NotFound(Error, LookupError):
    """The service does not know the thing. Check its id, and that the account may see it."""

    status = _abi.KEYFERRY_E_NOT_FOUND


class InsufficientAccess(Error):
    """The credentials at hand can't do this; the message names the one that can."""

    status = _abi.KEYFERRY_E_INSUFFICIENT_ACCESS


class Throttled(Error):
    """The service wants fewer requests: ask again after `retry_after` seconds."""

    status = _abi.KEYFERRY_E_THROTTLED


class Unavailable(Error):
    """The service is out of order (5xx): ask again later."""

    status = _abi.KEYFERRY_E_UNAVAILABLE


class BadResponse(Error):
    """The answer is not what the service documents. Check the URL; a proxy may stand between."""

    status = _abi.KEYFERRY_E_BAD_RESPONSE


class Redirected(Error):
    """The service redirects, which is never followed with a credential. Check the URL in the configuration."""

    status = _abi.KEYFERRY_E_REDIRECTED


class Unsupported(Error):
    """The service has no such route; the message says what it has."""

    status = _abi.KEYFERRY_E_UNSUPPORTED


class PluginError(Error):
    """A plugin misbehaved; the message names plugin and fault. Report it to its author."""

    status = _abi.KEYFERRY_E_PLUGIN


CLASS_BY_STATUS: "dict[int, type[Error]]" = {error_class.status: error_class for error_class in Error.__subclasses__()}
CLASS_BY_STATUS.update({_abi.KEYFERRY_E_NULL_ARGUMENT: InvalidValue, _abi.KEYFERRY_E_NOT_UTF8: InvalidValue})


def error_from(status: int, address: "Optional[int]") -> Error:
    """The exception for a failed call; frees the error object of the C ABI."""
    text = _message(address) or _status_text(status)
    error = CLASS_BY_STATUS.get(status, Error)(text.decode())
    error.status = status
    error.http_status = _http_status(address) or None
    error.service_code = _service_code(address) or None
    error.retry_after = _retry_after_ms(address) / 1000 or None
    _free(address)
    return error
