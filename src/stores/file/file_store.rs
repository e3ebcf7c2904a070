//! Implements the file store. A record or failure that can't be written is kept in memory.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lazy_store::LazyStore;
use super::location::{self, KeyLocation};
use super::open_store::TOKENS_DIR;
use super::record_lock::FileRecordLock;
use super::sealed_file::{self, ReadOutcome, RecordName};
use super::{codec, gc, lock, lock::LockAttempt};
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::model::key::{Fingerprint, Fingerprinter, ResourceKind, TokenKey};
use crate::ports::store::{FailureRecord, KeyBackend, Reach, Record, Saved, Store, Turn};
use crate::sys::sync::Mutex;

/// A record that was read, with its renewal secret.
pub(super) struct Found {
    pub(super) record: Record,
    /// Whether the record is in memory, because it could not be written.
    pub(super) in_memory: bool,
}

/// A store that keeps records and failures in sealed files.
pub struct FileStore {
    pub(super) store: LazyStore,
    fingerprints: OnceLock<Fingerprinter>,
    /// Records that could not be written, or that replace a file which could not be removed. Each
    /// overrides its file until the file has a later generation.
    pub(super) unwritten: Mutex<HashMap<TokenKey, Record>>,
    /// Failures that could not be written.
    unwritten_failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
    /// Whether a warning was logged since the last successful write.
    warned: AtomicBool,
}

impl FileStore {
    /// Creates the store that a setting names: `file`, or `file:` and an absolute path.
    pub fn new(setting: &str, environment: &Environment) -> Self {
        Self::with_keyring(None, setting, environment)
    }

    /// Creates the store that a setting names. Its key is in `keyring` if there is one, else in a
    /// file.
    pub fn with_keyring(
        keyring: Option<Box<dyn KeyBackend>>,
        setting: &str,
        environment: &Environment,
    ) -> Self {
        Self {
            store: LazyStore::new(location::find(setting, environment, keyring)),
            fingerprints: OnceLock::new(),
            unwritten: Mutex::default(),
            unwritten_failures: Mutex::default(),
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

    fn reset_warning(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    fn load_file(&self, key: &TokenKey) -> Result<Option<Record>> {
        let Some(store) = self.store.for_reading()? else {
            return Ok(None);
        };
        let name = RecordName::for_record(&store.keys, key);
        let found = match store.read(&name)? {
            ReadOutcome::Missing => None,
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
                store.quarantine(&name);
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

    /// Writes the record that `change` returns for the one on disk. Writes nothing if it returns
    /// `None`.
    pub(super) fn change_file(
        &self,
        key: &TokenKey,
        change: impl FnOnce(Option<Record>) -> Option<Record>,
    ) -> Result<()> {
        let store = self.store.for_writing()?;
        let name = RecordName::for_record(&store.keys, key);
        store.change(&name, |plaintext| {
            let present = plaintext.and_then(codec::decode_record);
            change(present.map(|(_, record)| record))
                .map(|record| codec::encode_record(key, &record))
        })
    }

    /// Saves a record, unless `stays` returns true for the one on disk. If the file can't be
    /// written, the record is kept in memory.
    pub(super) fn save_unless(
        &self,
        key: &TokenKey,
        record: &Record,
        stays: impl Fn(&Record) -> bool,
    ) -> Saved {
        let mut winner = None;
        let outcome = self.change_file(key, |present| {
            winner = present.filter(|present| stays(present));
            winner.is_none().then(|| record.clone())
        });
        let outcome = outcome.and_then(|()| {
            gc::remove_expired_records(&*self.store.for_writing()?, record);
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
    fn try_flight_lock(&self, key: &TokenKey) -> Option<LockAttempt> {
        let attempt = self.store.for_writing().and_then(|store| {
            let name = RecordName::for_record(&store.keys, key);
            store
                .locks()?
                .try_acquire(lock::flight(key.resource_kind, name.hash()))
        });
        attempt.map_err(|error| self.warn(&error)).ok()
    }

    fn remove_file(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let Some(store) = self.store.for_reading()? else {
            return Ok(());
        };
        let name = RecordName::for_record(&store.keys, key);
        let keep = |plaintext: &[u8]| {
            codec::decode_record(plaintext)
                .is_some_and(|(_, present)| present.generation > up_to_generation)
        };
        store.remove(&name, up_to_generation == u64::MAX, keep)
    }
}

impl Store for FileStore {
    fn name(&self) -> &'static str {
        "file"
    }

    fn protection(&self) -> &'static str {
        match self.store.location().map(|location| &location.key) {
            Ok(KeyLocation::Keyring(..)) => "sealed file, key in the keyring",
            _ => "sealed file",
        }
    }

    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        if !is_stored(key) {
            return Ok(None);
        }
        Ok(self.read(key).map(|found| found.record.without_renewal()))
    }

    fn turn(&self, key: &TokenKey, above: u64) -> Result<Turn<'_>> {
        if !is_stored(key) {
            return Ok(Turn::Locked(Box::new(FileRecordLock::of_none(self, key))));
        }
        let attempt = self.try_flight_lock(key);
        // Read after the lock was tried: the record is then what the last holder left behind.
        let found = self.read(key);
        if let Some(found) = found.as_ref().filter(|found| found.record.is_newer(above)) {
            return Ok(Turn::Newer(Box::new(
                found.record.clone().without_renewal(),
            )));
        }
        let held = match attempt {
            Some(LockAttempt::Busy(holder)) => {
                return Ok(Turn::Held {
                    holder: lock::holder_text(holder),
                    retry_after: lock::flight_retry_delay(),
                });
            }
            Some(LockAttempt::Acquired(held)) => Some(held),
            None => None,
        };
        Ok(Turn::Locked(Box::new(FileRecordLock::new(
            self, key, found, held,
        ))))
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved> {
        if !is_stored(key) {
            return Ok(Saved::Kept);
        }
        let is_later = |present: &Record| present.generation > record.generation;
        Ok(self.save_unless(key, record, is_later))
    }

    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()> {
        if !is_stored(key) {
            return Ok(());
        }
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
            self.reset_warning();
            return Ok(());
        };
        if let Some(found) = self.read(key).filter(|found| is_it(&found.record)) {
            let record = changed(found.record);
            if record.rejected {
                // Even on a full disk the file can be removed. Then other processes don't use the
                // rejected token.
                let _ = self.remove_file(key, generation);
            }
            self.keep_in_memory(
                key,
                Record {
                    token: None,
                    ..record
                },
            );
        }
        self.failed(&error);
        Ok(())
    }

    fn forget(&self, key: &TokenKey, up_to_generation: u64, _reach: Reach) -> Result<()> {
        if !is_stored(key) {
            return Ok(());
        }
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

    fn forget_all(&self, _reach: Reach) -> Result<()> {
        self.unwritten.lock().clear();
        self.unwritten_failures.lock().clear();
        let outcome = self.store.location().map_or(Ok(()), sealed_file::clear);
        self.store.close();
        self.reset_warning();
        outcome
    }

    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        let Some(store) = self
            .store
            .location()
            .map_or(Ok(None), |_| self.store.for_reading())?
        else {
            return Ok(Vec::new());
        };
        let records = store
            .record_names(TOKENS_DIR)?
            .into_iter()
            .filter_map(|name| match store.read(&name) {
                Ok(ReadOutcome::Intact(plaintext)) => codec::decode_record(&plaintext),
                _ => None,
            })
            .map(|(key, record)| (key, record.without_renewal()));
        Ok(records.collect())
    }

    fn fingerprints(&self) -> &Fingerprinter {
        if let Some(fingerprints) = self.fingerprints.get() {
            return fingerprints;
        }
        let fingerprints = match self.store.for_writing() {
            Ok(store) => Fingerprinter::new(&*store.keys.fingerprint_key),
            Err(error) => {
                self.warn(&error);
                Fingerprinter::random()
            }
        };
        self.fingerprints.get_or_init(|| fingerprints)
    }

    fn failure(&self, secret: &Fingerprint, _reach: Reach) -> Option<FailureRecord> {
        let on_disk = || {
            let store = self.store.for_reading().ok()??;
            match store
                .read(&RecordName::for_failure(&store.keys, secret))
                .ok()?
            {
                ReadOutcome::Intact(plaintext) => codec::decode_failure(&plaintext),
                _ => None,
            }
        };
        let in_memory = self.unwritten_failures.lock().get(secret).cloned();
        in_memory.or_else(on_disk)
    }

    fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
        _reach: Reach,
        keep_present: &dyn Fn(&FailureRecord) -> bool,
    ) {
        let keep = |plaintext: &[u8]| {
            codec::decode_failure(plaintext).is_some_and(|present| keep_present(&present))
        };
        let outcome = match failure.as_ref().and_then(codec::encode_failure) {
            Some(plaintext) => self.store.for_writing().and_then(|store| {
                let name = RecordName::for_failure(&store.keys, secret);
                store.change(&name, |present| {
                    (!present.is_some_and(keep)).then_some(plaintext)
                })
            }),
            None => self.store.for_reading().and_then(|store| match store {
                Some(store) => {
                    store.remove(&RecordName::for_failure(&store.keys, secret), true, keep)
                }
                None => Ok(()),
            }),
        };
        // Don't log an error here. Saving the token fails for the same reason, and logs it.
        let mut unwritten_failures = self.unwritten_failures.lock();
        if outcome.is_err() && unwritten_failures.get(secret).is_some_and(keep_present) {
            return;
        }
        unwritten_failures.remove(secret);
        if let (Err(_), Some(failure)) = (outcome, failure) {
            unwritten_failures.insert(*secret, failure);
        }
    }
}

/// Returns whether decrypted bytes are a record or a failure. Only the fuzz target calls this,
/// because it can't seal files.
pub fn is_record_or_failure(plaintext: &[u8]) -> bool {
    codec::decode_record(plaintext).is_some() || codec::decode_failure(plaintext).is_some()
}

/// Returns whether the store keeps records of a key. It keeps no record of a configured secret,
/// which stays where the user put it, and no record of a session, which has no token.
fn is_stored(key: &TokenKey) -> bool {
    !matches!(key.resource_kind, ResourceKind::Key | ResourceKind::Session)
}
