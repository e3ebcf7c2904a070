//! The token object: headers, expiry and generation.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::panic;
use crate::model::token::{NO_EXPIRY, Token};

/// A set of headers with an expiry. A token is immutable: any number of threads may use it at the
/// same time. It stays valid after its session is freed.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
// This attribute is hidden from cbindgen. With it, cbindgen would write the struct's field to the
// header. Without it, cbindgen declares an opaque type, as intended.
#[cfg_attr(not(cbindgen), repr(transparent))]
pub struct keyferry_token {
    pub(crate) token: Token,
}

/// Passes ownership of a token to the C caller, without a copy.
#[inline]
pub(crate) fn write_out(out: &mut MaybeUninit<*mut keyferry_token>, token: Box<Token>) {
    // `keyferry_token` is `repr(transparent)`, so `keyferry_token_free` can free this box.
    out.write(Box::into_raw(token).cast());
}

/// The expiry of a token that is valid until the service rejects it.
pub const KEYFERRY_NO_EXPIRY: i64 = i64::MAX;

/// A configured API key or SecretKey.
pub const KEYFERRY_TOKEN_KIND_KEY: i32 = 1;
/// The token of a user, from a login.
pub const KEYFERRY_TOKEN_KIND_USER: i32 = 2;
/// The token of a package.
pub const KEYFERRY_TOKEN_KIND_PACKAGE: i32 = 3;
/// The token of a transfer.
pub const KEYFERRY_TOKEN_KIND_TRANSFER: i32 = 4;
/// A bearer token.
pub const KEYFERRY_TOKEN_KIND_BEARER: i32 = 5;

fn c_string(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

/// Returns the number of headers of the token. A token of a built-in service has one header.
///
/// @param token  NULL gives 0
///
/// Errors:  none
/// Threads: [any]
/// Source:  API documentation of the services, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_header_count(token: Option<&keyferry_token>) -> usize {
    panic::infallible("keyferry_token_header_count", 0, || {
        token.map_or(0, |token| token.token.layout().header_count.into())
    })
}

/// Returns the name of a header, such as `X-User-Token` or `Authorization`.
///
/// @param token  NULL gives NULL
/// @param index  from 0; an index of `keyferry_token_header_count` or more gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed
/// Threads: [any]
/// Source:  API documentation of the services, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_header_name(
    token: Option<&keyferry_token>,
    index: usize,
) -> *const c_char {
    panic::infallible("keyferry_token_header_name", std::ptr::null(), || {
        token
            .and_then(|token| token.token.header_with_nul(index))
            .map_or(std::ptr::null(), |(name, _)| c_string(name))
    })
}

/// Returns the complete value of a header, such as `Bearer eyJ…` for `Authorization`. The value is
/// a secret: do not log it, and do not pass it as a command-line argument.
///
/// @param token  NULL gives NULL
/// @param index  from 0; an index of `keyferry_token_header_count` or more gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed; `keyferry_token_free` wipes it
/// Threads: [any]
/// Source:  API documentation of the services, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_header_value(
    token: Option<&keyferry_token>,
    index: usize,
) -> *const c_char {
    panic::infallible("keyferry_token_header_value", std::ptr::null(), || {
        token
            .and_then(|token| token.token.header_with_nul(index))
            .map_or(std::ptr::null(), |(_, value)| c_string(value))
    })
}

/// Returns the value of the first header. A scheme such as `Bearer` is removed from the value. The
/// value is a secret.
///
/// @param token  NULL gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed; `keyferry_token_free` wipes it
/// Threads: [any]
/// Source:  API documentation of the services, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_value(token: Option<&keyferry_token>) -> *const c_char {
    panic::infallible("keyferry_token_value", std::ptr::null(), || {
        token.map_or(std::ptr::null(), |token| {
            c_string(token.token.value_with_nul())
        })
    })
}

/// Returns the name of the service that the token is for, such as `masv` or `fileverbs`.
///
/// @param token  NULL gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_service(token: Option<&keyferry_token>) -> *const c_char {
    panic::infallible("keyferry_token_service", std::ptr::null(), || {
        token.map_or(std::ptr::null(), |token| {
            c_string(token.token.service_with_nul())
        })
    })
}

/// Returns the kind of the token: one of `KEYFERRY_TOKEN_KIND_`.
///
/// @param token  NULL gives 0
///
/// Errors:  none
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_kind(token: Option<&keyferry_token>) -> i32 {
    panic::infallible("keyferry_token_kind", 0, || {
        token.map_or(0, |token| token.token.meta().kind as i32)
    })
}

/// Returns the access that the token allows: one of `KEYFERRY_ACCESS_`.
///
/// @param token  NULL gives `KEYFERRY_ACCESS_ANY`
///
/// Errors:  none
/// Threads: [any]
/// Source:  MASV API, package tokens
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_access(token: Option<&keyferry_token>) -> i32 {
    panic::infallible("keyferry_token_access", 0, || {
        token.map_or(0, |token| token.token.meta().access as i32)
    })
}

/// Returns the expiry of the token.
///
/// @param token  NULL gives 0
/// @return       seconds since 1970, UTC, by the clock of the service; `KEYFERRY_NO_EXPIRY` if the token is valid
///               until the service rejects it
///
/// Errors:  none
/// Threads: [any]
/// Source:  RFC 7519, section 4.1.4 (exp), otherwise the response of the service
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_expires_unix_s(token: Option<&keyferry_token>) -> i64 {
    panic::infallible("keyferry_token_expires_unix_s", 0, || {
        token.map_or(0, |token| match token.token.meta().expires_us {
            NO_EXPIRY => KEYFERRY_NO_EXPIRY,
            microseconds => microseconds.div_euclid(1_000_000),
        })
    })
}

/// Returns the generation of the token, a number that orders the tokens of one resource. A newer
/// token has a greater number, in all processes that share a store.
///
/// @param token  NULL gives 0
///
/// Errors:  none
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_generation(token: Option<&keyferry_token>) -> u64 {
    panic::infallible("keyferry_token_generation", 0, || {
        token.map_or(0, |token| token.token.meta().generation)
    })
}

/// Returns other data that the service sent with the token, as a JSON object without secrets. For a
/// user token, the object has `user` and `teams` as the service sent them.
///
/// @param token  NULL gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed
/// Threads: [any]
/// Source:  MASV API, `POST /v1/auth`; FileVerbs API, `POST /accounts/access-token`
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_details_json(token: Option<&keyferry_token>) -> *const c_char {
    panic::infallible("keyferry_token_details_json", std::ptr::null(), || {
        token.map_or(std::ptr::null(), |token| {
            c_string(token.token.details_with_nul())
        })
    })
}

/// Frees a token and wipes its memory.
///
/// @param token  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   takes `token`; all strings borrowed from it become invalid
/// Threads: [any], but not while another call uses `token`
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_free(token: Option<Box<keyferry_token>>) {
    panic::infallible("keyferry_token_free", (), || drop(token));
}
