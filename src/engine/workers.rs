//! The threads that run flights.
//!
//! Each flight runs at once: if no thread is idle, a new one is started. Each flight either has a
//! caller that waits for it, or is one of at most 4 background refreshes. The number of threads is
//! therefore bounded.
//!
//! After a flight, its thread waits for the next one, at most 1 second. Rationale: starting and
//! ending a thread took a third of the time of a fetch from a service on the same machine.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::sys::sync::{Condvar, Mutex};
use crate::sys::{fork, signals};

/// The maximum number of idle threads. Threads that run a flight are not limited.
const MAX_IDLE: usize = 4;
/// The longest time that a thread is idle.
const MAX_REST: Duration = Duration::from_secs(1);
const STACK_BYTES: usize = 512 * 1024;

type Work = Box<dyn FnOnce() + Send>;

/// The worker threads.
pub struct Workers {
    state: Mutex<State>,
    /// Wakes an idle thread.
    woken: Condvar,
    /// Wakes [`Workers::close`] when no thread is left.
    ended: Condvar,
    max_rest: Duration,
    /// The fork generation of the process that has the threads.
    fork_generation: u32,
}

#[derive(Default)]
struct State {
    /// The work that no thread has taken yet. Never more than `free`.
    queue: VecDeque<Work>,
    /// The number of threads, with callers that run work because no thread could be started.
    threads: usize,
    /// The number of threads that look for work: those that are idle, and those that are starting.
    free: usize,
    is_closed: bool,
}

impl Default for Workers {
    fn default() -> Self {
        fork::watch();
        Self {
            state: Mutex::default(),
            woken: Condvar::new(),
            ended: Condvar::new(),
            max_rest: MAX_REST,
            fork_generation: fork::generation(),
        }
    }
}

impl Workers {
    /// Runs `work` on an idle thread, or on a new one. Runs it on the calling thread if no thread
    /// can be started, and in a forked child, which has none of these threads.
    pub fn run(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        if self.is_inherited() {
            return work();
        }
        let work = Box::new(work);
        let mut state = self.state.lock();
        state.queue.push_back(work);
        if state.queue.len() <= state.free {
            drop(state);
            self.woken.notify_one();
            return;
        }
        state.free += 1;
        state.threads += 1;
        drop(state);
        let workers = Arc::clone(self);
        let started = Builder::new()
            .name("keyferry".into())
            .stack_size(STACK_BYTES)
            .spawn(move || workers.run_all());
        if started.is_err() {
            self.run_in_place_of_thread();
        }
    }

    /// Ends the idle threads, and waits until no thread is left, at most until the deadline.
    pub fn close(&self, deadline: Instant) {
        if self.is_inherited() {
            return;
        }
        let mut state = self.state.lock();
        state.is_closed = true;
        self.woken.notify_all();
        while state.threads > 0 {
            if self.ended.wait_until(&mut state, deadline) {
                return;
            }
        }
    }

    /// Returns whether this is a forked child. A child must not wait for the lock or for a thread.
    fn is_inherited(&self) -> bool {
        fork::generation() != self.fork_generation
    }

    /// Runs work until there is none.
    fn run_all(&self) {
        while let Some(work) = self.wait_for_work() {
            // Again for each work, because the work before may have changed the signal mask: a
            // plugin runs on this thread.
            signals::block_sigpipe();
            run_caught(work);
            self.state.lock().free += 1;
        }
    }

    /// Takes work from the queue. Returns `None` if the thread must end: there was no work for
    /// `max_rest`, enough other threads are idle, or the session is closed.
    fn wait_for_work(&self) -> Option<Work> {
        let until = Instant::now() + self.max_rest;
        let mut has_rested = false;
        let mut state = self.state.lock();
        loop {
            // First of all, even after the rest: the queue may hold work for this thread.
            if let Some(work) = state.queue.pop_front() {
                state.free -= 1;
                return Some(work);
            }
            if has_rested || state.is_closed || state.free > MAX_IDLE {
                state.free -= 1;
                self.end_thread(&mut state);
                return None;
            }
            has_rested = self.woken.wait_until(&mut state, until);
        }
    }

    /// Runs one work on the calling thread, after a thread could not be started.
    fn run_in_place_of_thread(&self) {
        let work = {
            let mut state = self.state.lock();
            state.free -= 1;
            // Another thread may have taken it.
            state.queue.pop_front()
        };
        work.into_iter().for_each(run_caught);
        self.end_thread(&mut self.state.lock());
    }

    fn end_thread(&self, state: &mut State) {
        state.threads -= 1;
        if state.threads == 0 {
            self.ended.notify_all();
        }
    }
}

/// Runs work, and goes on if it panics. Flights report their own panics.
fn run_caught(work: Work) {
    drop(catch_unwind(AssertUnwindSafe(work)));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread::{self, ThreadId};

    use super::*;

    /// A rest that no test waits for.
    const LONG: Duration = Duration::from_secs(3600);

    fn workers(max_rest: Duration) -> Arc<Workers> {
        Arc::new(Workers {
            max_rest,
            ..Workers::default()
        })
    }

    fn counts(workers: &Workers) -> (usize, usize) {
        let state = workers.state.lock();
        (state.threads, state.free)
    }

    /// Waits until there are as many threads, all of them idle.
    fn wait_for_idle(workers: &Workers, threads: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while counts(workers) != (threads, threads) {
            assert!(Instant::now() < deadline, "{:?}", counts(workers));
            thread::yield_now();
        }
    }

    /// Runs work that returns the ID of its thread.
    fn thread_of_work(workers: &Arc<Workers>) -> Option<ThreadId> {
        let (sender, receiver) = channel();
        workers.run(move || sender.send(thread::current().id()).unwrap());
        receiver.recv().ok()
    }

    fn close(workers: &Workers) {
        workers.close(Instant::now() + Duration::from_secs(60));
        assert_eq!(counts(workers), (0, 0));
    }

    #[test]
    fn an_idle_thread_gets_the_next_work() {
        let workers = workers(LONG);
        assert_eq!(counts(&workers), (0, 0));
        let first = thread_of_work(&workers);
        assert!(first.is_some() && first != Some(thread::current().id()));
        for _ in 0..100 {
            wait_for_idle(&workers, 1);
            assert_eq!(thread_of_work(&workers), first);
        }
        close(&workers);
        let last = thread_of_work(&workers);
        assert!(last.is_some() && last != first);
        close(&workers);
    }

    #[test]
    fn work_never_waits_for_other_work_and_few_threads_stay() {
        let workers = workers(LONG);
        for _ in 0..3 {
            let all = Arc::new(Barrier::new(MAX_IDLE + 9));
            for _ in 0..MAX_IDLE + 8 {
                let all = Arc::clone(&all);
                workers.run(move || {
                    all.wait();
                });
            }
            all.wait();
            wait_for_idle(&workers, MAX_IDLE);
        }
        close(&workers);
    }

    #[test]
    fn a_thread_ends_after_its_rest() {
        let workers = workers(Duration::from_millis(1));
        assert!(thread_of_work(&workers).is_some());
        wait_for_idle(&workers, 0);
        assert_eq!(Arc::strong_count(&workers), 1);
    }

    #[test]
    fn no_work_is_lost_when_rests_end() {
        let (workers, done) = (workers(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2000 {
            let done = Arc::clone(&done);
            workers.run(move || {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        close(&workers);
        assert_eq!(done.load(Ordering::Relaxed), 2000);
    }

    #[test]
    fn a_panic_ends_neither_the_thread_nor_the_count() {
        let workers = workers(LONG);
        let first = thread_of_work(&workers);
        wait_for_idle(&workers, 1);
        workers.run(|| panic!("broken"));
        wait_for_idle(&workers, 1);
        assert_eq!(thread_of_work(&workers), first);
        close(&workers);
    }

    #[test]
    fn close_waits_for_work_until_the_deadline() {
        let (workers, (end, ended)) = (workers(LONG), channel::<()>());
        workers.run(move || while ended.recv().is_ok() {});
        workers.close(Instant::now() + Duration::from_millis(1));
        assert_eq!(counts(&workers).0, 1);
        drop(end);
        close(&workers);
    }

    #[test]
    fn a_forked_child_waits_for_no_thread_of_its_parent() {
        let child = Arc::new(Workers {
            fork_generation: fork::generation().wrapping_sub(1),
            ..Workers::default()
        });
        // The lock is held, as if a thread of the parent had held it during the fork.
        let state = child.state.lock();
        assert_eq!(thread_of_work(&child), Some(thread::current().id()));
        child.close(Instant::now() + LONG);
        assert_eq!(state.threads, 0);
    }
}
