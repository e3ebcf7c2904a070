//! Reads the user's secrets from their sources.
//!
//! Each source has its own file and an arm in `resolve_from`. Secrets are not cached: a source
//! is read each time that its secret is needed, so a changed secret takes effect at once.

mod command;
mod env;
mod file;
mod keyring;
mod plugin;

use crate::config::{Environment, Setting, check_text};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::Privacy;

pub use keyring::{Keyring, delete as delete_from_keyring, save as save_in_keyring};
pub use plugin::PluginSecrets;

/// Returns the error for a caller whose deadline passes while it waits for the secret of a setting.
/// `None` for a source that never makes a caller wait.
pub fn timeout_error(setting: &Setting, key: &str) -> Option<Error> {
    let what = match setting {
        Setting::Command(words) => {
            let program = words.first().map_or("its command", String::as_str);
            format!(
                "{program} is still running; run it by hand to see why, or raise the request's timeout"
            )
        }
        Setting::Keyring(..) => {
            "the keyring has not responded yet; unlock it, or keep the secret in a file".to_owned()
        }
        _ => return None,
    };
    Some(Error::new(
        ErrorKind::SecretSource,
        format!("{key}: {what}"),
    ))
}

/// Returns whether reading the secret of a setting takes so little time that it can be read to
/// compare it: this starts no program and asks no service.
pub fn is_quick(setting: &Setting) -> bool {
    matches!(
        setting,
        Setting::Literal(_) | Setting::Env(_) | Setting::File(_) | Setting::Mounted(_)
    )
}

/// Returns the secret of a setting. Does not support secrets from plugins. `key` is the setting's
/// name, for error messages.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if the source does not return the secret; [`ErrorKind::UnsafeFile`]
/// if other users could access the secret's file.
pub fn resolve(setting: &Setting, key: &str, environment: &Environment) -> Result<Secret> {
    resolve_from(setting, key, environment, None)
}

/// Returns the secret of a setting. Supports secrets from plugins.
///
/// # Errors
/// Returns the errors of [`resolve`] and of [`PluginSecrets::secret`].
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
    let found = match setting {
        Setting::Literal(value) => Ok(value.clone()),
        Setting::NonUtf8(_) => Err(Error::new(
            ErrorKind::Config,
            "the value is not UTF-8; set it again in a UTF-8 locale",
        )),
        Setting::Env(name) => env::get(name, environment),
        Setting::File(path) => file::get(path, Privacy::Private),
        Setting::Mounted(path) => file::get(path, Privacy::Mounted),
        Setting::Keyring(service, account) => keyring::get(service, account, environment),
        Setting::Command(words) => command::get(words),
        Setting::Plugin(plugin, name) => plugin::get(plugin, name, plugins),
    };
    let secret = found.map_err(|error| {
        let kind = match error.kind {
            ErrorKind::UnsafeFile | ErrorKind::Plugin => error.kind,
            // A plugin's failure may be transient. The caller must see that.
            _ if error.is_transient() => error.kind,
            _ => ErrorKind::SecretSource,
        };
        Error::new(kind, format!("{key}: {}", error.message()))
            .with_retry_after_ms(error.retry_after_ms)
            .with_since_unix_s(error.since_unix_s)
    })?;
    #[expect(clippy::disallowed_methods, reason = "looks for control characters")]
    check_text(ErrorKind::SecretSource, key, secret.expose())?;
    Ok(secret)
}
