//! Single flight: of all callers that need the same token or the same list of tokens at the same
//! time, one caller fetches it and the others wait for the result.
//!
//! Each caller waits until its own deadline. The flight goes on after a caller stops waiting.
//! Waiting callers are woken after all locks are released. A flight whose result is known, but not
//! stored yet, can give the result to its callers and go on: see [`Flight::offer`].

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::model::request::{Cancel, Wake};
use crate::sys::sync::{Condvar, Mutex};

/// The running flights.
pub struct SingleFlight<K, T>(Mutex<Flights<K, T>>);

struct Flights<K, T> {
    running: HashMap<K, Arc<Flight<T>>>,
    /// The error that callers get once the session closes.
    closed: Option<Error>,
}

/// One fetch that several callers share.
pub struct Flight<T> {
    progress: Mutex<Progress<T>>,
    changed: Condvar,
}

/// How far a flight is.
enum Progress<T> {
    /// The result is not known.
    Running,
    /// Callers may take this result, although the flight has not ended.
    Offered {
        result: T,
        /// The time from which callers take the result.
        from: Instant,
    },
    Ended(Result<T>),
}

/// The result of joining a flight.
pub enum Joined<T> {
    /// A new flight. The caller must run it with [`SingleFlight::run`].
    Leader(Arc<Flight<T>>),
    /// A flight that another caller has started.
    Follower(Arc<Flight<T>>),
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(Mutex::new(Flights {
            running: HashMap::new(),
            closed: None,
        }))
    }
}

impl<K: Eq + Hash + Clone, T: Clone> SingleFlight<K, T> {
    /// Joins the flight of a key, or starts one.
    pub fn join(&self, key: &K) -> Joined<T> {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.running.get(key) {
            return Joined::Follower(Arc::clone(flight));
        }
        if let Some(closed) = &flights.closed {
            let ended = Flight::new(Progress::Ended(Err(closed.clone())));
            return Joined::Follower(Arc::new(ended));
        }
        let flight = Arc::new(Flight::new(Progress::Running));
        flights.running.insert(key.clone(), Arc::clone(&flight));
        Joined::Leader(flight)
    }

    /// Ends the waits of all callers with this error, and those of later callers. The flights go on.
    pub fn close(&self, error: &Error) {
        let running: Vec<_> = {
            let mut flights = self.0.lock();
            flights.closed = Some(error.clone());
            flights.running.values().cloned().collect()
        };
        running
            .iter()
            .for_each(|flight| flight.end(Err(error.clone())));
    }

    /// Runs the work of a flight and gives every waiting caller its outcome, even if the work
    /// panics.
    pub fn run(&self, key: &K, flight: &Flight<T>, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()));
        self.0.lock().running.remove(key);
        flight.end(outcome.clone());
        outcome
    }

    /// Returns the number of running flights.
    pub fn count(&self) -> usize {
        self.0.lock().running.len()
    }
}

impl<T> Flight<T> {
    fn new(progress: Progress<T>) -> Self {
        Self {
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        }
    }

    fn end(&self, outcome: Result<T>) {
        *self.progress.lock() = Progress::Ended(outcome);
        self.changed.notify_all();
    }

    /// Offers a result to the callers. A caller takes it at `from`, or at its own deadline if that
    /// is earlier, unless the flight ends before.
    pub fn offer(&self, result: T, from: Instant) {
        let mut progress = self.progress.lock();
        if !matches!(*progress, Progress::Ended(_)) {
            *progress = Progress::Offered { result, from };
        }
        drop(progress);
        self.changed.notify_all();
    }
}

impl<T: Clone + Send + 'static> Flight<T> {
    /// Waits for the outcome of the flight, or for a result that it offers.
    ///
    /// # Errors
    /// Returns the error of the flight; [`ErrorKind::Timeout`] at the deadline;
    /// [`ErrorKind::Cancelled`] if the caller cancels.
    pub fn wait(self: &Arc<Self>, deadline: Instant, cancel: &Cancel) -> Result<T> {
        let waker = Arc::clone(self) as Arc<dyn Wake>;
        cancel.while_waiting(waker, || {
            let mut progress = self.progress.lock();
            loop {
                let (now, mut until) = (Instant::now(), deadline);
                if let Progress::Ended(outcome) = &*progress {
                    return outcome.clone();
                }
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                if let Progress::Offered { result, from } = &*progress {
                    until = deadline.min(*from);
                    if now >= until {
                        return Ok(result.clone());
                    }
                }
                if now >= deadline {
                    return Err(timed_out());
                }
                self.changed.wait_until(&mut progress, until);
            }
        })
    }
}

impl<T: Send> Wake for Flight<T> {
    fn wake(&self) {
        // Take the lock, so that no waiting thread is between its check and its sleep. Such a
        // thread would miss the signal.
        let _progress = self.progress.lock();
        self.changed.notify_all();
    }
}

/// Builds the error for a request that was cancelled.
pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the request was cancelled")
}

/// Builds the error for a fetch that panicked.
pub fn panicked() -> Error {
    Error::new(
        ErrorKind::Panic,
        "cannot fetch the token: keyferry panicked; report this bug",
    )
}

fn timed_out() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "timed out waiting for a response; retry, or set a longer timeout",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn one_fetches_and_the_others_get_its_outcome() {
        let flights: Arc<SingleFlight<u8, u32>> = Arc::default();
        let Joined::Leader(flight) = flights.join(&1) else {
            panic!("the first leads")
        };
        let Joined::Follower(other) = flights.join(&1) else {
            panic!("the second follows")
        };
        let waiter = std::thread::spawn(move || other.wait(far(), &Cancel::default()));
        assert_eq!(flights.run(&1, &flight, || Ok(7)).ok(), Some(7));
        assert_eq!(waiter.join().ok().and_then(Result::ok), Some(7));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn an_offer_is_taken_from_its_time_on_or_at_the_deadline() {
        let flights: SingleFlight<u8, u32> = SingleFlight::default();
        let Joined::Leader(flight) = flights.join(&1) else {
            panic!("the first leads")
        };
        let wait = |deadline| {
            let outcome = flight.wait(deadline, &Cancel::default());
            outcome.map_err(|error| error.kind)
        };
        flight.offer(7, Instant::now() + Duration::from_millis(1));
        assert_eq!(wait(far()), Ok(7));
        flight.offer(8, far());
        assert_eq!(wait(Instant::now()), Ok(8), "at the deadline");
        flight.offer(9, far());
        assert_eq!(flights.run(&1, &flight, || Ok(10)).ok(), Some(10));
        assert_eq!(wait(Instant::now()), Ok(10), "the flight has ended");
    }

    #[test]
    fn a_panic_ends_the_flight() {
        let flights: SingleFlight<u8, u32> = SingleFlight::default();
        let Joined::Leader(flight) = flights.join(&1) else {
            panic!("the first leads")
        };
        assert_eq!(
            flights
                .run(&1, &flight, || panic!("broken"))
                .map_err(|error| error.kind),
            Err(ErrorKind::Panic)
        );
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn a_waiter_ends_at_its_deadline_and_when_it_is_cancelled() {
        let flights: SingleFlight<u8, u32> = SingleFlight::default();
        let Joined::Leader(flight) = flights.join(&1) else {
            panic!("the first leads")
        };
        assert_eq!(
            flight
                .wait(Instant::now(), &Cancel::default())
                .map_err(|error| error.kind),
            Err(ErrorKind::Timeout)
        );
        let cancel = Cancel::default();
        let (theirs, flying) = (cancel.clone(), Arc::clone(&flight));
        let waiter = std::thread::spawn(move || flying.wait(far(), &theirs));
        cancel.cancel();
        assert_eq!(
            waiter
                .join()
                .map(|outcome| outcome.map_err(|error| error.kind))
                .ok(),
            Some(Err(ErrorKind::Cancelled))
        );
    }
}
