//! Configuration: `config.toml`, then the environment, then what the program sets. The later one wins.
//!
//! It reads no secret but those that stand in the file or in a variable; references are kept, and
//! [`crate::secret_sources`] follows them when they are needed. It never looks into the working
//! directory.
//!
//! Values from the environment and from the program are always literal: a password may begin with `env:`. How the
//! settings of one account are put together is told in `profile.rs`.

mod declared;
pub mod edit;
mod environment;
mod fields;
mod file;
mod profile;
mod value;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use declared::{Declared, DeclaredKind};
pub use environment::{process_environment, variable, withhold};
pub use fields::{FIELDS, Field, PROFILE, table};
pub use profile::Profile;
pub use value::{ACCOUNT_RULE, Shape, check_text, is_account};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The name of the account that has no profile.
pub const DEFAULT_ACCOUNT: &str = "default";

/// Looks up an environment variable; the process's own, or a test's.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Setting {
    /// The value itself.
    Literal(Secret),
    /// A variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A file that a variable with `_FILE` at its end names, as Docker and Kubernetes mount them.
    Mounted(PathBuf),
    /// A keyring item: service, account.
    Keyring(String, String),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A plugin, and what it is asked for.
    Plugin(String, String),
}

/// Who gave a setting. A later one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The configuration file.
    File(PathBuf),
    /// A variable.
    Environment(String),
    /// The program.
    Program,
}

impl Layer {
    fn rank(&self) -> u8 {
        match self {
            Self::File(_) => 0,
            Self::Environment(_) => 1,
            Self::Program => 2,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
            Self::Program => f.write_str("the program"),
        }
    }
}

/// One setting as somebody gave it.
#[derive(Clone)]
struct Entry {
    /// Whose it is; none where it is for all.
    account: Option<String>,
    key: Cow<'static, str>,
    secret: bool,
    /// It stands in a file that others can read; told of plugins' settings, whose kind is known later.
    public: bool,
    layer: Layer,
    setting: Setting,
}

impl Entry {
    fn new(account: Option<String>, field: &'static Field, layer: Layer, setting: Setting) -> Self {
        Self { account, key: Cow::Borrowed(field.key), secret: field.secret, public: false, layer, setting }
    }
}

/// All settings.
#[derive(Clone)]
pub struct Config {
    entries: Vec<Entry>,
    profiles: BTreeSet<String>,
    environment: Environment,
    is_bare: bool,
    /// Whose the calls are that name no account, where that is not the default one.
    chosen: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Nothing set: neither a file nor the environment is looked at, now or later.
    pub fn new() -> Self {
        Self { entries: Vec::new(), profiles: BTreeSet::new(), environment: Arc::new(|_| None), is_bare: true, chosen: None }
    }

    /// File, then environment. Without a path it is the user's file, which need not be there:
    /// `keyferry/config.toml` in `$XDG_CONFIG_HOME` if that is an absolute path, else in `$HOME/.config`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming place, key and remedy, [`ErrorKind::UnsafeFile`] with the `chmod` that mends it.
    pub fn load(path: Option<&Path>, environment: Environment) -> Result<Self> {
        let mut config = Self { environment: Arc::clone(&environment), is_bare: false, ..Self::new() };
        match path {
            Some(path) => file::read(path, &mut config).map_err(|error| match error.kind {
                ErrorKind::NotFound => Error::new(ErrorKind::Config, format!("{}: write it, or leave the path out", error.message())),
                _ => error,
            })?,
            None => {
                let found = user_file(&environment).map_or(Ok(()), |path| file::read(&path, &mut config));
                found.or_else(|error| if error.kind == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
            }
        }
        environment::read(&environment, &mut config)?;
        config.check_sections()?;
        Ok(config)
    }

    /// Whether it came from [`Config::new`]: then tokens are kept in memory unless `store` is set.
    pub fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Sets a literal value: `masv.team`, or `profile.NAME.masv.team` for one account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such key, [`ErrorKind::InvalidValue`] if the value can't be right.
    pub fn set(&mut self, key: &str, value: Secret) -> Result<()> {
        let (account, name) = self.split(key)?;
        match name {
            Name::Ours(field) => {
                let setting = literal(field, ErrorKind::InvalidValue, key, value)?;
                self.put(Entry::new(account, field, Layer::Program, setting));
            }
            Name::Plugins(name) => {
                check_text(ErrorKind::InvalidValue, key, value.expose())?;
                let (key, setting) = (Cow::Owned(name), Setting::Literal(value));
                self.put(Entry { account, key, secret: false, public: false, layer: Layer::Program, setting });
            }
        }
        Ok(())
    }

    /// The default account: a profile's name or `default`.
    pub fn default_account(&self) -> &str {
        match self.choice().map(|entry| &entry.setting) {
            Some(Setting::Literal(name)) => name.expose(),
            _ => DEFAULT_ACCOUNT,
        }
    }

    /// Who chose the default account. None where nobody did.
    pub fn chosen_by(&self) -> Option<&Layer> {
        self.choice().map(|entry| &entry.layer)
    }

    fn choice(&self) -> Option<&Entry> {
        self.entries.iter().filter(|entry| entry.key == PROFILE).max_by_key(|entry| entry.layer.rank())
    }

    /// Makes an account the one of calls that name none. It stays a named one: what the environment has is still the default
    /// account's, and goes behind what the profile itself has.
    ///
    /// # Errors
    /// Those of [`Config::profile`].
    pub fn choose(&mut self, account: &str) -> Result<()> {
        self.profile(account)?;
        self.chosen = Some(account.to_owned());
        Ok(())
    }

    /// The account of calls that name none.
    pub fn chosen_account(&self) -> &str {
        self.chosen.as_deref().unwrap_or_else(|| self.default_account())
    }

    /// All accounts: `default` and every profile.
    pub fn accounts(&self) -> Vec<String> {
        std::iter::once(DEFAULT_ACCOUNT.to_owned()).chain(self.profiles.iter().cloned()).collect()
    }

    /// The settings of an account.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`], naming those there are, if there is none of this name.
    pub fn profile(&self, account: &str) -> Result<Profile> {
        if account != DEFAULT_ACCOUNT && !self.profiles.contains(account) {
            let shown = if is_account(account) { account } else { "of that name" };
            let there = self.accounts().join(", ");
            let what = format!("there is no profile {shown}: there is {there}; a setting under [profile.NAME] in config.toml makes one");
            return Err(Error::new(ErrorKind::NotConfigured, what));
        }
        environment::note(self);
        Ok(profile::assemble(self, account))
    }

    fn put(&mut self, entry: Entry) {
        self.profiles.extend(entry.account.clone());
        let same = |old: &Entry| old.account == entry.account && old.key == entry.key && old.layer.rank() == entry.layer.rank();
        self.entries.retain(|old| !same(old));
        self.entries.push(entry);
    }
}

/// A value as it is kept, checked.
fn literal(field: &Field, kind: ErrorKind, whence: &str, value: Secret) -> Result<Setting> {
    field.check(kind, whence, value.expose())?;
    Ok(Setting::Literal(value))
}

/// What a key names.
enum Name {
    /// A setting of ours.
    Ours(&'static Field),
    /// A plugin's, if there is such a one.
    Plugins(String),
}

impl Config {
    /// Account and name of a key.
    fn split(&self, key: &str) -> Result<(Option<String>, Name)> {
        let unknown = || fields::unknown(None, key);
        let takes_plugins = self.entries.iter().any(|entry| entry.key == "plugins");
        let plugins = |key: &str| (takes_plugins && declared::is_key(key)).then(|| Name::Plugins(key.to_owned()));
        let Some(rest) = key.strip_prefix("profile.") else {
            let ours = Field::find(key).map(Name::Ours);
            return Ok((None, ours.or_else(|| plugins(key)).ok_or_else(unknown)?));
        };
        let ours = FIELDS
            .iter()
            .filter(|field| field.key != PROFILE)
            .find_map(|field| Some((rest.strip_suffix(field.key)?.strip_suffix('.')?, Name::Ours(field))));
        let theirs = || {
            let dot = rest.rmatch_indices('.').nth(1)?.0;
            Some((&rest[..dot], plugins(&rest[dot + 1..])?))
        };
        let (account, name) = ours.or_else(theirs).ok_or_else(unknown)?;
        check_profile(account, "profile.NAME")?;
        Ok((Some(account.to_owned()), name))
    }
}

/// Refuses what a profile can't be called.
fn check_profile(name: &str, whence: &str) -> Result<()> {
    if !is_account(name) {
        return Err(Error::new(ErrorKind::Config, format!("{whence} {ACCOUNT_RULE}")));
    }
    if name == DEFAULT_ACCOUNT {
        let what = format!("{whence}: `default` is the account without a profile: give its settings without `profile.default`");
        return Err(Error::new(ErrorKind::Config, what));
    }
    Ok(())
}

/// The user's own file. Relative folders don't count: they would be searched for in whatever folder the program is in.
pub fn user_file(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("keyferry/config.toml"))
}
