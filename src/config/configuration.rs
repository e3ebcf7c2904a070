//! Loads and changes the settings of all accounts.

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
use super::privilege;
use super::profile::{self, Profile};
use super::settings::{self, PROFILE_KEY, SETTINGS, SettingDefinition};
use super::value::check_text;
use crate::error::{Error, ErrorKind, Result};
use crate::model::nearest::{did_you_mean, nearest_name};
use crate::secret::Secret;

/// The configuration of a session: the settings of all accounts.
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
/// assert_eq!(error.kind, keyferry::ErrorKind::Config); // the message suggests `fileverbs.secret_key`
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
    /// The account for calls that name no account, if it is not the default account.
    selected: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Creates a configuration without settings. It never reads a file or the environment.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            profiles: BTreeSet::new(),
            environment: Arc::new(|_| None),
            is_standalone: true,
            selected: None,
        }
    }

    /// Loads a file, then the environment, which overrides the file. Without a path it loads the
    /// user's configuration file, if it exists: `keyferry/config.toml` in `$XDG_CONFIG_HOME` if
    /// that is an absolute path, else in `$HOME/.config`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file or a variable is invalid, naming source, key and remedy, or
    /// if there is no path and the process has raised privilege;
    /// [`ErrorKind::UnsafeFile`] if other users can read or change the file, with the `chmod`
    /// command that fixes this.
    #[doc(hidden)]
    pub fn load(path: Option<&Path>, environment: Environment) -> Result<Self> {
        let mut config = Self {
            environment: Arc::clone(&environment),
            is_standalone: !privilege::trusts_environment(),
            ..Self::new()
        };
        match path {
            Some(path) => file::read(path)
                .map(|settings| config.insert_file(settings))
                .map_err(|error| match error.kind {
                    ErrorKind::NotFound => Error::new(
                        ErrorKind::Config,
                        format!(
                            "{} does not exist; create it, or omit the path so that the user's file is loaded",
                            path.display()
                        ),
                    ),
                    _ => error,
                })?,
            None => {
                privilege::check_user_configuration()?;
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

    /// Returns whether the configuration was created by [`Config::new`] and reads neither a file
    /// nor the environment, or the process has raised privilege. Its store is then `memory`, unless
    /// `store` is set.
    #[doc(hidden)]
    pub fn is_standalone(&self) -> bool {
        self.is_standalone
    }

    /// Checks that this process may use all settings.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the process has raised privilege and a setting needs a plugin, a
    /// program, a keyring, the environment or a store on disk.
    pub(crate) fn check_privilege(&self) -> Result<()> {
        privilege::check_entries(&self.entries)
    }

    /// Sets a literal value. `key` is a key such as `masv.team`, or `profile.NAME.masv.team` for
    /// one account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the key does not exist; [`ErrorKind::InvalidValue`] if the value is
    /// invalid.
    pub fn set(&mut self, key: &str, value: Secret) -> Result<()> {
        let (account, name) = self.parse_key(key)?;
        match name {
            KeyName::Own(field) => {
                let setting = checked_literal(field, ErrorKind::InvalidValue, key, value)?;
                self.insert(Entry::new(account, field, Layer::Program, setting));
            }
            KeyName::Plugin(name) => {
                #[expect(clippy::disallowed_methods, reason = "looks for control characters")]
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

    /// Adds a profile without settings, unless it exists.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the name is not valid.
    #[doc(hidden)]
    pub fn add_profile(&mut self, name: &str) -> Result<()> {
        check_profile_name(name, "the name of the profile")?;
        self.profiles.insert(name.to_owned());
        Ok(())
    }

    /// Returns the default account: a profile's name or `default`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the name of the default account is no secret"
    )]
    pub fn default_account(&self) -> &str {
        match self.default_account_entry().map(|entry| &entry.setting) {
            Some(Setting::Literal(name)) => name.expose(),
            _ => DEFAULT_ACCOUNT,
        }
    }

    /// Returns the layer that sets the default account, if any.
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

    /// Selects the account for calls that name no account. The default account does not change.
    /// This matters for environment variables: they override the settings of the default account,
    /// but not the selected profile's own settings.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] if the account does not exist.
    pub fn select_account(&mut self, account: &str) -> Result<()> {
        self.profile(account)?;
        self.selected = Some(account.to_owned());
        Ok(())
    }

    /// Returns the account for calls that name no account.
    pub fn selected_account(&self) -> &str {
        self.selected
            .as_deref()
            .unwrap_or_else(|| self.default_account())
    }

    /// Returns all accounts: `default` and every profile.
    pub fn accounts(&self) -> Vec<String> {
        std::iter::once(DEFAULT_ACCOUNT.to_owned())
            .chain(self.profiles.iter().cloned())
            .collect()
    }

    /// Returns the settings of an account.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] if the account does not exist. The error message lists the
    /// existing accounts.
    #[doc(hidden)]
    pub fn profile(&self, account: &str) -> Result<Profile> {
        if account != DEFAULT_ACCOUNT && !self.profiles.contains(account) {
            let shown_name = if is_account(account) {
                account
            } else {
                "of that name"
            };
            let accounts = self.accounts();
            let names: Vec<_> = accounts.iter().map(String::as_str).collect();
            let nearest = did_you_mean(nearest_name(account, &names));
            let known = names.join(", ");
            let message = format!(
                "there is no profile {shown_name}; {nearest}use one of {known}, or add a section [profile.NAME] to config.toml"
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

    /// Inserts the profiles and settings of a file.
    fn insert_file(&mut self, settings: file::FileSettings) {
        self.profiles.extend(settings.profiles);
        settings
            .entries
            .into_iter()
            .for_each(|entry| self.insert(entry));
    }

    /// Inserts an entry. It replaces an entry of the same setting, account and layer.
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
    /// Rejects settings of plugins if `plugins` is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a plugin's setting is set. The message is the same as for an
    /// unknown setting.
    fn check_plugin_sections(&self) -> Result<()> {
        if self.entries.iter().any(|entry| entry.key == "plugins") {
            return Ok(());
        }
        self.entries
            .iter()
            .find(|entry| entry.is_plugin_setting())
            .map_or(Ok(()), |entry| Err(entry.unknown_key()))
    }

    /// Applies the declarations of loaded plugins: checks the plugin settings that are already set,
    /// and reads the other plugin settings from the environment. `complete` is true if all
    /// configured plugins are loaded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a value is invalid, or if `complete` is true and a setting is set
    /// that no plugin declares; [`ErrorKind::UnsafeFile`] if other users can read the file of a
    /// secret.
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
    /// One of keyferry's own settings.
    Own(&'static SettingDefinition),
    /// The setting of a plugin, if a loaded plugin declares it.
    Plugin(String),
}

impl Config {
    /// Splits a key into its account and its setting.
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
        check_profile_name(account, "the name in profile.NAME")?;
        Ok((Some(account.to_owned()), name))
    }
}

/// Returns the path of the user's configuration file. Relative directories in the environment are
/// ignored, because they would depend on the program's working directory.
pub fn user_file(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let dir = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(dir.join("keyferry/config.toml"))
}
