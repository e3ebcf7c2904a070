//! The threads that run flights.
//!
//! Each flight either has a caller that waits for it, or is one of at most 4 background refreshes.
//! The number of threads is therefore bounded.

use std::sync::Arc;
use std::time::Instant;

use crate::sys::signals;
use crate::sys::sync::{Condvar, Mutex};

/// The worker threads, one for each running flight.
#[derive(Default)]
pub struct Workers {
    active: Mutex<usize>,
    idle: Condvar,
}

impl Workers {
    /// Runs `work` on a new thread, or on the calling thread if no thread can be started.
    pub fn run(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        *self.active.lock() += 1;
        let workers = Arc::clone(self);
        let work = Arc::new(Mutex::new(Some(work)));
        let theirs = Arc::clone(&work);
        let whole = move || {
            signals::block_sigpipe();
            if let Some(work) = theirs.lock().take() {
                work();
            }
            drop(theirs);
            workers.done();
        };
        let spawned = std::thread::Builder::new()
            .name("keyferry".into())
            .stack_size(512 * 1024)
            .spawn(whole);
        if spawned.is_err() {
            let work = work.lock().take();
            work.into_iter().for_each(|work| work());
            self.done();
        }
    }

    fn done(&self) {
        let mut active = self.active.lock();
        *active -= 1;
        if *active == 0 {
            self.idle.notify_all();
        }
    }

    /// Waits until no worker runs, at most until the deadline. Returns whether none runs.
    pub fn wait_idle(&self, deadline: Instant) -> bool {
        let mut active = self.active.lock();
        while *active > 0 {
            if self.idle.wait_until(&mut active, deadline) {
                return *active == 0;
            }
        }
        true
    }
}
