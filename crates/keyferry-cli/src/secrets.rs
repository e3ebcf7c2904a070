//! Resolves settings that contain secrets, for commands that need the values.
//!
//! The engine doesn't use this module. It resolves a setting when a service needs it.

use keyferry::config::{Profile, Setting};
use keyferry::error::Result;
use keyferry::secret::Secret;
use keyferry::secret_sources;
use keyferry::session::Session;

/// Resolves a setting to its value. None if it is not set.
///
/// # Errors
/// Returns the errors of the setting's source.
pub fn resolve_setting(profile: &Profile, key: &str) -> Result<Option<Secret>> {
    profile
        .setting(key)
        .map(|setting| secret_sources::resolve(setting, key, profile.environment()))
        .transpose()
}

/// Resolves a setting that may come from a plugin. If it does, `open` opens the session that loads
/// the plugin.
///
/// # Errors
/// Returns the errors of the setting's source and of `open`.
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
