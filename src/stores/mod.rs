//! The stores, one file or folder each.

pub mod file;
pub mod memory;

use crate::config::Profile;
use crate::ports::store::{KeyBackend, Store};

/// The store that an account has configured; `keyring` keeps its key if that is not to be in a file. Nothing of it is opened yet. A bare
/// configuration looks at nothing of the user's, so it gets the user's store only if it asks for it.
pub fn open(profile: &Profile, is_bare: bool, keyring: impl FnOnce() -> Box<dyn KeyBackend>) -> Box<dyn Store> {
    match profile.text("store") {
        Some("memory") | None => Box::new(memory::Memory::default()),
        _ if is_bare && !profile.is_set("store") => Box::new(memory::Memory::default()),
        Some(setting) => {
            let keyring = (profile.text("store_key") == Some("keyring")).then(keyring);
            Box::new(file::Files::keyed_by(keyring, setting, profile.environment()))
        }
    }
}
