//! Keeps records and failures in memory until the session ends. It keeps no tokens, because the
//! cache already holds them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::store::{
    FailureRecord, LockHolder, Reach, Record, RecordFacts, RecordLock, Saved, Store, Turn,
};
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
    records: Arc<Mutex<Records>>,
    failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
    fingerprints: Fingerprinter,
}

/// The records, and the keys whose lock is held.
#[derive(Default)]
struct Records {
    /// The records that hold more than the cache does: see [`is_in_cache`].
    kept: HashMap<TokenKey, Record>,
    /// The keys whose lock is held. The record is the one that another caller saved since the lock
    /// was granted.
    locked: HashMap<TokenKey, Option<Record>>,
}

/// The lock of a key in this store.
struct MemoryLock {
    records: Arc<Mutex<Records>>,
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

/// Returns whether the session knows everything in a record without this store. The cache holds its
/// token, and the engine its generation, owner and clock skew.
///
/// Rationale: an application may cache 100,000 tokens. A record for each of them took 530 bytes.
fn is_in_cache(record: &Record) -> bool {
    let Record {
        generation: _,
        token: _,
        owner: _,
        renewal,
        alias: _,
        skew_us: _,
        rejections,
        alive_us,
        reject_login,
        acquired: _,
        manifest: _,
        shared_generation: _,
    } = record;
    renewal.is_none() && rejections.is_empty() && alive_us.is_none() && reject_login.is_none()
}

impl Records {
    /// Replaces the present record of a key after a token was acquired.
    fn put(&mut self, key: &TokenKey, record: &Record) {
        if is_in_cache(record) {
            self.kept.remove(key);
        } else {
            self.kept.insert(key.clone(), without_token(record));
        }
    }
}

impl MemoryLock {
    /// Passes the present record to `change`, if it is the one that was read when the lock was
    /// granted.
    fn change_base<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let base = self.base.as_ref()?;
        let mut records = self.records.lock();
        let present = records.kept.get_mut(&self.key)?;
        (present.generation == base.generation).then(|| change(present))
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
        self.change_base(|present| present.renewal.take())?
    }

    fn return_renewal(&self, renewal: Secret) {
        self.change_base(|present| present.renewal = Some(renewal));
    }

    fn save(&self, record: &Record) -> Result<Saved> {
        let mut records = self.records.lock();
        if let Some(Some(winner)) = records.locked.get(&self.key) {
            return Ok(Saved::Lost(Box::new(winner.clone().without_renewal())));
        }
        records.put(&self.key, record);
        Ok(Saved::Kept)
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.records.lock().locked.remove(&self.key);
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
            .lock()
            .kept
            .get(key)
            .cloned()
            .map(Record::without_renewal))
    }

    /// Never returns a newer record: the records of this store have no token.
    fn turn(&self, key: &TokenKey, _above: u64) -> Result<Turn> {
        let mut records = self.records.lock();
        if records.locked.contains_key(key) {
            return Ok(Turn::Held {
                retry_after: RETRY_AFTER,
            });
        }
        records.locked.insert(key.clone(), None);
        let base = records.kept.get(key).cloned();
        Ok(Turn::Locked(Box::new(MemoryLock {
            records: Arc::clone(&self.records),
            key: key.clone(),
            base: base.map(Record::without_renewal),
        })))
    }

    fn lock_holder(&self, _key: &TokenKey) -> Option<LockHolder> {
        Some(LockHolder {
            name: format!("process {}", std::process::id()),
            is_stopped: false,
        })
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved> {
        let mut records = self.records.lock();
        let is_later = |present: &&Record| present.generation > record.generation;
        if let Some(present) = records.kept.get(key).filter(is_later) {
            return Ok(Saved::Lost(Box::new(present.clone().without_renewal())));
        }
        records.put(key, record);
        if let Some(saved) = records.locked.get_mut(key) {
            *saved = Some(without_token(record));
        }
        Ok(Saved::Kept)
    }

    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()> {
        let mut records = self.records.lock();
        let mut record = match records.kept.get(key) {
            Some(present) if present.generation != generation => return Ok(()),
            Some(present) => present.clone(),
            // The token is in the cache only.
            None => Record {
                generation,
                ..Record::default()
            },
        };
        let renewal = record.renewal.take();
        change(&mut record);
        let changed = without_token(&Record { renewal, ..record });
        records.kept.insert(key.clone(), changed);
        Ok(())
    }

    fn forget(&self, key: &TokenKey, up_to_generation: u64, _reach: Reach) -> Result<()> {
        let is_forgotten = |record: &Record| record.generation <= up_to_generation;
        let mut records = self.records.lock();
        if records.kept.get(key).is_some_and(is_forgotten) {
            records.kept.remove(key);
        }
        if let Some(saved) = records.locked.get_mut(key) {
            saved.take_if(|saved| is_forgotten(saved));
        }
        Ok(())
    }

    fn forget_all(&self, _reach: Reach) -> Result<()> {
        let mut records = self.records.lock();
        records.kept.clear();
        records.locked.values_mut().for_each(|saved| *saved = None);
        drop(records);
        self.failures.lock().clear();
        Ok(())
    }

    /// Passes no records: the cache already holds the tokens.
    fn visit(&self, _: &mut dyn FnMut(&RecordFacts<'_>) -> ControlFlow<()>) -> Result<()> {
        Ok(())
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::model::key::{Access, ResourceKind, Scope};

    #[test]
    fn a_record_of_which_the_cache_holds_everything_takes_no_memory() {
        let store = MemoryStore::default();
        let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
        let key = scope.key(ResourceKind::Package, "01A", Access::Manage);
        let save = |generation, renewal| {
            let record = Record {
                generation,
                renewal,
                ..Record::default()
            };
            store.save(&key, &record).unwrap();
            store.records.lock().kept.len()
        };
        assert_eq!(save(1, None), 0);
        assert_eq!(save(2, Some(Secret::from("renewal"))), 1);
        assert_eq!(save(3, None), 0);
    }
}
