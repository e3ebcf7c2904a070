//! The stores, one file or directory each.

pub mod file;
pub mod memory;

use crate::config::Profile;
use crate::ports::store::{KeyBackend, Store};
use file::FileStore;
use memory::MemoryStore;

/// The store that a profile configures. `keyring` is called if the store's key is to be in a
/// keyring. Nothing is opened yet. A bare configuration uses no file of the user's, so it gets the
/// user's store only if it sets `store`.
pub fn open(
    profile: &Profile,
    is_standalone: bool,
    keyring: impl FnOnce() -> Box<dyn KeyBackend>,
) -> Box<dyn Store> {
    match profile.text("store") {
        Some("memory") | None => Box::new(MemoryStore::default()),
        _ if is_standalone && !profile.is_set("store") => Box::new(MemoryStore::default()),
        Some(setting) => {
            let keyring = (profile.text("store_key") == Some("keyring")).then(keyring);
            Box::new(FileStore::with_keyring(
                keyring,
                setting,
                profile.environment(),
            ))
        }
    }
}
