//! Tokens that are being saved: how long callers wait for a save, and how long the end of a session
//! or process does.
//!
//! Rationale: the service may already have used up the previous refresh token. If the process ended
//! before the new one was stored, the next process would have to log in.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sys::fork::{self, PerProcess};
use crate::sys::process;
use crate::sys::sync::{Condvar, Mutex};

/// How long the callers of a flight wait for its save after the service has returned the token.
pub const MAX_SAVE_WAIT: Duration = Duration::from_millis(200);
/// How long the end of a session or process waits for running saves.
pub const MAX_SAVE_AT_END: Duration = Duration::from_millis(500);

/// The saves of all sessions of this process.
static ALL: PerProcess<Mutex<Vec<Weak<Saves>>>> = PerProcess::new();

/// The saves of one session.
#[derive(Default)]
pub struct Saves {
    running: Mutex<Running>,
    ended: Condvar,
}

#[derive(Default)]
struct Running {
    count: usize,
    /// The fork generation of the process that waits for these saves when it exits.
    process: Option<u32>,
}

/// A save that is running. It ends when this value is dropped.
pub struct RunningSave(Arc<Saves>);

impl Saves {
    /// Begins a save. When the process exits, it waits for the save.
    pub fn begin(self: &Arc<Self>) -> RunningSave {
        let mut running = self.running.lock();
        if running.process != Some(fork::generation()) {
            self.wait_at_exit();
            // The threads of the parent process don't exist in a forked child.
            *running = Running {
                count: 0,
                process: Some(fork::generation()),
            };
        }
        running.count += 1;
        RunningSave(Arc::clone(self))
    }

    fn wait_at_exit(self: &Arc<Self>) {
        let mut all = ALL
            .get_or_init(|| {
                process::at_exit(wait_for_all);
                Mutex::default()
            })
            .lock();
        all.retain(|saves| saves.strong_count() > 0);
        all.push(Arc::downgrade(self));
    }

    /// Waits until no save runs, at most until the deadline.
    fn wait(&self, deadline: Instant) {
        let mut running = self.running.lock();
        while running.count > 0 && !self.ended.wait_until(&mut running, deadline) {}
    }

    /// Makes the exit of the process wait for these saves no longer, because the end of their
    /// session has waited for them.
    pub fn abandon(&self) {
        let this: *const Self = self;
        if let Some(all) = ALL.get() {
            all.lock().retain(|saves| saves.as_ptr() != this);
        }
    }
}

impl Drop for RunningSave {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        running.count = running.count.saturating_sub(1);
        self.0.ended.notify_all();
    }
}

/// Waits for the saves of all sessions when the process exits.
extern "C" fn wait_for_all() {
    let deadline = Instant::now() + MAX_SAVE_AT_END;
    let all = ALL.get().map(|all| all.lock().clone());
    for saves in all.iter().flatten().filter_map(Weak::upgrade) {
        saves.wait(deadline);
    }
}
