//! One setting from one layer of the configuration.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use super::layer::Layer;
use super::settings::{self, SettingDefinition};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// A literal value, or a reference to one.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A literal value.
    Literal(Secret),
    /// A literal value with paths that are not UTF-8, from an environment variable.
    NonUtf8(OsString),
    /// The name of an environment variable.
    Env(String),
    /// The path of a file.
    File(PathBuf),
    /// The path of a file, from an environment variable whose name ends in `_FILE`. Docker and
    /// Kubernetes mount such files.
    Mounted(PathBuf),
    /// A keyring item: its service and account.
    Keyring(String, String),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A plugin and the name of a secret that it provides.
    Plugin(String, String),
}

impl Setting {
    /// Returns where a reference points, without the value and without the arguments of a command.
    /// `None` for a value.
    pub fn source(&self) -> Option<String> {
        Some(match self {
            Self::Literal(_) | Self::NonUtf8(_) => return None,
            Self::Env(name) => format!("variable {name}"),
            Self::File(path) | Self::Mounted(path) => format!("file {}", path.display()),
            Self::Keyring(service, account) => format!("keyring {service} {account}"),
            Self::Plugin(name, what) => format!("plugin {name} {what}"),
            Self::Command(words) => {
                format!("command {}", words.first().map_or("", String::as_str))
            }
        })
    }
}

/// One setting from one layer.
#[derive(Clone)]
pub(super) struct Entry {
    /// The profile that the setting belongs to. `None` for a general setting.
    pub(super) account: Option<String>,
    pub(super) key: Cow<'static, str>,
    pub(super) secret: bool,
    /// Whether the setting comes from a file that other users can read. Only set for settings of
    /// plugins, because keyferry learns later which of them are secrets.
    pub(super) public: bool,
    pub(super) layer: Layer,
    pub(super) setting: Setting,
}

impl Entry {
    /// Creates an entry for a setting that is not a plugin's.
    pub(super) fn new(
        account: Option<String>,
        field: &'static SettingDefinition,
        layer: Layer,
        setting: Setting,
    ) -> Self {
        Self {
            account,
            key: Cow::Borrowed(field.key),
            secret: field.secret,
            public: false,
            layer,
            setting,
        }
    }

    /// Returns whether the entry is a setting of a plugin.
    pub(super) fn is_plugin_setting(&self) -> bool {
        SettingDefinition::find(&self.key).is_none()
    }

    /// Returns the part of the key before the first dot.
    pub(super) fn section(&self) -> &str {
        self.key
            .split_once('.')
            .map_or(&*self.key, |(section, _)| section)
    }

    /// Returns the error for a setting that does not exist.
    pub(super) fn unknown_key(&self) -> Error {
        let file = if let Layer::File(path) = &self.layer {
            Some(path.as_path())
        } else {
            None
        };
        settings::unknown_key(file, &self.full_key())
    }

    /// Returns the key, with the account in front of it if the setting belongs to a profile.
    pub(super) fn full_key(&self) -> String {
        settings::full_key(self.account.as_deref(), &self.key)
    }
}

/// Checks a literal value. The error message begins with `subject`.
pub(super) fn checked_literal(
    field: &SettingDefinition,
    kind: ErrorKind,
    subject: &str,
    value: Secret,
) -> Result<Setting> {
    #[expect(
        clippy::disallowed_methods,
        reason = "checks the value against its setting"
    )]
    field.check(kind, subject, value.expose())?;
    Ok(Setting::Literal(value))
}
