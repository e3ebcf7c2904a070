//! The user's own secrets, as the doors of the executable deal with them: read one, ask for one, keep one.
//!
//! The engine needs none of this: it resolves a setting when a service asks for it.

use keyferry::config::{Profile, Setting};
use keyferry::error::Result;
use keyferry::secret::Secret;
use keyferry::secret_sources;
use keyferry::session::Session;

/// The value of a setting, from wherever it is; none where it is not set.
///
/// # Errors
/// Those of its source.
pub fn resolve_setting(profile: &Profile, key: &str) -> Result<Option<Secret>> {
    profile.setting(key).map(|setting| secret_sources::resolve(setting, key, profile.environment())).transpose()
}

/// The same where a plugin may have it: that needs the session which `open` opens.
///
/// # Errors
/// Those of its source, and of `open`.
pub fn resolve_setting_or_plugin(profile: &Profile, key: &str, open: impl FnOnce() -> Result<Session>) -> Result<Option<Secret>> {
    match profile.setting(key) {
        Some(Setting::Plugin(..)) => open()?.secret(key),
        _ => resolve_setting(profile, key),
    }
}
