//! The stores: one file or directory for each.

pub mod failure_fallback;
pub mod file;
pub mod memory;

pub use file::Damage;

use crate::config::Profile;
use crate::ports::store::{KeyBackend, Store};
use failure_fallback::FailureFallback;
use file::FileStore;
use memory::MemoryStore;

/// Returns the store that a profile configures. No file is opened yet. `keyring` is called only if
/// the store's key is in a keyring.
///
/// A standalone configuration uses none of the user's files unless it names them. So it gets a file
/// store only if it sets `store`.
pub fn open(
    profile: &Profile,
    is_standalone: bool,
    damage: Damage,
    keyring: impl FnOnce() -> Box<dyn KeyBackend>,
) -> Box<dyn Store> {
    match profile.paths("store") {
        None => Box::new(MemoryStore::default()),
        Some(setting) if setting == "memory" => Box::new(MemoryStore::default()),
        _ if is_standalone && !profile.is_set("store") => Box::new(MemoryStore::default()),
        Some(setting) => {
            let keyring = (profile.text("store_key") == Some("keyring")).then(keyring);
            let environment = profile.environment();
            let store = FileStore::with_keyring(keyring, setting, environment).on_damage(damage);
            Box::new(store.with_failure_fallback(FailureFallback::new(environment)))
        }
    }
}
