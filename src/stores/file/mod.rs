//! The store that every program of the user shares: one sealed file for each key.
//!
//! Opens nothing before it is asked for something. A store that can't be used is a store in memory,
//! with one warning that names the remedy; what is not ours, or of a newer format, is never written
//! over.
//!
//! `store` names the key; `tokens/`, `refusals/` hold sealed files whose names are keyed hashes; `new/` what is being written;
//! `locks/` the locks, `swept` the last look for what is over. A reader takes no lock: a file gets its name when it is whole.

mod codec;
mod envelope;
mod gc;
mod location;
mod lock;
mod master_key;
mod open_store;
mod private_dir;
mod sealed_file;
mod wire;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Environment;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::model::key::{Fingerprint, Fingerprinter, ResourceKind, TokenKey};
use crate::ports::store::{FailureRecord, KeyBackend, LockResult, NoopLock, Record, Store};
use crate::sys::sync::Mutex;
use lock::Try;
use open_store::LazyStore;
use sealed_file::{ReadOutcome, RecordName};

/// Keeps records in files.
pub struct Files {
    opening: LazyStore,
    fingerprints: OnceLock<Fingerprinter>,
    /// What could not be written, or must not be read any more: it counts until there is a later record.
    unwritten: Mutex<HashMap<TokenKey, Record>>,
    refusals: Mutex<HashMap<Fingerprint, FailureRecord>>,
    warned: AtomicBool,
}

impl Files {
    /// The store that a setting names: `file`, or `file:` and an absolute path.
    pub fn new(setting: &str, environment: &Environment) -> Self {
        Self::keyed_by(None, setting, environment)
    }

    /// The same with its key in a keyring, if there is one.
    pub fn keyed_by(keyring: Option<Box<dyn KeyBackend>>, setting: &str, environment: &Environment) -> Self {
        Self {
            opening: LazyStore::new(location::find(setting, environment, keyring)),
            fingerprints: OnceLock::new(),
            unwritten: Mutex::default(),
            refusals: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Says once what is wrong, until something could be written again.
    fn warn(&self, error: &Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            log::write(Level::Warn, format_args!("the store can't be used, tokens are kept in memory only: {error}"));
        }
    }

    fn written(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    fn load_file(&self, key: &TokenKey) -> Result<Option<Record>> {
        let Some(opened) = self.opening.as_it_is()? else {
            return Ok(None);
        };
        let name = RecordName::of_record(&opened.keys, key);
        let found = match opened.read(&name)? {
            ReadOutcome::Nothing => None,
            ReadOutcome::Whole(plain) => codec::read_record(&plain).filter(|(whose, _)| whose == key).map(|(_, record)| record),
            ReadOutcome::Bad(why) => {
                log::write(Level::Warn, format_args!("the stored {key} {why}: it is set aside, and got anew"));
                opened.quarantine(&name);
                None
            }
            ReadOutcome::Foreign(why) => {
                self.warn(&opened.foreign(&name, why));
                None
            }
        };
        Ok(found)
    }

    fn save_file(&self, key: &TokenKey, record: &Record) -> Result<()> {
        let opened = self.opening.ready()?;
        let name = RecordName::of_record(&opened.keys, key);
        let later = |plain: &[u8]| codec::read_record(plain).is_some_and(|(_, kept)| kept.generation > record.generation);
        opened.write(&name, &codec::write_record(key, record), later)?;
        opened.sweep_records(record);
        Ok(())
    }

    fn remove_file(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        let Some(opened) = self.opening.as_it_is()? else {
            return Ok(());
        };
        let name = RecordName::of_record(&opened.keys, key);
        let keep = |plain: &[u8]| codec::read_record(plain).is_some_and(|(_, kept)| kept.generation > up_to_generation);
        opened.remove(&name, up_to_generation == u64::MAX, keep)
    }
}

impl Store for Files {
    fn name(&self) -> &'static str {
        "file"
    }

    fn protection(&self) -> &'static str {
        match self.opening.place().map(|place| &place.key) {
            Ok(location::KeyPlace::Keyring(..)) => "sealed file, key in the keyring",
            _ => "sealed file",
        }
    }

    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        if !is_kept(key) {
            return Ok(None);
        }
        let filed = self.load_file(key).unwrap_or_else(|error| {
            self.warn(&error);
            None
        });
        let mut unwritten = self.unwritten.lock();
        match (filed, unwritten.get(key)) {
            (Some(filed), Some(own)) if filed.generation > own.generation => {
                unwritten.remove(key);
                Ok(Some(filed))
            }
            (_, Some(own)) => Ok(Some(own.clone())),
            (filed, None) => Ok(filed),
        }
    }

    fn save(&self, key: &TokenKey, record: &Record) -> Result<()> {
        if !is_kept(key) {
            return Ok(());
        }
        let outcome = self.save_file(key, record);
        if outcome.is_err() && record.rejected {
            // A disk that is full lets go of a file: the others must not take the rejected token from it.
            let _ = self.remove_file(key, record.generation);
        }
        let mut unwritten = self.unwritten.lock();
        let later = unwritten.get(key).is_some_and(|own| own.generation > record.generation);
        if outcome.is_ok() && !later {
            unwritten.remove(key);
        } else if !later {
            // The token is in the cache.
            unwritten.insert(key.clone(), Record { token: None, ..record.clone() });
        }
        drop(unwritten);
        match outcome {
            Ok(()) => self.written(),
            Err(error) => {
                self.warn(&error);
                // What is missing is made at the next use.
                self.opening.forget();
            }
        }
        Ok(())
    }

    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()> {
        if !is_kept(key) {
            return Ok(());
        }
        let outcome = if self.opening.place().is_err() { Ok(()) } else { self.remove_file(key, up_to_generation) };
        let still = outcome.is_err().then(|| self.load_file(key).ok().flatten()).flatten();
        let mut unwritten = self.unwritten.lock();
        if unwritten.get(key).is_some_and(|own| own.generation <= up_to_generation) {
            unwritten.remove(key);
        }
        if let Some(still) = still.filter(|still| still.generation <= up_to_generation) {
            unwritten.insert(key.clone(), Record { generation: still.generation, ..Record::default() });
        }
        drop(unwritten);
        // Whoever wanted it gone has to know that it isn't.
        outcome
    }

    fn clear(&self) -> Result<()> {
        self.unwritten.lock().clear();
        self.refusals.lock().clear();
        let outcome = self.opening.place().map_or(Ok(()), sealed_file::clear);
        self.opening.forget();
        self.written();
        outcome
    }

    fn list(&self) -> Result<Vec<(TokenKey, Record)>> {
        let Some(opened) = self.opening.place().map_or(Ok(None), |_| self.opening.as_it_is())? else {
            return Ok(Vec::new());
        };
        let found = opened.names(open_store::TOKENS)?.into_iter().filter_map(|name| match opened.read(&name) {
            Ok(ReadOutcome::Whole(plain)) => codec::read_record(&plain),
            _ => None,
        });
        Ok(found.collect())
    }

    fn try_lock(&self, key: &TokenKey) -> Result<LockResult> {
        if !is_kept(key) {
            return Ok(LockResult::Locked(Box::new(NoopLock)));
        }
        let attempt = self.opening.ready().and_then(|opened| {
            let name = RecordName::of_record(&opened.keys, key);
            lock::attempt(&opened.folder, &opened.path, &lock::flight(key.resource_kind, name.digits()))
        });
        match attempt {
            Ok(Try::Held(cached)) => Ok(LockResult::Locked(Box::new(cached))),
            Ok(Try::Other(holder)) => Ok(LockResult::Held(holder)),
            // Nobody can be locked out; nothing is written without a writer's lock either.
            Err(error) => {
                self.warn(&error);
                Ok(LockResult::Locked(Box::new(NoopLock)))
            }
        }
    }

    fn fingerprints(&self) -> &Fingerprinter {
        if let Some(made) = self.fingerprints.get() {
            return made;
        }
        let made = match self.opening.ready() {
            Ok(opened) => Fingerprinter::new(&*opened.keys.secrets),
            Err(error) => {
                self.warn(&error);
                Fingerprinter::random()
            }
        };
        self.fingerprints.get_or_init(|| made)
    }

    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord> {
        let filed = || {
            let opened = self.opening.as_it_is().ok()??;
            match opened.read(&RecordName::of_refusal(&opened.keys, secret)).ok()? {
                ReadOutcome::Whole(plain) => codec::read_refusal(&plain),
                _ => None,
            }
        };
        let own = self.refusals.lock().get(secret).cloned();
        own.or_else(filed)
    }

    fn set_failure(&self, secret: &Fingerprint, refusal: Option<FailureRecord>, stays: &dyn Fn(&FailureRecord) -> bool) {
        let keep = |plain: &[u8]| codec::read_refusal(plain).is_some_and(|present| stays(&present));
        let outcome = match refusal.as_ref().and_then(codec::write_refusal) {
            Some(plain) => {
                self.opening.ready().and_then(|opened| opened.write(&RecordName::of_refusal(&opened.keys, secret), &plain, keep))
            }
            None => self.opening.as_it_is().and_then(|opened| match opened {
                Some(opened) => opened.remove(&RecordName::of_refusal(&opened.keys, secret), true, keep),
                None => Ok(()),
            }),
        };
        // No warning from here: the token itself will be the occasion for it.
        let mut refusals = self.refusals.lock();
        if outcome.is_err() && refusals.get(secret).is_some_and(stays) {
            return;
        }
        refusals.remove(secret);
        if let (Err(_), Some(refusal)) = (outcome, refusal) {
            refusals.insert(*secret, refusal);
        }
    }
}

/// Whether bytes, taken out of their seal, are a record or a refusal. For the fuzz target alone, which has no seal.
pub fn is_understood(plain: &[u8]) -> bool {
    codec::read_record(plain).is_some() || codec::read_refusal(plain).is_some()
}

/// A configured secret stays where its user put it, and a session that is state elsewhere has no token.
fn is_kept(key: &TokenKey) -> bool {
    !matches!(key.resource_kind, ResourceKind::Key | ResourceKind::Session)
}
