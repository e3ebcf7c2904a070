//! Locks that a forked child can use: the standard library's, without their poison.
//!
//! Rationale: `parking_lot` keeps one table of all parked threads of the process. A child inherits it with entries that point into
//! the stacks of threads that are gone there, and with buckets that may be locked for ever: a child's first wait crashed or hung.
//! The standard library's locks wait on a futex and keep no such table. What panicked under a lock left it consistent: all
//! that happens under them is a look-up or an insertion.

use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};
use std::time::Instant;

/// A mutual exclusion.
#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// Access to what a [`Mutex`] holds, until it is dropped.
pub struct Guard<'a, T>(Option<sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// Around this value.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for access.
    pub fn lock(&self) -> Guard<'_, T> {
        Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

const HELD: &str = "only a wait takes the guard out, and puts it back";

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

/// Wakes those who wait under a [`Mutex`].
#[derive(Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// Nobody waits yet.
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits for a wake, which may come for nothing.
    pub fn wait<T>(&self, guard: &mut Guard<'_, T>) {
        let cached = guard.0.take().expect(HELD);
        guard.0 = Some(self.0.wait(cached).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for a wake, which may come for nothing, at most until the deadline. Whether that is over.
    pub fn wait_until<T>(&self, guard: &mut Guard<'_, T>, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let cached = guard.0.take().expect(HELD);
        let (cached, _) = self.0.wait_timeout(cached, left).unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(cached);
        Instant::now() >= deadline
    }
}

/// Many readers or one writer.
#[derive(Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// Around this value.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits for reading.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reading, if nobody writes now.
    pub fn try_read(&self) -> Option<sync::RwLockReadGuard<'_, T>> {
        self.0.try_read().ok()
    }

    /// Waits for writing.
    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
