"""Exception classes, one for each kind of failure.

Each kind is a status number of the C ABI. The messages come from the library.
"""

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
    """A failure of keyferry.

    `str()` returns a message that says what failed and what to do about it. It contains no secret.

    Source: the status codes in `keyferry.h`.
    """

    #: The status number of the C ABI, one of `KEYFERRY_E_…`.
    status: int = _abi.KEYFERRY_E_PANIC
    #: The HTTP status of the response, or `None` if there was no response.
    http_status: "Optional[int]" = None
    #: The service's own error number, or `None` if it sent none.
    service_code: "Optional[int]" = None
    #: The number of seconds to wait before a retry, or `None` if it is unknown.
    retry_after: "Optional[float]" = None

    @property
    def remedy(self) -> str:
        """A short remedy for this kind of failure.

        `str()` has the remedy for this particular failure.
        """
        text: str = _status_text(self.status).decode()
        # A status text is `reason; remedy` or `reason: remedy`.
        separator = "; " if "; " in text else ": "
        return text.partition(separator)[2] or text

    def __reduce__(self) -> "tuple[Any, ...]":
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(error_class: "type[Error]", arguments: "tuple[Any, ...]", details: "dict[str, Any]") -> Error:
    error = error_class(*arguments)
    error.__dict__.update(details)
    return error


def copy_error(error: Error) -> Error:
    """Returns a copy of an error without its traceback and context."""
    return _unpickle(type(error), error.args, error.__dict__)


class InvalidValue(Error, ValueError):
    """A value is empty, too long, out of range, or contains a control character."""

    status = _abi.KEYFERRY_E_INVALID_VALUE


class InvalidResource(Error, ValueError):
    """The resource is malformed, or a misspelt short form.

    The message has the nearest short form. Otherwise use `user`, `packages/ID`,
    `links/ID?secret=S` or an https URL.
    """

    status = _abi.KEYFERRY_E_INVALID_RESOURCE


class UnknownService(Error):
    """The URL or resource belongs to no configured service."""

    status = _abi.KEYFERRY_E_UNKNOWN_SERVICE


class NoHeader(Error):
    """The resource needs no header. Send the request without one."""

    status = _abi.KEYFERRY_E_NO_HEADER


class MultipleHeaders(Error):
    """The token has several headers. Use `headers`."""

    status = _abi.KEYFERRY_E_MULTIPLE_HEADERS


class Cancelled(Error):
    """`Request.cancel` was called."""

    status = _abi.KEYFERRY_E_CANCELLED


class Timeout(Error, TimeoutError):
    """The request timed out. Retry, or use a longer `timeout`."""

    status = _abi.KEYFERRY_E_TIMEOUT


class Forked(Error):
    """The request was created before a fork. Create a new one in the child."""

    status = _abi.KEYFERRY_E_FORKED


class Reentrant(Error):
    """keyferry was called from a handler of its own log.

    Pass the message to another thread instead.
    """

    status = _abi.KEYFERRY_E_REENTRANT


class PanicError(Error):
    """A bug in keyferry. The call failed, but the process can continue. Please report it."""

    status = _abi.KEYFERRY_E_PANIC


class ConfigError(Error):
    """The configuration can't be read or is invalid. The message names the file, key and line."""

    status = _abi.KEYFERRY_E_CONFIG


class NotConfigured(Error):
    """A required setting is missing. The message names it."""

    status = _abi.KEYFERRY_E_NOT_CONFIGURED


class UnsafeFile(Error):
    """Other users can read or change a file with secrets.

    The message shows the `chmod` command to run.
    """

    status = _abi.KEYFERRY_E_UNSAFE_FILE


class SecretSourceError(Error):
    """A secret can't be read from its source. The message names the source and the setting."""

    status = _abi.KEYFERRY_E_SECRET_SOURCE


class NotCached(Error, LookupError):
    """No usable token is cached. Call `token_for`."""

    status = _abi.KEYFERRY_E_NOT_CACHED


class Busy(Error):
    """Another process took too long to fetch the same token. Retry."""

    status = _abi.KEYFERRY_E_BUSY


class StoreError(Error):
    """The store can't be used. The message names it."""

    status = _abi.KEYFERRY_E_STORE


class Unreachable(Error, ConnectionError):
    """The service can't be reached.

    Check the network and the configured URL. For the MASV Agent, check that it is running.
    """

    status = _abi.KEYFERRY_E_UNREACHABLE


class TlsError(Error, ConnectionError):
    """The TLS connection failed. Check the clock, the URL and, for a private CA, `http.ca_file`."""

    status = _abi.KEYFERRY_E_TLS


class NoResponse(Error, ConnectionError):
    """The service didn't respond in time, or closed the connection. Retry later."""

    status = _abi.KEYFERRY_E_NO_RESPONSE


class BadCredentials(Error):
    """The service rejected the credential.

    Check it. keyferry doesn't send the same credential again for a while.
    """

    status = _abi.KEYFERRY_E_BAD_CREDENTIALS


class LoginRequired(Error):
    """The login expired and can't be refreshed without the user.

    Call `Session.masv_login`, or configure e-mail and password.
    """

    status = _abi.KEYFERRY_E_LOGIN_REQUIRED


class NotFound(Error, LookupError):
    """The service doesn't know the resource.

    Check its id, and that the account has access to it.
    """

    status = _abi.KEYFERRY_E_NOT_FOUND


class InsufficientAccess(Error):
    """The credentials don't allow this access. The message names the missing credential."""

    status = _abi.KEYFERRY_E_INSUFFICIENT_ACCESS


class Throttled(Error):
    """The service is rate limiting requests. Retry after `retry_after` seconds."""

    status = _abi.KEYFERRY_E_THROTTLED


class Unavailable(Error):
    """The service failed with a 5xx status. Retry later."""

    status = _abi.KEYFERRY_E_UNAVAILABLE


class BadResponse(Error):
    """The response is not what the service documents.

    Check the URL, and whether a proxy changed the response.
    """

    status = _abi.KEYFERRY_E_BAD_RESPONSE


class Redirected(Error):
    """The service sent a redirect, which keyferry never follows with a credential.

    Check the configured URL.
    """

    status = _abi.KEYFERRY_E_REDIRECTED


class Unsupported(Error):
    """The service doesn't support this operation. The message names the alternative."""

    status = _abi.KEYFERRY_E_UNSUPPORTED


class PluginError(Error):
    """A plugin failed.

    The message names the plugin and the fault. Report it to the plugin's author.
    """

    status = _abi.KEYFERRY_E_PLUGIN


CLASS_BY_STATUS: "dict[int, type[Error]]" = {error_class.status: error_class for error_class in Error.__subclasses__()}
CLASS_BY_STATUS.update({_abi.KEYFERRY_E_NULL_ARGUMENT: InvalidValue, _abi.KEYFERRY_E_NOT_UTF8: InvalidValue})


def error_from(status: int, address: "Optional[int]") -> Error:
    """Returns the exception for a failed call. Frees the error object of the C ABI."""
    text = _message(address) or _status_text(status)
    error = CLASS_BY_STATUS.get(status, Error)(text.decode())
    error.status = status
    error.http_status = _http_status(address) or None
    error.service_code = _service_code(address) or None
    error.retry_after = _retry_after_ms(address) / 1000 or None
    _free(address)
    return error
