//! What a command has at hand beside its streams: variables, a session for one call, and the words for what failed.
//!
//! Every command gets to services through the session that it opens here.

use std::path::PathBuf;

use keyferry::config::{Config, Environment};
use keyferry::error::Result;
use keyferry::session::{Options, Session};

/// The process as far as a command may know it.
pub struct CliContext {
    /// Its variables.
    pub environment: Environment,
    /// Where temporary files may go.
    pub temp_dir: PathBuf,
    /// A person can type at standard input.
    pub stdin_is_terminal: bool,
}

impl CliContext {
    /// The user's configuration.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_config(&self) -> Result<Config> {
        Config::load(None, self.environment.clone())
    }

    /// A session that ends with this call: nothing is refreshed beside it.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_session(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
        account.map_or(Ok(()), |account| config.choose(account))?;
        Session::open_with(config, Options { refreshes_in_background: false, ..Options::default() })
    }

    /// A session that goes nowhere, for what the store has.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_offline(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
        account.map_or(Ok(()), |account| config.choose(account))?;
        Session::open_offline(config)
    }

    /// The same as [`CliContext::open`] from the user's configuration.
    ///
    /// # Errors
    /// Those of [`CliContext::config`] and [`CliContext::open`].
    pub fn open_configured_session(&self, account: Option<&str>) -> Result<Session> {
        self.open_session(self.load_config()?, account)
    }
}
