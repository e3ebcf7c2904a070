//! Records failures outside the store, for all processes of the user, if the store can't be used.
//! Otherwise each process would send a rejected password again.
//!
//! The failures are in the directory `$XDG_RUNTIME_DIR/keyferry`. If that can't be used, they are in
//! the user's keyring in the Linux kernel. An entry contains no text of a service. Its name is a
//! keyed hash, with a random key that is created in the same place.

mod entry;
mod place;
mod runtime_dir;
#[cfg(target_os = "linux")]
mod user_keyring;

use std::path::PathBuf;

use crate::config::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Fingerprint, Fingerprinter};
use crate::ports::store::FailureRecord;
use place::{Outcome, Place};

const SECOND_US: i64 = 1_000_000;

/// The places for failures outside the store. No file is open between two calls.
pub struct FailureFallback {
    runtime_dir: Option<PathBuf>,
}

impl FailureFallback {
    /// Creates the fallback for an environment. No file is opened yet.
    pub fn new(environment: &Environment) -> Self {
        let runtime_dir = environment("XDG_RUNTIME_DIR").map(PathBuf::from);
        Self {
            runtime_dir: runtime_dir.filter(|path| path.is_absolute()),
        }
    }

    /// Returns the fingerprinter that all processes without a store share.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if neither place can be used.
    pub fn fingerprints(&self) -> Result<Fingerprinter> {
        self.create().map(|place| place.key().fingerprints())
    }

    /// Returns the place that is used, for messages.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if neither place can be used, with the reasons and the remedy.
    pub fn description(&self) -> Result<String> {
        self.create().map(|place| place.description())
    }

    /// Returns the failure that is recorded for a fingerprint.
    pub fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord> {
        let place = self.open(false).ok()??;
        entry::decode(&place.read(&place.key().entry_name(secret))?)
    }

    /// Replaces the failure recorded for a fingerprint, or removes it if `failure` is `None`.
    /// Changes nothing if `stays` returns true for the current failure.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the change cannot be recorded.
    pub fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<&FailureRecord>,
        stays: &dyn Fn(&FailureRecord) -> bool,
    ) -> Result<()> {
        let encoded = failure.and_then(|failure| Some((failure, entry::encode(failure)?)));
        let place = match &encoded {
            Some(_) => self.create()?,
            None => match self.open(false).map_err(unusable)? {
                Some(place) => place,
                None => return Ok(()),
            },
        };
        change(&*place, secret, encoded, stays).map_err(unusable)
    }

    /// Removes all failures. Keeps the key, because other processes use it.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if a failure cannot be removed.
    pub fn clear(&self) -> Result<()> {
        // A place that can't be used has no failures that count.
        let Ok(Some(place)) = self.open(false) else {
            return Ok(());
        };
        let clear = || {
            let _lock = place.lock()?;
            let names = place.names()?;
            names.iter().try_for_each(|name| place.remove(name))
        };
        clear().map_err(unusable)
    }

    fn create(&self) -> Result<Box<dyn Place>> {
        match self.open(true) {
            Ok(Some(place)) => Ok(place),
            Ok(None) => Err(unusable("no place for them exists".to_owned())),
            Err(reason) => Err(unusable(reason)),
        }
    }

    /// Opens the first place that can be used. `None` if it does not exist and `create` is not set.
    fn open(&self, create: bool) -> Outcome<Option<Box<dyn Place>>> {
        match runtime_dir::open(self.runtime_dir.as_deref(), create) {
            Ok(found) => Ok(found.map(|dir| Box::new(dir) as Box<dyn Place>)),
            Err(reason) => open_keyring(create)
                .map_err(|keyring_reason| format!("{reason}, and {keyring_reason}")),
        }
    }
}

#[cfg(target_os = "linux")]
fn open_keyring(create: bool) -> Outcome<Option<Box<dyn Place>>> {
    let found = user_keyring::open(create)?;
    Ok(found.map(|keyring| Box::new(keyring) as Box<dyn Place>))
}

#[cfg(not(target_os = "linux"))]
fn open_keyring(_create: bool) -> Outcome<Option<Box<dyn Place>>> {
    Err("this system has no kernel keyring".to_owned())
}

fn change(
    place: &dyn Place,
    secret: &Fingerprint,
    failure: Option<(&FailureRecord, Vec<u8>)>,
    stays: &dyn Fn(&FailureRecord) -> bool,
) -> Outcome<()> {
    let name = place.key().entry_name(secret);
    let read = || place.read(&name).and_then(|bytes| entry::decode(&bytes));
    if failure.is_none() && read().is_none() {
        return Ok(());
    }
    let _lock = place.lock()?;
    if read().as_ref().is_some_and(stays) {
        return Ok(());
    }
    let Some((failure, bytes)) = failure else {
        return place.remove(&name);
    };
    make_room(place, &name)?;
    place.write(&name, &bytes, lasts_s(failure))
}

/// Removes the entry that ends first, if the place has the maximum number of entries.
fn make_room(place: &dyn Place, name: &str) -> Outcome<()> {
    let names = place.names()?;
    if names.len() < place.max_entries() || names.iter().any(|present| present == name) {
        return Ok(());
    }
    let end = |name: &String| {
        let failure = place.read(name).and_then(|bytes| entry::decode(&bytes));
        failure.map(|failure| failure.until_us)
    };
    match names.iter().min_by_key(|name| end(name)) {
        Some(first) => place.remove(first),
        None => Ok(()),
    }
}

/// Returns how many seconds a failure lasts, rounded up. It is at least 1, because the kernel takes
/// 0 for no limit.
fn lasts_s(failure: &FailureRecord) -> u32 {
    let us = failure.until_us.saturating_sub(failure.since_us).max(1);
    let seconds = us.saturating_add(SECOND_US - 1) / SECOND_US;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn unusable(reason: String) -> Error {
    Error::new(
        ErrorKind::Store,
        format!(
            "cannot record failures for other processes: {reason}; make the store usable, or set XDG_RUNTIME_DIR to a directory that you own, with mode 700"
        ),
    )
}
