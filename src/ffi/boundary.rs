//! The boundary of the library: no out-pointer is set before success, and every failure has its
//! detail. [`panic`] stops panics here.
//!
//! Every export's body is one call of [`call`], [`call_with_out`], [`status_only`] or
//! [`panic::infallible`]; a test checks each.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::{self, KEYFERRY_OK, keyferry_status};
use crate::log;

/// An out-pointer that may be NULL.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;

/// Runs a call that can fail. `error_out`, if there is one, gets NULL first and the failure's
/// detail at last.
#[inline]
pub fn call(
    name: &'static str,
    mut error_out: Out<'_, keyferry_error>,
    body: impl FnOnce() -> Result<()>,
) -> keyferry_status {
    if let Some(out) = error_out.as_deref_mut() {
        out.write(std::ptr::null_mut());
    }
    let checked_body = || {
        log::check_not_inside()?;
        body()
    };
    match panic::fallible(name, checked_body) {
        Ok(()) => KEYFERRY_OK,
        Err(error) => fail(error, error_out),
    }
}

/// Runs a call that can fail and makes an object. `out`, if there is one, gets NULL before anything
/// can go wrong.
#[inline]
pub fn call_with_out<'a, T>(
    name: &'static str,
    mut out: Out<'a, T>,
    error_out: Out<'_, keyferry_error>,
    body: impl FnOnce(Out<'a, T>) -> Result<()>,
) -> keyferry_status {
    if let Some(out) = out.as_deref_mut() {
        out.write(std::ptr::null_mut());
    }
    call(name, error_out, || body(out))
}

/// Runs a call that reports nothing but its status and allocates nothing of its own.
#[inline]
pub fn status_only(
    name: &'static str,
    body: impl FnOnce() -> Result<(), keyferry_status>,
) -> keyferry_status {
    panic::infallible(name, status::KEYFERRY_E_PANIC, || {
        body().err().unwrap_or(KEYFERRY_OK)
    })
}

#[cold]
fn fail(error: Error, error_out: Out<'_, keyferry_error>) -> keyferry_status {
    let status = status::from_kind(error.kind);
    if let Some(out) = error_out {
        let object = catch_unwind(AssertUnwindSafe(|| {
            Box::into_raw(Box::new(keyferry_error::new(error)))
        }));
        out.write(object.unwrap_or(std::ptr::null_mut()));
    }
    status
}

/// Unwraps an argument that must not be NULL.
///
/// # Errors
/// [`ErrorKind::NullArgument`] naming the parameter.
#[inline]
pub fn required<T>(argument: Option<T>, name: &'static str) -> Result<T> {
    argument.ok_or_else(|| null_error(name))
}

#[cold]
fn null_error(name: &'static str) -> Error {
    Error::new(ErrorKind::NullArgument, format!("{name} is NULL"))
}

/// Gives an object to C.
#[inline]
pub fn write_out<T>(out: &mut MaybeUninit<*mut T>, object: T) {
    out.write(Box::into_raw(Box::new(object)));
}
