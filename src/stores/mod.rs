//! The stores, one file or folder each.

pub mod file;
pub mod memory;

use crate::config::Profile;
use crate::store::Store;

/// The store that an account has configured. Nothing of it is opened yet. A bare configuration looks at nothing of the user's, so
/// it gets the user's store only if it asks for it.
pub fn open(profile: &Profile, is_bare: bool) -> Box<dyn Store> {
    match profile.text("store") {
        Some("memory") | None => Box::new(memory::Memory::default()),
        _ if is_bare && !profile.is_set("store") => Box::new(memory::Memory::default()),
        Some(setting) => Box::new(file::Files::new(setting, profile.environment())),
    }
}
