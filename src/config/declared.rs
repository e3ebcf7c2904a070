//! Settings that plugins declare. The settings of the plugin NAME are in the section `[NAME]` of
//! the file and in environment variables `KEYFERRY_NAME_KEY`.
//!
//! The list of plugins is itself a setting, so the settings of plugins are read before the plugins
//! are loaded. [`Config::apply_declared`](super::configuration::Config::apply_declared) checks them
//! after the plugins are loaded.

use std::borrow::Cow;

use super::entry::{Entry, Setting};
use super::environment::{self, Environment, Variable};
use super::layer::Layer;
use super::settings::SettingDefinition;
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;

/// The kind of a declared setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredKind {
    /// A string that is not a secret.
    Text,
    /// A secret.
    Secret,
    /// A base URL.
    Url,
}

/// A setting that a plugin declares.
#[derive(Clone, Debug)]
pub struct DeclaredSetting {
    /// The key with the plugin's name, such as `vault.token`.
    pub full_key: String,
    /// The key without the plugin's name, such as `token`.
    pub key: String,
    /// The environment variable, such as `KEYFERRY_VAULT_TOKEN`.
    pub variable: String,
    /// The kind of the setting.
    pub kind: DeclaredKind,
    /// The default value.
    pub fallback: Option<String>,
    /// A description in one sentence.
    pub about: String,
}

impl DeclaredSetting {
    fn check(&self, kind: ErrorKind, subject: &str, value: &str) -> Result<()> {
        check_text(kind, subject, value)?;
        match self.kind {
            DeclaredKind::Url => BaseUrl::parse(subject, value, &[])
                .map(drop)
                .map_err(|error| Error::new(kind, error.message().to_owned())),
            DeclaredKind::Text | DeclaredKind::Secret => Ok(()),
        }
    }

    /// Reads the setting from the environment and checks it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the value is invalid.
    pub(super) fn find_in_environment(&self, environment: &Environment) -> Result<Option<Entry>> {
        let secret = self.kind == DeclaredKind::Secret;
        let (setting, name) = match environment::find(environment, &self.variable, secret)? {
            None => return Ok(None),
            Some(Variable::Value(value, name)) => {
                let value = environment::to_secret(&name, value)?;
                #[expect(
                    clippy::disallowed_methods,
                    reason = "checks the value against its kind"
                )]
                self.check(ErrorKind::Config, &name, value.expose())?;
                (Setting::Literal(value), name)
            }
            Some(Variable::File(path, name)) => (Setting::Mounted(path), name),
        };
        let key = Cow::Owned(self.full_key.clone());
        Ok(Some(Entry {
            account: None,
            key,
            secret,
            public: false,
            layer: Layer::Environment(name),
            setting,
        }))
    }

    /// Checks an entry of this setting that was read before the plugin was loaded.
    #[expect(
        clippy::disallowed_methods,
        reason = "checks the value against its kind"
    )]
    pub(super) fn check_entry(&self, entry: &mut Entry) -> Result<()> {
        let subject = format!("{}: {}", entry.layer, entry.key);
        let refuse = |message: &str| {
            Err(Error::new(
                ErrorKind::Config,
                format!("{subject} {message}"),
            ))
        };
        entry.secret = self.kind == DeclaredKind::Secret;
        match &entry.setting {
            Setting::Literal(value) => self.check(ErrorKind::Config, &subject, value.expose())?,
            _ if !entry.secret => {
                return refuse(
                    "is not a secret, so it cannot be a table such as { env = \"NAME\" }; write the value itself",
                );
            }
            Setting::Plugin(..) => {
                return refuse(
                    "is a plugin's secret and cannot come from a plugin; use file, env, keyring or command",
                );
            }
            _ => {}
        }
        if entry.secret && entry.public && matches!(entry.setting, Setting::Literal(_)) {
            let layer = &entry.layer;
            let message = format!(
                "{layer} contains {} and other users can read it; run `chmod 600 {layer}`",
                entry.key
            );
            return Err(Error::new(ErrorKind::UnsafeFile, message));
        }
        Ok(())
    }
}

/// Returns whether a section's name is valid for a plugin.
pub(super) fn is_plugin_section(name: &str) -> bool {
    let is_name = matches!(name.len(), 1..=32)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_name && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns whether a key such as `vault.token` is valid for a plugin's setting.
pub(super) fn is_plugin_key(key: &str) -> bool {
    let is_leaf = |leaf: &str| {
        matches!(leaf.len(), 1..=32)
            && leaf
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    SettingDefinition::find(key).is_none()
        && key
            .split_once('.')
            .is_some_and(|(section, leaf)| is_plugin_section(section) && is_leaf(leaf))
}
