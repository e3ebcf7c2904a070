//! Saves a secret in the keyring or in a file with mode 0600, and writes a reference to it into
//! `config.toml`.
//!
//! The secret itself is never written into the configuration.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use toml_edit::Value;

use crate::config_edit::with_setting;
use crate::context::CliContext;
use keyferry::config::{DEFAULT_ACCOUNT, user_file};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::Secret;
use keyferry::secret_sources::save_in_keyring;
use keyferry::sys::private_file::{self, Privacy};
use keyferry::text;

/// Where a secret is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaveTarget {
    /// The desktop's keyring or, if there is none, the kernel's keyring until the next reboot
    Keyring,
    /// A file next to config.toml that other users cannot read
    File,
}

/// The longest configuration file that can be edited.
const MAX_CONFIG_BYTES: usize = 256 * 1024;

/// Saves the secret of a setting. Returns a description of where it was saved.
///
/// # Errors
/// [`ErrorKind::Config`] if the configuration cannot be found or edited; [`ErrorKind::UnsafeFile`]
/// if a file is not safe to use; [`ErrorKind::SecretSource`] if the keyring fails. If the secret
/// could not be saved, the configuration contains no reference to it.
pub fn save_secret(
    target: SaveTarget,
    account: &str,
    key: &str,
    secret: &Secret,
    context: &CliContext,
) -> Result<String> {
    let config = config_path(context)?;
    let item = if account == DEFAULT_ACCOUNT {
        key.to_owned()
    } else {
        format!("{account}.{key}")
    };
    let (reference, location) = match target {
        SaveTarget::Keyring => {
            let keyring_name = save_in_keyring("keyferry", &item, secret, &context.environment)?;
            (
                Value::from_iter([("keyring", Value::from_iter(["keyferry", &item]))]),
                keyring_name.to_owned(),
            )
        }
        SaveTarget::File => {
            let path = secrets_dir(&config).join(&item);
            let name = utf8_path(&path)?.to_owned();
            #[expect(
                clippy::disallowed_methods,
                reason = "the user asked to save the secret in a private file"
            )]
            private_file::replace(&path, format!("{}\n", secret.expose()).as_bytes())?;
            (Value::from_iter([("file", &name)]), name)
        }
    };
    write_setting(&config, account, key, reference)?;
    Ok(location)
}

/// Saves a value that is not secret in `config.toml`.
///
/// # Errors
/// Returns the errors of [`save_secret`].
pub fn save_setting(account: &str, key: &str, text: &str, context: &CliContext) -> Result<()> {
    write_setting(&config_path(context)?, account, key, text.into())
}

/// Checks that secrets and settings can be saved, before the user is asked for a secret.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the directory of config.toml is in a directory of another user;
/// [`ErrorKind::Config`] if it cannot be found, or if its path cannot be written into config.toml.
pub fn check_save(target: SaveTarget, context: &CliContext) -> Result<()> {
    let config = config_path(context)?;
    if target == SaveTarget::File {
        utf8_path(&secrets_dir(&config))?;
    }
    private_file::check_replace(&config)
}

fn secrets_dir(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("/")).join("secrets")
}

/// Returns a path as text, because config.toml is UTF-8.
fn utf8_path(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = format!(
            "cannot save the secret in {}: the path is not UTF-8, so config.toml cannot refer to it; use --save keyring",
            path.display()
        );
        Error::new(ErrorKind::Config, message)
    })
}

fn config_path(context: &CliContext) -> Result<PathBuf> {
    user_file(&context.environment).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            "cannot find the directory of config.toml; set HOME",
        )
    })
}

fn write_setting(path: &Path, account: &str, key: &str, value: Value) -> Result<()> {
    let old_text = match private_file::read(path, Privacy::Public, MAX_CONFIG_BYTES) {
        Ok(bytes) => text::decode(&bytes).map(str::to_owned).map_err(|fault| {
            let file = path.display();
            let message = format!(
                "cannot edit {file}: it {}; save it as UTF-8",
                fault.reason()
            );
            Error::new(ErrorKind::Config, message)
        })?,
        Err(error) if error.kind == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let new_text = with_setting(path, &old_text, account, key, value)?;
    if new_text == old_text {
        Ok(())
    } else {
        private_file::replace(path, new_text.as_bytes())
    }
}
