//! Resolves the settings that hold secrets, for commands that need their values.
//!
//! The engine needs none of this: it resolves a setting when a service asks for it.

use keyferry::config::{Profile, Setting};
use keyferry::error::Result;
use keyferry::secret::Secret;
use keyferry::secret_sources;
use keyferry::session::Session;

/// Resolves a setting to its value. None if it is not set.
///
/// # Errors
/// Those of its source.
pub fn resolve_setting(profile: &Profile, key: &str) -> Result<Option<Secret>> {
    profile
        .setting(key)
        .map(|setting| secret_sources::resolve(setting, key, profile.environment()))
        .transpose()
}

/// Resolves a setting that a plugin may provide, through the session that `open` opens.
///
/// # Errors
/// Those of its source, and of `open`.
pub fn resolve_setting_or_plugin(
    profile: &Profile,
    key: &str,
    open: impl FnOnce() -> Result<Session>,
) -> Result<Option<Secret>> {
    match profile.setting(key) {
        Some(Setting::Plugin(..)) => open()?.secret(key),
        _ => resolve_setting(profile, key),
    }
}
