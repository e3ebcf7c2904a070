//! Secrets that a plugin gives: `{ plugin = ["NAME", "WHAT"] }`.
//!
//! The caller knows which plugins there are and what they may use of a profile: see
//! [`PluginSecrets`].

use crate::config::Setting;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Gets secrets from plugins, for one profile.
pub trait PluginSecrets {
    /// The secret that a plugin has under this name.
    ///
    /// # Errors
    /// Those of the plugin; [`ErrorKind::SecretSource`] if the plugin has none of this name.
    fn secret(&self, plugin: &str, name: &str) -> Result<Secret>;
}

/// The secret of a setting. `None` if the setting names no plugin.
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
            format!("the plugin {plugin} gives it to its service alone, not to this command"),
        )
    };
    Some(
        plugins
            .ok_or_else(unavailable)
            .and_then(|plugins| plugins.secret(plugin, name)),
    )
}
