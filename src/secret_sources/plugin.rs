//! Secrets that a plugin gives: `{ plugin = ["NAME", "WHAT"] }`.
//!
//! Which plugins there are, and what they may use of an account, whoever asks knows: see
//! [`super::PluginSecrets`].

use super::PluginSecrets;
use crate::config::Setting;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

pub(super) fn get(setting: &Setting, plugins: Option<&dyn PluginSecrets>) -> Option<Result<Secret>> {
    let Setting::Plugin(name, what) = setting else { return None };
    let outside = || Error::new(ErrorKind::SecretSource, format!("the plugin {name} gives it to its service alone, not to this command"));
    Some(plugins.ok_or_else(outside).and_then(|plugins| plugins.secret(name, what)))
}
