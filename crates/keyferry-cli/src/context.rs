//! The environment that a command runs in, and the sessions that it opens.
//!
//! Commands reach services only through a session that is opened here.

use std::path::PathBuf;

use keyferry::config::{Config, Environment, Profile};
use keyferry::error::Result;
use keyferry::plugin::Plugins;
use keyferry::session::{Options, Session};

/// The parts of the process environment that a command may use.
pub struct CliContext {
    /// The environment variables.
    pub environment: Environment,
    /// The directory for temporary files.
    pub temp_dir: PathBuf,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
}

impl CliContext {
    /// Replaces the home directory in a text with `~`.
    pub fn shorten_home(&self, text: &str) -> String {
        // Messages show paths in the same form.
        let home = (self.environment)("HOME")
            .map(|home| home.to_string_lossy().trim_end_matches('/').to_owned());
        match home.filter(|home| home.len() > 1) {
            Some(home) => text.replace(&home, "~"),
            None => text.to_owned(),
        }
    }

    /// Loads the user's configuration.
    ///
    /// # Errors
    /// Returns the errors of [`Config::load`].
    pub fn load_config(&self) -> Result<Config> {
        Config::load(None, self.environment.clone())
    }

    /// Opens a session without background refreshes, which could not finish before the command
    /// ends.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open`].
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

    /// Opens a session that uses only the store and no network.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open`].
    pub fn open_offline(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
        account.map_or(Ok(()), |account| config.select_account(account))?;
        Session::open_offline(config)
    }

    /// Loads the plugins of an account, and the account's settings with those that the plugins
    /// declare.
    ///
    /// # Errors
    /// Returns the errors of [`Plugins::load`], and of selecting the account.
    pub fn load_plugins(
        &self,
        mut config: Config,
        account: Option<&str>,
    ) -> Result<(Plugins, Profile)> {
        account.map_or(Ok(()), |account| config.select_account(account))?;
        let plugins = Plugins::load(&mut config)?;
        let profile = config.profile(config.selected_account())?;
        Ok((plugins, profile))
    }

    /// Loads the configuration and opens a session.
    ///
    /// # Errors
    /// Returns the errors of [`CliContext::load_config`] and [`CliContext::open_session`].
    pub fn open_configured_session(&self, account: Option<&str>) -> Result<Session> {
        self.open_session(self.load_config()?, account)
    }
}
