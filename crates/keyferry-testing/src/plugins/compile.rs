//! Compiles the plugins of `c-tests/plugins` and opens sessions that use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use keyferry::config::Config;
use keyferry::error::Error;
use keyferry::session::Session;

use crate::compiler;
use crate::files::file;
use crate::harness::Harness;
use crate::settings::try_config;

impl Harness {
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
    pub fn plugin_session(&self, plugins: &[&Path], settings: &[(&str, &str)]) -> Session {
        self.try_plugin_session(plugins, settings).unwrap()
    }

    pub fn try_plugin_session(
        &self,
        plugins: &[&Path],
        settings: &[(&str, &str)],
    ) -> Result<Session, Error> {
        Session::open(config(plugins, settings)?)
    }
}

/// Returns a configuration with these plugins and settings.
pub fn config(plugins: &[&Path], settings: &[(&str, &str)]) -> Result<Config, Error> {
    let paths: Vec<_> = plugins.iter().map(|path| path.to_str().unwrap()).collect();
    // The settings of a plugin are unknown until the plugin is set.
    try_config(
        [("plugins", paths.join(":").as_str())]
            .into_iter()
            .chain(settings.iter().copied()),
    )
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
