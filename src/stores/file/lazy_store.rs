//! A store that is opened at its first use: for reading alone, until something is to be written.

use std::sync::Arc;

use super::gc;
use super::location::Location;
use super::open_store::{OpenStore, open_for_reading, open_or_create};
use crate::error::Result;
use crate::sys::sync::Mutex;

/// A store that is opened at its first use.
pub(super) struct LazyStore {
    location: Result<Location>,
    open: Mutex<Option<Arc<OpenStore>>>,
}

impl LazyStore {
    /// The store at a location. Nothing is opened yet.
    pub(super) fn new(location: Result<Location>) -> Self {
        Self {
            location,
            open: Mutex::default(),
        }
    }

    /// The location of the store.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the environment doesn't name the user's directories.
    pub(super) fn location(&self) -> Result<&Location> {
        self.location.as_ref().map_err(Clone::clone)
    }

    /// The store as it is on disk. `None` if it does not exist.
    ///
    /// # Errors
    /// Those of [`open_for_reading`].
    pub(super) fn for_reading(&self) -> Result<Option<Arc<OpenStore>>> {
        let mut open = self.open.lock();
        if open.is_none() {
            *open = open_for_reading(self.location()?)?.map(Arc::new);
        }
        Ok(open.clone())
    }

    /// The store with all files and directories that a write needs.
    ///
    /// # Errors
    /// Those of [`open_or_create`].
    pub(super) fn for_writing(&self) -> Result<Arc<OpenStore>> {
        let mut open = self.open.lock();
        if let Some(store) = open.as_ref()
            && store.is_writable
            // Somebody may have removed the directory.
            && store.dir.facts().is_ok_and(|facts| facts.link_count() > 0)
        {
            return Ok(Arc::clone(store));
        }
        *open = None;
        let store = Arc::new(open_or_create(self.location()?)?);
        gc::remove_leftovers(&store);
        *open = Some(Arc::clone(&store));
        Ok(store)
    }

    /// Closes the store. The next use opens it again.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }
}
