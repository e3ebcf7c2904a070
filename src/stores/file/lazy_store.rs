//! Opens a store on its first use. The store is opened for reading only, until the first write.
//!
//! One thread opens the store for writing, which may wait for a file lock. It holds no mutex
//! meanwhile, so that readers go on. If the store can't be opened, it stays closed for 5 s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gc;
use super::location::Location;
use super::open_store::{OpenStore, open_for_reading, open_or_create};
use super::private_dir;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::wait_budget;
use crate::sys::fork;
use crate::sys::sync::{Condvar, Mutex};

/// How long a store that can't be opened for writing is not tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How often a thread looks whether another one has opened the store, if nothing wakes it.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A store that is opened on its first use.
pub(super) struct LazyStore {
    location: Result<Location>,
    open: Mutex<Option<Arc<OpenStore>>>,
    opening: Mutex<Opening>,
    opened: Condvar,
}

/// Whether the store is being opened for writing.
#[derive(Default)]
struct Opening {
    /// The fork generation of the process in which a thread opens the store. That thread does not
    /// exist in a child.
    by_process: Option<u32>,
    has_waiters: bool,
    /// When the store could not be opened, and why.
    failed: Option<(Instant, Error)>,
}

/// The right to open the store for writing. It ends when this value is dropped.
struct OpeningTurn<'a>(&'a LazyStore);

impl Drop for OpeningTurn<'_> {
    fn drop(&mut self) {
        let mut opening = self.0.opening.lock();
        opening.by_process = None;
        if opening.has_waiters {
            opening.has_waiters = false;
            self.0.opened.notify_all();
        }
    }
}

impl LazyStore {
    /// Creates the store at a location. No file is opened yet.
    pub(super) fn new(location: Result<Location>) -> Self {
        fork::watch();
        Self {
            location,
            open: Mutex::default(),
            opening: Mutex::default(),
            opened: Condvar::new(),
        }
    }

    /// Returns the location of the store.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the environment doesn't name the user's directories.
    pub(super) fn location(&self) -> Result<&Location> {
        self.location.as_ref().map_err(Clone::clone)
    }

    /// Returns the store, opened for reading. `None` if it does not exist on disk.
    ///
    /// # Errors
    /// Returns the errors of [`open_for_reading`].
    pub(super) fn for_reading(&self) -> Result<Option<Arc<OpenStore>>> {
        if let Some(store) = &*self.open.lock() {
            return Ok(Some(Arc::clone(store)));
        }
        // This may read the keyring, so it holds no mutex.
        let opened = open_for_reading(self.location()?)?.map(Arc::new);
        let mut open = self.open.lock();
        if open.is_none() {
            *open = opened;
        }
        Ok(open.clone())
    }

    /// Returns the store as [`LazyStore::for_reading`] does, for changing files that exist.
    ///
    /// # Errors
    /// Returns the errors of [`open_for_reading`] and [`private_dir::check_parents`].
    pub(super) fn for_changing(&self) -> Result<Option<Arc<OpenStore>>> {
        let store = self.for_reading()?;
        if store.as_ref().is_some_and(|store| !store.is_writable) {
            let location = self.location()?;
            private_dir::check_parents(&location.dir, location.home.as_deref())?;
        }
        Ok(store)
    }

    /// Returns the store, opened for writing. Creates missing files and directories.
    ///
    /// # Errors
    /// Returns the errors of [`open_or_create`], also for 5 s after one of them occurred;
    /// [`ErrorKind::Store`] if another thread opens the store until the caller's deadline.
    pub(super) fn for_writing(&self) -> Result<Arc<OpenStore>> {
        if let Some(store) = self.open_for_writing() {
            return Ok(store);
        }
        let _turn = self.wait_for_turn()?;
        // Another thread may have opened it meanwhile.
        if let Some(store) = self.open_for_writing() {
            return Ok(store);
        }
        let outcome = self.location().and_then(open_or_create).map(Arc::new);
        match &outcome {
            Ok(store) => {
                gc::remove_leftovers(store);
                *self.open.lock() = Some(Arc::clone(store));
            }
            // If the caller had no time to wait for a lock, others may have more.
            Err(_) if wait_budget::deadline().is_some_and(|at| Instant::now() >= at) => {}
            Err(error) => self.opening.lock().failed = Some((Instant::now(), error.clone())),
        }
        outcome
    }

    /// Returns the store if it is open for writing. Closes it if another program has removed its
    /// directory.
    fn open_for_writing(&self) -> Option<Arc<OpenStore>> {
        let mut open = self.open.lock();
        let store = open.as_ref()?;
        let exists = store.dir.facts().is_ok_and(|facts| facts.link_count() > 0);
        if !exists {
            *open = None;
            return None;
        }
        store.is_writable.then(|| Arc::clone(store))
    }

    /// Waits while another thread opens the store, at most until the caller's deadline.
    fn wait_for_turn(&self) -> Result<OpeningTurn<'_>> {
        let process = fork::generation();
        let mut opening = self.opening.lock();
        while opening.by_process == Some(process) {
            let now = Instant::now();
            let deadline = wait_budget::deadline();
            if deadline.is_some_and(|at| now >= at) {
                return Err(Error::new(
                    ErrorKind::Store,
                    "timed out waiting for another thread to open the store; retry",
                ));
            }
            opening.has_waiters = true;
            let check_at = now + CHECK_INTERVAL;
            self.opened.wait_until(
                &mut opening,
                deadline.map_or(check_at, |at| at.min(check_at)),
            );
        }
        if let Some((at, error)) = &opening.failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err(error.clone());
        }
        opening.failed = None;
        opening.by_process = Some(process);
        Ok(OpeningTurn(self))
    }

    /// Closes the store. The next use opens it again.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }

    /// Closes the store. The next use opens it again, even if it could not be opened just now.
    pub(super) fn reset(&self) {
        self.close();
        self.opening.lock().failed = None;
    }
}
