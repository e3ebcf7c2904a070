//! Secrets in environment variables that the configuration file names: `{ env = "NAME" }`.

use crate::config::{Environment, Setting, variable};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Returns the secret of a setting. `None` if the setting names no environment variable.
pub(super) fn get(setting: &Setting, environment: &Environment) -> Option<Result<Secret>> {
    let Setting::Env(name) = setting else {
        return None;
    };
    let missing = || {
        Error::new(
            ErrorKind::SecretSource,
            format!(
                "the environment variable {name} is not set; export it before the program starts"
            ),
        )
    };
    Some(variable(environment, name).and_then(|value| value.ok_or_else(missing)))
}
