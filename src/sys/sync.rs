//! Locks that a forked child can use: the standard library's, without poisoning.
//!
//! Rationale: `parking_lot` keeps one table of all parked threads of the process. A child inherits
//! it with entries that point into the stacks of threads that are gone there, and with buckets that
//! may be locked for ever: a child's first wait crashed or hung. The standard library's locks wait
//! on a futex and keep no such table. What panicked under a lock left it consistent: all that
//! happens under them is a look-up or an insertion.

use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};
use std::time::Instant;

/// A mutex.
#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// Access to the value of a [`Mutex`], until this is dropped.
pub struct Guard<'a, T>(Option<sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for exclusive access.
    pub fn lock(&self) -> Guard<'_, T> {
        Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

const GUARD_PRESENT: &str = "only a wait takes the guard out, and puts it back";

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect(GUARD_PRESENT)
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(GUARD_PRESENT)
    }
}

/// A condition variable for a [`Mutex`].
#[derive(Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// A condition variable that no thread waits for.
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Wakes all waiting threads.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be woken, which may happen without a reason.
    pub fn wait<T>(&self, guard: &mut Guard<'_, T>) {
        let inner = guard.0.take().expect(GUARD_PRESENT);
        guard.0 = Some(self.0.wait(inner).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits to be woken, which may happen without a reason, at most until the deadline. Gives
    /// whether the deadline has passed.
    pub fn wait_until<T>(&self, guard: &mut Guard<'_, T>, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let inner = guard.0.take().expect(GUARD_PRESENT);
        let (inner, _) = self
            .0
            .wait_timeout(inner, left)
            .unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(inner);
        Instant::now() >= deadline
    }
}

/// A lock for many readers or one writer.
#[derive(Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits for shared access.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shared access, if no writer has the lock.
    pub fn try_read(&self) -> Option<sync::RwLockReadGuard<'_, T>> {
        self.0.try_read().ok()
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
