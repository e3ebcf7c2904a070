//! The store that ends with the session: renewal secrets and refusals. Tokens are in the cache already and are not kept twice.
//!
//! Imports [`crate::store`] alone.

use std::collections::HashMap;
use std::time::Instant;

use crate::sys::sync::Mutex;

use crate::error::Result;
use crate::key::{Fingerprint, Key};
use crate::request::Cancel;
use crate::secret::Secret;
use crate::store::{Lock, Record, Refusal, Store};

/// So many refusals are remembered: whoever feeds wrong links must not fill the memory.
const MOST_REFUSALS: usize = 1024;

/// Makes room by what ends first.
fn drop_oldest(refusals: &mut HashMap<Fingerprint, Refusal>) {
    let oldest = refusals.iter().min_by_key(|(_, refusal)| refusal.until_us).map(|(secret, _)| *secret);
    oldest.map(|secret| refusals.remove(&secret));
}

/// Keeps what the cache doesn't.
#[derive(Default)]
pub struct Memory {
    renewals: Mutex<HashMap<Key, (u64, Secret)>>,
    refusals: Mutex<HashMap<Fingerprint, Refusal>>,
}

struct Nobody;
impl Lock for Nobody {}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn load(&self, key: &Key) -> Result<Option<Record>> {
        let renewal = self.renewals.lock().get(key).map(|(_, renewal)| renewal.clone());
        Ok(renewal.map(|renewal| Record { token: None, renewal: Some(renewal) }))
    }

    fn save(&self, key: &Key, record: &Record) -> Result<()> {
        let generation = record.token.as_ref().map_or(0, |token| token.facts().generation);
        let mut renewals = self.renewals.lock();
        match &record.renewal {
            Some(renewal) => renewals.insert(key.clone(), (generation, renewal.clone())),
            None => renewals.remove(key),
        };
        Ok(())
    }

    fn remove(&self, key: &Key, up_to_generation: u64) -> Result<()> {
        let mut renewals = self.renewals.lock();
        if renewals.get(key).is_some_and(|(generation, _)| *generation <= up_to_generation) {
            renewals.remove(key);
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.renewals.lock().clear();
        self.refusals.lock().clear();
        Ok(())
    }

    /// There is no other process to lock out, and flights keep the threads apart.
    fn lock(&self, _key: &Key, _deadline: Instant, _cancel: &Cancel) -> Result<Box<dyn Lock>> {
        Ok(Box::new(Nobody))
    }

    fn refusal(&self, secret: &Fingerprint) -> Option<Refusal> {
        self.refusals.lock().get(secret).cloned()
    }

    fn set_refusal(&self, secret: &Fingerprint, refusal: Option<Refusal>) {
        let mut refusals = self.refusals.lock();
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
