//! The harness of all tests that start programs, use files or need a sandbox.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use keyferry::clock::Clock;
use keyferry_sandbox::{Options, Sandbox};
use tempfile::TempDir;

use crate::argv_watch::ArgvWatch;
use crate::child;
use crate::settings::sandbox_clock;

/// Returns a command for this harness.
pub type CommandBuilder = Box<dyn Fn(&Harness) -> Command>;

/// A temporary directory with an empty home (`home`), an empty working directory (`work`) and an
/// empty runtime directory (`runtime`), and a sandbox that starts when it is first used. All of it is removed on drop, but a plugin that was
/// loaded from the directory stays loaded.
pub struct Harness {
    clock: Clock,
    argv_watch: Option<ArgvWatch>,
    sandbox: OnceLock<Sandbox>,
    folder: TempDir,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work", "runtime"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path().join("runtime"), private).unwrap();
        Self {
            clock: Clock::system(),
            argv_watch: None,
            sandbox: OnceLock::new(),
            folder,
        }
    }

    /// Creates a harness whose sandbox has these options.
    pub fn with_sandbox(options: Options) -> Self {
        let harness = Self::new();
        harness
            .sandbox
            .get_or_init(|| Sandbox::start(options).unwrap());
        harness
    }

    /// Creates a harness whose clock is a manual one and begins at this time. The sandbox follows
    /// it.
    pub fn at(start_us: i64) -> Self {
        let clock = Clock::manual(start_us);
        let options = Options {
            clock: sandbox_clock(&clock, 0),
            ..Options::default()
        };
        Self {
            clock,
            ..Self::with_sandbox(options)
        }
    }

    /// Creates a harness that panics on drop if a program that this process started had a secret of
    /// the sandbox in its arguments.
    pub fn watching_arguments() -> Self {
        Self {
            argv_watch: Some(ArgvWatch::start()),
            ..Self::new()
        }
    }

    /// Panics if a program had a secret in its arguments. Call it after
    /// [`watching_arguments`](Self::watching_arguments) alone.
    pub fn assert_no_secret_in_argv(&self) {
        self.argv_watch.as_ref().unwrap().check();
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox
            .get_or_init(|| Sandbox::start(Options::default()).unwrap())
    }

    /// Returns the clock for sessions: the system's, or the one of [`at`](Self::at).
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock of sessions and sandbox.
    pub fn pass_s(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
    }

    /// Returns the temporary directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a path in the temporary directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the path of the user's configuration file. The file does not exist yet.
    pub fn config(&self) -> PathBuf {
        self.path("home/.config/keyferry/config.toml")
    }

    /// Writes a file that only its owner can read and write, and the directories that it is in.
    pub fn write_private_file(&self, name: &str, text: &str) -> PathBuf {
        self.write_file(name, text, 0o600)
    }

    /// Writes a file with these permissions, and the directories that it is in.
    pub fn write_file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Returns the environment variables that point keyferry at the sandbox, with its credentials.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = self.sandbox().variables();
        // Names that begin with `#` are alternatives.
        variables.retain(|(name, _)| !name.starts_with('#'));
        variables
    }

    /// Replaces the environment of a command: the empty home, the empty runtime directory, the store
    /// in memory, and of this process's variables only `PATH`. Signals have their default actions.
    pub fn isolate<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        child::reset_signals(command)
            .env_clear()
            .current_dir(self.path("work"))
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("LC_ALL", "C.UTF-8")
            .env("KEYFERRY_STORE", "memory")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
    }

    /// Returns a command with an [isolated](Self::isolate) environment.
    pub fn isolated_program(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.isolate(command.args(arguments));
        command
    }

    /// Returns a command with the URLs and all credentials of the sandbox.
    pub fn program(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = self.isolated_program(program, arguments);
        command.envs(self.variables());
        command
    }

    /// Returns a command with the URLs of the sandbox but without its credentials.
    pub fn program_without_secrets(
        &self,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> Command {
        let mut command = self.isolated_program(program, arguments);
        let variables = self.variables().into_iter();
        command.envs(variables.filter(|(name, _)| name.ends_with("_URL")));
        command
    }
}
