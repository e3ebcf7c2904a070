//! Saves a secret in the keyring or in a file with mode 0600, and writes a reference to it into
//! `config.toml`. Removes such a secret and its reference again.
//!
//! The secret itself is never written into the configuration.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::ValueEnum;

use toml_edit::Value;

use crate::config_edit::{with_setting, without_setting};
use crate::context::CliContext;
use keyferry::config::{DEFAULT_ACCOUNT, Setting, user_file};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::Secret;
use keyferry::secret_sources::{delete_from_keyring, save_in_keyring};
use keyferry::sys::io_cause;
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

/// The service name of the items in the keyring.
const KEYRING_SERVICE: &str = "keyferry";

/// The longest configuration file that can be edited.
const MAX_CONFIG_BYTES: usize = 256 * 1024;

/// Saves the secret of a setting. Returns a description of where it was saved, and the reference to
/// it in TOML.
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
) -> Result<(String, String)> {
    let config = config_path(context)?;
    let item = item_name(account, key);
    let (reference, location) = match target {
        SaveTarget::Keyring => {
            let keyring_name =
                save_in_keyring(KEYRING_SERVICE, &item, secret, &context.environment)?;
            (
                Value::from_iter([("keyring", Value::from_iter([KEYRING_SERVICE, &item]))]),
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
    let line = reference.to_string();
    write_setting(&config, account, key, reference)?;
    Ok((location, line))
}

/// Removes a secret that [`save_secret`] saved, and the reference to it. Returns a description of
/// where the secret was. Returns `None` and changes nothing if the setting refers to anything else.
///
/// # Errors
/// Returns the errors of [`save_secret`]. If the secret could not be removed, the error says where
/// it is.
pub fn remove_saved(
    account: &str,
    key: &str,
    setting: &Setting,
    context: &CliContext,
) -> Result<Option<String>> {
    let Ok(config) = config_path(context) else {
        return Ok(None);
    };
    let item = item_name(account, key);
    match setting {
        Setting::File(path) if *path == secrets_dir(&config).join(&item) => {
            remove_setting(&config, account, key)?;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let message = format!(
                        "cannot delete {}: {}; delete it yourself",
                        path.display(),
                        io_cause::reason(&error)
                    );
                    Err(Error::new(ErrorKind::SecretSource, message))
                }
                _ => Ok(Some(path.display().to_string())),
            }
        }
        Setting::Keyring(service, name) if service == KEYRING_SERVICE && *name == item => {
            remove_setting(&config, account, key)?;
            delete_from_keyring(service, name, &context.environment)?;
            Ok(Some("the keyring".to_owned()))
        }
        _ => Ok(None),
    }
}

/// Returns the name of the file or of the keyring's item for a setting.
fn item_name(account: &str, key: &str) -> String {
    if account == DEFAULT_ACCOUNT {
        key.to_owned()
    } else {
        format!("{account}.{key}")
    }
}

/// Saves a value that is not secret in `config.toml`. Returns the value in TOML.
///
/// # Errors
/// Returns the errors of [`save_secret`].
pub fn save_setting(account: &str, key: &str, text: &str, context: &CliContext) -> Result<String> {
    let value = Value::from(text);
    let line = value.to_string();
    write_setting(&config_path(context)?, account, key, value)?;
    Ok(line)
}

/// Checks that secrets and settings can be saved, before the user is asked for a secret.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the directory of config.toml is in a directory of another user;
/// [`ErrorKind::Config`] if it cannot be found, or if its path cannot be written into config.toml.
pub fn check_save(target: Option<SaveTarget>, context: &CliContext) -> Result<()> {
    let config = config_path(context)?;
    if target == Some(SaveTarget::File) {
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

/// Returns the path of the user's config.toml.
///
/// # Errors
/// [`ErrorKind::Config`] if the directory of the file cannot be found.
pub fn config_path(context: &CliContext) -> Result<PathBuf> {
    user_file(&context.environment).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            "cannot find the directory of config.toml; set HOME",
        )
    })
}

fn write_setting(path: &Path, account: &str, key: &str, value: Value) -> Result<()> {
    edit_config(path, |text| with_setting(path, text, account, key, value))
}

fn remove_setting(path: &Path, account: &str, key: &str) -> Result<()> {
    edit_config(path, |text| without_setting(path, text, account, key))
}

/// Replaces the text of config.toml, unless it stays the same.
fn edit_config(path: &Path, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
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
    let new_text = edit(&old_text)?;
    if new_text == old_text {
        Ok(())
    } else {
        private_file::replace(path, new_text.as_bytes())
    }
}
