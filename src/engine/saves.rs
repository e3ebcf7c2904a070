//! Renewals and saves that are running: how long callers wait for a save, and what the end of a
//! session or process waits for.
//!
//! Rationale: the service may have already used up the previous refresh token. If the process ended
//! before the new one was stored, the next process would have to log in.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::sys::fork::{self, PerProcess};
use crate::sys::process;
use crate::sys::sync::{Condvar, Mutex};

/// How long the callers of a flight wait for its save after the service has returned the token.
pub const MAX_SAVE_WAIT: Duration = Duration::from_millis(200);
/// How long the end of a session or process waits for running saves.
pub const MAX_SAVE_AT_END: Duration = Duration::from_millis(500);
/// How long the end of a session or process waits for renewals that were sent, and their saves.
pub const MAX_RENEWAL_AT_END: Duration = Duration::from_secs(1);

/// The renewals and saves of all sessions of this process.
static ALL: PerProcess<Mutex<Vec<Weak<Saves>>>> = PerProcess::new();

/// The session that renewals and saves belong to.
pub trait Closing: Send + Sync {
    /// Begins the end of the session. Renewals that were sent may be answered until the deadline.
    fn begin_close(&self, deadline: Instant);
}

/// The renewals and saves of one session.
#[derive(Default)]
pub struct Saves {
    running: Mutex<Running>,
    changed: Condvar,
    session: OnceLock<Weak<dyn Closing>>,
}

#[derive(Default)]
struct Running {
    renewals: usize,
    saves: usize,
    /// When the last save began.
    last_save: Option<Instant>,
    /// The fork generation of the process that waits for this when it exits.
    process: Option<u32>,
}

impl Running {
    /// Returns until when the end of the session waits. `None` if nothing is running.
    fn wait_until(&self, end_began: Instant) -> Option<Instant> {
        let deadline = end_began + MAX_RENEWAL_AT_END;
        match (self.renewals, self.saves) {
            (0, 0) => None,
            (0, _) => {
                let save_began = self.last_save.map_or(end_began, |at| at.max(end_began));
                Some(deadline.min(save_began + MAX_SAVE_AT_END))
            }
            _ => Some(deadline),
        }
    }
}

/// A save that is running. It ends when this value is dropped.
pub struct RunningSave(Arc<Saves>);

/// A renewal that is running: its secret is no longer in the store, and the new one is not being
/// saved yet. It ends when this value is dropped.
pub struct RunningRenewal(Arc<Saves>);

impl Saves {
    /// Sets the session. The process ends it when it exits during a renewal or save.
    pub fn set_session(&self, session: Weak<dyn Closing>) {
        // Only the constructor of the session calls this.
        let _ = self.session.set(session);
    }

    /// Begins a save. When the process exits, it waits for the save.
    pub fn begin(self: &Arc<Self>) -> RunningSave {
        self.change(|running| {
            running.saves += 1;
            running.last_save = Some(Instant::now());
        });
        RunningSave(Arc::clone(self))
    }

    /// Begins a renewal. When the process exits, it ends the renewal if it was not sent, and otherwise
    /// waits for the response.
    pub fn begin_renewal(self: &Arc<Self>) -> RunningRenewal {
        self.change(|running| running.renewals += 1);
        RunningRenewal(Arc::clone(self))
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Running)) {
        let mut running = self.running.lock();
        if running.process != Some(fork::generation()) {
            self.wait_at_exit();
            // The threads of the parent process don't exist in a forked child.
            *running = Running {
                process: Some(fork::generation()),
                ..Running::default()
            };
        }
        change(&mut running);
        self.changed.notify_all();
    }

    fn wait_at_exit(self: &Arc<Self>) {
        let mut all = ALL
            .get_or_init(|| {
                process::at_exit(end_all);
                Mutex::default()
            })
            .lock();
        all.retain(|saves| saves.strong_count() > 0);
        all.push(Arc::downgrade(self));
    }

    /// Waits until no renewal and no save runs. The end of the session or process began at this time:
    /// waits at most 1 second from then, and at most 500 ms for a save.
    pub fn wait(&self, end_began: Instant) {
        let mut running = self.running.lock();
        while let Some(until) = running.wait_until(end_began)
            && Instant::now() < until
        {
            self.changed.wait_until(&mut running, until);
        }
    }

    /// Makes the exit of the process wait for this session no longer, because the end of the session
    /// has waited.
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
        running.saves = running.saves.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

impl Drop for RunningRenewal {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        running.renewals = running.renewals.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

/// Ends all sessions with renewals or saves when the process exits.
extern "C" fn end_all() {
    let began = Instant::now();
    let all = ALL.get().map(|all| all.lock().clone());
    let all: Vec<_> = all.iter().flatten().filter_map(Weak::upgrade).collect();
    // A session that does nothing is not closed: another thread may still use it.
    let is_running = |saves: &&Arc<Saves>| saves.running.lock().wait_until(began).is_some();
    let running: Vec<_> = all.iter().filter(is_running).collect();
    for saves in &running {
        let session = saves.session.get().and_then(Weak::upgrade);
        session
            .iter()
            .for_each(|session| session.begin_close(began + MAX_RENEWAL_AT_END));
    }
    running.iter().for_each(|saves| saves.wait(began));
}
