//! Keeps records and failures in memory until the session ends. It keeps no tokens, because the
//! cache already holds them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::store::{FailureRecord, Reach, Record, RecordLock, Saved, Store, Turn};
use crate::secret::Secret;

/// When a caller asks again for a lock that another thread holds.
const RETRY_AFTER: Duration = Duration::from_millis(1);
/// The maximum number of failures. Rationale: without a limit, a caller that requests many wrong
/// links would use more and more memory.
const MAX_FAILURES: usize = 1024;

/// Removes the failure that expires first.
fn remove_first_to_end(failures: &mut HashMap<Fingerprint, FailureRecord>) {
    let first = failures
        .iter()
        .min_by_key(|(_, failure)| failure.until_us)
        .map(|(secret, _)| *secret);
    first.map(|secret| failures.remove(&secret));
}

/// A store that keeps records and failures in memory.
pub struct MemoryStore {
    records: Arc<Records>,
    failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
    fingerprints: Fingerprinter,
}

/// The records, and the keys whose lock is held.
#[derive(Default)]
struct Records {
    all: Mutex<HashMap<TokenKey, Record>>,
    locked: Mutex<HashSet<TokenKey>>,
}

/// The lock of a key in this store.
struct MemoryLock {
    records: Arc<Records>,
    key: TokenKey,
    base: Option<Record>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            records: Arc::default(),
            failures: Mutex::default(),
            fingerprints: Fingerprinter::random(),
        }
    }
}

/// Returns the parts of a record that this store keeps.
fn without_token(record: &Record) -> Record {
    Record {
        token: None,
        alias: None,
        ..record.clone()
    }
}

impl Records {
    /// Saves a record, unless `stays` returns true for the present one.
    fn save_unless(
        &self,
        key: &TokenKey,
        record: &Record,
        stays: impl Fn(&Record) -> bool,
    ) -> Saved {
        let mut records = self.all.lock();
        if let Some(present) = records.get(key).filter(|present| stays(present)) {
            return Saved::Lost(Box::new(present.clone().without_renewal()));
        }
        records.insert(key.clone(), without_token(record));
        Saved::Kept
    }
}

impl MemoryLock {
    /// Returns whether a record is the one that was read when the lock was granted.
    fn is_base(&self, record: &Record) -> bool {
        self.base
            .as_ref()
            .is_some_and(|base| base.generation == record.generation)
    }
}

impl RecordLock for MemoryLock {
    fn record(&self) -> Option<&Record> {
        self.base.as_ref()
    }

    fn still_held(&self) -> bool {
        true
    }

    fn take_renewal(&self) -> Option<Secret> {
        let mut records = self.records.all.lock();
        let present = records.get_mut(&self.key)?;
        self.is_base(present).then(|| present.renewal.take())?
    }

    fn return_renewal(&self, renewal: Secret) {
        let mut records = self.records.all.lock();
        if let Some(present) = records
            .get_mut(&self.key)
            .filter(|record| self.is_base(record))
        {
            present.renewal = Some(renewal);
        }
    }

    fn save(&self, record: &Record) -> Result<Saved> {
        Ok(self
            .records
            .save_unless(&self.key, record, |present| !self.is_base(present)))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.records.locked.lock().remove(&self.key);
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn protection(&self) -> &'static str {
        "lost when the process exits"
    }

    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        Ok(self
            .records
            .all
            .lock()
            .get(key)
            .cloned()
            .map(Record::without_renewal))
    }

    /// Never returns a newer record: the records of this store have no token.
    fn turn(&self, key: &TokenKey, _above: u64) -> Result<Turn> {
        if !self.records.locked.lock().insert(key.clone()) {
            return Ok(Turn::Held {
                holder: Some(format!("process {}", std::process::id())),
                retry_after: RETRY_AFTER,
            });
        }
        Ok(Turn::Locked(Box::new(MemoryLock {
            records: Arc::clone(&self.records),
            key: key.clone(),
            base: self.load(key)?,
        })))
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved> {
        let is_later = |present: &Record| present.generation > record.generation;
        Ok(self.records.save_unless(key, record, is_later))
    }

    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()> {
        let mut records = self.records.all.lock();
        if let Some(present) = records
            .get_mut(key)
            .filter(|present| present.generation == generation)
        {
            let renewal = present.renewal.take();
            change(present);
            *present = Record {
                renewal,
                ..without_token(present)
            };
        }
        Ok(())
    }

    fn forget(&self, key: &TokenKey, up_to_generation: u64, _reach: Reach) -> Result<()> {
        let mut records = self.records.all.lock();
        if records
            .get(key)
            .is_some_and(|present| present.generation <= up_to_generation)
        {
            records.remove(key);
        }
        Ok(())
    }

    fn forget_all(&self, _reach: Reach) -> Result<()> {
        self.records.all.lock().clear();
        self.failures.lock().clear();
        Ok(())
    }

    /// Returns no records: the cache already holds the tokens.
    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        Ok(Vec::new())
    }

    fn fingerprints(&self) -> &Fingerprinter {
        &self.fingerprints
    }

    fn failure(&self, secret: &Fingerprint, _reach: Reach) -> Option<FailureRecord> {
        self.failures.lock().get(secret).cloned()
    }

    fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
        _reach: Reach,
        keep_present: &dyn Fn(&FailureRecord) -> bool,
    ) {
        let mut failures = self.failures.lock();
        if failures.get(secret).is_some_and(keep_present) {
            return;
        }
        match failure {
            Some(failure) => {
                if failures.len() >= MAX_FAILURES {
                    remove_first_to_end(&mut failures);
                }
                failures.insert(*secret, failure)
            }
            None => failures.remove(secret),
        };
    }
}
