# Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.
from ctypes import c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEYFERRY_ABI_VERSION = 0  # The number of this ABI, which the soname holds too. Nothing is removed or changed within a number
KEYFERRY_ACCESS_ANY = 0  # The access that the resource itself says; the default
KEYFERRY_ACCESS_FULL = 1  # All that this kind of token allows: there is only one sort of it
KEYFERRY_ACCESS_READ = 2  # List and download a package
KEYFERRY_ACCESS_WRITE = 3  # Add files to a package and finalize it
KEYFERRY_ACCESS_MANAGE = 4  # Rename, expire, link, transfer and delete a package
KEYFERRY_NO_EXPIRY = 9223372036854775807  # The expiry of a token that is good until it is rejected
KEYFERRY_TOKEN_KIND_KEY = 1  # An API key or SecretKey, as it is configured
KEYFERRY_TOKEN_KIND_USER = 2  # A user's login
KEYFERRY_TOKEN_KIND_PACKAGE = 3  # A package's token
KEYFERRY_TOKEN_KIND_TRANSFER = 4  # A transfer's token
KEYFERRY_TOKEN_KIND_BEARER = 5  # A bearer token
KEYFERRY_LOG_OFF = 0  # Nothing
KEYFERRY_LOG_ERROR = 1  # What the user has to mend
KEYFERRY_LOG_WARN = 2  # What works in spite of a fault
KEYFERRY_LOG_INFO = 3  # Logins, refreshes, refusals
KEYFERRY_LOG_DEBUG = 4  # Each exchange
KEYFERRY_OK = 0  # Done
KEYFERRY_E_NULL_ARGUMENT = 101  # A pointer that must not be NULL is NULL
KEYFERRY_E_NOT_UTF8 = 102  # A text is not UTF-8
KEYFERRY_E_INVALID_VALUE = 103  # A value is empty, too long, out of range, or holds CR, LF, NUL or another control character
KEYFERRY_E_INVALID_RESOURCE = 104  # The resource can't be read
KEYFERRY_E_UNKNOWN_SERVICE = 105  # The resource belongs to no configured service
KEYFERRY_E_NO_HEADER = 106  # The resource is reached without any header
KEYFERRY_E_MULTIPLE_HEADERS = 107  # The token has several headers
KEYFERRY_E_BUFFER_TOO_SMALL = 108  # The buffer is too small
KEYFERRY_E_CANCELLED = 109  # `keyferry_request_cancel` was called
KEYFERRY_E_TIMEOUT = 110  # The request's time was over first
KEYFERRY_E_FORKED = 111  # The handle was made before a fork
KEYFERRY_E_REENTRANT = 112  # Called from keyferry's own log callback, or from a plugin's
KEYFERRY_E_PANIC = 113  # A fault inside keyferry; the process is fine, what the call was about is not done
KEYFERRY_E_CONFIG = 201  # The configuration can't be read or understood
KEYFERRY_E_NOT_CONFIGURED = 202  # A setting that is needed is not there
KEYFERRY_E_UNSAFE_FILE = 203  # A file with secrets can be read or changed by others
KEYFERRY_E_SECRET_SOURCE = 204  # A secret's source did not give it
KEYFERRY_E_NOT_CACHED = 301  # Nothing usable in memory
KEYFERRY_E_BUSY = 302  # Another process holds the lock
KEYFERRY_E_STORE = 303  # The store can't be used
KEYFERRY_E_UNREACHABLE = 601  # No connection
KEYFERRY_E_TLS = 602  # TLS refused the server
KEYFERRY_E_NO_RESPONSE = 603  # The service did not answer in time, or broke off
KEYFERRY_E_BAD_CREDENTIALS = 701  # The service refused the credential
KEYFERRY_E_LOGIN_REQUIRED = 702  # The login ended and can't be renewed without a person
KEYFERRY_E_NOT_FOUND = 703  # The service does not know the thing
KEYFERRY_E_INSUFFICIENT_ACCESS = 704  # The credentials at hand can't do this
KEYFERRY_E_THROTTLED = 705  # The service wants fewer requests
KEYFERRY_E_UNAVAILABLE = 706  # The service is out of order (5xx)
KEYFERRY_E_BAD_RESPONSE = 707  # The answer is not what the service documents
KEYFERRY_E_REDIRECTED = 708  # The service redirects, which is never followed with a credential
KEYFERRY_E_UNSUPPORTED = 709  # The service has no such route
KEYFERRY_E_PLUGIN = 801  # A plugin misbehaved

FUNCTIONS: "dict[str, tuple[Any, tuple[Any, ...]]]" = {
    "keyferry_status_text": (c_char_p, (c_int32,)),
    "keyferry_version": (c_char_p, ()),
    "keyferry_abi_version": (c_uint32, ()),
    "keyferry_text_free": (None, (c_void_p,)),
    "keyferry_error_status": (c_int32, (c_void_p,)),
    "keyferry_error_message": (c_char_p, (c_void_p,)),
    "keyferry_error_http_status": (c_int32, (c_void_p,)),
    "keyferry_error_service_code": (c_int64, (c_void_p,)),
    "keyferry_error_retry_after_ms": (c_uint64, (c_void_p,)),
    "keyferry_error_free": (None, (c_void_p,)),
    "keyferry_config_new": (c_int32, (c_void_p, c_void_p)),
    "keyferry_config_load": (c_int32, (c_char_p, c_void_p, c_void_p)),
    "keyferry_config_set": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p)),
    "keyferry_config_free": (None, (c_void_p,)),
    "keyferry_request_new": (c_int32, (c_char_p, c_void_p, c_void_p)),
    "keyferry_request_set_min_valid_s": (c_int32, (c_void_p, c_uint32, c_void_p)),
    "keyferry_request_set_access": (c_int32, (c_void_p, c_int32, c_void_p)),
    "keyferry_request_set_account": (c_int32, (c_void_p, c_char_p, c_void_p)),
    "keyferry_request_set_link_password": (c_int32, (c_void_p, c_char_p, c_void_p)),
    "keyferry_request_set_timeout_ms": (c_int32, (c_void_p, c_uint32, c_void_p)),
    "keyferry_request_cancel": (None, (c_void_p,)),
    "keyferry_request_free": (None, (c_void_p,)),
    "keyferry_token_header_count": (c_size_t, (c_void_p,)),
    "keyferry_token_header_name": (c_char_p, (c_void_p, c_size_t)),
    "keyferry_token_header_value": (c_char_p, (c_void_p, c_size_t)),
    "keyferry_token_value": (c_char_p, (c_void_p,)),
    "keyferry_token_service": (c_char_p, (c_void_p,)),
    "keyferry_token_kind": (c_int32, (c_void_p,)),
    "keyferry_token_access": (c_int32, (c_void_p,)),
    "keyferry_token_expires_unix_s": (c_int64, (c_void_p,)),
    "keyferry_token_generation": (c_uint64, (c_void_p,)),
    "keyferry_token_details_json": (c_char_p, (c_void_p,)),
    "keyferry_token_free": (None, (c_void_p,)),
    "keyferry_session_open": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "keyferry_session_free": (None, (c_void_p,)),
    "keyferry_session_token_for": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "keyferry_session_cached": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "keyferry_session_peek": (c_int32, (c_void_p, c_char_p, c_void_p, c_size_t, c_void_p)),
    "keyferry_session_reject": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "keyferry_session_reject_value": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p)),
    "keyferry_session_adopt": (c_int32, (c_void_p, c_char_p, c_char_p, c_int64, c_void_p)),
    "keyferry_session_forget": (c_int32, (c_void_p, c_char_p, c_void_p)),
    "keyferry_session_explain": (c_int32, (c_void_p, c_char_p, c_void_p, c_void_p)),
    "keyferry_session_list": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "keyferry_session_stats": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "masv_login": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p, c_void_p)),
    "masv_token_for": (c_int32, (c_void_p, c_char_p, c_void_p, c_void_p)),
    "masv_agent_session": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "masv_agent_sign_in": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p, c_void_p)),
    "masv_agent_sign_up": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_void_p, c_void_p)),
    "fileverbs_bearer": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "fileverbs_secret_key": (c_int32, (c_void_p, c_void_p, c_void_p)),
    "keyferry_log_set_callback": (c_int32, (c_int32, c_void_p, c_void_p, c_void_p, c_void_p)),
}
