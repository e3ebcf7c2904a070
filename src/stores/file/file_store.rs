//! Implements the file store. A record that can't be written is kept in memory. A failure that can't
//! be written goes to the fallback for failures, and to memory if that can't be used either.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use super::location::{self, KeyLocation};
use super::record_files::{Damage, RecordFiles};
use super::record_lock::FileRecordLock;
use super::sealed_file::{self, Durability, FactsReader, NewContent, ReadOutcome, RecordName};
use super::{codec, lock, lock::LockAttempt};
use crate::config::Environment;
use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, ResourceKind, TokenKey};
use crate::ports::store::{
    FailureRecord, KeyBackend, LockHolder, Reach, Record, RecordFacts, Saved, Store, Turn,
};
use crate::stores::failure_fallback::FailureFallback;
use crate::sys::sync::Mutex;

/// A store that keeps records and failures in sealed files.
pub struct FileStore {
    files: Arc<RecordFiles>,
    fingerprints: OnceLock<Fingerprinter>,
    /// Where failures are recorded if the store can't be written.
    failure_fallback: Option<FailureFallback>,
    /// Failures that could be written neither to the store nor to the fallback.
    unwritten_failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
}

impl FileStore {
    /// Creates the store that a setting names: `file`, or `file:` and an absolute path.
    pub fn new(setting: &(impl AsRef<OsStr> + ?Sized), environment: &Environment) -> Self {
        Self::with_keyring(None, setting, environment)
    }

    /// Creates the store that a setting names. Its key is in `keyring` if there is one, else in a
    /// file.
    pub fn with_keyring(
        keyring: Option<Box<dyn KeyBackend>>,
        setting: &(impl AsRef<OsStr> + ?Sized),
        environment: &Environment,
    ) -> Self {
        Self {
            files: Arc::new(RecordFiles::new(location::find(
                setting.as_ref(),
                environment,
                keyring,
            ))),
            fingerprints: OnceLock::new(),
            failure_fallback: None,
            unwritten_failures: Mutex::default(),
        }
    }

    /// Sets the way in which a look-up treats a damaged record. The default is [`Damage::Quarantined`].
    #[must_use]
    pub fn on_damage(mut self, damage: Damage) -> Self {
        if let Some(files) = Arc::get_mut(&mut self.files) {
            files.damage = damage;
        }
        self
    }

    /// Records failures in this place if the store can't be written.
    #[must_use]
    pub fn with_failure_fallback(self, fallback: FailureFallback) -> Self {
        Self {
            failure_fallback: Some(fallback),
            ..self
        }
    }

    /// Returns the fingerprinter for a store that can't be used: that of the fallback, which is the
    /// same in all processes.
    fn fallback_fingerprints(&self) -> Fingerprinter {
        let fallback = self.failure_fallback.as_ref();
        fallback
            .and_then(|fallback| fallback.fingerprints().ok())
            .unwrap_or_else(Fingerprinter::random)
    }

    /// Writes a failure that could not be written to the store to the fallback, or keeps it in
    /// memory.
    fn keep_outside_store(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
        stays: &dyn Fn(&FailureRecord) -> bool,
    ) {
        let is_recorded = self.failure_fallback.as_ref().is_some_and(|fallback| {
            fallback
                .set_failure(secret, failure.as_ref(), stays)
                .is_ok()
        });
        let mut unwritten_failures = self.unwritten_failures.lock();
        if unwritten_failures.get(secret).is_some_and(stays) {
            return;
        }
        unwritten_failures.remove(secret);
        if let Some(failure) = failure.filter(|_| !is_recorded) {
            unwritten_failures.insert(*secret, failure);
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
            Some(LockAttempt::Busy) => {
                return Ok(Turn::Held {
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

    fn lock_holder(&self, key: &TokenKey) -> Option<LockHolder> {
        let holder = self.files.flight_lock_holder(key)?;
        Some(LockHolder {
            name: lock::holder_name(holder),
            is_stopped: holder.is_stopped,
        })
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
        let fallback = self.failure_fallback.as_ref();
        let cleared_fallback = fallback.map_or(Ok(()), FailureFallback::clear);
        let outcome = self
            .files
            .store
            .location()
            .map_or(Ok(()), sealed_file::clear)
            .and(cleared_fallback);
        self.files.store.reset();
        self.files.reset_warning();
        outcome
    }

    fn visit(&self, visit: &mut dyn FnMut(&RecordFacts<'_>) -> ControlFlow<()>) -> Result<()> {
        let Some(store) = self
            .files
            .store
            .location()
            .map_or(Ok(None), |_| self.files.store.for_reading())?
        else {
            return Ok(());
        };
        let mut reader = FactsReader::new(&store)?;
        store.visit_record_names(|name| {
            reader
                .read(name)
                .map_or(ControlFlow::Continue(()), |record| visit(&record))
        })
    }

    fn fingerprints(&self) -> &Fingerprinter {
        if let Some(fingerprints) = self.fingerprints.get() {
            return fingerprints;
        }
        // A store that exists needs no lock for this.
        let store = match self.files.store.for_reading() {
            Ok(Some(store)) => Ok(store),
            _ => self.files.store.for_writing(),
        };
        let fingerprints = match store {
            Ok(store) => Fingerprinter::new(&*store.keys.fingerprint_key),
            Err(error) => {
                self.files.warn(&error);
                self.fallback_fingerprints()
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
        if let Some(in_memory) = self.unwritten_failures.lock().get(secret) {
            return Some(in_memory.clone());
        }
        // A full disk can be read, so this process can't tell whether another one could write.
        let in_fallback = self.failure_fallback.as_ref();
        let in_fallback = in_fallback.and_then(|fallback| fallback.failure(secret));
        on_disk()
            .into_iter()
            .chain(in_fallback)
            .max_by_key(|failure| failure.until_us)
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
        if outcome.is_err() {
            return self.keep_outside_store(secret, failure, keep_present);
        }
        self.unwritten_failures.lock().remove(secret);
        if let Some(fallback) = &self.failure_fallback {
            // An earlier failure may be there, from a time when the store could not be written.
            let _ = fallback.set_failure(secret, None, keep_present);
        }
    }

    fn failure_fallback(&self) -> Option<Result<String>> {
        self.failure_fallback
            .as_ref()
            .map(FailureFallback::description)
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
