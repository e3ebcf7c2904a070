//! How long a store may wait for locks that processes hold only briefly, such as the lock for
//! writing a file: 500 ms in one call of the library, or less if the caller's deadline is nearer.
//!
//! Rationale: a process that was stopped while it held such a lock made every call of every other
//! process wait, several times in a row. What cannot be locked in time stays in memory.
//!
//! The budget belongs to the thread and is not a parameter. One call reaches these locks through each
//! method of the store's port, and a store that has no locks would have to pass the parameter on too.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// The longest time that one call waits for such locks.
pub const MAX_WAIT: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
struct Budget {
    left: Duration,
    deadline: Option<Instant>,
}

thread_local! {
    static BUDGET: Cell<Option<Budget>> = const { Cell::new(None) };
}

/// The budget of the call that runs on this thread. It ends when this value is dropped.
pub struct WaitBudget {
    is_outermost: bool,
    /// A budget must end on its own thread.
    not_send: PhantomData<*const ()>,
}

impl WaitBudget {
    /// Begins a call on this thread. A call within another one shares its budget and its deadline.
    pub fn begin(deadline: Option<Instant>) -> Self {
        Self::of(MAX_WAIT, deadline)
    }

    /// Begins a call that may wait this long, such as one in a test whose processes compete for the
    /// same locks all the time.
    pub fn of(left: Duration, deadline: Option<Instant>) -> Self {
        let is_outermost = BUDGET.get().is_none();
        if is_outermost {
            BUDGET.set(Some(Budget { left, deadline }));
        }
        Self {
            is_outermost,
            not_send: PhantomData,
        }
    }
}

impl Drop for WaitBudget {
    fn drop(&mut self) {
        if self.is_outermost {
            BUDGET.set(None);
        }
    }
}

/// Waits for a lock. `wait` gets the time at which it must end. Its duration is spent.
pub fn spend<T>(wait: impl FnOnce(Instant) -> T) -> T {
    let began = Instant::now();
    let Some(budget) = BUDGET.get() else {
        return wait(began + MAX_WAIT);
    };
    let until = began + budget.left;
    let outcome = wait(
        budget
            .deadline
            .map_or(until, |deadline| until.min(deadline)),
    );
    BUDGET.set(Some(Budget {
        left: budget.left.saturating_sub(began.elapsed()),
        ..budget
    }));
    outcome
}

/// Returns the deadline of the call that runs on this thread, if it has one.
pub fn deadline() -> Option<Instant> {
    BUDGET.get()?.deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_waits_of_a_call_share_one_budget_and_a_new_call_has_its_own() {
        let left = || spend(|until| until.saturating_duration_since(Instant::now()));
        {
            let _call = WaitBudget::begin(None);
            spend(|_| std::thread::sleep(Duration::from_millis(200)));
            let _within = WaitBudget::begin(None);
            assert!(left() <= Duration::from_millis(300));
            spend(|_| std::thread::sleep(Duration::from_millis(350)));
            assert_eq!(left(), Duration::ZERO);
        }
        assert!(left() > Duration::from_millis(400));
    }

    #[test]
    fn a_nearer_deadline_limits_the_wait() {
        let soon = Instant::now() + Duration::from_millis(20);
        let _call = WaitBudget::begin(Some(soon));
        assert_eq!(spend(|until| until), soon);
    }
}
