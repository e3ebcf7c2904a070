//! Secrets from a plugin: `{ plugin = ["NAME", "SECRET"] }`.
//!
//! The caller implements [`PluginSecrets`]. It decides which plugins are available and which
//! settings of a profile they may use.

use crate::config::Setting;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Gets secrets from plugins on behalf of one profile.
pub trait PluginSecrets {
    /// Returns the secret of this name from a plugin.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if the plugin has no secret of this name. Also returns the
    /// errors of the plugin.
    fn secret(&self, plugin: &str, name: &str) -> Result<Secret>;
}

/// Returns the secret of a setting. `None` if the setting names no plugin.
pub(super) fn get(
    setting: &Setting,
    plugins: Option<&dyn PluginSecrets>,
) -> Option<Result<Secret>> {
    let Setting::Plugin(plugin, name) = setting else {
        return None;
    };
    let unavailable = || {
        Error::new(
            ErrorKind::SecretSource,
            format!(
                "this command cannot read secrets from the plugin {plugin}; use another source"
            ),
        )
    };
    Some(
        plugins
            .ok_or_else(unavailable)
            .and_then(|plugins| plugins.secret(plugin, name)),
    )
}
