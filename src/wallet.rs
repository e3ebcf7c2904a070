//! The user's own secrets, as the doors of the executable deal with them: read one, ask for one, keep one.
//!
//! Imports [`crate::sources`], [`crate::config`] and [`crate::session`]. The engine needs none of this: it resolves a setting
//! when a service asks for it.

use crate::config::{Profile, Setting};
use crate::error::Result;
use crate::secret::Secret;
use crate::session::Session;
use crate::sources;

pub use crate::sources::{First, ask, keep_in_keyring};

/// The value of a setting, from wherever it is; none where it is not set.
///
/// # Errors
/// Those of its source.
pub fn setting(profile: &Profile, key: &str) -> Result<Option<Secret>> {
    profile.setting(key).map(|setting| sources::resolve(setting, key, profile.environment())).transpose()
}

/// The same where a plugin may have it: that needs the session which `open` opens.
///
/// # Errors
/// Those of its source, and of `open`.
pub fn setting_anywhere(profile: &Profile, key: &str, open: impl FnOnce() -> Result<Session>) -> Result<Option<Secret>> {
    match profile.setting(key) {
        Some(Setting::Plugin(..)) => open()?.secret(key),
        _ => setting(profile, key),
    }
}
