//! Catches panics, so that no panic leaves the library.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result};

/// Runs the body of an exported function that cannot fail. Returns `fallback` if the body panics.
#[inline]
pub fn infallible<T>(name: &'static str, fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        inject(name);
        body()
    }))
    .unwrap_or(fallback)
}

/// Runs the body of an exported function that can fail.
///
/// # Errors
/// Returns the errors of `body`; [`ErrorKind::Panic`] if it panics.
#[inline]
pub fn fallible(name: &'static str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let body_with_injection = || {
        inject(name);
        body()
    };
    catch_unwind(AssertUnwindSafe(body_with_injection))
        .unwrap_or_else(|payload| Err(panic_error(name, payload)))
}

#[cold]
fn panic_error(name: &'static str, payload: Box<dyn Any + Send>) -> Error {
    // The payload's message may contain a secret, so it is dropped unread. Dropping it may panic
    // again.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    Error::new(
        ErrorKind::Panic,
        format!("internal error in {name}; report it as a bug"),
    )
}

/// Makes the next call of an exported function panic, so that a test can check that the library
/// catches the panic. Exists only with the feature `test-hooks`.
#[cfg(feature = "test-hooks")]
pub mod injection {
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicPtr, Ordering};

    /// The name of the exported function that panics next, or NULL.
    ///
    /// Rationale: an atomic pointer needs no lock. If one thread held a lock while another thread
    /// forked, the child would hang in its first call.
    static ARMED: AtomicPtr<&'static str> = AtomicPtr::new(null_mut());

    /// Makes the next call of the exported function `name` panic.
    pub fn arm(name: &'static str) {
        ARMED.store(Box::into_raw(Box::new(name)), Ordering::Release);
    }

    /// Returns whether an injected panic is still pending.
    pub fn is_armed() -> bool {
        !ARMED.load(Ordering::Acquire).is_null()
    }

    #[expect(unsafe_code, reason = "reads a pointer that an atomic holds")]
    pub(super) fn maybe_panic(name: &str) {
        let armed = ARMED.load(Ordering::Acquire);
        // SAFETY: the pointer is NULL, or `arm` got it from `Box::into_raw` and nothing frees it.
        if unsafe { armed.as_ref() }.is_none_or(|armed| *armed != name) {
            return;
        }
        let is_first = ARMED
            .compare_exchange(armed, null_mut(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        assert!(!is_first, "panic injected by a test");
    }
}

#[cfg(feature = "test-hooks")]
fn inject(name: &str) {
    injection::maybe_panic(name);
}

#[cfg(not(feature = "test-hooks"))]
#[inline]
fn inject(_name: &str) {}
