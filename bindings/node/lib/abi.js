// Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.

/** The version of the ABI, which is also the number in the soname. Within one version, nothing is removed or changed. */
export const KEYFERRY_ABI_VERSION = 0;
/** The access that the resource implies. This is the default. */
export const KEYFERRY_ACCESS_ANY = 0;
/** Full access, for a kind of token that has only one level of access. */
export const KEYFERRY_ACCESS_FULL = 1;
/** Access to list and download a package. */
export const KEYFERRY_ACCESS_READ = 2;
/** Access to add files to a package and finalize it. */
export const KEYFERRY_ACCESS_WRITE = 3;
/** Access to rename, transfer and delete a package, to make it expire, and to create download links for it. */
export const KEYFERRY_ACCESS_MANAGE = 4;
/** The expiry of a token that is valid until the service rejects it. */
export const KEYFERRY_NO_EXPIRY = 9223372036854775807n;
/** A configured API key or SecretKey. */
export const KEYFERRY_TOKEN_KIND_KEY = 1;
/** The token of a user, from a login. */
export const KEYFERRY_TOKEN_KIND_USER = 2;
/** The token of a package. */
export const KEYFERRY_TOKEN_KIND_PACKAGE = 3;
/** The token of a transfer. */
export const KEYFERRY_TOKEN_KIND_TRANSFER = 4;
/** A bearer token. */
export const KEYFERRY_TOKEN_KIND_BEARER = 5;
/** Log nothing. */
export const KEYFERRY_LOG_OFF = 0;
/** An error that the user must fix. */
export const KEYFERRY_LOG_ERROR = 1;
/** A fault after which keyferry continues to work. */
export const KEYFERRY_LOG_WARN = 2;
/** Logins, refreshes and rejections. */
export const KEYFERRY_LOG_INFO = 3;
/** Every HTTP request. */
export const KEYFERRY_LOG_DEBUG = 4;
/** Success. */
export const KEYFERRY_OK = 0;
/** An argument that must not be NULL is NULL. */
export const KEYFERRY_E_NULL_ARGUMENT = 101;
/** A string is not UTF-8. */
export const KEYFERRY_E_NOT_UTF8 = 102;
/** A value is empty, too long or out of range, or contains CR, LF, NUL or another control character. */
export const KEYFERRY_E_INVALID_VALUE = 103;
/** The resource is malformed, or a misspelt short form. */
export const KEYFERRY_E_INVALID_RESOURCE = 104;
/** The resource belongs to no configured service. */
export const KEYFERRY_E_UNKNOWN_SERVICE = 105;
/** The resource takes no credential header. */
export const KEYFERRY_E_NO_HEADER = 106;
/** The token has more than one header, and the function returns only one. */
export const KEYFERRY_E_MULTIPLE_HEADERS = 107;
/** The buffer is too small. */
export const KEYFERRY_E_BUFFER_TOO_SMALL = 108;
/** The request was cancelled with `keyferry_request_cancel`. */
export const KEYFERRY_E_CANCELLED = 109;
/** The request timed out. */
export const KEYFERRY_E_TIMEOUT = 110;
/** The session or request was created before a fork. */
export const KEYFERRY_E_FORKED = 111;
/** keyferry was called from its own log callback or from a plugin. */
export const KEYFERRY_E_REENTRANT = 112;
/** An internal error in keyferry made the call fail; the process can continue. */
export const KEYFERRY_E_PANIC = 113;
/** The configuration cannot be read or is invalid. */
export const KEYFERRY_E_CONFIG = 201;
/** A required setting is missing. */
export const KEYFERRY_E_NOT_CONFIGURED = 202;
/** Other users can read or change a file that contains secrets. */
export const KEYFERRY_E_UNSAFE_FILE = 203;
/** A secret source did not return the secret. */
export const KEYFERRY_E_SECRET_SOURCE = 204;
/** No usable token is cached. */
export const KEYFERRY_E_NOT_CACHED = 301;
/** Another process took too long to fetch the same token. */
export const KEYFERRY_E_BUSY = 302;
/** The token store cannot be used. */
export const KEYFERRY_E_STORE = 303;
/** keyferry cannot connect to the service. */
export const KEYFERRY_E_UNREACHABLE = 601;
/** The TLS connection to the server failed. */
export const KEYFERRY_E_TLS = 602;
/** The service did not respond in time, or closed the connection too early. */
export const KEYFERRY_E_NO_RESPONSE = 603;
/** The service rejected the credential. */
export const KEYFERRY_E_BAD_CREDENTIALS = 701;
/** There is no valid login, and keyferry cannot log in without the user. */
export const KEYFERRY_E_LOGIN_REQUIRED = 702;
/** The service does not know the requested item. */
export const KEYFERRY_E_NOT_FOUND = 703;
/** The available credentials do not allow this access, or the service answers 401 for this resource although the token is valid. */
export const KEYFERRY_E_INSUFFICIENT_ACCESS = 704;
/** The service is rate limiting requests. */
export const KEYFERRY_E_THROTTLED = 705;
/** The service is unavailable (5xx). */
export const KEYFERRY_E_UNAVAILABLE = 706;
/** The response is not what the service documents. */
export const KEYFERRY_E_BAD_RESPONSE = 707;
/** The service sent a redirect, which keyferry never follows with a credential. */
export const KEYFERRY_E_REDIRECTED = 708;
/** The service does not support this operation. */
export const KEYFERRY_E_UNSUPPORTED = 709;
/** A plugin failed, or broke a rule of keyferry_plugin.h. */
export const KEYFERRY_E_PLUGIN = 801;

/** By name: the type of the result, and those of the parameters. An address is a number. */
export const FUNCTIONS = {
  keyferry_status_text: ['str', ['int32_t']],
  keyferry_version: ['str', []],
  keyferry_abi_version: ['uint32_t', []],
  keyferry_text_free: ['void', ['uintptr_t']],
  keyferry_error_status: ['int32_t', ['uintptr_t']],
  keyferry_error_message: ['str', ['uintptr_t']],
  keyferry_error_http_status: ['int32_t', ['uintptr_t']],
  keyferry_error_service_code: ['int64_t', ['uintptr_t']],
  keyferry_error_retry_after_ms: ['uint64_t', ['uintptr_t']],
  keyferry_error_free: ['void', ['uintptr_t']],
  keyferry_config_new: ['int32_t', ['uintptr_t', 'uintptr_t']],
  keyferry_config_load: ['int32_t', ['str', 'uintptr_t', 'uintptr_t']],
  keyferry_config_set: ['int32_t', ['uintptr_t', 'str', 'str', 'uintptr_t']],
  keyferry_config_free: ['void', ['uintptr_t']],
  keyferry_request_new: ['int32_t', ['str', 'uintptr_t', 'uintptr_t']],
  keyferry_request_set_min_valid_s: ['int32_t', ['uintptr_t', 'uint32_t', 'uintptr_t']],
  keyferry_request_set_access: ['int32_t', ['uintptr_t', 'int32_t', 'uintptr_t']],
  keyferry_request_set_account: ['int32_t', ['uintptr_t', 'str', 'uintptr_t']],
  keyferry_request_set_link_password: ['int32_t', ['uintptr_t', 'str', 'uintptr_t']],
  keyferry_request_set_login: ['int32_t', ['uintptr_t', 'str', 'str', 'uintptr_t']],
  keyferry_request_set_timeout_ms: ['int32_t', ['uintptr_t', 'uint32_t', 'uintptr_t']],
  keyferry_request_cancel: ['void', ['uintptr_t']],
  keyferry_request_token: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_request_free: ['void', ['uintptr_t']],
  keyferry_token_header_count: ['size_t', ['uintptr_t']],
  keyferry_token_header_name: ['str', ['uintptr_t', 'size_t']],
  keyferry_token_header_value: ['str', ['uintptr_t', 'size_t']],
  keyferry_token_value: ['str', ['uintptr_t']],
  keyferry_token_service: ['str', ['uintptr_t']],
  keyferry_token_kind: ['int32_t', ['uintptr_t']],
  keyferry_token_access: ['int32_t', ['uintptr_t']],
  keyferry_token_expires_unix_s: ['int64_t', ['uintptr_t']],
  keyferry_token_generation: ['uint64_t', ['uintptr_t']],
  keyferry_token_details_json: ['str', ['uintptr_t']],
  keyferry_token_free: ['void', ['uintptr_t']],
  keyferry_session_open: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_free: ['void', ['uintptr_t']],
  keyferry_session_token_for: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_start: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_cached: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_peek: ['int32_t', ['uintptr_t', 'str', 'uintptr_t', 'size_t', 'uintptr_t']],
  keyferry_session_reject: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_reject_value: ['int32_t', ['uintptr_t', 'str', 'str', 'uintptr_t']],
  keyferry_session_adopt: ['int32_t', ['uintptr_t', 'str', 'str', 'int64_t', 'uintptr_t']],
  keyferry_session_forget: ['int32_t', ['uintptr_t', 'str', 'uintptr_t']],
  keyferry_session_explain: ['int32_t', ['uintptr_t', 'str', 'uintptr_t', 'uintptr_t']],
  keyferry_session_list: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_session_stats: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  masv_login: ['int32_t', ['uintptr_t', 'str', 'str', 'uintptr_t', 'uintptr_t']],
  masv_token_for: ['int32_t', ['uintptr_t', 'str', 'uintptr_t', 'uintptr_t']],
  masv_agent_session: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  masv_agent_sign_in: ['int32_t', ['uintptr_t', 'str', 'str', 'uintptr_t', 'uintptr_t']],
  masv_agent_sign_up: ['int32_t', ['uintptr_t', 'str', 'str', 'str', 'uintptr_t', 'uintptr_t']],
  fileverbs_bearer: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  fileverbs_secret_key: ['int32_t', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_log_set_callback: ['int32_t', ['int32_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  keyferry_log_open_pipe: ['int32_t', ['int32_t', 'uintptr_t', 'uintptr_t']],
};
