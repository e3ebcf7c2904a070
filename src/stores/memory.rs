//! The store that ends with the session: renewal secrets and refusals. Tokens are in the cache already and are not kept twice.

use std::collections::HashMap;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::model::key::{Fingerprint, Fingerprinter, Key};
use crate::ports::store::{Attempt, Nobody, Record, Refusal, Store};

/// So many refusals are remembered: whoever feeds wrong links must not fill the memory.
const MOST_REFUSALS: usize = 1024;

/// Makes room by what ends first.
fn drop_oldest(refusals: &mut HashMap<Fingerprint, Refusal>) {
    let oldest = refusals.iter().min_by_key(|(_, refusal)| refusal.until_us).map(|(secret, _)| *secret);
    oldest.map(|secret| refusals.remove(&secret));
}

/// Keeps what the cache doesn't.
pub struct Memory {
    records: Mutex<HashMap<Key, Record>>,
    refusals: Mutex<HashMap<Fingerprint, Refusal>>,
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

    fn load(&self, key: &Key) -> Result<Option<Record>> {
        Ok(self.records.lock().get(key).cloned())
    }

    fn save(&self, key: &Key, record: &Record) -> Result<()> {
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

    fn remove(&self, key: &Key, up_to_generation: u64) -> Result<()> {
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
    fn list(&self) -> Result<Vec<(Key, Record)>> {
        Ok(Vec::new())
    }

    /// There is no other process to lock out, and flights keep the threads apart.
    fn try_lock(&self, _key: &Key) -> Result<Attempt> {
        Ok(Attempt::Locked(Box::new(Nobody)))
    }

    fn fingerprints(&self) -> &Fingerprinter {
        &self.fingerprints
    }

    fn refusal(&self, secret: &Fingerprint) -> Option<Refusal> {
        self.refusals.lock().get(secret).cloned()
    }

    fn set_refusal(&self, secret: &Fingerprint, refusal: Option<Refusal>, stays: &dyn Fn(&Refusal) -> bool) {
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
