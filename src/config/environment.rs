//! Reads settings from environment variables. Their values are always literal.
//!
//! An empty variable is treated as unset.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::entry::{Entry, Setting, checked_literal};
use super::layer::Layer;
use super::privilege::trusts_environment;
use super::settings::{SETTINGS, SettingDefinition};
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// A function that looks up an environment variable. Tests provide their own.
pub type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Returns the environment of this process. If the process has raised privilege, its environment is
/// empty here.
pub fn process_environment() -> Environment {
    if !trusts_environment() {
        return Arc::new(|_| None);
    }
    Arc::new(|name| std::env::var_os(name))
}

/// Returns the value of a variable, or `None` if it is unset or empty.
///
/// # Errors
/// [`ErrorKind::Config`] if the value is not UTF-8.
pub fn variable(environment: &Environment, name: &str) -> Result<Option<Secret>> {
    os_variable(environment, name)
        .map(|value| to_secret(name, value))
        .transpose()
}

/// Returns the value of a variable, or `None` if it is unset or empty.
fn os_variable(environment: &Environment, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// Returns the value of a variable as a secret. It is literal, so nothing is removed from it.
///
/// # Errors
/// [`ErrorKind::Config`] if the value is not UTF-8.
pub(super) fn to_secret(name: &str, value: OsString) -> Result<Secret> {
    Secret::from_bytes(value.into_encoded_bytes()).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            format!("{name} is not UTF-8; set it again in a UTF-8 locale"),
        )
    })
}

/// The environment variables that any configuration of this process refers to as secrets, for any
/// account.
///
/// Rationale: all configurations of a process share its environment, so a program started for one
/// of them would also inherit the secrets of the others. A forked child records only the variables
/// of its own configurations.
static SECRET_VARIABLES: PerProcess<Mutex<BTreeSet<String>>> = PerProcess::new();

/// Records the variables that these entries refer to as secrets, so that [`without_secrets`]
/// removes them.
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

/// Removes variables that may contain secrets from the environment of a program that does not need
/// them: keyferry's own variables, those that a configuration refers to, and those of plugins.
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

/// Returns whether a variable may be a plugin's secret. Only a loaded plugin declares which of its
/// settings are secrets, and some programs are started before the plugins are loaded. So this
/// returns true for every variable `KEYFERRY_NAME_KEY` that is not one of keyferry's own settings.
/// The only exception is `KEYFERRY_NAME_URL`, the URL that every service must have. Other URLs may
/// be secrets, such as the URL of a webhook.
fn may_be_plugin_secret(name: &str) -> bool {
    let is_ours = |name: &str| SETTINGS.iter().any(|field| field.env.contains(&name));
    let setting = name
        .strip_prefix("KEYFERRY_")
        .and_then(|rest| rest.split_once('_'))
        .filter(|(_, key)| *key != "URL");
    setting.is_some() && !is_ours(name) && !is_ours(name.strip_suffix("_FILE").unwrap_or(name))
}

/// The content and the name of an environment variable.
pub(super) enum Variable {
    /// A literal value.
    Value(OsString, String),
    /// The path of a file, from a variable whose name ends in `_FILE`.
    File(PathBuf, String),
}

/// Reads all settings from the environment.
pub(super) fn read(environment: &Environment) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for field in SETTINGS {
        for name in field.env {
            let (setting, name) = match find(environment, name, field.takes_reference())? {
                None => continue,
                Some(Variable::Value(value, name)) => (literal(field, &name, value)?, name),
                Some(Variable::File(path, name)) => (Setting::Mounted(path), name),
            };
            entries.push(Entry::new(None, field, Layer::Environment(name), setting));
            break;
        }
    }
    Ok(entries)
}

/// Returns the setting that is the value of a variable. Paths need not be UTF-8.
fn literal(field: &SettingDefinition, name: &str, value: OsString) -> Result<Setting> {
    if field.format.has_paths() && value.to_str().is_none() {
        // The rules for paths concern only ASCII characters, which the replacement keeps.
        field.check(ErrorKind::Config, name, &value.to_string_lossy())?;
        return Ok(Setting::NonUtf8(value));
    }
    checked_literal(field, ErrorKind::Config, name, to_secret(name, value)?)
}

/// Looks up a variable and, if `takes_file`, also the variable with `_FILE` appended to its name.
pub(super) fn find(
    environment: &Environment,
    name: &str,
    takes_file: bool,
) -> Result<Option<Variable>> {
    let value = os_variable(environment, name);
    let name_file = format!("{name}_FILE");
    let path = if takes_file {
        os_variable(environment, &name_file)
    } else {
        None
    };
    match (value, path) {
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Config,
            format!("{name} and {name_file} are both set; unset one"),
        )),
        (Some(value), None) => Ok(Some(Variable::Value(value, name.to_owned()))),
        (None, Some(path)) => {
            check_text(ErrorKind::Config, &name_file, &path.to_string_lossy())?;
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{name_file} is not an absolute path; begin it with a slash"),
                ));
            }
            Ok(Some(Variable::File(path, name_file)))
        }
        (None, None) => Ok(None),
    }
}
