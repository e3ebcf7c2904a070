//! Models of single flight. This file is a child module of each copy of
//! `src/engine/single_flight.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;

use super::{Joined, SingleFlight};
use crate::error::{ErrorKind, Result};
use crate::model::request::Cancel;

/// A deadline that no run reaches: loom's waits never time out.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Joins the flight, and runs it or waits for it.
fn get(flights: &SingleFlight<u8, u32>, work: impl FnOnce() -> u32) -> Result<u32> {
    match flights.join(&1) {
        Joined::Leader(flight) => flights.run(&1, &flight, || Ok(work())),
        Joined::Follower(flight) => flight.wait(far(), &Cancel::default()),
    }
}

/// Three callers of one key: at most one of them fetches at a time, all get a result, and each waits
/// for no more than one fetch.
pub(crate) fn one_caller_fetches_at_a_time() {
    let flights: Arc<SingleFlight<u8, u32>> = Arc::default();
    let shared = Arc::new((AtomicBool::new(false), AtomicU32::new(0)));
    let call = {
        let (flights, shared) = (Arc::clone(&flights), Arc::clone(&shared));
        move || {
            let (is_fetching, fetches) = &*shared;
            let result = get(&flights, || {
                assert!(
                    !is_fetching.swap(true, Ordering::SeqCst),
                    "two fetches at once"
                );
                let number = fetches.fetch_add(1, Ordering::SeqCst);
                is_fetching.store(false, Ordering::SeqCst);
                number
            });
            assert!(result.is_ok_and(|number| number < 3));
        }
    };
    let others = [thread::spawn(call.clone()), thread::spawn(call.clone())];
    call();
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(flights.count(), 0, "a flight was left over");
}

/// A caller waits for a flight that does not end. A cancellation must wake it.
pub(crate) fn a_cancelled_wait_ends() {
    let flights: SingleFlight<u8, u32> = SingleFlight::default();
    let (Joined::Leader(_leader), Joined::Follower(flight)) = (flights.join(&1), flights.join(&1))
    else {
        panic!("the first leads, and the second follows")
    };
    let cancel = Cancel::default();
    let waiter = {
        let cancel = cancel.clone();
        thread::spawn(move || flight.wait(far(), &cancel).map_err(|error| error.kind))
    };
    cancel.cancel();
    assert_eq!(waiter.join().unwrap(), Err(ErrorKind::Cancelled));
}

/// A caller waits for a flight that offers a result and does not end. The offer must wake it.
pub(crate) fn an_offer_is_taken() {
    let flights: SingleFlight<u8, u32> = SingleFlight::default();
    let (Joined::Leader(leader), Joined::Follower(flight)) = (flights.join(&1), flights.join(&1))
    else {
        panic!("the first leads, and the second follows")
    };
    let waiter = thread::spawn(move || flight.wait(far(), &Cancel::default()).ok());
    leader.offer(7, Instant::now());
    assert_eq!(waiter.join().unwrap(), Some(7));
}
