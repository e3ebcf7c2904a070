//! The token object: headers, expiry, generation.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::panic;
use crate::model::token::{NO_EXPIRY, Token};

/// A set of headers with its expiry. Immutable: any thread, at once. Outlives the session that it
/// came from.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
#[cfg_attr(not(cbindgen), repr(transparent))] // which cbindgen would write out, and C is not to see inside
pub struct keyferry_token {
    pub(crate) token: Token,
}

/// Gives a token to C, from where it is.
#[inline]
pub(crate) fn write_out(out: &mut MaybeUninit<*mut keyferry_token>, token: Box<Token>) {
    // The two are alike in memory, so that `keyferry_token_free` can take it as its own.
    out.write(Box::into_raw(token).cast());
}

/// The expiry of a token that is good until it is rejected.
pub const KEYFERRY_NO_EXPIRY: i64 = i64::MAX;

/// An API key or SecretKey, as it is configured.
pub const KEYFERRY_TOKEN_KIND_KEY: i32 = 1;
/// A user's login.
pub const KEYFERRY_TOKEN_KIND_USER: i32 = 2;
/// A package's token.
pub const KEYFERRY_TOKEN_KIND_PACKAGE: i32 = 3;
/// A transfer's token.
pub const KEYFERRY_TOKEN_KIND_TRANSFER: i32 = 4;
/// A bearer token.
pub const KEYFERRY_TOKEN_KIND_BEARER: i32 = 5;

fn c_string(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

/// How many headers a request needs. All services of this version need one.
///
/// @param token  may be NULL: then 0
///
/// Errors:  none
/// Threads: [any]
/// Source:  services' documents, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_header_count(token: Option<&keyferry_token>) -> usize {
    panic::infallible("keyferry_token_header_count", 0, || {
        token.map_or(0, |token| token.token.layout().header_count.into())
    })
}

/// The name of a header: `X-User-Token`, `Authorization`.
///
/// @param token  may be NULL: then NULL
/// @param index  from 0; NULL beyond `keyferry_token_header_count`
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed
/// Threads: [any]
/// Source:  services' documents, headers
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

/// The value of a header, whole: `Bearer eyJ…` for `Authorization`. A secret: keep it out of logs
/// and argument lists.
///
/// @param token  may be NULL: then NULL
/// @param index  from 0; NULL beyond `keyferry_token_header_count`
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed, and wiped then
/// Threads: [any]
/// Source:  services' documents, headers
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

/// The bare value of the first header, without the scheme of an `Authorization`. A secret.
///
/// @param token  may be NULL: then NULL
///
/// Errors:  none
/// Owner:   borrowed from `token`, valid until it is freed, and wiped then
/// Threads: [any]
/// Source:  services' documents, headers
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_value(token: Option<&keyferry_token>) -> *const c_char {
    panic::infallible("keyferry_token_value", std::ptr::null(), || {
        token.map_or(std::ptr::null(), |token| {
            c_string(token.token.value_with_nul())
        })
    })
}

/// The service that it is for: `masv`, `fileverbs`.
///
/// @param token  may be NULL: then NULL
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

/// What it is: one of `KEYFERRY_TOKEN_KIND_`.
///
/// @param token  may be NULL: then 0
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

/// What it allows: one of `KEYFERRY_ACCESS_`.
///
/// @param token  may be NULL: then `KEYFERRY_ACCESS_ANY`
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

/// When it ends.
///
/// @param token  may be NULL: then 0
/// @return       seconds since 1970, UTC, by the service's clock; `KEYFERRY_NO_EXPIRY` if it is good until rejected
///
/// Errors:  none
/// Threads: [any]
/// Source:  RFC 7519, section 4.1.4 (exp), else the service's answer
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

/// Which one of its resource's tokens it is: each later one has a greater number, in all processes
/// that share a store.
///
/// @param token  may be NULL: then 0
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

/// What else the service said with it, as a JSON object without secrets: of a user token `user` and
/// `teams`, as they came.
///
/// @param token  may be NULL: then NULL
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

/// Frees a token.
///
/// @param token  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   the token and all that was borrowed from it are gone afterwards, its memory wiped
/// Threads: [any], but not while another call uses it
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_token_free(token: Option<Box<keyferry_token>>) {
    panic::infallible("keyferry_token_free", (), || drop(token));
}
