//! The store that ends with the session: renewal secrets and refusals. Tokens are in the cache already and are not kept twice.

use std::collections::HashMap;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::store::{FailureRecord, LockResult, NoopLock, Record, Store};

/// So many refusals are remembered: whoever feeds wrong links must not fill the memory.
const MOST_REFUSALS: usize = 1024;

/// Makes room by what ends first.
fn drop_oldest(refusals: &mut HashMap<Fingerprint, FailureRecord>) {
    let oldest = refusals.iter().min_by_key(|(_, refusal)| refusal.until_us).map(|(secret, _)| *secret);
    oldest.map(|secret| refusals.remove(&secret));
}

/// Keeps what the cache doesn't.
pub struct Memory {
    records: Mutex<HashMap<TokenKey, Record>>,
    refusals: Mutex<HashMap<Fingerprint, FailureRecord>>,
    fingerprints: Fingerprinter,
}

impl Default for Memory {
    fn default() -> Self {
        Self { records: Mutex::default(), refusals: Mutex::default(), fingerprints: Fingerprinter::random() }
    }
}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn protection(&self) -> &'static str {
        "ends with the process"
    }

    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        Ok(self.records.lock().get(key).cloned())
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<()> {
        let mut records = self.records.lock();
        if records.get(key).is_some_and(|kept| kept.generation > record.generation) {
            return Ok(());
        }
        match &record.renewal {
            Some(_) => records.insert(key.clone(), Record { token: None, alias: None, ..record.clone() }),
            None => records.remove(key),
        };
        Ok(())
    }

    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let mut records = self.records.lock();
        if records.get(key).is_some_and(|kept| kept.generation <= up_to_generation) {
            records.remove(key);
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.records.lock().clear();
        self.refusals.lock().clear();
        Ok(())
    }

    /// All there is, is in the cache.
    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        Ok(Vec::new())
    }

    /// There is no other process to lock out, and flights keep the threads apart.
    fn try_lock(&self, _key: &TokenKey) -> Result<LockResult> {
        Ok(LockResult::Locked(Box::new(NoopLock)))
    }

    fn fingerprints(&self) -> &Fingerprinter {
        &self.fingerprints
    }

    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord> {
        self.refusals.lock().get(secret).cloned()
    }

    fn set_failure(&self, secret: &Fingerprint, refusal: Option<FailureRecord>, stays: &dyn Fn(&FailureRecord) -> bool) {
        let mut refusals = self.refusals.lock();
        if refusals.get(secret).is_some_and(stays) {
            return;
        }
        match refusal {
            Some(refusal) => {
                if refusals.len() >= MOST_REFUSALS {
                    drop_oldest(&mut refusals);
                }
                refusals.insert(*secret, refusal)
            }
            None => refusals.remove(secret),
        };
    }
}
