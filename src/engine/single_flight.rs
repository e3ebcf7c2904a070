//! Single flight: of all who want the same thing at the same time one gets it, and the others wait for it.
//!
//! Those who wait are bounded by their own deadlines; the flight goes on without them. They are
//! woken outside the lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sys::signals;
use crate::sys::sync::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::model::request::{Cancel, Wake};

/// The flights under way.
pub struct SingleFlight<K, T>(Mutex<HashMap<K, Arc<Flight<T>>>>);

/// One flight.
pub struct Flight<T> {
    outcome: Mutex<Option<Result<T>>>,
    done: Condvar,
}

/// What joining gave.
pub enum Joined<T> {
    /// A new flight: the caller has to see to it that [`SingleFlight::run_flight`] is called.
    Leader(Arc<Flight<T>>),
    /// One that is under way.
    Follower(Arc<Flight<T>>),
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone, T: Clone> SingleFlight<K, T> {
    /// Joins the flight of a key, or begins one.
    pub fn join(&self, key: &K) -> Joined<T> {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(key) {
            return Joined::Follower(Arc::clone(flight));
        }
        let flight = Arc::new(Flight { outcome: Mutex::new(None), done: Condvar::new() });
        flights.insert(key.clone(), Arc::clone(&flight));
        Joined::Leader(flight)
    }

    /// Does the work of a flight and lands it, also when the work panics.
    pub fn run_flight(&self, key: &K, flight: &Flight<T>, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Panic, "a fault inside keyferry while it got a token: report it")));
        self.0.lock().remove(key);
        *flight.outcome.lock() = Some(outcome.clone());
        flight.done.notify_all();
        outcome
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl<T: Clone + Send + 'static> Flight<T> {
    /// Waits for the landing.
    ///
    /// # Errors
    /// That of the flight; [`ErrorKind::Timeout`] at the deadline, [`ErrorKind::Cancelled`].
    pub fn wait(self: &Arc<Self>, deadline: Instant, cancel: &Cancel) -> Result<T> {
        let waker = Arc::clone(self) as Arc<dyn Wake>;
        cancel.while_waiting(waker, || {
            let mut outcome = self.outcome.lock();
            loop {
                if let Some(outcome) = outcome.as_ref() {
                    return outcome.clone();
                }
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                if self.done.wait_until(&mut outcome, deadline) {
                    return outcome.clone().unwrap_or_else(|| Err(timed_out()));
                }
            }
        })
    }
}

impl<T: Send> Wake for Flight<T> {
    fn wake(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _outcome = self.outcome.lock();
        self.done.notify_all();
    }
}

/// The error of a caller who cancelled.
pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the request was cancelled")
}

fn timed_out() -> Error {
    Error::new(ErrorKind::Timeout, "no answer in the time that the request has: ask again, or give it more time")
}

/// The threads that flights run on: one each, for a flight has a caller who waits, or a place among the few that have none.
#[derive(Default)]
pub struct Workers {
    active: Mutex<usize>,
    idle: Condvar,
}

impl Workers {
    /// Runs `work` on a thread of its own; here and now if there can't be one.
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
        let spawned = std::thread::Builder::new().name("keyferry".into()).stack_size(512 * 1024).spawn(whole);
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

    /// Waits until none runs, at most so long. Whether none does.
    pub fn wait_idle(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut active = self.active.lock();
        while *active > 0 {
            if self.idle.wait_until(&mut active, deadline) {
                return *active == 0;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn one_flies_and_the_others_get_what_it_got() {
        let flights: Arc<SingleFlight<u8, u32>> = Arc::default();
        let Joined::Leader(flight) = flights.join(&1) else { panic!("the first leads") };
        let Joined::Follower(other) = flights.join(&1) else { panic!("the second follows") };
        let waiter = std::thread::spawn(move || other.wait(far(), &Cancel::default()));
        assert_eq!(flights.run_flight(&1, &flight, || Ok(7)).ok(), Some(7));
        assert_eq!(waiter.join().ok().and_then(Result::ok), Some(7));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn a_panic_lands_the_flight() {
        let flights: SingleFlight<u8, u32> = SingleFlight::default();
        let Joined::Leader(flight) = flights.join(&1) else { panic!("the first leads") };
        assert_eq!(flights.run_flight(&1, &flight, || panic!("broken")).map_err(|error| error.kind), Err(ErrorKind::Panic));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn a_waiter_ends_at_its_deadline_and_when_it_is_cancelled() {
        let flights: SingleFlight<u8, u32> = SingleFlight::default();
        let Joined::Leader(flight) = flights.join(&1) else { panic!("the first leads") };
        assert_eq!(flight.wait(Instant::now(), &Cancel::default()).map_err(|error| error.kind), Err(ErrorKind::Timeout));
        let cancel = Cancel::default();
        let (theirs, flying) = (cancel.clone(), Arc::clone(&flight));
        let waiter = std::thread::spawn(move || flying.wait(far(), &theirs));
        cancel.cancel();
        assert_eq!(waiter.join().map(|outcome| outcome.map_err(|error| error.kind)).ok(), Some(Err(ErrorKind::Cancelled)));
    }
}
