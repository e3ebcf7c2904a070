//! Settings that plugins declare: under `[NAME]` in the file, `KEYFERRY_NAME_KEY` in the
//! environment, checked once the plugins are there.
//!
//! Which plugins there are is a setting itself, so the settings below their names are kept
//! unchecked until [`Config::apply_declared`](super::configuration::Config::apply_declared).

use std::borrow::Cow;

use super::entry::{Entry, Setting};
use super::environment::{self, Environment, Variable};
use super::layer::Layer;
use super::settings::SettingDefinition;
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;

/// What a declared setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredKind {
    /// A text that is no secret.
    Text,
    /// A secret.
    Secret,
    /// A base URL.
    Url,
}

/// A setting that a plugin declares.
#[derive(Clone, Debug)]
pub struct DeclaredSetting {
    /// `vault.token`
    pub full_key: String,
    /// `token`
    pub key: String,
    /// `KEYFERRY_VAULT_TOKEN`
    pub variable: String,
    /// What it is.
    pub kind: DeclaredKind,
    /// Its value where nobody sets one.
    pub fallback: Option<String>,
    /// What it is, one sentence.
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

    /// The setting as the environment gives it, checked.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if its value can't be right.
    pub(super) fn find_in_environment(&self, environment: &Environment) -> Result<Option<Entry>> {
        let secret = self.kind == DeclaredKind::Secret;
        let (setting, name) = match environment::find(environment, &self.variable, secret)? {
            None => return Ok(None),
            Some(Variable::Value(value, name)) => {
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

    /// Checks an entry of this key, which was read before its declaration was known.
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
                return refuse("is no secret and takes no reference: write its value");
            }
            Setting::Plugin(..) => {
                return refuse(
                    "is a plugin's own secret, which can't come from a plugin: use file, env, keyring or command",
                );
            }
            _ => {}
        }
        if entry.secret && entry.public && matches!(entry.setting, Setting::Literal(_)) {
            let layer = &entry.layer;
            let message = format!(
                "{layer} holds {} and can be read by others: chmod 600 {layer}",
                entry.key
            );
            return Err(Error::new(ErrorKind::UnsafeFile, message));
        }
        Ok(())
    }
}

/// Whether a section of the file can be a plugin's, by its name.
pub(super) fn is_plugin_section(name: &str) -> bool {
    let is_name = matches!(name.len(), 1..=32)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_name && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a key can be a plugin's setting, by its form: `vault.token`.
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
