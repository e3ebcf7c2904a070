//! Keeps renewal secrets and failures in memory until the session ends. It keeps no tokens, because
//! the cache already holds them.

use std::collections::HashMap;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::store::{FailureRecord, LockResult, NoopLock, Record, Store};

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

/// A store that keeps renewal secrets and failures in memory.
pub struct MemoryStore {
    records: Mutex<HashMap<TokenKey, Record>>,
    failures: Mutex<HashMap<Fingerprint, FailureRecord>>,
    fingerprints: Fingerprinter,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
            failures: Mutex::default(),
            fingerprints: Fingerprinter::random(),
        }
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
        Ok(self.records.lock().get(key).cloned())
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<()> {
        let mut records = self.records.lock();
        if records
            .get(key)
            .is_some_and(|present| present.generation > record.generation)
        {
            return Ok(());
        }
        match &record.renewal {
            Some(_) => records.insert(
                key.clone(),
                Record {
                    token: None,
                    alias: None,
                    ..record.clone()
                },
            ),
            None => records.remove(key),
        };
        Ok(())
    }

    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let mut records = self.records.lock();
        if records
            .get(key)
            .is_some_and(|present| present.generation <= up_to_generation)
        {
            records.remove(key);
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.records.lock().clear();
        self.failures.lock().clear();
        Ok(())
    }

    /// Returns no records: the cache already holds them.
    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        Ok(Vec::new())
    }

    /// Always succeeds. No other process uses this store, and the engine's single flight lets only
    /// one thread fetch the token of a key.
    fn try_lock(&self, _key: &TokenKey) -> Result<LockResult> {
        Ok(LockResult::Locked(Box::new(NoopLock)))
    }

    fn fingerprints(&self) -> &Fingerprinter {
        &self.fingerprints
    }

    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord> {
        self.failures.lock().get(secret).cloned()
    }

    fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
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
