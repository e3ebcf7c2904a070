//! Interface to be implemented; see the signatures.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::secret::Secret;

/// Looks up an environment variable; the process's own, or a test's.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// One setting that exists: its key, variables, default and meaning.
pub struct Field {
    /// `masv.api_key`
    pub key: &'static str,
    /// Its variables, the first one that is set counts.
    pub env: &'static [&'static str],
    /// Whether it is a secret: never shown, and `_FILE` works.
    pub secret: bool,
    /// The default.
    pub default: Option<&'static str>,
    /// What it is, one sentence.
    pub about: &'static str,
}
/// Where a value comes from.
#[derive(Clone)]
pub enum Setting {
    /// The value itself.
    Literal(Secret),
    /// A variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A keyring item: service, account.
    Keyring(String, String),
    /// A program and its arguments.
    Command(Vec<String>),
}
/// All settings.
pub struct Config;
/// The settings of one account.
#[derive(Clone)]
pub struct Profile;
impl Config {
    /// Nothing set.
    pub fn new() -> Self {
        Self
    }
    /// File, then environment.
    pub fn load(_path: Option<&Path>, _environment: Environment) -> Result<Self> {
        Ok(Self)
    }
    /// Sets a literal value.
    pub fn set(&mut self, _key: &str, _value: Secret) -> Result<()> {
        Ok(())
    }
    /// The default account: a profile's name or `default`.
    pub fn default_account(&self) -> &str {
        "default"
    }
    /// All accounts: `default` and every profile.
    pub fn accounts(&self) -> Vec<String> {
        Vec::new()
    }
    /// The settings of an account, the profile's before the general ones.
    pub fn profile(&self, _account: &str) -> Result<Profile> {
        Ok(Profile)
    }
}
impl Profile {
    /// The account's name.
    pub fn account(&self) -> &str {
        "default"
    }
    /// Whether a key is set (a default doesn't count).
    pub fn is_set(&self, _key: &str) -> bool {
        false
    }
    /// The setting of a key.
    pub fn setting(&self, _key: &str) -> Option<&Setting> {
        None
    }
    /// A value that is no secret: what is set literally, or the default.
    pub fn text(&self, _key: &str) -> Option<&str> {
        None
    }
    /// A number of milliseconds, checked when it was set.
    pub fn milliseconds(&self, _key: &str) -> u64 {
        30_000
    }
    /// Looks up variables.
    pub fn environment(&self) -> &Environment {
        unimplemented!()
    }
}
