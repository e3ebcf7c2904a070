//! The generation of a forking process, and values that each process makes for itself.
//!
//! A handler of `pthread_atfork` raises a counter in each child, so the check on the hit path is
//! one load. `getpid` would be a system call each time.

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use once_cell::sync::OnceCell;

static GENERATION: AtomicU32 = AtomicU32::new(0);
static FORK_HANDLER: Once = Once::new();

extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The number of forks between the first process and this one. It differs between a process and its
/// child.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts to count forks. Call it before the first use of [`generation`]; later calls cost one
/// load.
pub fn watch() {
    FORK_HANDLER.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handler touches one atomic, which is async-signal-safe, and is never
        // unloaded: the library is linked with -z nodelete.
        unsafe {
            libc::pthread_atfork(None, None, Some(count_fork));
        }
    });
}

/// A value that every process makes for itself: a forked child has none until it makes its own.
///
/// Rationale: the locks, threads and sockets of a parent's value are of no use in a child, and a
/// lock that was held at the moment of the fork stays held there for ever. The child never touches
/// the parent's value.
pub struct PerProcess<T: 'static>(AtomicPtr<Slot<T>>);

struct Slot<T> {
    generation: u32,
    value: OnceCell<T>,
}

impl<T> PerProcess<T> {
    /// No value yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The value, if this process has made it.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        self.slot().and_then(|slot| slot.value.get())
    }

    /// The value, made by `make` if this process has none. Other threads wait for it meanwhile.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        let Ok(value) = self.get_or_try_init(|| Ok::<_, std::convert::Infallible>(make()));
        value
    }

    /// The value, made by `make` if this process has none. `make` can fail.
    ///
    /// # Errors
    /// Those of `make`; the next call tries again.
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
                // SAFETY: `fresh` came from `Box::into_raw` above and was given to no other thread.
                drop(unsafe { Box::from_raw(fresh) });
            }
        };
        slot.value.get_or_try_init(make)
    }

    #[inline]
    fn slot(&self) -> Option<&'static Slot<T>> {
        // SAFETY: a pointer in here came from `Box::into_raw` and is never freed.
        let slot = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        slot.filter(|slot| slot.generation == generation())
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}
