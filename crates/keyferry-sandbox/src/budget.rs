//! The limit on the bytes that the sandbox keeps in memory, and the bytes that are in use.
//!
//! A [`Reservation`] belongs to the bytes that it stands for. When they are dropped, it returns
//! them to the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The default limit: 1 GiB.
const DEFAULT_LIMIT_BYTES: u64 = 1 << 30;

/// The limit and the number of bytes in use. The server's thread and the test's thread share it.
pub(crate) struct Budget {
    limit_bytes: AtomicU64,
    used_bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new() -> Arc<Budget> {
        Arc::new(Budget {
            limit_bytes: AtomicU64::new(DEFAULT_LIMIT_BYTES),
            used_bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::SeqCst)
    }

    /// Sets the limit. Bytes above a lower limit stay until they are dropped.
    pub(crate) fn set_limit_bytes(&self, limit_bytes: u64) {
        self.limit_bytes.store(limit_bytes, Ordering::SeqCst);
    }

    pub(crate) fn reset_limit(&self) {
        self.set_limit_bytes(DEFAULT_LIMIT_BYTES);
    }

    /// Returns the number of bytes that can still be reserved.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.limit_bytes().saturating_sub(self.used_bytes())
    }
}

/// Bytes of the budget that are in use until this is dropped.
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn empty(budget: &Arc<Budget>) -> Reservation {
        Reservation {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Reserves `bytes` more. Returns `false`, and reserves nothing, if they exceed the limit.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let Ok(bytes) = u64::try_from(bytes) else {
            return false;
        };
        let limit_bytes = self.budget.limit_bytes();
        let grown = self
            .budget
            .used_bytes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used_bytes| {
                used_bytes
                    .checked_add(bytes)
                    .filter(|total| *total <= limit_bytes)
            })
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Returns all bytes to the budget.
    pub(crate) fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.used_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_bytes_return_to_the_budget() {
        let budget = Budget::new();
        budget.set_limit_bytes(10);
        let mut first = Reservation::empty(&budget);
        let mut second = Reservation::empty(&budget);
        assert!(first.grow(6) && first.grow(1));
        assert!(!second.grow(4) && second.grow(3));
        assert_eq!((budget.used_bytes(), budget.free_bytes()), (10, 0));
        first.release();
        drop(first);
        assert_eq!(budget.used_bytes(), 3);
        assert!(second.grow(7) && !second.grow(1) && !second.grow(usize::MAX));
        budget.set_limit_bytes(2);
        assert_eq!(budget.free_bytes(), 0);
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
    }
}
