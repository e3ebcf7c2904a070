//! The status numbers: blocks of 100 by origin, never renumbered, each with text and remedy.
//!
//! The blocks 400 and 500 stay empty, so that a status is never mistaken for an HTTP status.

use std::ffi::{CStr, c_char};

use crate::error::ErrorKind;
use crate::ffi::panic;

/// What every fallible call returns: `KEYFERRY_OK`, or one of the `KEYFERRY_E_` numbers below.
/// `keyferry_status_text` says each in words. A number that is not listed here comes from a newer
/// library.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_status = i32;

/// Done.
pub const KEYFERRY_OK: keyferry_status = 0;

/// A pointer that must not be NULL is NULL. Remedy: see the function's comment.
pub const KEYFERRY_E_NULL_ARGUMENT: keyferry_status = 101;
/// A text is not UTF-8. Remedy: convert it first.
pub const KEYFERRY_E_NOT_UTF8: keyferry_status = 102;
/// A value is empty, too long, out of range, or holds CR, LF, NUL or another control character.
/// Remedy: copy it again.
pub const KEYFERRY_E_INVALID_VALUE: keyferry_status = 103;
/// The resource can't be read. Remedy: write `user`, `packages/ID`, `links/ID?secret=S`,
/// `SERVICE:PATH` or an https URL.
pub const KEYFERRY_E_INVALID_RESOURCE: keyferry_status = 104;
/// The resource belongs to no configured service. Remedy: check its host and the services' URLs in
/// the configuration.
pub const KEYFERRY_E_UNKNOWN_SERVICE: keyferry_status = 105;
/// The resource is reached without any header. Remedy: send the request as it is.
pub const KEYFERRY_E_NO_HEADER: keyferry_status = 106;
/// The token has several headers. Remedy: take them from `keyferry_session_cached`.
pub const KEYFERRY_E_MULTIPLE_HEADERS: keyferry_status = 107;
/// The buffer is too small. Remedy: bring as many bytes as `length_out` says and one for the NUL.
pub const KEYFERRY_E_BUFFER_TOO_SMALL: keyferry_status = 108;
/// `keyferry_request_cancel` was called.
pub const KEYFERRY_E_CANCELLED: keyferry_status = 109;
/// The request's time was over first. Remedy: ask again, or give it more with
/// `keyferry_request_set_timeout_ms`.
pub const KEYFERRY_E_TIMEOUT: keyferry_status = 110;
/// The handle was made before a fork. Remedy: pass NULL, or open another in the child.
pub const KEYFERRY_E_FORKED: keyferry_status = 111;
/// Called from keyferry's own log callback, or from a plugin's. Remedy: hand the message to another
/// thread; use the host's table.
pub const KEYFERRY_E_REENTRANT: keyferry_status = 112;
/// A fault inside keyferry; the process is fine, what the call was about is not done. Remedy:
/// report it.
pub const KEYFERRY_E_PANIC: keyferry_status = 113;

/// The configuration can't be read or understood. Remedy: the message names file, key and line.
pub const KEYFERRY_E_CONFIG: keyferry_status = 201;
/// A setting that is needed is not there. Remedy: the message names it.
pub const KEYFERRY_E_NOT_CONFIGURED: keyferry_status = 202;
/// A file with secrets can be read or changed by others. Remedy: the message has the chmod.
pub const KEYFERRY_E_UNSAFE_FILE: keyferry_status = 203;
/// A secret's source did not give it. Remedy: the message names source and setting.
pub const KEYFERRY_E_SECRET_SOURCE: keyferry_status = 204;

/// Nothing usable in memory. Remedy: `keyferry_session_token_for`.
pub const KEYFERRY_E_NOT_CACHED: keyferry_status = 301;
/// Another process holds the lock. Remedy: ask again; the message names the process.
pub const KEYFERRY_E_BUSY: keyferry_status = 302;
/// The store can't be used. Remedy: the message names it.
pub const KEYFERRY_E_STORE: keyferry_status = 303;

/// No connection. Remedy: check network, the URL in the configuration and, for the MASV Agent, that
/// it runs.
pub const KEYFERRY_E_UNREACHABLE: keyferry_status = 601;
/// TLS refused the server. Remedy: check the clock, the URL, and `http.ca_file` for a private CA.
pub const KEYFERRY_E_TLS: keyferry_status = 602;
/// The service did not answer in time, or broke off. Remedy: ask again later.
pub const KEYFERRY_E_NO_RESPONSE: keyferry_status = 603;

/// The service refused the credential. Remedy: check it; the same one is not sent again for a
/// while.
pub const KEYFERRY_E_BAD_CREDENTIALS: keyferry_status = 701;
/// The login ended and can't be renewed without a person. Remedy: `masv_login`, or configure e-mail
/// and password.
pub const KEYFERRY_E_LOGIN_REQUIRED: keyferry_status = 702;
/// The service does not know the thing. Remedy: check its id, and that the account may see it.
pub const KEYFERRY_E_NOT_FOUND: keyferry_status = 703;
/// The credentials at hand can't do this. Remedy: the message names the one that can.
pub const KEYFERRY_E_INSUFFICIENT_ACCESS: keyferry_status = 704;
/// The service wants fewer requests. Remedy: ask again after `keyferry_error_retry_after_ms`.
pub const KEYFERRY_E_THROTTLED: keyferry_status = 705;
/// The service is out of order (5xx). Remedy: ask again later.
pub const KEYFERRY_E_UNAVAILABLE: keyferry_status = 706;
/// The answer is not what the service documents. Remedy: check the URL; a proxy may stand between.
pub const KEYFERRY_E_BAD_RESPONSE: keyferry_status = 707;
/// The service redirects, which is never followed with a credential. Remedy: check the URL in the
/// configuration.
pub const KEYFERRY_E_REDIRECTED: keyferry_status = 708;
/// The service has no such route. Remedy: the message says what it has.
pub const KEYFERRY_E_UNSUPPORTED: keyferry_status = 709;

/// A plugin misbehaved. Remedy: the message names plugin and fault; report it to its author.
pub const KEYFERRY_E_PLUGIN: keyferry_status = 801;

/// Every status with its kind and its words: what happened, then the remedy.
pub const TABLE: &[(keyferry_status, Option<ErrorKind>, &CStr)] = &[
    (KEYFERRY_OK, None, c"done"),
    (
        KEYFERRY_E_NULL_ARGUMENT,
        Some(ErrorKind::NullArgument),
        c"a pointer is NULL that must not be: see the function's comment",
    ),
    (
        KEYFERRY_E_NOT_UTF8,
        Some(ErrorKind::NotUtf8),
        c"a text is not UTF-8: convert it first",
    ),
    (
        KEYFERRY_E_INVALID_VALUE,
        Some(ErrorKind::InvalidValue),
        c"a value is empty, too long, out of range or holds a control character: copy it again",
    ),
    (
        KEYFERRY_E_INVALID_RESOURCE,
        Some(ErrorKind::InvalidResource),
        c"the resource can't be read: write user, packages/ID, SERVICE:PATH or an https URL",
    ),
    (
        KEYFERRY_E_UNKNOWN_SERVICE,
        Some(ErrorKind::UnknownService),
        c"the resource belongs to no configured service: check its host and the services' URLs",
    ),
    (
        KEYFERRY_E_NO_HEADER,
        Some(ErrorKind::NoHeader),
        c"the resource is reached without any header: send the request as it is",
    ),
    (
        KEYFERRY_E_MULTIPLE_HEADERS,
        Some(ErrorKind::MultipleHeaders),
        c"the token has several headers: take them from keyferry_session_cached",
    ),
    (
        KEYFERRY_E_BUFFER_TOO_SMALL,
        Some(ErrorKind::BufferTooSmall),
        c"the buffer is too small: bring as many bytes as length_out says and one for the NUL",
    ),
    (
        KEYFERRY_E_CANCELLED,
        Some(ErrorKind::Cancelled),
        c"the request was cancelled",
    ),
    (
        KEYFERRY_E_TIMEOUT,
        Some(ErrorKind::Timeout),
        c"the request's time was over: ask again, or give it more time",
    ),
    (
        KEYFERRY_E_FORKED,
        Some(ErrorKind::Forked),
        c"the handle was made before a fork: pass NULL, or open another in the child",
    ),
    (
        KEYFERRY_E_REENTRANT,
        Some(ErrorKind::Reentrant),
        c"called from keyferry's own log function or a plugin: hand the message to another thread",
    ),
    (
        KEYFERRY_E_PANIC,
        Some(ErrorKind::Panic),
        c"a fault inside keyferry, contained: report it",
    ),
    (
        KEYFERRY_E_CONFIG,
        Some(ErrorKind::Config),
        c"the configuration can't be read or understood: the message names file and key",
    ),
    (
        KEYFERRY_E_NOT_CONFIGURED,
        Some(ErrorKind::NotConfigured),
        c"a setting that is needed is not there: the message names it",
    ),
    (
        KEYFERRY_E_UNSAFE_FILE,
        Some(ErrorKind::UnsafeFile),
        c"a file with secrets is open to others: the message has the chmod",
    ),
    (
        KEYFERRY_E_SECRET_SOURCE,
        Some(ErrorKind::SecretSource),
        c"a secret's source did not give it: the message names both",
    ),
    (
        KEYFERRY_E_NOT_CACHED,
        Some(ErrorKind::NotCached),
        c"nothing usable in memory: ask keyferry_session_token_for",
    ),
    (
        KEYFERRY_E_BUSY,
        Some(ErrorKind::Busy),
        c"another process holds the lock: ask again",
    ),
    (
        KEYFERRY_E_STORE,
        Some(ErrorKind::Store),
        c"the store can't be used: the message names it",
    ),
    (
        KEYFERRY_E_UNREACHABLE,
        Some(ErrorKind::Unreachable),
        c"no connection to the service: check the network and the service's URL",
    ),
    (
        KEYFERRY_E_TLS,
        Some(ErrorKind::Tls),
        c"TLS refused the server: check the clock, the URL and http.ca_file",
    ),
    (
        KEYFERRY_E_NO_RESPONSE,
        Some(ErrorKind::NoResponse),
        c"the service did not answer in time, or broke off: ask again later",
    ),
    (
        KEYFERRY_E_BAD_CREDENTIALS,
        Some(ErrorKind::BadCredentials),
        c"the service refused the credential: check it, the same one is not sent again for a while",
    ),
    (
        KEYFERRY_E_LOGIN_REQUIRED,
        Some(ErrorKind::LoginRequired),
        c"the login ended: log in again, or configure e-mail and password",
    ),
    (
        KEYFERRY_E_NOT_FOUND,
        Some(ErrorKind::NotFound),
        c"the service does not know the thing: check its id, and that the account may see it",
    ),
    (
        KEYFERRY_E_INSUFFICIENT_ACCESS,
        Some(ErrorKind::InsufficientAccess),
        c"the credentials at hand can't do this: the message names the one that can",
    ),
    (
        KEYFERRY_E_THROTTLED,
        Some(ErrorKind::Throttled),
        c"the service wants fewer requests: ask again after retry_after_ms",
    ),
    (
        KEYFERRY_E_UNAVAILABLE,
        Some(ErrorKind::Unavailable),
        c"the service is out of order: ask again later",
    ),
    (
        KEYFERRY_E_BAD_RESPONSE,
        Some(ErrorKind::BadResponse),
        c"the answer is not what the service documents: check the URL, a proxy may stand between",
    ),
    (
        KEYFERRY_E_REDIRECTED,
        Some(ErrorKind::Redirected),
        c"the service redirects, which is never followed with a credential: check its URL",
    ),
    (
        KEYFERRY_E_UNSUPPORTED,
        Some(ErrorKind::Unsupported),
        c"the service has no such route: the message says what it has",
    ),
    (
        KEYFERRY_E_PLUGIN,
        Some(ErrorKind::Plugin),
        c"a plugin misbehaved: the message names it, report it to its author",
    ),
];

/// The status of a kind.
pub fn from_kind(kind: ErrorKind) -> keyferry_status {
    TABLE
        .iter()
        .find(|(_, row_kind, _)| *row_kind == Some(kind))
        .map_or(KEYFERRY_E_PANIC, |(number, ..)| *number)
}

/// Says a status in words.
///
/// @param status  any number; an unknown one gives a text that says so
///
/// Errors:  none
/// Owner:   the text is static, never freed
/// Threads: [any]
/// Source:  the table of status numbers in this header
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_status_text(status: keyferry_status) -> *const c_char {
    panic::infallible("keyferry_status_text", std::ptr::null(), || {
        let row = TABLE.iter().find(|(number, ..)| *number == status);
        row.map_or(
            c"a status that this version does not know: it comes from a newer library",
            |(_, _, text)| text,
        )
        .as_ptr()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_every_kind_has_one() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(
                TABLE[..at]
                    .iter()
                    .all(|other| other.0 < row.0 && other.1 != row.1)
            );
            assert!(row.1.is_none_or(|kind| from_kind(kind) == row.0));
        }
        // The last variant: a new one behind it shows up here as a missing row.
        assert_eq!(TABLE.len(), ErrorKind::Plugin as usize + 2);
    }
}
