//! Implements the file store. A record or failure that can't be written is kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::location::{self, KeyLocation};
use super::open_store::TOKENS_DIR;
use super::record_files::RecordFiles;
use super::record_lock::FileRecordLock;
use super::sealed_file::{self, Durability, NewContent, ReadOutcome, RecordName};
use super::{codec, lock, lock::LockAttempt};
use crate::config::Environment;
use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, ResourceKind, TokenKey};
use crate::ports::store::{FailureRecord, KeyBackend, Reach, Record, Saved, Store, Turn};
use crate::sys::sync::Mutex;

/// A store that keeps records and failures in sealed files.
pub struct FileStore {
    files: Arc<RecordFiles>,
    fingerprints: OnceLock<Fingerprinter>,
    /// Failures that could not be written.
    unwritten_failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
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
            files: Arc::new(RecordFiles::new(location::find(
                setting,
                environment,
                keyring,
            ))),
            fingerprints: OnceLock::new(),
            unwritten_failures: Mutex::default(),
        }
    }
}

impl Store for FileStore {
    fn name(&self) -> &'static str {
        "file"
    }

    fn protection(&self) -> &'static str {
        match self.files.store.location().map(|location| &location.key) {
            Ok(KeyLocation::Keyring(..)) => "sealed file, key in the keyring",
            _ => "sealed file",
        }
    }

    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        if !is_stored(key) {
            return Ok(None);
        }
        Ok(self
            .files
            .read(key)
            .map(|found| found.record.without_renewal()))
    }

    fn turn(&self, key: &TokenKey, above: u64) -> Result<Turn> {
        if !is_stored(key) {
            return Ok(Turn::Locked(Box::new(FileRecordLock::of_none(
                &self.files,
                key,
            ))));
        }
        let attempt = self.files.try_flight_lock(key);
        // Read the record after trying the lock. Then it includes what the last holder wrote.
        let found = self.files.read(key);
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
            &self.files,
            key,
            found,
            held,
        ))))
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved> {
        if !is_stored(key) {
            return Ok(Saved::Kept);
        }
        let is_later = |present: &Record| present.generation > record.generation;
        Ok(self.files.save_unless(key, record, is_later))
    }

    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()> {
        if is_stored(key) {
            self.files.update(key, generation, change);
        }
        Ok(())
    }

    fn forget(&self, key: &TokenKey, up_to_generation: u64, _reach: Reach) -> Result<()> {
        if is_stored(key) {
            self.files.forget(key, up_to_generation)
        } else {
            Ok(())
        }
    }

    fn forget_all(&self, _reach: Reach) -> Result<()> {
        self.files.unwritten.lock().clear();
        self.unwritten_failures.lock().clear();
        let outcome = self
            .files
            .store
            .location()
            .map_or(Ok(()), sealed_file::clear);
        self.files.store.close();
        self.files.reset_warning();
        outcome
    }

    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        let Some(store) = self
            .files
            .store
            .location()
            .map_or(Ok(None), |_| self.files.store.for_reading())?
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
        let fingerprints = match self.files.store.for_writing() {
            Ok(store) => Fingerprinter::new(&*store.keys.fingerprint_key),
            Err(error) => {
                self.files.warn(&error);
                Fingerprinter::random()
            }
        };
        self.fingerprints.get_or_init(|| fingerprints)
    }

    fn failure(&self, secret: &Fingerprint, _reach: Reach) -> Option<FailureRecord> {
        let on_disk = || {
            let store = self.files.store.for_reading().ok()??;
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
            Some(plaintext) => self.files.store.for_writing().and_then(|store| {
                let name = RecordName::for_failure(&store.keys, secret);
                store.change(&name, |present| {
                    (!present.is_some_and(keep)).then_some(NewContent {
                        plaintext,
                        durability: Durability::Unsynced,
                    })
                })
            }),
            None => self
                .files
                .store
                .for_changing()
                .and_then(|store| match store {
                    Some(store) => {
                        let name = RecordName::for_failure(&store.keys, secret);
                        store.remove(&name, Durability::Unsynced, true, keep)
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
