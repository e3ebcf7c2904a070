// Generated from include/keyferry.h; changes belong there. CONTRIBUTING.md says how to renew it.

/** The number of this ABI, which the soname holds too. Nothing is removed or changed within a number. */
export const KEYFERRY_ABI_VERSION = 0;
/** The access that the resource itself says; the default. */
export const KEYFERRY_ACCESS_ANY = 0;
/** All that this kind of token allows: there is only one sort of it. */
export const KEYFERRY_ACCESS_FULL = 1;
/** List and download a package. */
export const KEYFERRY_ACCESS_READ = 2;
/** Add files to a package and finalize it. */
export const KEYFERRY_ACCESS_WRITE = 3;
/** Rename, expire, link, transfer and delete a package. */
export const KEYFERRY_ACCESS_MANAGE = 4;
/** The expiry of a token that is good until it is rejected. */
export const KEYFERRY_NO_EXPIRY = 9223372036854775807n;
/** An API key or SecretKey, as it is configured. */
export const KEYFERRY_TOKEN_KIND_KEY = 1;
/** A user's login. */
export const KEYFERRY_TOKEN_KIND_USER = 2;
/** A package's token. */
export const KEYFERRY_TOKEN_KIND_PACKAGE = 3;
/** A transfer's token. */
export const KEYFERRY_TOKEN_KIND_TRANSFER = 4;
/** A bearer token. */
export const KEYFERRY_TOKEN_KIND_BEARER = 5;
/** Nothing. */
export const KEYFERRY_LOG_OFF = 0;
/** What the user has to mend. */
export const KEYFERRY_LOG_ERROR = 1;
/** What works in spite of a fault. */
export const KEYFERRY_LOG_WARN = 2;
/** Logins, refreshes, refusals. */
export const KEYFERRY_LOG_INFO = 3;
/** Each exchange. */
export const KEYFERRY_LOG_DEBUG = 4;
/** Done. */
export const KEYFERRY_OK = 0;
/** A pointer that must not be NULL is NULL. */
export const KEYFERRY_E_NULL_ARGUMENT = 101;
/** A text is not UTF-8. */
export const KEYFERRY_E_NOT_UTF8 = 102;
/** A value is empty, too long, out of range, or holds CR, LF, NUL or another control character. */
export const KEYFERRY_E_INVALID_VALUE = 103;
/** The resource can't be read. */
export const KEYFERRY_E_INVALID_RESOURCE = 104;
/** The resource belongs to no configured service. */
export const KEYFERRY_E_UNKNOWN_SERVICE = 105;
/** The resource is reached without any header. */
export const KEYFERRY_E_NO_HEADER = 106;
/** The token has several headers. */
export const KEYFERRY_E_MULTIPLE_HEADERS = 107;
/** The buffer is too small. */
export const KEYFERRY_E_BUFFER_TOO_SMALL = 108;
/** `keyferry_request_cancel` was called. */
export const KEYFERRY_E_CANCELLED = 109;
/** The request's time was over first. */
export const KEYFERRY_E_TIMEOUT = 110;
/** The handle was made before a fork. */
export const KEYFERRY_E_FORKED = 111;
/** Called from keyferry's own log callback, or from a plugin's. */
export const KEYFERRY_E_REENTRANT = 112;
/** A fault inside keyferry; the process is fine, what the call was about is not done. */
export const KEYFERRY_E_PANIC = 113;
/** The configuration can't be read or understood. */
export const KEYFERRY_E_CONFIG = 201;
/** A setting that is needed is not there. */
export const KEYFERRY_E_NOT_CONFIGURED = 202;
/** A file with secrets can be read or changed by others. */
export const KEYFERRY_E_UNSAFE_FILE = 203;
/** A secret's source did not give it. */
export const KEYFERRY_E_SECRET_SOURCE = 204;
/** Nothing usable in memory. */
export const KEYFERRY_E_NOT_CACHED = 301;
/** Another process holds the lock. */
export const KEYFERRY_E_BUSY = 302;
/** The store can't be used. */
export const KEYFERRY_E_STORE = 303;
/** No connection. */
export const KEYFERRY_E_UNREACHABLE = 601;
/** TLS refused the server. */
export const KEYFERRY_E_TLS = 602;
/** The service did not answer in time, or broke off. */
export const KEYFERRY_E_NO_RESPONSE = 603;
/** The service refused the credential. */
export const KEYFERRY_E_BAD_CREDENTIALS = 701;
/** The login ended and can't be renewed without a person. */
export const KEYFERRY_E_LOGIN_REQUIRED = 702;
/** The service does not know the thing. */
export const KEYFERRY_E_NOT_FOUND = 703;
/** The credentials at hand can't do this. */
export const KEYFERRY_E_INSUFFICIENT_ACCESS = 704;
/** The service wants fewer requests. */
export const KEYFERRY_E_THROTTLED = 705;
/** The service is out of order (5xx). */
export const KEYFERRY_E_UNAVAILABLE = 706;
/** The answer is not what the service documents. */
export const KEYFERRY_E_BAD_RESPONSE = 707;
/** The service redirects, which is never followed with a credential. */
export const KEYFERRY_E_REDIRECTED = 708;
/** The service has no such route. */
export const KEYFERRY_E_UNSUPPORTED = 709;
/** A plugin misbehaved. */
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
  keyferry_request_set_timeout_ms: ['int32_t', ['uintptr_t', 'uint32_t', 'uintptr_t']],
  keyferry_request_cancel: ['void', ['uintptr_t']],
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
};
