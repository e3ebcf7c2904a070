//! The user's own secrets, as the doors of the executable deal with them: read one, ask for one, keep one.
//!
//! Imports [`crate::sources`] and [`crate::config`]. The engine needs none of this: it resolves a setting when a service asks for it.

use crate::config::Profile;
use crate::error::Result;
use crate::secret::Secret;
use crate::sources;

pub use crate::sources::{First, ask, keep_in_keyring};

/// The value of a setting, from wherever it is; none where it is not set.
///
/// # Errors
/// Those of its source.
pub fn setting(profile: &Profile, key: &str) -> Result<Option<Secret>> {
    profile.setting(key).map(|setting| sources::resolve(setting, key, profile.environment())).transpose()
}
