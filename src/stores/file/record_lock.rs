//! The lock of a record during a flight, and what its holder may do with the record.

use std::sync::Arc;

use super::record_files::{Found, RecordFiles};
use crate::error::Result;
use crate::model::key::TokenKey;
use crate::ports::store::{Record, RecordLock, Saved};
use crate::secret::Secret;
use crate::sys::file_lock::HeldLock;

/// The lock of a record. If the store can't be written, it excludes nobody.
pub(super) struct FileRecordLock {
    store: Arc<RecordFiles>,
    key: TokenKey,
    /// The record when the lock was granted, without its renewal secret.
    base: Option<Record>,
    /// Whether that record had one.
    has_renewal: bool,
    /// Whether that record was in memory, because it could not be written.
    in_memory: bool,
    held: Option<HeldLock>,
    is_stored: bool,
}

impl FileRecordLock {
    /// Creates the lock of a record, with what was found when it was granted.
    pub(super) fn new(
        store: &Arc<RecordFiles>,
        key: &TokenKey,
        found: Option<Found>,
        held: Option<HeldLock>,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            key: key.clone(),
            has_renewal: found
                .as_ref()
                .is_some_and(|found| found.record.renewal.is_some()),
            in_memory: found.as_ref().is_some_and(|found| found.in_memory),
            base: found.map(|found| found.record.without_renewal()),
            held,
            is_stored: true,
        }
    }

    /// Creates the lock of a key of which the store keeps no records.
    pub(super) fn of_none(store: &Arc<RecordFiles>, key: &TokenKey) -> Self {
        Self {
            is_stored: false,
            ..Self::new(store, key, None, None)
        }
    }

    /// Returns whether a record is the one that was read when the lock was granted.
    fn is_base(&self, record: &Record) -> bool {
        self.base
            .as_ref()
            .is_some_and(|base| base.generation == record.generation)
    }

    /// Returns whether a record on disk was stored after the lock was granted. A record that could
    /// not be written replaces an older one on disk.
    fn is_later(&self, on_disk: &Record) -> bool {
        let is_older = |base: &Record| self.in_memory && on_disk.generation < base.generation;
        !self.is_base(on_disk) && !self.base.as_ref().is_some_and(is_older)
    }

    /// Replaces the renewal secret in memory, and returns the previous one.
    fn swap_in_memory(&self, renewal: Option<Secret>) -> Option<Secret> {
        let mut unwritten = self.store.unwritten.lock();
        let record = unwritten.get_mut(&self.key)?;
        self.is_base(record)
            .then(|| std::mem::replace(&mut record.renewal, renewal))?
    }
}

impl RecordLock for FileRecordLock {
    fn record(&self) -> Option<&Record> {
        self.base.as_ref()
    }

    fn still_held(&self) -> bool {
        self.held.as_ref().is_none_or(HeldLock::still_held)
    }

    fn take_renewal(&self) -> Option<Secret> {
        if !self.has_renewal {
            return None;
        }
        if self.in_memory {
            return self.swap_in_memory(None);
        }
        let mut taken = None;
        let outcome = self.store.change_file(&self.key, |present| {
            let mut present = present.filter(|present| self.is_base(present))?;
            taken = Some(present.renewal.take()?);
            Some(present)
        });
        // If the file could not be replaced, other processes still find the secret in it.
        outcome.map_err(|error| self.store.failed(&error)).ok()?;
        taken
    }

    fn return_renewal(&self, renewal: Secret) {
        if self.in_memory {
            self.swap_in_memory(Some(renewal));
            return;
        }
        let outcome = self.store.change_file(&self.key, |present| {
            Some(Record {
                renewal: Some(renewal),
                ..present.filter(|present| self.is_base(present))?
            })
        });
        if let Err(error) = outcome {
            self.store.failed(&error);
        }
    }

    fn save(&self, record: &Record) -> Result<Saved> {
        if !self.is_stored {
            return Ok(Saved::Kept);
        }
        Ok(self
            .store
            .save_unless(&self.key, record, |on_disk| self.is_later(on_disk)))
    }
}
