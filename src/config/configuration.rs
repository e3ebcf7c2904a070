//! All settings, and how they are loaded and set.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::account::{DEFAULT_ACCOUNT, check_profile_name, is_account};
use super::declared::{self, DeclaredSetting};
use super::entry::{Entry, Setting, checked_literal};
use super::environment::{self, Environment};
use super::file;
use super::layer::Layer;
use super::profile::{self, Profile};
use super::settings::{self, PROFILE_KEY, SETTINGS, SettingDefinition};
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// All settings of a session, of every account.
///
/// ```
/// use keyferry::{Config, Session};
///
/// # fn main() -> Result<(), keyferry::Error> {
/// let mut config = Config::new();
/// config.set("fileverbs.secret_key", "made-up-key".into())?;
/// config.set("profile.client.fileverbs.secret_key", "another-key".into())?;
///
/// let error = config.set("fileverbs.secret", "made-up-key".into()).unwrap_err();
/// assert_eq!(error.kind, keyferry::ErrorKind::Config); // the message names the setting that is meant
/// Session::open(config)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Config {
    entries: Vec<Entry>,
    profiles: BTreeSet<String>,
    environment: Environment,
    is_standalone: bool,
    /// The account of calls that name none, where that is not the default one.
    selected: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// A configuration without settings. Neither a file nor the environment is read, now or later.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            profiles: BTreeSet::new(),
            environment: Arc::new(|_| None),
            is_standalone: true,
            selected: None,
        }
    }

    /// File, then environment. Without a path it is the user's file, which need not be there:
    /// `keyferry/config.toml` in `$XDG_CONFIG_HOME` if that is an absolute path, else in
    /// `$HOME/.config`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming place, key and remedy, [`ErrorKind::UnsafeFile`] with the
    /// `chmod` that mends it.
    #[doc(hidden)]
    pub fn load(path: Option<&Path>, environment: Environment) -> Result<Self> {
        let mut config = Self {
            environment: Arc::clone(&environment),
            is_standalone: false,
            ..Self::new()
        };
        match path {
            Some(path) => file::read(path)
                .map(|settings| config.insert_file(settings))
                .map_err(|error| match error.kind {
                    ErrorKind::NotFound => Error::new(
                        ErrorKind::Config,
                        format!("{}: write it, or leave the path out", error.message()),
                    ),
                    _ => error,
                })?,
            None => {
                let loaded = user_file(&environment).map_or(Ok(()), |path| {
                    file::read(&path).map(|settings| config.insert_file(settings))
                });
                loaded.or_else(|error| {
                    if error.kind == ErrorKind::NotFound {
                        Ok(())
                    } else {
                        Err(error)
                    }
                })?;
            }
        }
        environment::read(&environment)?
            .into_iter()
            .for_each(|entry| config.insert(entry));
        config.check_plugin_sections()?;
        Ok(config)
    }

    /// Whether it was made by [`Config::new`], which reads neither file nor environment: then
    /// tokens are kept in memory unless `store` is set.
    #[doc(hidden)]
    pub fn is_standalone(&self) -> bool {
        self.is_standalone
    }

    /// Sets a literal value: `masv.team`, or `profile.NAME.masv.team` for one account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such key, [`ErrorKind::InvalidValue`] if the value
    /// can't be right.
    pub fn set(&mut self, key: &str, value: Secret) -> Result<()> {
        let (account, name) = self.parse_key(key)?;
        match name {
            KeyName::Own(field) => {
                let setting = checked_literal(field, ErrorKind::InvalidValue, key, value)?;
                self.insert(Entry::new(account, field, Layer::Program, setting));
            }
            KeyName::Plugin(name) => {
                check_text(ErrorKind::InvalidValue, key, value.expose())?;
                let (key, setting) = (Cow::Owned(name), Setting::Literal(value));
                self.insert(Entry {
                    account,
                    key,
                    secret: false,
                    public: false,
                    layer: Layer::Program,
                    setting,
                });
            }
        }
        Ok(())
    }

    /// The default account: a profile's name or `default`.
    pub fn default_account(&self) -> &str {
        match self.default_account_entry().map(|entry| &entry.setting) {
            Some(Setting::Literal(name)) => name.expose(),
            _ => DEFAULT_ACCOUNT,
        }
    }

    /// The layer that sets the default account, if one does.
    #[doc(hidden)]
    pub fn default_account_layer(&self) -> Option<&Layer> {
        self.default_account_entry().map(|entry| &entry.layer)
    }

    fn default_account_entry(&self) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.key == PROFILE_KEY)
            .max_by_key(|entry| entry.layer.precedence())
    }

    /// Selects the account of calls that name none. It does not become the default account:
    /// settings of the environment still belong to the default account, and the profile's own
    /// settings win over them.
    ///
    /// # Errors
    /// Those of [`Config::profile`].
    pub fn select_account(&mut self, account: &str) -> Result<()> {
        self.profile(account)?;
        self.selected = Some(account.to_owned());
        Ok(())
    }

    /// The account of calls that name none.
    pub fn selected_account(&self) -> &str {
        self.selected
            .as_deref()
            .unwrap_or_else(|| self.default_account())
    }

    /// All accounts: `default` and every profile.
    pub fn accounts(&self) -> Vec<String> {
        std::iter::once(DEFAULT_ACCOUNT.to_owned())
            .chain(self.profiles.iter().cloned())
            .collect()
    }

    /// The settings of an account.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`], naming those there are, if there is none of this name.
    #[doc(hidden)]
    pub fn profile(&self, account: &str) -> Result<Profile> {
        if account != DEFAULT_ACCOUNT && !self.profiles.contains(account) {
            let shown_name = if is_account(account) {
                account
            } else {
                "of that name"
            };
            let known = self.accounts().join(", ");
            let message = format!(
                "there is no profile {shown_name}: there is {known}; a setting under [profile.NAME] in config.toml makes one"
            );
            return Err(Error::new(ErrorKind::NotConfigured, message));
        }
        environment::record_secret_variables(&self.entries);
        Ok(profile::assemble(
            &self.entries,
            account,
            self.default_account(),
            &self.environment,
        ))
    }

    /// Inserts the profiles and settings of the file.
    fn insert_file(&mut self, settings: file::FileSettings) {
        self.profiles.extend(settings.profiles);
        settings
            .entries
            .into_iter()
            .for_each(|entry| self.insert(entry));
    }

    /// Inserts an entry in place of the same setting of the same layer.
    fn insert(&mut self, entry: Entry) {
        self.profiles.extend(entry.account.clone());
        let is_same = |old: &Entry| {
            old.account == entry.account
                && old.key == entry.key
                && old.layer.precedence() == entry.layer.precedence()
        };
        self.entries.retain(|old| !is_same(old));
        self.entries.push(entry);
    }
}

impl Config {
    /// Rejects sections of plugins where no plugins are set.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], as for any setting that does not exist.
    fn check_plugin_sections(&self) -> Result<()> {
        if self.entries.iter().any(|entry| entry.key == "plugins") {
            return Ok(());
        }
        self.entries
            .iter()
            .find(|entry| entry.is_plugin_setting())
            .map_or(Ok(()), |entry| Err(entry.unknown_key()))
    }

    /// Applies the settings that loaded plugins declare: checks those given so far, and reads those
    /// of the environment. `complete` says that all configured plugins are loaded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a setting that no plugin declares or whose value can't be right,
    /// [`ErrorKind::UnsafeFile`] for a secret that others can read.
    #[doc(hidden)]
    pub fn apply_declared(&mut self, declared: &[DeclaredSetting], complete: bool) -> Result<()> {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.is_plugin_setting())
        {
            match declared
                .iter()
                .find(|declared| declared.full_key == entry.key)
            {
                Some(declared) => declared.check_entry(entry)?,
                None if complete => return Err(entry.unknown_key()),
                None => {}
            }
        }
        for setting in declared {
            let entry = setting.find_in_environment(&self.environment)?;
            entry.into_iter().for_each(|entry| self.insert(entry));
        }
        Ok(())
    }
}

/// The setting that a key names.
enum KeyName {
    /// A setting of this library.
    Own(&'static SettingDefinition),
    /// A plugin's setting, if a plugin declares it.
    Plugin(String),
}

impl Config {
    /// Splits a key into the account and the setting it names.
    fn parse_key(&self, key: &str) -> Result<(Option<String>, KeyName)> {
        let unknown = || settings::unknown_key(None, key);
        let takes_plugins = self.entries.iter().any(|entry| entry.key == "plugins");
        let plugins = |key: &str| {
            (takes_plugins && declared::is_plugin_key(key)).then(|| KeyName::Plugin(key.to_owned()))
        };
        let Some(rest) = key.strip_prefix("profile.") else {
            let own = SettingDefinition::find(key).map(KeyName::Own);
            return Ok((None, own.or_else(|| plugins(key)).ok_or_else(unknown)?));
        };
        let own = SETTINGS
            .iter()
            .filter(|field| field.key != PROFILE_KEY)
            .find_map(|field| {
                Some((
                    rest.strip_suffix(field.key)?.strip_suffix('.')?,
                    KeyName::Own(field),
                ))
            });
        let plugins_own = || {
            let dot = rest.rmatch_indices('.').nth(1)?.0;
            Some((&rest[..dot], plugins(&rest[dot + 1..])?))
        };
        let (account, name) = own.or_else(plugins_own).ok_or_else(unknown)?;
        check_profile_name(account, "profile.NAME")?;
        Ok((Some(account.to_owned()), name))
    }
}

/// The user's own file. Relative folders don't count: they would be searched for in whatever folder
/// the program is in.
pub fn user_file(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let dir = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(dir.join("keyferry/config.toml"))
}
