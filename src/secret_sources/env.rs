//! Secrets in environment variables that the configuration file names: `{ env = "NAME" }`.

use crate::config::{Environment, variable};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Returns the value of an environment variable.
pub(super) fn get(name: &str, environment: &Environment) -> Result<Secret> {
    let missing = || {
        Error::new(
            ErrorKind::SecretSource,
            format!(
                "the environment variable {name} is not set; export it before the program starts"
            ),
        )
    };
    variable(environment, name)?.ok_or_else(missing)
}
