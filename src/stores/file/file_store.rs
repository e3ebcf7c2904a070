//! Implements the file store. A record or failure that can't be written is kept in memory.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lazy_store::LazyStore;
use super::location::{self, KeyLocation};
use super::lock::{self, LockAttempt};
use super::open_store::TOKENS_DIR;
use super::sealed_file::{self, ReadOutcome, RecordName};
use super::{codec, gc};
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::model::key::{Fingerprint, Fingerprinter, ResourceKind, TokenKey};
use crate::ports::store::{FailureRecord, KeyBackend, LockResult, NoopLock, Record, Store};
use crate::sys::sync::Mutex;

/// A store that keeps records and failures in sealed files.
pub struct FileStore {
    store: LazyStore,
    fingerprints: OnceLock<Fingerprinter>,
    /// Records that could not be written, or that replace a file which could not be removed. Each
    /// overrides its file until the file has a later generation.
    unwritten: Mutex<HashMap<TokenKey, Record>>,
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
    fn warn(&self, error: &Error) {
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

    fn save_file(&self, key: &TokenKey, record: &Record) -> Result<()> {
        let store = self.store.for_writing()?;
        let name = RecordName::for_record(&store.keys, key);
        let is_later = |plaintext: &[u8]| {
            codec::decode_record(plaintext)
                .is_some_and(|(_, present)| present.generation > record.generation)
        };
        store.write(&name, &codec::encode_record(key, record), is_later)?;
        gc::remove_expired_records(&store, record);
        Ok(())
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
        let on_disk = self.load_file(key).unwrap_or_else(|error| {
            self.warn(&error);
            None
        });
        let mut unwritten = self.unwritten.lock();
        match (on_disk, unwritten.get(key)) {
            (Some(on_disk), Some(in_memory)) if on_disk.generation > in_memory.generation => {
                unwritten.remove(key);
                Ok(Some(on_disk))
            }
            (_, Some(in_memory)) => Ok(Some(in_memory.clone())),
            (on_disk, None) => Ok(on_disk),
        }
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<()> {
        if !is_stored(key) {
            return Ok(());
        }
        let outcome = self.save_file(key, record);
        if outcome.is_err() && record.rejected {
            // Even on a full disk the file can be removed. Then other processes don't use the
            // rejected token.
            let _ = self.remove_file(key, record.generation);
        }
        let mut unwritten = self.unwritten.lock();
        let is_later = unwritten
            .get(key)
            .is_some_and(|in_memory| in_memory.generation > record.generation);
        if outcome.is_ok() && !is_later {
            unwritten.remove(key);
        } else if !is_later {
            // The cache holds the token.
            unwritten.insert(
                key.clone(),
                Record {
                    token: None,
                    ..record.clone()
                },
            );
        }
        drop(unwritten);
        match outcome {
            Ok(()) => self.reset_warning(),
            Err(error) => {
                self.warn(&error);
                // The next use opens the store again and creates missing directories.
                self.store.close();
            }
        }
        Ok(())
    }

    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
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

    fn clear(&self) -> Result<()> {
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
            });
        Ok(records.collect())
    }

    fn try_lock(&self, key: &TokenKey) -> Result<LockResult> {
        if !is_stored(key) {
            return Ok(LockResult::Locked(Box::new(NoopLock)));
        }
        let attempt = self.store.for_writing().and_then(|store| {
            let name = RecordName::for_record(&store.keys, key);
            lock::try_acquire(
                &store.dir,
                &store.path,
                &lock::fetch_lock(key.resource_kind, name.hash()),
            )
        });
        match attempt {
            Ok(LockAttempt::Acquired(lock)) => Ok(LockResult::Locked(Box::new(lock))),
            Ok(LockAttempt::Busy(holder)) => Ok(LockResult::Held(holder)),
            // Without the fetch lock, several processes may fetch the same token. Writing a file
            // still requires its write lock.
            Err(error) => {
                self.warn(&error);
                Ok(LockResult::Locked(Box::new(NoopLock)))
            }
        }
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

    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord> {
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
        keep_present: &dyn Fn(&FailureRecord) -> bool,
    ) {
        let keep = |plaintext: &[u8]| {
            codec::decode_failure(plaintext).is_some_and(|present| keep_present(&present))
        };
        let outcome = match failure.as_ref().and_then(codec::encode_failure) {
            Some(plaintext) => self.store.for_writing().and_then(|store| {
                store.write(
                    &RecordName::for_failure(&store.keys, secret),
                    &plaintext,
                    keep,
                )
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
