//! Detects forks, and holds values that each process creates for itself.
//!
//! A `pthread_atfork` handler increments a counter in each child process. A fork check on a cache
//! hit is then one load, whereas `getpid` would be a system call.
//!
//! This module waits for no lock. Rationale: another thread may hold a lock while a thread forks.
//! The lock then stays locked in the child for ever, and the child would wait for it.

#![expect(
    unsafe_code,
    reason = "a hook of fork, and a pointer that an atomic holds"
)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use once_cell::sync::OnceCell;

static GENERATION: AtomicU32 = AtomicU32::new(0);
/// Whether the handler is installed.
static WATCHED: AtomicBool = AtomicBool::new(false);

extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Returns the fork generation of this process. A child process always has a different generation
/// than its parent.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts counting forks. Call it before the first use of [`generation`]. Every later call costs
/// one load. If several threads make the first call at the same time, each of them installs the
/// handler, and a fork then adds more than 1 to the generation.
pub fn watch() {
    if WATCHED.load(Ordering::Acquire) {
        return;
    }
    #[cfg(unix)]
    // SAFETY: the handler only changes one atomic, which is async-signal-safe. It is never
    // unloaded, because the library is linked with `-z nodelete`.
    unsafe {
        libc::pthread_atfork(None, None, Some(count_fork));
    }
    WATCHED.store(true, Ordering::Release);
}

/// Calls `hook` before each fork, on the thread that forks. The hook must not wait for a lock, because
/// the thread may fork in a signal handler.
pub fn call_before(hook: extern "C" fn()) {
    #[cfg(unix)]
    // SAFETY: the hook is never unloaded, because the library is linked with `-z nodelete`.
    unsafe {
        libc::pthread_atfork(Some(hook), None, None);
    }
}

/// A value that each process creates for itself. A forked child starts without a value.
///
/// Rationale: a child cannot use the locks, threads and sockets of the parent's value. A lock that
/// was held during the fork stays locked in the child forever. So the child never touches the
/// parent's value.
pub struct PerProcess<T: 'static>(AtomicPtr<Slot<T>>);

struct Slot<T> {
    generation: u32,
    value: OnceCell<T>,
}

impl<T> PerProcess<T> {
    /// Creates a holder without a value.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Returns the value, if this process has created it.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        self.slot().and_then(|slot| slot.value.get())
    }

    /// Returns the value of this process. If there is none, `make` creates it while other threads
    /// wait.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        let Ok(value) = self.get_or_try_init(|| Ok::<_, std::convert::Infallible>(make()));
        value
    }

    /// Returns the value of this process. If there is none, `make` creates it, and may fail.
    ///
    /// # Errors
    /// Returns the error of `make`. The next call runs its own `make`.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&'static T, E> {
        watch();
        let slot = loop {
            if let Some(slot) = self.slot() {
                break slot;
            }
            let stale = self.0.load(Ordering::Acquire);
            let fresh = Box::into_raw(Box::new(Slot {
                generation: generation(),
                value: OnceCell::new(),
            }));
            if self
                .0
                .compare_exchange(stale, fresh, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
            {
                // SAFETY: `fresh` came from `Box::into_raw` above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(fresh) });
            }
        };
        slot.value.get_or_try_init(make)
    }

    #[inline]
    fn slot(&self) -> Option<&'static Slot<T>> {
        // SAFETY: the pointer is NULL, or came from `Box::into_raw` and is never freed.
        let slot = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        slot.filter(|slot| slot.generation == generation())
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}
