//! In which generation of a forking process this is.
//!
//! A counter that a handler of `pthread_atfork` raises in each child: the check on the hit path is one
//! load. Deliberately no `getpid`: that is a system call each time.

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use once_cell::sync::OnceCell;

static FORKS: AtomicU32 = AtomicU32::new(0);
static WATCH: Once = Once::new();

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between the first process and this one. Differs between a handle's maker and its child.
#[inline]
pub fn generation() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Starts to count. To be called before the first handle is made; later calls cost a load.
pub fn watch() {
    WATCH.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handler touches one atomic, which is async-signal-safe, and is never unloaded:
        // the library is linked with -z nodelete.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

/// A value that every process makes for itself: a forked child sees none until it makes its own.
///
/// Rationale: what a parent's value holds (locks, threads, sockets) is of no use in a child, and a lock that was taken at
/// the moment of the fork stays taken there for ever. The parent's value is left alone in the child.
pub struct PerProcess<T: 'static>(AtomicPtr<Slot<T>>);

struct Slot<T> {
    generation: u32,
    value: OnceCell<T>,
}

impl<T> PerProcess<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The value, if this process has made it.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        self.slot().and_then(|slot| slot.value.get())
    }

    /// The value, made by `make` if need be; others who ask meanwhile wait for it.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        let Ok(value) = self.get_or_try_init(|| Ok::<_, std::convert::Infallible>(make()));
        value
    }

    /// The same, where making it can fail.
    ///
    /// # Errors
    /// Those of `make`; the next call tries again.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&'static T, E> {
        watch();
        let slot = loop {
            if let Some(slot) = self.slot() {
                break slot;
            }
            let seen = self.0.load(Ordering::Acquire);
            let fresh = Box::into_raw(Box::new(Slot { generation: generation(), value: OnceCell::new() }));
            if self.0.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: `fresh` came from `Box::into_raw` above and nobody else has seen it.
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
