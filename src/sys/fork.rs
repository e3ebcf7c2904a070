//! In which generation of a forking process this is.
//!
//! A counter that a handler of `pthread_atfork` raises in each child: the check on the hit path is one
//! load. Deliberately no `getpid`: that is a system call each time.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

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
