//! The keyring `keyferry` in the user's keyring in the Linux kernel. The kernel removes each entry
//! when its failure ends. It has no locks: of two changes of one entry at the same moment, the last
//! one stays.

use std::io;

use super::place::{Outcome, Place, PlaceKey, is_entry_name};
use crate::sys::file_lock::HeldLock;
use crate::sys::io_cause;
use crate::sys::private_keyring::PrivateKeyring;

const KEYRING: &str = "keyferry";
const KEY_NAME: &str = "key";
/// The kernel allows a user about 200 keys, which all programs share.
const MAX_ENTRIES: usize = 32;

/// The open keyring.
pub(super) struct UserKeyring {
    keyring: PrivateKeyring,
    key: PlaceKey,
}

/// Opens the keyring. `None` if it does not exist and `create` is not set.
pub(super) fn open(create: bool) -> Outcome<Option<UserKeyring>> {
    let keyring = match PrivateKeyring::open(KEYRING).map_err(|error| reason(&error))? {
        Some(keyring) => keyring,
        None if create => {
            let bytes = PlaceKey::random()?;
            PrivateKeyring::create(KEYRING, KEY_NAME, &*bytes).map_err(|error| reason(&error))?
        }
        None => return Ok(None),
    };
    let bytes = keyring.read(KEY_NAME).map_err(|error| reason(&error))?;
    let key = bytes.and_then(|bytes| PlaceKey::from_bytes(&bytes));
    match key {
        Some(key) => Ok(Some(UserKeyring { keyring, key })),
        None => Err("the kernel keyring `keyferry` has no valid key".to_owned()),
    }
}

fn reason(error: &io::Error) -> String {
    format!(
        "the kernel keyring cannot be used ({})",
        io_cause::reason(error)
    )
}

impl Place for UserKeyring {
    fn description(&self) -> String {
        "the kernel keyring `keyferry`".to_owned()
    }

    fn key(&self) -> &PlaceKey {
        &self.key
    }

    fn max_entries(&self) -> usize {
        MAX_ENTRIES
    }

    fn lock(&self) -> Outcome<Option<HeldLock>> {
        Ok(None)
    }

    fn names(&self) -> Outcome<Vec<String>> {
        let mut names = self.keyring.names().map_err(|error| reason(&error))?;
        names.retain(|name| is_entry_name(name));
        Ok(names)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = self.keyring.read(name).ok()??;
        Some(bytes.to_vec())
    }

    fn write(&self, name: &str, bytes: &[u8], lasts_s: u32) -> Outcome<()> {
        self.keyring
            .write(name, bytes, lasts_s)
            .map_err(|error| reason(&error))
    }

    fn remove(&self, name: &str) -> Outcome<()> {
        self.keyring.remove(name).map_err(|error| reason(&error))
    }
}
