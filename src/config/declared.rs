//! Settings that plugins declare: under `[NAME]` in the file, `KEYFERRY_NAME_KEY` in the environment, checked once the plugins are there.
//!
//! Which plugins there are is a setting itself, so what stands under their names is kept as it is
//! until [`Config::admit`].

use std::borrow::Cow;

use super::environment::{self, Variable};
use super::{Config, Entry, Field, Layer, Setting, check_text, fields};
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
pub struct Declared {
    /// `vault.token`
    pub full: String,
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

impl Declared {
    fn check(&self, kind: ErrorKind, whence: &str, value: &str) -> Result<()> {
        check_text(kind, whence, value)?;
        match self.kind {
            DeclaredKind::Url => BaseUrl::parse(whence, value, &[]).map(drop).map_err(|error| Error::new(kind, error.message().to_owned())),
            DeclaredKind::Text | DeclaredKind::Secret => Ok(()),
        }
    }
}

/// Whether a section of the file may be a plugin's.
pub(super) fn is_section(name: &str) -> bool {
    let fits = matches!(name.len(), 1..=32) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    fits && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a key may be a plugin's setting: `vault.token`.
pub(super) fn is_key(key: &str) -> bool {
    let is_leaf = |leaf: &str| matches!(leaf.len(), 1..=32) && leaf.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Field::find(key).is_none() && key.split_once('.').is_some_and(|(section, leaf)| is_section(section) && is_leaf(leaf))
}

impl Config {
    /// Refuses what stands under names of plugins where no plugins are set.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], as for any setting that does not exist.
    pub(super) fn check_sections(&self) -> Result<()> {
        if self.entries.iter().any(|entry| entry.key == "plugins") {
            return Ok(());
        }
        self.entries.iter().find(|entry| entry.is_foreign()).map_or(Ok(()), |entry| Err(entry.unknown()))
    }

    /// Takes the settings of plugins that are there: those given so far are checked, those of the environment are read. `complete`
    /// says that no other plugin was to be there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a setting that no plugin declares or whose value can't be right, [`ErrorKind::UnsafeFile`] for a secret that
    /// others can read.
    pub fn admit(&mut self, declared: &[Declared], complete: bool) -> Result<()> {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_foreign()) {
            match declared.iter().find(|declared| declared.full == entry.key) {
                Some(declared) => entry.admit(declared)?,
                None if complete => return Err(entry.unknown()),
                None => {}
            }
        }
        for one in declared {
            let takes_file = one.kind == DeclaredKind::Secret;
            let Some(found) = environment::find(&self.environment, &one.variable, takes_file)? else { continue };
            let (setting, name) = match found {
                Variable::Value(value, name) => {
                    one.check(ErrorKind::Config, &name, value.expose())?;
                    (Setting::Literal(value), name)
                }
                Variable::File(path, name) => (Setting::Mounted(path), name),
            };
            let key = Cow::Owned(one.full.clone());
            self.put(Entry { account: None, key, secret: takes_file, public: false, layer: Layer::Environment(name), setting });
        }
        Ok(())
    }
}

impl Entry {
    pub(super) fn is_foreign(&self) -> bool {
        Field::find(&self.key).is_none()
    }

    fn unknown(&self) -> Error {
        let whence = if let Layer::File(path) = &self.layer { Some(path.as_path()) } else { None };
        let shown = self.account.as_ref().map_or_else(|| self.key.to_string(), |account| format!("profile.{account}.{}", self.key));
        fields::unknown(whence, &shown)
    }

    fn admit(&mut self, declared: &Declared) -> Result<()> {
        let whence = format!("{}: {}", self.layer, self.key);
        let refuse = |what: &str| Err(Error::new(ErrorKind::Config, format!("{whence} {what}")));
        self.secret = declared.kind == DeclaredKind::Secret;
        match &self.setting {
            Setting::Literal(value) => declared.check(ErrorKind::Config, &whence, value.expose())?,
            _ if !self.secret => return refuse("is no secret and takes no reference: write its value"),
            Setting::Plugin(..) => {
                return refuse("is a plugin's own secret, which can't come from a plugin: use file, env, keyring or command");
            }
            _ => {}
        }
        if self.secret && self.public && matches!(self.setting, Setting::Literal(_)) {
            let layer = &self.layer;
            let what = format!("{layer} holds {} and can be read by others: chmod 600 {layer}", self.key);
            return Err(Error::new(ErrorKind::UnsafeFile, what));
        }
        Ok(())
    }
}
