//! The status codes: in blocks of 100 by origin, never renumbered, each with a description and a
//! remedy.
//!
//! The blocks 400 and 500 stay empty, because such a number would look like an HTTP status.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CStr, c_char};

use crate::error::ErrorKind;
use crate::ffi::panic;

/// The result of each function that can fail: `KEYFERRY_OK`, or one of the `KEYFERRY_E_` codes
/// below. `keyferry_status_text` describes a code in words. A code that isn't listed here comes
/// from a newer library.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_status = i32;

/// Success.
pub const KEYFERRY_OK: keyferry_status = 0;

/// An argument that must not be NULL is NULL. Remedy: pass a value; the error message names the
/// parameter.
pub const KEYFERRY_E_NULL_ARGUMENT: keyferry_status = 101;
/// A string is not UTF-8. Remedy: convert it to UTF-8.
pub const KEYFERRY_E_NOT_UTF8: keyferry_status = 102;
/// A value is empty, too long or out of range, or contains CR, LF, NUL or another control
/// character. Remedy: correct the value that the error message names.
pub const KEYFERRY_E_INVALID_VALUE: keyferry_status = 103;
/// The resource is malformed, or a misspelt short form. Remedy: pass `user`, `packages/ID`,
/// `links/ID?secret=S` or an https URL; the error message has the nearest short form.
pub const KEYFERRY_E_INVALID_RESOURCE: keyferry_status = 104;
/// The resource belongs to no configured service. Remedy: check its host and the URLs of the
/// services in the configuration.
pub const KEYFERRY_E_UNKNOWN_SERVICE: keyferry_status = 105;
/// The resource takes no credential header. Remedy: send the request without one.
pub const KEYFERRY_E_NO_HEADER: keyferry_status = 106;
/// The token has more than one header, and the function returns only one. Remedy: call
/// `keyferry_session_cached` and read all headers of its token.
pub const KEYFERRY_E_MULTIPLE_HEADERS: keyferry_status = 107;
/// The buffer is too small. Remedy: pass a buffer of at least `length_out` + 1 bytes.
pub const KEYFERRY_E_BUFFER_TOO_SMALL: keyferry_status = 108;
/// The request was cancelled with `keyferry_request_cancel`.
pub const KEYFERRY_E_CANCELLED: keyferry_status = 109;
/// The request timed out. Remedy: retry, or set a longer timeout with
/// `keyferry_request_set_timeout_ms`.
pub const KEYFERRY_E_TIMEOUT: keyferry_status = 110;
/// The session or request was created before a fork. Remedy: in the child, pass NULL as the
/// session, or create a new object.
pub const KEYFERRY_E_FORKED: keyferry_status = 111;
/// keyferry was called from its own log callback or from a plugin. Remedy: in a log callback, pass
/// the message to another thread; in a plugin, call the functions of keyferry_plugin_host.
pub const KEYFERRY_E_REENTRANT: keyferry_status = 112;
/// An internal error in keyferry made the call fail; the process can continue. Remedy: report it as
/// a bug.
pub const KEYFERRY_E_PANIC: keyferry_status = 113;

/// The configuration cannot be read or is invalid. Remedy: correct the file, line or key that the
/// error message names.
pub const KEYFERRY_E_CONFIG: keyferry_status = 201;
/// A required setting is missing. Remedy: set the setting that the error message names.
pub const KEYFERRY_E_NOT_CONFIGURED: keyferry_status = 202;
/// Other users can read or change a file that contains secrets. Remedy: run the `chmod` command
/// that the error message gives.
pub const KEYFERRY_E_UNSAFE_FILE: keyferry_status = 203;
/// A secret source did not return the secret. Remedy: check the source and the setting that the
/// error message names.
pub const KEYFERRY_E_SECRET_SOURCE: keyferry_status = 204;

/// No usable token is cached. Remedy: call `keyferry_session_token_for`.
pub const KEYFERRY_E_NOT_CACHED: keyferry_status = 301;
/// Another process took too long to fetch the same token. Remedy: retry; the error message names
/// the process.
pub const KEYFERRY_E_BUSY: keyferry_status = 302;
/// The token store cannot be used. Remedy: check the store that the error message names.
pub const KEYFERRY_E_STORE: keyferry_status = 303;

/// keyferry cannot connect to the service. Remedy: check the network and the URL in the
/// configuration; for the MASV Agent, check that it is running.
pub const KEYFERRY_E_UNREACHABLE: keyferry_status = 601;
/// The TLS connection to the server failed. Remedy: check the system clock and the URL; for a
/// private CA, set `http.ca_file`.
pub const KEYFERRY_E_TLS: keyferry_status = 602;
/// The service did not respond in time, or closed the connection too early. Remedy: retry later.
pub const KEYFERRY_E_NO_RESPONSE: keyferry_status = 603;

/// The service rejected the credential. Remedy: check it; keyferry does not send the same
/// credential again for a while. `keyferry_error_retry_after_ms` says how long.
pub const KEYFERRY_E_BAD_CREDENTIALS: keyferry_status = 701;
/// There is no valid login, and keyferry cannot log in without the user. Remedy: call `masv_login`,
/// or configure e-mail and password.
pub const KEYFERRY_E_LOGIN_REQUIRED: keyferry_status = 702;
/// The service does not know the requested item. Remedy: check its ID, and that the account has
/// access to it.
pub const KEYFERRY_E_NOT_FOUND: keyferry_status = 703;
/// The available credentials do not allow this access, or the service answers 401 for this resource
/// although the token is valid. Remedy: configure the credential or check the permission that the
/// error message names.
pub const KEYFERRY_E_INSUFFICIENT_ACCESS: keyferry_status = 704;
/// The service is rate limiting requests. Remedy: wait as long as `keyferry_error_retry_after_ms`
/// says, then retry.
pub const KEYFERRY_E_THROTTLED: keyferry_status = 705;
/// The service is unavailable (5xx). Remedy: retry later.
pub const KEYFERRY_E_UNAVAILABLE: keyferry_status = 706;
/// The response is not what the service documents. Remedy: check the URL; a proxy may have sent the
/// response.
pub const KEYFERRY_E_BAD_RESPONSE: keyferry_status = 707;
/// The service sent a redirect, which keyferry never follows with a credential. Remedy: check the
/// URL in the configuration.
pub const KEYFERRY_E_REDIRECTED: keyferry_status = 708;
/// The service does not support this operation. Remedy: use the alternative that the error message
/// names.
pub const KEYFERRY_E_UNSUPPORTED: keyferry_status = 709;

/// A plugin failed, or broke a rule of keyferry_plugin.h. Remedy: report it to the author of the
/// plugin; the error message names the plugin and the fault.
pub const KEYFERRY_E_PLUGIN: keyferry_status = 801;

/// Each status code with its error kind and its description: what happened, then the remedy. After
/// `KEYFERRY_OK`, the rows are in the order of the variants of [`ErrorKind`].
pub const TABLE: &[(keyferry_status, Option<ErrorKind>, &CStr)] = &[
    (KEYFERRY_OK, None, c"success"),
    (
        KEYFERRY_E_NULL_ARGUMENT,
        Some(ErrorKind::NullArgument),
        c"an argument that must not be NULL is NULL; pass a value",
    ),
    (
        KEYFERRY_E_NOT_UTF8,
        Some(ErrorKind::NotUtf8),
        c"a string is not UTF-8; convert it to UTF-8",
    ),
    (
        KEYFERRY_E_INVALID_VALUE,
        Some(ErrorKind::InvalidValue),
        c"a value is empty, too long, out of range or contains a control character; correct it",
    ),
    (
        KEYFERRY_E_INVALID_RESOURCE,
        Some(ErrorKind::InvalidResource),
        c"the resource is malformed or misspelt; use user, packages/ID, SERVICE:PATH or an https URL",
    ),
    (
        KEYFERRY_E_UNKNOWN_SERVICE,
        Some(ErrorKind::UnknownService),
        c"the resource belongs to no configured service; check its host and the service URLs",
    ),
    (
        KEYFERRY_E_NO_HEADER,
        Some(ErrorKind::NoHeader),
        c"the resource takes no credential header; send the request without one",
    ),
    (
        KEYFERRY_E_MULTIPLE_HEADERS,
        Some(ErrorKind::MultipleHeaders),
        c"the token has more than one header; call keyferry_session_cached",
    ),
    (
        KEYFERRY_E_BUFFER_TOO_SMALL,
        Some(ErrorKind::BufferTooSmall),
        c"the buffer is too small; pass at least length_out + 1 bytes",
    ),
    (
        KEYFERRY_E_CANCELLED,
        Some(ErrorKind::Cancelled),
        c"the request was cancelled",
    ),
    (
        KEYFERRY_E_TIMEOUT,
        Some(ErrorKind::Timeout),
        c"the request timed out; retry, or set a longer timeout",
    ),
    (
        KEYFERRY_E_FORKED,
        Some(ErrorKind::Forked),
        c"the session or request was created before a fork; create a new one in the child",
    ),
    (
        KEYFERRY_E_REENTRANT,
        Some(ErrorKind::Reentrant),
        c"keyferry was called from a log callback or a plugin; in a log callback, pass the log message to another thread; in a plugin, call the functions of the host",
    ),
    (
        KEYFERRY_E_PANIC,
        Some(ErrorKind::Panic),
        c"internal error in keyferry; report it as a bug",
    ),
    (
        KEYFERRY_E_CONFIG,
        Some(ErrorKind::Config),
        c"the configuration cannot be read or is invalid; correct what the error message names",
    ),
    (
        KEYFERRY_E_NOT_CONFIGURED,
        Some(ErrorKind::NotConfigured),
        c"a required setting is missing; set the one that the error message names",
    ),
    (
        KEYFERRY_E_UNSAFE_FILE,
        Some(ErrorKind::UnsafeFile),
        c"other users can access a file with secrets; run the chmod command in the error message",
    ),
    (
        KEYFERRY_E_SECRET_SOURCE,
        Some(ErrorKind::SecretSource),
        c"a secret source returned no secret; check the setting that the error message names",
    ),
    (
        KEYFERRY_E_NOT_CACHED,
        Some(ErrorKind::NotCached),
        c"no usable token is cached; call keyferry_session_token_for",
    ),
    (
        KEYFERRY_E_BUSY,
        Some(ErrorKind::Busy),
        c"another process took too long to fetch the token; retry",
    ),
    (
        KEYFERRY_E_STORE,
        Some(ErrorKind::Store),
        c"the token store cannot be used; check the store that the error message names",
    ),
    (
        KEYFERRY_E_UNREACHABLE,
        Some(ErrorKind::Unreachable),
        c"cannot connect to the service; check the network and the URL of the service",
    ),
    (
        KEYFERRY_E_TLS,
        Some(ErrorKind::Tls),
        c"the TLS connection failed; check the system clock, the URL and http.ca_file",
    ),
    (
        KEYFERRY_E_NO_RESPONSE,
        Some(ErrorKind::NoResponse),
        c"the service did not respond in time, or closed the connection too early; retry later",
    ),
    (
        KEYFERRY_E_BAD_CREDENTIALS,
        Some(ErrorKind::BadCredentials),
        c"the service rejected the credential; check it",
    ),
    (
        KEYFERRY_E_LOGIN_REQUIRED,
        Some(ErrorKind::LoginRequired),
        c"there is no valid login; log in, or configure e-mail and password",
    ),
    (
        KEYFERRY_E_NOT_FOUND,
        Some(ErrorKind::NotFound),
        c"the service does not know the item; check its ID and that the account can access it",
    ),
    (
        KEYFERRY_E_INSUFFICIENT_ACCESS,
        Some(ErrorKind::InsufficientAccess),
        c"the credentials do not allow this access; configure the one that the error message names",
    ),
    (
        KEYFERRY_E_THROTTLED,
        Some(ErrorKind::Throttled),
        c"the service is rate limiting requests; retry after the time in retry_after_ms",
    ),
    (
        KEYFERRY_E_UNAVAILABLE,
        Some(ErrorKind::Unavailable),
        c"the service is unavailable; retry later",
    ),
    (
        KEYFERRY_E_BAD_RESPONSE,
        Some(ErrorKind::BadResponse),
        c"the response is not what the service documents; check the URL and any proxy",
    ),
    (
        KEYFERRY_E_REDIRECTED,
        Some(ErrorKind::Redirected),
        c"the service sent a redirect, which is never followed; check the URL of the service",
    ),
    (
        KEYFERRY_E_UNSUPPORTED,
        Some(ErrorKind::Unsupported),
        c"the service does not support this operation; use the alternative in the error message",
    ),
    (
        KEYFERRY_E_PLUGIN,
        Some(ErrorKind::Plugin),
        c"a plugin failed or broke a rule; report it to its author",
    ),
];

/// Returns the status code of an error kind.
pub fn from_kind(kind: ErrorKind) -> keyferry_status {
    TABLE[kind as usize + 1].0
}

/// Describes a status code in words: what happened, then the remedy.
///
/// @param status  any number; for an unknown code, the string says that the code is unknown
///
/// Errors:  none
/// Owner:   the string is static; never free it
/// Threads: [any]
/// Source:  the status codes in this header
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_status_text(status: keyferry_status) -> *const c_char {
    panic::infallible("keyferry_status_text", std::ptr::null(), || {
        let row = TABLE.iter().find(|(number, ..)| *number == status);
        row.map_or(
            c"unknown status; it comes from a newer library",
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
        // `Plugin` is the last variant: the table has one row for each kind, and one for
        // `KEYFERRY_OK`.
        assert_eq!(TABLE.len(), ErrorKind::Plugin as usize + 2);
    }

    #[test]
    fn numbers_are_in_their_blocks_and_failures_have_a_remedy() {
        for (number, kind, text) in TABLE {
            let is_in_block = [0, 1, 2, 3, 6, 7, 8].contains(&(number / 100));
            assert!(is_in_block, "{number} is in none of the blocks");
            let is_failure = kind.is_some() && *number != KEYFERRY_E_CANCELLED;
            let has_remedy = text.to_bytes().windows(2).any(|pair| pair == b"; ");
            assert!(has_remedy || !is_failure, "{text:?} has no remedy");
        }
    }
}
