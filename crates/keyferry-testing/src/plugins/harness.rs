//! Compiles the plugins of `c-tests/plugins` and opens sessions that use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyferry::config::Config;
use keyferry::error::Error;
use keyferry::secret::Secret;
use keyferry::session::Session;
use tempfile::TempDir;

use crate::compiler;
use crate::files::file;

/// A temporary directory for plugins and a home directory, removed on drop. Plugins that were
/// loaded from it stay loaded.
pub struct PluginHarness {
    folder: TempDir,
}

impl Default for PluginHarness {
    fn default() -> Self {
        Self::new()
    }
}

impl PluginHarness {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles a plugin of `c-tests/plugins`, with warnings as errors.
    pub fn plugin(&self, source: &str, defines: &[&str]) -> PathBuf {
        self.plugin_named(source, &source.replace(".c", ".so"), defines)
    }

    /// Compiles a plugin of `c-tests/plugins` to a file called `name`.
    pub fn plugin_named(&self, source: &str, name: &str, defines: &[&str]) -> PathBuf {
        self.compile(&file("c-tests/plugins").join(source), name, defines)
    }

    /// Compiles a plugin from C source text.
    pub fn plugin_from_text(&self, name: &str, text: &str) -> PathBuf {
        let source = self.path(name);
        fs::write(&source, text).unwrap();
        self.compile(&source, &name.replace(".c", ".so"), &[])
    }

    fn compile(&self, source: &Path, name: &str, defines: &[&str]) -> PathBuf {
        let output = self.path(name);
        let mut command = compiler::strict(source);
        command
            .args(["-shared", "-fPIC", "-fvisibility=hidden", "-pthread"])
            .args(defines)
            .arg("-o")
            .arg(&output);
        command
            .arg("-I")
            .arg(file("include"))
            .arg("-I")
            .arg(file("c-tests/plugins"));
        compiler::succeed(&mut command);
        fs::set_permissions(&output, fs::Permissions::from_mode(0o755)).unwrap();
        output
    }

    /// Opens a session with these plugins and settings and with the store in memory.
    pub fn session(&self, plugins: &[&Path], settings: &[(&str, &str)]) -> Session {
        self.try_session(plugins, settings).unwrap()
    }

    pub fn try_session(
        &self,
        plugins: &[&Path],
        settings: &[(&str, &str)],
    ) -> Result<Session, Error> {
        Session::open(config(plugins, settings)?)
    }

    /// Returns a command that inherits only `PATH` from this process's environment.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.folder.path())
            .env("HOME", self.path("home"));
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("LC_ALL", "C.UTF-8")
            .env("KEYFERRY_STORE", "memory");
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }
}

pub fn config(plugins: &[&Path], settings: &[(&str, &str)]) -> Result<Config, Error> {
    let mut config = Config::new();
    let paths: Vec<_> = plugins.iter().map(|path| path.to_str().unwrap()).collect();
    config.set("plugins", Secret::new(paths.join(":")))?;
    settings
        .iter()
        .try_for_each(|(key, value)| config.set(key, Secret::from(*value)))?;
    Ok(config)
}

/// Returns a token's headers, one per line.
pub fn header(session: &Session, resource: &str) -> Result<String, Error> {
    session.token(resource).map(|token| {
        token
            .headers()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
            .join("\n")
    })
}
