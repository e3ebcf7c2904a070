//! The request object: a resource and what the caller needs of its token.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::keyferry_status;
use crate::ffi::text;
use crate::model::key::Access;
use crate::model::request::Request;
use crate::sys::fork;

/// A resource and what the caller needs of its token. Set it up in one thread; then any thread may
/// use or cancel it.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_request {
    request: Request,
    fork: u32,
}

impl keyferry_request {
    /// The request, unless it was made before a fork.
    pub(crate) fn checked(request: Option<&Self>) -> Result<&Request> {
        let request = boundary::required(request, "request")?;
        if request.fork == fork::generation() {
            Ok(&request.request)
        } else {
            Err(forked_error())
        }
    }
}

fn forked_error() -> Error {
    Error::new(
        ErrorKind::Forked,
        "this request was made before a fork: make another in the child",
    )
}

/// The access that the resource itself says; the default.
pub const KEYFERRY_ACCESS_ANY: i32 = 0;
/// All that this kind of token allows: there is only one sort of it.
pub const KEYFERRY_ACCESS_FULL: i32 = 1;
/// List and download a package.
pub const KEYFERRY_ACCESS_READ: i32 = 2;
/// Add files to a package and finalize it.
pub const KEYFERRY_ACCESS_WRITE: i32 = 3;
/// Rename, expire, link, transfer and delete a package.
pub const KEYFERRY_ACCESS_MANAGE: i32 = 4;

/// Makes a request for a resource.
///
/// @param resource     a URL of a service, `SERVICE:PATH`, or the path of a MASV thing: `user`, `packages/ID`,
///                     `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`. UTF-8. Borrowed and copied.
/// @param request_out  gets the request
/// @param error_out    gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE if it can't be read
/// Owner:   the caller frees it with `keyferry_request_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_new(
    resource: *const c_char,
    request_out: Option<&mut MaybeUninit<*mut keyferry_request>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_request_new", request_out, error_out, |out| {
        let out = boundary::required(out, "request_out")?;
        // SAFETY: by this function's contract.
        let resource = unsafe { text::required(resource, "resource") }?;
        crate::model::resource::Resource::parse(resource)?;
        fork::watch();
        boundary::write_out(
            out,
            keyferry_request {
                request: Request::new(resource),
                fork: fork::generation(),
            },
        );
        Ok(())
    })
}

/// Wants a token that is good for so long, instead of the engine's own windows. A service that
/// gives shorter ones gets the last word: the freshest is returned, and
/// `keyferry_token_expires_unix_s` says when that ends.
///
/// @param request      the request
/// @param min_valid_s  seconds; 0 (the default) for the engine's own windows
/// @param error_out    gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT
/// Owner:   nothing changes hands
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_min_valid_s(
    request: Option<&mut keyferry_request>,
    min_valid_s: u32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_min_valid_s", error_out, || {
        boundary::required(request, "request")?.request.min_valid =
            Duration::from_secs(min_valid_s.into());
        Ok(())
    })
}

/// Wants this access instead of the one that the resource says.
///
/// @param request    the request
/// @param access     one of `KEYFERRY_ACCESS_`
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_INVALID_VALUE for another number
/// Owner:   nothing changes hands
/// Threads: [one]
/// Source:  MASV API, package tokens
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_access(
    request: Option<&mut keyferry_request>,
    access: i32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_access", error_out, || {
        let request = boundary::required(request, "request")?;
        let known = u8::try_from(access).ok().and_then(Access::from_number);
        if known.is_none() && access != KEYFERRY_ACCESS_ANY {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("access {access} is not one of KEYFERRY_ACCESS_…"),
            ));
        }
        request.request.access = known;
        Ok(())
    })
}

/// Acts as another account than the default one.
///
/// @param request    the request
/// @param account    a profile's name from the configuration, UTF-8; NULL for the default. Borrowed and copied.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; an unknown profile shows at the first use, as KEYFERRY_E_NOT_CONFIGURED
/// Owner:   nothing changes hands
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `account` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_set_account(
    request: Option<&mut keyferry_request>,
    account: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_account", error_out, || {
        let request = boundary::required(request, "request")?;
        // SAFETY: by this function's contract.
        let account = unsafe { text::optional(account, "account") }?;
        // A name that long is no profile's: it is not copied, and stays one that is none.
        request.request.account = account.map(|name| {
            if text::check_length(name, "account").is_ok() {
                name
            } else {
                ""
            }
            .to_owned()
        });
        Ok(())
    })
}

/// Brings the password of a protected link.
///
/// @param request    the request
/// @param password   UTF-8; NULL for none. Borrowed and copied; our copy is wiped when the request is freed.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_INVALID_VALUE if it is empty or holds a control character
/// Owner:   nothing changes hands
/// Threads: [one]
/// Source:  MASV API, `GET /v1/links/{link_id}`, header X-Link-Password
/// Since:   0.1
///
/// # Safety
/// `password` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_set_link_password(
    request: Option<&mut keyferry_request>,
    password: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_link_password", error_out, || {
        let request = boundary::required(request, "request")?;
        // SAFETY: by this function's contract.
        let password = unsafe { text::optional_secret(password, "password") }?;
        password
            .iter()
            .try_for_each(|password| password.check("password"))?;
        request.request.link_password = password;
        Ok(())
    })
}

/// Waits no longer than this.
///
/// @param request    the request
/// @param timeout_ms milliseconds, 1 to 600000; 0 (the default) for the configured `http.timeout_ms`
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_INVALID_VALUE above ten minutes
/// Owner:   nothing changes hands
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_timeout_ms(
    request: Option<&mut keyferry_request>,
    timeout_ms: u32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_timeout_ms", error_out, || {
        let request = boundary::required(request, "request")?;
        if timeout_ms > 600_000 {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "timeout_ms is above 600000, ten minutes",
            ));
        }
        request.request.timeout =
            (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
        Ok(())
    })
}

/// Ends the wait of whoever waits with this request, now and from now on: it gets
/// `KEYFERRY_E_CANCELLED`. What is under way goes on for others who wait for the same token.
///
/// @param request  may be NULL: then nothing happens
///
/// Errors:  none
/// Owner:   nothing changes hands
/// Threads: [any], also while another thread waits with `request`
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_cancel(request: Option<&keyferry_request>) {
    panic::infallible("keyferry_request_cancel", (), || {
        if let Ok(request) = keyferry_request::checked(request) {
            request.cancel.cancel();
        }
    });
}

/// Frees a request.
///
/// @param request  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   the request is gone afterwards; no call may be using it
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_free(request: Option<Box<keyferry_request>>) {
    panic::infallible("keyferry_request_free", (), || drop(request));
}
