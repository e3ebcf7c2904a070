//! The files of records, and the records in memory that could not be written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lazy_store::LazyStore;
use super::location::Location;
use super::open_store::OpenStore;
use super::sealed_file::{Durability, NewContent, ReadOutcome, RecordName};
use super::{codec, gc, lock, lock::LockAttempt};
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::model::key::TokenKey;
use crate::ports::store::{Record, Saved};
use crate::sys::file_lock::{Holder, LockId};
use crate::sys::sync::Mutex;

/// A record that was read, with its renewal secret.
pub(super) struct Found {
    pub(super) record: Record,
    /// Whether the record is in memory, because it could not be written.
    pub(super) in_memory: bool,
}

/// The way in which a look-up treats the file of a damaged record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It renames the file, so that the next look-up does not find it.
    Quarantined,
    /// It leaves the file alone. Another program then finds the damage and says so.
    LeftAlone,
}

/// The files of records, and the records that could not be written. The store and its locks share
/// this value.
pub(super) struct RecordFiles {
    pub(super) store: LazyStore,
    /// The way in which a look-up treats a damaged record.
    pub(super) damage: Damage,
    /// Records that could not be written, or that replace a file which could not be removed. Each
    /// overrides its file until the file has a later generation.
    pub(super) unwritten: Mutex<HashMap<TokenKey, Record>>,
    /// Whether a warning was logged since the last successful write.
    warned: AtomicBool,
}

impl RecordFiles {
    /// Creates the files of a store at a location. No file is opened yet.
    pub(super) fn new(location: Result<Location>) -> Self {
        Self {
            store: LazyStore::new(location),
            damage: Damage::Quarantined,
            unwritten: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Logs an error, unless one was logged since the last successful write.
    pub(super) fn warn(&self, error: &Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            log::write(
                Level::Warn,
                format_args!("cannot use the store, so tokens stay in memory only: {error}"),
            );
        }
    }

    pub(super) fn reset_warning(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    fn load_file(&self, key: &TokenKey) -> Result<Option<Record>> {
        let Some(store) = self.store.for_reading()? else {
            return Ok(None);
        };
        let name = RecordName::for_record(&store.keys, key);
        let found = match store.read(&name)? {
            ReadOutcome::Missing | ReadOutcome::Incomplete => None,
            ReadOutcome::Intact(plaintext) => codec::decode_record(&plaintext)
                .filter(|(stored_key, _)| stored_key == key)
                .map(|(_, record)| record),
            ReadOutcome::Damaged(why) => {
                log::write(
                    Level::Warn,
                    format_args!(
                        "the stored {key} {why}; keyferry renames the file and fetches a new token"
                    ),
                );
                if self.damage == Damage::Quarantined && self.store.for_changing().is_ok() {
                    store.quarantine(&name);
                }
                None
            }
            ReadOutcome::Foreign(why) => {
                self.warn(&store.foreign_error(&name, why));
                None
            }
        };
        Ok(found)
    }

    /// Returns the stored record, or the one in memory that overrides it, with its renewal secret.
    /// A store that can't be read has no records.
    pub(super) fn read(&self, key: &TokenKey) -> Option<Found> {
        let on_disk = self.load_file(key).unwrap_or_else(|error| {
            self.warn(&error);
            None
        });
        let mut unwritten = self.unwritten.lock();
        let overrides = |in_memory: &Record| {
            on_disk
                .as_ref()
                .is_none_or(|on_disk| on_disk.generation <= in_memory.generation)
        };
        match unwritten.get(key) {
            Some(in_memory) if overrides(in_memory) => Some(Found {
                record: in_memory.clone(),
                in_memory: true,
            }),
            present => {
                if present.is_some() {
                    unwritten.remove(key);
                }
                on_disk.map(|record| Found {
                    record,
                    in_memory: false,
                })
            }
        }
    }

    /// Changes the record on disk, as [`change_record`] does.
    pub(super) fn change_file(
        &self,
        key: &TokenKey,
        change: impl FnOnce(Option<Record>) -> Option<Record>,
    ) -> Result<()> {
        change_record(&*self.store.for_writing()?, key, change)
    }

    /// Saves a record, unless `stays` returns true for the record on disk. If the file can't be
    /// written, the record is kept in memory.
    pub(super) fn save_unless(
        &self,
        key: &TokenKey,
        record: &Record,
        stays: impl Fn(&Record) -> bool,
    ) -> Saved {
        let mut winner = None;
        let outcome = self.store.for_writing().and_then(|store| {
            change_record(&store, key, |present| {
                winner = present.filter(|present| stays(present));
                winner.is_none().then(|| record.clone())
            })?;
            gc::remove_expired_records(&store, record);
            Ok(())
        });
        if let Err(error) = &outcome {
            // The cache holds the token.
            self.keep_in_memory(
                key,
                Record {
                    token: None,
                    ..record.clone()
                },
            );
            self.failed(error);
            return Saved::Kept;
        }
        self.reset_warning();
        match winner {
            Some(winner) => Saved::Lost(Box::new(winner.without_renewal())),
            None => {
                let mut unwritten = self.unwritten.lock();
                if unwritten
                    .get(key)
                    .is_some_and(|in_memory| in_memory.generation <= record.generation)
                {
                    unwritten.remove(key);
                }
                Saved::Kept
            }
        }
    }

    /// Keeps a record in memory that overrides the file, unless memory has a later one.
    fn keep_in_memory(&self, key: &TokenKey, record: Record) {
        let mut unwritten = self.unwritten.lock();
        let is_later = unwritten
            .get(key)
            .is_some_and(|in_memory| in_memory.generation > record.generation);
        if !is_later {
            unwritten.insert(key.clone(), record);
        }
    }

    /// Reports that a file could not be written. The next use opens the store again and creates
    /// missing directories.
    pub(super) fn failed(&self, error: &Error) {
        self.warn(error);
        self.store.close();
    }

    /// Tries the flight lock of a key. `None` if the store can't be written: then several processes
    /// may fetch the same token. Writing a file still requires its write lock.
    pub(super) fn try_flight_lock(&self, key: &TokenKey) -> Option<LockAttempt> {
        let attempt = self
            .store
            .for_writing()
            .and_then(|store| store.locks()?.try_acquire(flight_lock(&store, key)));
        attempt.map_err(|error| self.warn(&error)).ok()
    }

    /// Returns the process that holds the flight lock of a key, if it is known.
    pub(super) fn flight_lock_holder(&self, key: &TokenKey) -> Option<Holder> {
        let store = self.store.for_writing().ok()?;
        store.locks().ok()?.holder(flight_lock(&store, key))
    }

    fn remove_file(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let Some(store) = self.store.for_changing()? else {
            return Ok(());
        };
        let name = RecordName::for_record(&store.keys, key);
        let keep = |plaintext: &[u8]| {
            codec::decode_record(plaintext)
                .is_some_and(|(_, present)| present.generation > up_to_generation)
        };
        let even_foreign = up_to_generation == u64::MAX;
        store.remove(&name, Durability::Synced, even_foreign, keep)
    }

    /// Changes the record of a key in place, on disk and in memory, if it has exactly this
    /// generation. The record keeps its renewal secret.
    pub(super) fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) {
        let changed = |mut record: Record| {
            let renewal = record.renewal.take();
            change(&mut record);
            Record { renewal, ..record }
        };
        let is_it = |record: &Record| record.generation == generation;
        if let Some(in_memory) = self.unwritten.lock().get_mut(key).filter(|it| is_it(it)) {
            *in_memory = changed(in_memory.clone());
        }
        let outcome = self.change_file(key, |present| present.filter(is_it).map(changed));
        let Err(error) = outcome else {
            return self.reset_warning();
        };
        if let Some(found) = self.read(key).filter(|found| is_it(&found.record)) {
            let record = changed(found.record);
            self.keep_in_memory(key, record);
        }
        self.failed(&error);
    }

    /// Removes the record of a key, on disk and in memory, unless its generation is greater than
    /// `up_to_generation`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the file can't be removed.
    pub(super) fn forget(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let outcome = if self.store.location().is_err() {
            Ok(())
        } else {
            self.remove_file(key, up_to_generation)
        };
        let remaining = outcome
            .is_err()
            .then(|| self.load_file(key).ok().flatten())
            .flatten();
        let mut unwritten = self.unwritten.lock();
        if unwritten
            .get(key)
            .is_some_and(|in_memory| in_memory.generation <= up_to_generation)
        {
            unwritten.remove(key);
        }
        if let Some(remaining) =
            remaining.filter(|remaining| remaining.generation <= up_to_generation)
        {
            unwritten.insert(
                key.clone(),
                Record {
                    generation: remaining.generation,
                    ..Record::default()
                },
            );
        }
        drop(unwritten);
        // The caller must learn that the record was not removed.
        outcome
    }
}

/// Returns the flight lock of a key.
fn flight_lock(store: &OpenStore, key: &TokenKey) -> LockId {
    let name = RecordName::for_record(&store.keys, key);
    lock::flight(key.resource_kind, name.hash())
}

/// Passes the record on disk to `change`, and writes the record that `change` returns. Writes
/// nothing if `change` returns `None`. Syncs the file if the old or the new record has a renewal
/// secret. Otherwise a power failure could restore a secret that was already sent, and a service
/// that receives the secret twice assumes that it was stolen. A record without a renewal secret
/// needs no sync, because its token can be acquired again.
fn change_record(
    store: &OpenStore,
    key: &TokenKey,
    change: impl FnOnce(Option<Record>) -> Option<Record>,
) -> Result<()> {
    let name = RecordName::for_record(&store.keys, key);
    store.change(&name, |plaintext| {
        let present = plaintext.and_then(codec::decode_record);
        let present = present.map(|(_, record)| record);
        let had_renewal = present
            .as_ref()
            .is_some_and(|present| present.renewal.is_some());
        let record = change(present)?;
        Some(NewContent {
            plaintext: codec::encode_record(key, &record),
            durability: if had_renewal || record.renewal.is_some() {
                Durability::Synced
            } else {
                Durability::Unsynced
            },
        })
    })
}
