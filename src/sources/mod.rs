//! Where secrets come from: one file a source, one line in the table.
//!
//! Imports [`crate::config`], [`crate::error`], [`crate::secret`] and the port to a store, whose key a keyring may keep. A source is asked when its secret is needed, every
//! time anew: a secret that was changed is used at once, and none is kept here.

mod command;
mod env;
mod file;
mod keyring;
mod prompt;

use crate::config::{Environment, Setting, check_text};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

pub use keyring::{Keyring, put as keep_in_keyring};
pub use prompt::{First, ask};

/// Gives the secret of a setting; None if the setting is another source's.
type Source = fn(&Setting, &Environment) -> Option<Result<Secret>>;

const SOURCES: &[Source] = &[env::get, file::get, command::get, keyring::get];

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
    Some(Error::new(Kind::SecretSource, format!("{key}: {what}")))
}

/// The secret of a setting. `key` is its name in messages.
///
/// # Errors
/// [`Kind::SecretSource`] if its source does not give it, [`Kind::UnsafeFile`] if others could read it.
pub fn resolve(setting: &Setting, key: &str, environment: &Environment) -> Result<Secret> {
    let found = SOURCES.iter().find_map(|source| source(setting, environment));
    let secret = match (setting, found) {
        (_, Some(found)) => found.map_err(|error| {
            let kind = if error.kind == Kind::UnsafeFile { Kind::UnsafeFile } else { Kind::SecretSource };
            Error::new(kind, format!("{key}: {}", error.what()))
        })?,
        (Setting::Literal(value), None) => value.clone(),
        (_, None) => return Err(Error::new(Kind::SecretSource, format!("{key}: no source knows it"))),
    };
    check_text(Kind::SecretSource, key, secret.expose())?;
    Ok(secret)
}
