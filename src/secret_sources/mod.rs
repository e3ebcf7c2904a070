//! Where secrets come from: one file a source, one line in the table.
//!
//! A source is asked when its secret is needed, every time anew: a secret that was changed is used
//! at once, and none is kept here.

mod command;
mod env;
mod file;
mod keyring;
mod plugin;

use crate::config::{Environment, Setting, check_text};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

pub use keyring::{Keyring, put as keep_in_keyring};

/// Gives the secret of a setting; None if the setting is another source's.
type Source = fn(&Setting, &Environment) -> Option<Result<Secret>>;

const SOURCES: &[Source] = &[env::get, file::get, command::get, keyring::get];

/// Has plugins give their secrets to an account.
pub trait PluginSecrets {
    /// The secret that a plugin has for `what`.
    ///
    /// # Errors
    /// Those of the plugin; [`ErrorKind::SecretSource`] if there is none of this name.
    fn secret(&self, plugin: &str, what: &str) -> Result<Secret>;
}

/// What is wrong for who can't wait any longer for the secret of a setting; None for a source that nobody has to wait for.
pub fn unanswered(setting: &Setting, key: &str) -> Option<Error> {
    let what = match setting {
        Setting::Command(words) => {
            let program = words.first().map_or("its command", String::as_str);
            format!("{program} is still running: run it by hand to see why, or give the request more time")
        }
        Setting::Keyring(..) => "the keyring has not answered yet: unlock it, or keep the secret in a file".to_owned(),
        _ => return None,
    };
    Some(Error::new(ErrorKind::SecretSource, format!("{key}: {what}")))
}

/// The secret of a setting, where no plugin can be asked. `key` is its name in messages.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if its source does not give it, [`ErrorKind::UnsafeFile`] if others could read it.
pub fn resolve(setting: &Setting, key: &str, environment: &Environment) -> Result<Secret> {
    resolved(setting, key, environment, None)
}

/// The same where plugins can be asked.
///
/// # Errors
/// Those of [`resolve`].
pub fn resolve_with(setting: &Setting, key: &str, environment: &Environment, plugins: &dyn PluginSecrets) -> Result<Secret> {
    resolved(setting, key, environment, Some(plugins))
}

fn resolved(setting: &Setting, key: &str, environment: &Environment, plugins: Option<&dyn PluginSecrets>) -> Result<Secret> {
    let found = plugin::get(setting, plugins).or_else(|| SOURCES.iter().find_map(|source| source(setting, environment)));
    let secret = match (setting, found) {
        (_, Some(found)) => found.map_err(|error| {
            let kind = match error.kind {
                ErrorKind::UnsafeFile | ErrorKind::Plugin => error.kind,
                // What may work later may do so through a plugin too.
                _ if error.is_transient() => error.kind,
                _ => ErrorKind::SecretSource,
            };
            Error::new(kind, format!("{key}: {}", error.message())).with_retry_after_ms(error.retry_after_ms)
        })?,
        (Setting::Literal(value), None) => value.clone(),
        (_, None) => return Err(Error::new(ErrorKind::SecretSource, format!("{key}: no source knows it"))),
    };
    check_text(ErrorKind::SecretSource, key, secret.expose())?;
    Ok(secret)
}
