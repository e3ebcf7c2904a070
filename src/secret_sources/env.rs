//! Secrets from environment variables that the configuration file names.

use crate::config::{Environment, Setting, variable};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The secret of a setting. `None` if the setting names no environment variable.
pub(super) fn get(setting: &Setting, environment: &Environment) -> Option<Result<Secret>> {
    let Setting::Env(name) = setting else {
        return None;
    };
    let missing = || {
        Error::new(
            ErrorKind::SecretSource,
            format!("the variable {name} is not set: export it where the program starts"),
        )
    };
    Some(variable(environment, name).and_then(|value| value.ok_or_else(missing)))
}
