//! What a command has at hand beside its streams: variables, a session for one call, and the words for what failed.
//!
//! Every command gets to services through the session that it opens here.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::args::{EXIT_FAILED, EXIT_LOGIN_REQUIRED, EXIT_RETRY_LATER, Streams};
use keyferry::config::{Config, Environment};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::session::{Options, Session};

/// The process as far as a command may know it.
pub struct CliContext {
    /// Its variables.
    pub environment: Environment,
    /// Where temporary files may go.
    pub temporary: PathBuf,
    /// A person can type at standard input.
    pub stdin_is_terminal: bool,
}

/// Before this nobody wonders what a program does.
const PATIENCE: Duration = Duration::from_secs(1);

impl CliContext {
    /// The user's configuration.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn config(&self) -> Result<Config> {
        Config::load(None, self.environment.clone())
    }

    /// A session that ends with this call: nothing is refreshed beside it.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open(&self, mut config: Config, account: Option<&str>) -> Result<Session> {
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
    pub fn session(&self, account: Option<&str>) -> Result<Session> {
        self.open(self.config()?, account)
    }
}

/// Does something that may take long; after a second a person at standard error is told what it is.
pub fn with_progress<T>(streams: &Streams<'_>, what: &str, job: impl FnOnce() -> T) -> T {
    if !streams.stderr.caps().terminal {
        return job();
    }
    let (done, wait) = channel::<()>();
    let what = crate::terminal::clean(what).into_owned();
    thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // A line of its own, taken back when the job is done; nobody is hurt where it can't be written.
            let _ = write!(io::stderr(), "{what} …");
            let _ = wait.recv();
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(what.chars().count() + 2));
        });
        let outcome = job();
        drop(done);
        outcome
    })
}

impl Streams<'_> {
    /// Tells an error, and is the exit code for it.
    pub fn fail_with(&mut self, error: &Error) -> u8 {
        let pause = error.retry_after_ms.filter(|ms| *ms > 0 && error.is_transient()).map(|ms| ms.div_ceil(1000));
        match pause {
            Some(seconds) => self.fail(&format!("{} (not before {seconds} s from now)", error.message())),
            None => self.fail(error.message()),
        };
        match error.kind {
            ErrorKind::LoginRequired | ErrorKind::NotConfigured => EXIT_LOGIN_REQUIRED,
            _ if error.is_transient() => EXIT_RETRY_LATER,
            _ => EXIT_FAILED,
        }
    }

    /// The exit code for having written something: a reader who leaves has seen enough.
    pub fn wrote(&mut self, outcome: io::Result<()>) -> u8 {
        match outcome.map_err(|error| error.kind()) {
            Err(io::ErrorKind::NotConnected) => self.fail("the answer can't be written: standard output is closed"),
            Err(kind) if kind != io::ErrorKind::BrokenPipe => self.fail(&format!("the answer can't be written: {kind}")),
            _ => crate::args::EXIT_OK,
        }
    }
}
