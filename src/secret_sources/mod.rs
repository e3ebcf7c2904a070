//! The sources of secrets: one file and one line in the table for each.
//!
//! A source is asked each time that its secret is needed, so a changed secret is used at once. No
//! secret is cached here.

mod command;
mod env;
mod file;
mod keyring;
mod plugin;

use crate::config::{Environment, Setting, check_text};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

pub use keyring::{Keyring, save as save_in_keyring};
pub use plugin::PluginSecrets;

/// Gives the secret of a setting. `None` if the setting names another source.
type Source = fn(&Setting, &Environment) -> Option<Result<Secret>>;

const SOURCES: &[Source] = &[env::get, file::get, command::get, keyring::get];

/// The error for a caller whose time is over while it waits for the secret of a setting. `None` if
/// the source answers at once.
pub fn timeout_error(setting: &Setting, key: &str) -> Option<Error> {
    let what = match setting {
        Setting::Command(words) => {
            let program = words.first().map_or("its command", String::as_str);
            format!(
                "{program} is still running: run it by hand to see why, or give the request more time"
            )
        }
        Setting::Keyring(..) => {
            "the keyring has not answered yet: unlock it, or keep the secret in a file".to_owned()
        }
        _ => return None,
    };
    Some(Error::new(
        ErrorKind::SecretSource,
        format!("{key}: {what}"),
    ))
}

/// The secret of a setting, without plugins. `key` is the setting's name in messages.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if the source does not give it, [`ErrorKind::UnsafeFile`] if other
/// users could read it.
pub fn resolve(setting: &Setting, key: &str, environment: &Environment) -> Result<Secret> {
    resolve_from(setting, key, environment, None)
}

/// The secret of a setting, from a plugin if the setting names one.
///
/// # Errors
/// Those of [`resolve`].
pub fn resolve_with(
    setting: &Setting,
    key: &str,
    environment: &Environment,
    plugins: &dyn PluginSecrets,
) -> Result<Secret> {
    resolve_from(setting, key, environment, Some(plugins))
}

fn resolve_from(
    setting: &Setting,
    key: &str,
    environment: &Environment,
    plugins: Option<&dyn PluginSecrets>,
) -> Result<Secret> {
    let found = plugin::get(setting, plugins).or_else(|| {
        SOURCES
            .iter()
            .find_map(|source| source(setting, environment))
    });
    let secret = match (setting, found) {
        (_, Some(found)) => found.map_err(|error| {
            let kind = match error.kind {
                ErrorKind::UnsafeFile | ErrorKind::Plugin => error.kind,
                // A plugin's failure may be transient too.
                _ if error.is_transient() => error.kind,
                _ => ErrorKind::SecretSource,
            };
            Error::new(kind, format!("{key}: {}", error.message()))
                .with_retry_after_ms(error.retry_after_ms)
        })?,
        (Setting::Literal(value), None) => value.clone(),
        (_, None) => {
            return Err(Error::new(
                ErrorKind::SecretSource,
                format!("{key}: no source knows it"),
            ));
        }
    };
    check_text(ErrorKind::SecretSource, key, secret.expose())?;
    Ok(secret)
}
