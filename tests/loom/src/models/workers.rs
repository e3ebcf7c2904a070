//! Models of the worker threads. This file is a child module of each copy of
//! `src/engine/workers.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicU32, Ordering};

use super::Workers;
use crate::sys::sync::{Condvar, Mutex};

/// A deadline that no run reaches: loom's waits never time out.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Two pieces of work, one after the other. Both run although no one closes the workers meanwhile.
/// The second may meet an idle thread, a thread whose rest ends, or none.
pub(crate) fn work_runs_without_a_close() {
    let workers: Arc<Workers> = Arc::default();
    let done = Arc::new((Mutex::new(0), Condvar::new()));
    for number in 1..3 {
        let theirs = Arc::clone(&done);
        workers.run(move || {
            *theirs.0.lock() += 1;
            theirs.1.notify_all();
        });
        let mut count = done.0.lock();
        while *count < number {
            done.1.wait(&mut count);
        }
    }
    workers.close(far());
}

/// Two pieces of work at once, and a close. The close waits for both, and for the idle threads.
pub(crate) fn a_close_waits_for_work_and_wakes_idle_threads() {
    let workers: Arc<Workers> = Arc::default();
    let done = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let done = Arc::clone(&done);
        workers.run(move || {
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    workers.close(far());
    assert_eq!(done.load(Ordering::SeqCst), 2, "the close did not wait");
    assert_eq!(workers.state.lock().threads, 0, "a thread was left over");
}
