//! Catches panics, so that none leaves the library. Knows nothing of statuses and error objects.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result};

/// Runs the body of an export that can't fail. After a panic the result is `fallback`.
#[inline]
pub fn infallible<T>(name: &'static str, fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        inject(name);
        body()
    }))
    .unwrap_or(fallback)
}

/// Runs the body of an export that can fail.
///
/// # Errors
/// Those of `body`; [`ErrorKind::Panic`] after a panic.
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
    // Its text may quote a value. It is dropped unread, and dropping it may panic once more.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    Error::new(
        ErrorKind::Panic,
        format!("a fault inside {name}, contained: report it"),
    )
}

/// Makes the next call of an export panic, so that a test sees the panic contained. In debug builds
/// only.
#[cfg(debug_assertions)]
pub mod injection {
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicPtr, Ordering};

    /// The export that panics next.
    ///
    /// Rationale: under a lock, which a thread may hold while another one forks, a child hung in
    /// its first call.
    static ARMED: AtomicPtr<&'static str> = AtomicPtr::new(null_mut());

    /// Makes the next call of `name` panic.
    pub fn arm(name: &'static str) {
        ARMED.store(Box::into_raw(Box::new(name)), Ordering::Release);
    }

    /// Whether an armed panic has not happened yet.
    pub fn is_armed() -> bool {
        !ARMED.load(Ordering::Acquire).is_null()
    }

    pub(super) fn maybe_panic(name: &str) {
        let armed = ARMED.load(Ordering::Acquire);
        // SAFETY: a pointer in here came from `Box::into_raw`, and is never freed.
        if unsafe { armed.as_ref() }.is_none_or(|armed| *armed != name) {
            return;
        }
        let is_first = ARMED
            .compare_exchange(armed, null_mut(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        assert!(!is_first, "injected");
    }
}

#[cfg(debug_assertions)]
fn inject(name: &str) {
    injection::maybe_panic(name);
}

#[cfg(not(debug_assertions))]
#[inline]
fn inject(_name: &str) {}
