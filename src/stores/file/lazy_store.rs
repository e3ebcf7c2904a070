//! Opens a store on its first use. The store is opened for reading only, until the first write.

use std::sync::Arc;

use super::gc;
use super::location::Location;
use super::open_store::{OpenStore, open_for_reading, open_or_create};
use super::private_dir;
use crate::error::Result;
use crate::sys::sync::Mutex;

/// A store that is opened on its first use.
pub(super) struct LazyStore {
    location: Result<Location>,
    open: Mutex<Option<Arc<OpenStore>>>,
}

impl LazyStore {
    /// Creates the store at a location. No file is opened yet.
    pub(super) fn new(location: Result<Location>) -> Self {
        Self {
            location,
            open: Mutex::default(),
        }
    }

    /// Returns the location of the store.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the environment doesn't name the user's directories.
    pub(super) fn location(&self) -> Result<&Location> {
        self.location.as_ref().map_err(Clone::clone)
    }

    /// Returns the store, opened for reading. `None` if it does not exist on disk.
    ///
    /// # Errors
    /// Returns the errors of [`open_for_reading`].
    pub(super) fn for_reading(&self) -> Result<Option<Arc<OpenStore>>> {
        let mut open = self.open.lock();
        if open.is_none() {
            *open = open_for_reading(self.location()?)?.map(Arc::new);
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
    /// Returns the errors of [`open_or_create`].
    pub(super) fn for_writing(&self) -> Result<Arc<OpenStore>> {
        let mut open = self.open.lock();
        if let Some(store) = open.as_ref()
            && store.is_writable
            // Another program may have removed the directory.
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
