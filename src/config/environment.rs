//! Settings from environment variables. Their values are always literal.
//!
//! Imports its parent and [`crate::secret`]. An empty variable counts as not set.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::{Config, Entry, Environment, FIELDS, Layer, Setting, check_text, literal};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// The environment of this process. Bytes that are no UTF-8 arrive as U+FFFD, which no setting takes.
pub fn process_environment() -> Environment {
    Arc::new(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// The value of a variable, if it has one.
///
/// # Errors
/// [`Kind::Config`] if it is no UTF-8.
pub fn variable(environment: &Environment, name: &str) -> Result<Option<Secret>> {
    let value = environment(name).map(Secret::new).filter(|value| !value.is_empty());
    if value.as_ref().is_some_and(|value| value.expose().contains(char::REPLACEMENT_CHARACTER)) {
        return Err(Error::new(Kind::Config, format!("{name} is not UTF-8: set it again in a UTF-8 locale")));
    }
    Ok(value)
}

/// Keeps our secrets out of the environment of a program that is started for another end.
pub fn withhold(command: &mut Command) -> &mut Command {
    for name in FIELDS.iter().filter(|field| field.secret).flat_map(|field| field.env) {
        command.env_remove(name);
    }
    command
}

/// What a variable holds, and its name.
pub(super) enum Variable {
    /// The value itself.
    Value(Secret, String),
    /// The path of a file, from a variable with `_FILE` at its end.
    File(PathBuf, String),
}

/// Takes over all settings that the environment has.
pub(super) fn read(environment: &Environment, config: &mut Config) -> Result<()> {
    for field in FIELDS {
        for name in field.env {
            let (setting, name) = match find(environment, name, field.takes_reference())? {
                None => continue,
                Some(Variable::Value(value, name)) => (literal(field, Kind::Config, &name, value)?, name),
                Some(Variable::File(path, name)) => (Setting::Mounted(path), name),
            };
            config.put(Entry::new(None, field, Layer::Environment(name), setting));
            break;
        }
    }
    Ok(())
}

/// What one variable, or that with `_FILE` at its end, says.
pub(super) fn find(environment: &Environment, name: &str, takes_file: bool) -> Result<Option<Variable>> {
    let value = variable(environment, name)?;
    let name_file = format!("{name}_FILE");
    let path = if takes_file { variable(environment, &name_file)? } else { None };
    match (value, path) {
        (Some(_), Some(_)) => Err(Error::new(Kind::Config, format!("{name} and {name_file} are both set: unset one"))),
        (Some(value), None) => Ok(Some(Variable::Value(value, name.to_owned()))),
        (None, Some(path)) => {
            check_text(Kind::Config, &name_file, path.expose())?;
            let path = PathBuf::from(path.expose());
            if !path.is_absolute() {
                return Err(Error::new(Kind::Config, format!("{name_file} is not an absolute path: begin it with a slash")));
            }
            Ok(Some(Variable::File(path, name_file)))
        }
        (None, None) => Ok(None),
    }
}
