//! The wall: no panic passes it, no out-pointer is set before success, no failure goes without its detail.
//!
//! Every export's body is one call of [`call`], [`call_with_out`], [`infallible`] or [`status_only`]; the house test checks each.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::error::keyferry_error;
use crate::ffi::status::{self, KEYFERRY_OK, keyferry_status};
use crate::log;

/// An out-pointer that may be NULL.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;

/// Runs a call that can fail. `error_out`, if there is one, gets NULL first and the failure's detail at last.
#[inline]
pub fn call(name: &'static str, mut error_out: Out<'_, keyferry_error>, body: impl FnOnce() -> Result<()>) -> keyferry_status {
    if let Some(out) = error_out.as_deref_mut() {
        out.write(std::ptr::null_mut());
    }
    match guard(name, body) {
        Ok(()) => KEYFERRY_OK,
        Err(error) => fail(error, error_out),
    }
}

/// Runs a call that can fail and makes an object. `out`, if there is one, gets NULL before anything can go wrong.
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

/// Runs a call that has a value to give whatever happens.
#[inline]
pub fn infallible<T>(name: &'static str, fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        injected(name);
        body()
    }))
    .unwrap_or(fallback)
}

/// Runs a call that reports nothing but its status and allocates nothing of its own.
#[inline]
pub fn status_only(name: &'static str, body: impl FnOnce() -> Result<(), keyferry_status>) -> keyferry_status {
    infallible(name, status::KEYFERRY_E_PANIC, || body().err().unwrap_or(KEYFERRY_OK))
}

#[inline]
fn guard(name: &'static str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let whole = || {
        injected(name);
        log::check_not_inside()?;
        body()
    };
    catch_unwind(AssertUnwindSafe(whole)).unwrap_or_else(|payload| Err(caught(name, payload)))
}

#[cold]
fn caught(name: &'static str, payload: Box<dyn std::any::Any + Send>) -> Error {
    // Its text may quote a value. It is dropped unread, and dropping it may panic once more.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    Error::new(ErrorKind::Panic, format!("a fault inside {name}, contained: report it"))
}

#[cold]
fn fail(error: Error, error_out: Out<'_, keyferry_error>) -> keyferry_status {
    let number = status::of(error.kind);
    if let Some(out) = error_out {
        let made = catch_unwind(AssertUnwindSafe(|| Box::into_raw(Box::new(keyferry_error::new(error)))));
        out.write(made.unwrap_or(std::ptr::null_mut()));
    }
    number
}

/// What must not be NULL.
///
/// # Errors
/// [`ErrorKind::NullArgument`] naming the parameter.
#[inline]
pub fn required<T>(argument: Option<T>, name: &'static str) -> Result<T> {
    argument.ok_or_else(|| null(name))
}

#[cold]
fn null(name: &'static str) -> Error {
    Error::new(ErrorKind::NullArgument, format!("{name} is NULL"))
}

/// Gives an object to C.
#[inline]
pub fn write_out<T>(out: &mut MaybeUninit<*mut T>, object: T) {
    out.write(Box::into_raw(Box::new(object)));
}

/// Has the next call of an export panic. In debug builds only: it shows that nothing passes the wall.
#[cfg(debug_assertions)]
pub mod injection {
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicPtr, Ordering};

    /// Rationale: under a lock, which a thread may hold while another one forks, a child hung in its first call.
    static NEXT: AtomicPtr<&'static str> = AtomicPtr::new(null_mut());

    /// The next call of `name` panics.
    pub fn panic_in(name: &'static str) {
        NEXT.store(Box::into_raw(Box::new(name)), Ordering::Release);
    }

    /// Whether nobody is waiting to panic.
    pub fn is_spent() -> bool {
        NEXT.load(Ordering::Acquire).is_null()
    }

    pub(super) fn maybe_panic(name: &str) {
        let next = NEXT.load(Ordering::Acquire);
        // SAFETY: a pointer in here came from `Box::into_raw`, and is never freed.
        if unsafe { next.as_ref() }.is_none_or(|next| *next != name) {
            return;
        }
        let hit = NEXT.compare_exchange(next, null_mut(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        assert!(!hit, "injected");
    }
}

#[cfg(debug_assertions)]
fn injected(name: &str) {
    injection::maybe_panic(name);
}

#[cfg(not(debug_assertions))]
#[inline]
fn injected(_name: &str) {}
