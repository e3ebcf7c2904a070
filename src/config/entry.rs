//! One setting as a layer gives it.

use std::borrow::Cow;
use std::path::PathBuf;

use super::layer::Layer;
use super::settings::{self, SettingDefinition};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Setting {
    /// The value itself.
    Literal(Secret),
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A file that a variable with `_FILE` at its end names, as Docker and Kubernetes mount them.
    Mounted(PathBuf),
    /// A keyring item: service, account.
    Keyring(String, String),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A plugin, and the name of its secret.
    Plugin(String, String),
}

/// One setting as a layer gives it.
#[derive(Clone)]
pub(super) struct Entry {
    /// The profile it belongs to. None for a general setting.
    pub(super) account: Option<String>,
    pub(super) key: Cow<'static, str>,
    pub(super) secret: bool,
    /// Whether it stands in a file that others can read. Set for plugins' settings only, whose kind
    /// is known later.
    pub(super) public: bool,
    pub(super) layer: Layer,
    pub(super) setting: Setting,
}

impl Entry {
    /// A setting of this library.
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

    /// Whether it is a plugin's setting.
    pub(super) fn is_plugin_setting(&self) -> bool {
        SettingDefinition::find(&self.key).is_none()
    }

    /// The first part of its key.
    pub(super) fn section(&self) -> &str {
        self.key
            .split_once('.')
            .map_or(&*self.key, |(section, _)| section)
    }

    /// The error for a setting that does not exist.
    pub(super) fn unknown_key(&self) -> Error {
        let file = if let Layer::File(path) = &self.layer {
            Some(path.as_path())
        } else {
            None
        };
        let key = self.account.as_ref().map_or_else(
            || self.key.to_string(),
            |account| format!("profile.{account}.{}", self.key),
        );
        settings::unknown_key(file, &key)
    }
}

/// A literal value, checked. `subject` begins the message of an error.
pub(super) fn checked_literal(
    field: &SettingDefinition,
    kind: ErrorKind,
    subject: &str,
    value: Secret,
) -> Result<Setting> {
    field.check(kind, subject, value.expose())?;
    Ok(Setting::Literal(value))
}
