# Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.
from ctypes import c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEYFERRY_ABI_VERSION = 0  # The version of the ABI, which is also the number in the soname. Within one version, nothing is removed or changed
KEYFERRY_ACCESS_ANY = 0  # The access that the resource implies. This is the default
KEYFERRY_ACCESS_FULL = 1  # Full access, for a kind of token that has only one level of access
KEYFERRY_ACCESS_READ = 2  # Access to list and download a package
KEYFERRY_ACCESS_WRITE = 3  # Access to add files to a package and finalize it
KEYFERRY_ACCESS_MANAGE = 4  # Access to rename, transfer and delete a package, to make it expire, and to create download links for it
KEYFERRY_NO_EXPIRY = 9223372036854775807  # The expiry of a token that is valid until the service rejects it
KEYFERRY_TOKEN_KIND_KEY = 1  # A configured API key or SecretKey
KEYFERRY_TOKEN_KIND_USER = 2  # The token of a user, from a login
KEYFERRY_TOKEN_KIND_PACKAGE = 3  # The token of a package
KEYFERRY_TOKEN_KIND_TRANSFER = 4  # The token of a transfer
KEYFERRY_TOKEN_KIND_BEARER = 5  # A bearer token
KEYFERRY_LOG_OFF = 0  # Log nothing
KEYFERRY_LOG_ERROR = 1  # An error that the user must fix
KEYFERRY_LOG_WARN = 2  # A fault after which keyferry continues to work
KEYFERRY_LOG_INFO = 3  # Logins, refreshes and rejections
KEYFERRY_LOG_DEBUG = 4  # Every HTTP request
KEYFERRY_OK = 0  # Success
KEYFERRY_E_NULL_ARGUMENT = 101  # An argument that must not be NULL is NULL
KEYFERRY_E_NOT_UTF8 = 102  # A string is not UTF-8
KEYFERRY_E_INVALID_VALUE = 103  # A value is empty, too long or out of range, or contains CR, LF, NUL or another control character
KEYFERRY_E_INVALID_RESOURCE = 104  # The resource is malformed, or a misspelt short form
KEYFERRY_E_UNKNOWN_SERVICE = 105  # The resource belongs to no configured service
KEYFERRY_E_NO_HEADER = 106  # The resource takes no credential header
KEYFERRY_E_MULTIPLE_HEADERS = 107  # The token has more than one header, and the function returns only one
KEYFERRY_E_BUFFER_TOO_SMALL = 108  # The buffer is too small
KEYFERRY_E_CANCELLED = 109  # The request was cancelled with `keyferry_request_cancel`
KEYFERRY_E_TIMEOUT = 110  # The request timed out
KEYFERRY_E_FORKED = 111  # The session or request was created before a fork
KEYFERRY_E_REENTRANT = 112  # keyferry was called from its own log callback or from a plugin
KEYFERRY_E_PANIC = 113  # An internal error in keyferry made the call fail; the process can continue
KEYFERRY_E_CONFIG = 201  # The configuration cannot be read or is invalid
KEYFERRY_E_NOT_CONFIGURED = 202  # A required setting is missing
KEYFERRY_E_UNSAFE_FILE = 203  # Other users can read or change a file that contains secrets
KEYFERRY_E_SECRET_SOURCE = 204  # A secret source did not return the secret
KEYFERRY_E_NOT_CACHED = 301  # No usable token is cached
KEYFERRY_E_BUSY = 302  # Another process took too long to fetch the same token
KEYFERRY_E_STORE = 303  # The token store cannot be used
KEYFERRY_E_UNREACHABLE = 601  # keyferry cannot connect to the service
KEYFERRY_E_TLS = 602  # The TLS connection to the server failed
KEYFERRY_E_NO_RESPONSE = 603  # The service did not respond in time, or closed the connection too early
KEYFERRY_E_BAD_CREDENTIALS = 701  # The service rejected the credential
KEYFERRY_E_LOGIN_REQUIRED = 702  # There is no valid login, and keyferry cannot log in without the user
KEYFERRY_E_NOT_FOUND = 703  # The service does not know the requested item
KEYFERRY_E_INSUFFICIENT_ACCESS = 704  # The available credentials do not allow this access, or the service answers 401 for this resource although the token is valid
KEYFERRY_E_THROTTLED = 705  # The service is rate limiting requests
KEYFERRY_E_UNAVAILABLE = 706  # The service is unavailable (5xx)
KEYFERRY_E_BAD_RESPONSE = 707  # The response is not what the service documents
KEYFERRY_E_REDIRECTED = 708  # The service sent a redirect, which keyferry never follows with a credential
KEYFERRY_E_UNSUPPORTED = 709  # The service does not support this operation
KEYFERRY_E_PLUGIN = 801  # A plugin failed, or broke a rule of keyferry_plugin.h

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
    "keyferry_request_set_login": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p)),
    "keyferry_request_set_timeout_ms": (c_int32, (c_void_p, c_uint32, c_void_p)),
    "keyferry_request_cancel": (None, (c_void_p,)),
    "keyferry_request_token": (c_int32, (c_void_p, c_void_p, c_void_p)),
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
    "keyferry_session_start": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p)),
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
    "keyferry_log_open_pipe": (c_int32, (c_int32, c_void_p, c_void_p)),
}
