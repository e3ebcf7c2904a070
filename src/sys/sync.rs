//! Locks that a forked child can use: wrappers around the standard library's locks, without
//! poisoning.
//!
//! Rationale: `parking_lot` keeps one table of all waiting threads in the process. A forked child
//! inherits this table. Its entries point to the stacks of threads that do not exist in the child,
//! and its buckets may stay locked forever. The first wait in a child crashed or hung. The standard
//! library's locks wait on a futex and have no such table.
//!
//! Poisoning is not needed: code under these locks only looks up or inserts values, so a panic
//! leaves the data consistent.

use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};
use std::time::Instant;

/// A mutex.
#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// Exclusive access to the value of a [`Mutex`]. Dropping the guard releases the mutex.
pub struct Guard<'a, T>(Option<sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// Creates a lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for exclusive access.
    pub fn lock(&self) -> Guard<'_, T> {
        Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Returns exclusive access if it is available without waiting.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.0.try_lock().ok().map(|guard| Guard(Some(guard)))
    }
}

const GUARD_PRESENT: &str = "the guard is only missing during a wait";

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
    /// Creates a condition variable.
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Wakes one waiting thread.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiting threads.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be woken. Wakeups may be spurious.
    pub fn wait<T>(&self, guard: &mut Guard<'_, T>) {
        let inner = guard.0.take().expect(GUARD_PRESENT);
        guard.0 = Some(self.0.wait(inner).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits to be woken, at most until the deadline. Wakeups may be spurious. Returns whether the
    /// deadline has passed.
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
    /// Creates a lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits for shared access.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns shared access if it is available without waiting.
    pub fn try_read(&self) -> Option<sync::RwLockReadGuard<'_, T>> {
        self.0.try_read().ok()
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
