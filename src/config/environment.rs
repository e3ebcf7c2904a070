//! Settings from environment variables. Their values are always literal.
//!
//! An empty variable counts as not set.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::entry::{Entry, Setting, checked_literal};
use super::layer::Layer;
use super::settings::SETTINGS;
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// Looks up an environment variable; the process's own, or a test's.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The environment of this process. Bytes that are no UTF-8 arrive as U+FFFD, which no setting
/// takes.
pub fn process_environment() -> Environment {
    Arc::new(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// The value of a variable, if it has one.
///
/// # Errors
/// [`ErrorKind::Config`] if it is no UTF-8.
pub fn variable(environment: &Environment, name: &str) -> Result<Option<Secret>> {
    let value = environment(name)
        .map(Secret::new)
        .filter(|value| !value.is_empty());
    if value
        .as_ref()
        .is_some_and(|value| value.expose().contains(char::REPLACEMENT_CHARACTER))
    {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{name} is not UTF-8: set it again in a UTF-8 locale"),
        ));
    }
    Ok(value)
}

/// The variables that hold secrets by reference from a configuration of this process, of any
/// account.
///
/// Rationale: an environment is the process's, whichever configuration a program is started for. A
/// child has what it looks up itself.
static SECRET_VARIABLES: PerProcess<Mutex<BTreeSet<String>>> = PerProcess::new();

/// Records the variables that these entries refer to as secrets, for [`without_secrets`].
pub(super) fn record_secret_variables(entries: &[Entry]) {
    let is_secret = |entry: &&Entry| entry.secret || entry.is_plugin_setting();
    let name = |entry: &Entry| {
        if let Setting::Env(name) = &entry.setting {
            Some(name.clone())
        } else {
            None
        }
    };
    SECRET_VARIABLES
        .get_or_init(Mutex::default)
        .lock()
        .extend(entries.iter().filter(is_secret).filter_map(name));
}

/// Removes secrets from the environment of a program that is started for another purpose: this
/// library's, those that a configuration refers to, and plugins'.
pub fn without_secrets(command: &mut Command) -> &mut Command {
    for name in SETTINGS
        .iter()
        .filter(|field| field.secret)
        .flat_map(|field| field.env)
    {
        command.env_remove(name);
    }
    for name in SECRET_VARIABLES.get_or_init(Mutex::default).lock().iter() {
        command.env_remove(name);
    }
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(may_be_plugin_secret))
    {
        command.env_remove(name);
    }
    command
}

/// Whether a variable may be a plugin's secret. Which settings are secrets only a plugin that is
/// loaded tells, and not every program is started after that: so all go that are neither ours nor
/// the URL `KEYFERRY_NAME_URL` that a service has to have. Others are secrets at times, such as
/// that of a webhook.
fn may_be_plugin_secret(name: &str) -> bool {
    let is_ours = |name: &str| SETTINGS.iter().any(|field| field.env.contains(&name));
    let setting = name
        .strip_prefix("KEYFERRY_")
        .and_then(|rest| rest.split_once('_'))
        .filter(|(_, key)| *key != "URL");
    setting.is_some() && !is_ours(name) && !is_ours(name.strip_suffix("_FILE").unwrap_or(name))
}

/// The content of a variable, and its name.
pub(super) enum Variable {
    /// The value itself.
    Value(Secret, String),
    /// The path of a file, from a variable with `_FILE` at its end.
    File(PathBuf, String),
}

/// Reads all settings of the environment.
pub(super) fn read(environment: &Environment) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for field in SETTINGS {
        for name in field.env {
            let (setting, name) = match find(environment, name, field.takes_reference())? {
                None => continue,
                Some(Variable::Value(value, name)) => (
                    checked_literal(field, ErrorKind::Config, &name, value)?,
                    name,
                ),
                Some(Variable::File(path, name)) => (Setting::Mounted(path), name),
            };
            entries.push(Entry::new(None, field, Layer::Environment(name), setting));
            break;
        }
    }
    Ok(entries)
}

/// Looks up one variable, and where `takes_file` the one with `_FILE` at its end.
pub(super) fn find(
    environment: &Environment,
    name: &str,
    takes_file: bool,
) -> Result<Option<Variable>> {
    let value = variable(environment, name)?;
    let name_file = format!("{name}_FILE");
    let path = if takes_file {
        variable(environment, &name_file)?
    } else {
        None
    };
    match (value, path) {
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Config,
            format!("{name} and {name_file} are both set: unset one"),
        )),
        (Some(value), None) => Ok(Some(Variable::Value(value, name.to_owned()))),
        (None, Some(path)) => {
            check_text(ErrorKind::Config, &name_file, path.expose())?;
            let path = PathBuf::from(path.expose());
            if !path.is_absolute() {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{name_file} is not an absolute path: begin it with a slash"),
                ));
            }
            Ok(Some(Variable::File(path, name_file)))
        }
        (None, None) => Ok(None),
    }
}
