//! The context of a command beside its streams: the environment, and sessions for one call.
//!
//! Every command reaches services through a session that it opens here.

use std::path::PathBuf;

use keyferry::config::{Config, Environment};
use keyferry::error::Result;
use keyferry::session::{Options, Session};

/// The parts of the process that a command may see.
pub struct CliContext {
    /// The environment variables.
    pub environment: Environment,
    /// The folder for temporary files.
    pub temp_dir: PathBuf,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
}

impl CliContext {
    /// Loads the user's configuration.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_config(&self) -> Result<Config> {
        Config::load(None, self.environment.clone())
    }

    /// Opens a session for one call, without background refreshes.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_session(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
        account.map_or(Ok(()), |account| config.select_account(account))?;
        Session::open_with(
            config,
            Options {
                refreshes_in_background: false,
                ..Options::default()
            },
        )
    }

    /// Opens a session that uses the store alone and no network.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_offline(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
        account.map_or(Ok(()), |account| config.select_account(account))?;
        Session::open_offline(config)
    }

    /// Loads the configuration and opens a session.
    ///
    /// # Errors
    /// Those of [`CliContext::load_config`] and [`CliContext::open_session`].
    pub fn open_configured_session(&self, account: Option<&str>) -> Result<Session> {
        self.open_session(self.load_config()?, account)
    }
}
