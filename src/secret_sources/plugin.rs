//! Secrets from a plugin: `{ plugin = ["NAME", "SECRET"] }`.
//!
//! The caller implements [`PluginSecrets`]. It decides which plugins are available and which
//! settings of a profile they may use.

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

/// Returns the secret of this name from a plugin. `plugins` is `None` in a command that loads no
/// plugins.
pub(super) fn get(plugin: &str, name: &str, plugins: Option<&dyn PluginSecrets>) -> Result<Secret> {
    let unavailable = || {
        Error::new(
            ErrorKind::SecretSource,
            format!(
                "this command cannot read secrets from the plugin {plugin}; use another source"
            ),
        )
    };
    plugins.ok_or_else(unavailable)?.secret(plugin, name)
}
