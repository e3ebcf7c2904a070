//! A clean environment for test programs: an empty home directory, the shared library under its
//! soname, and a sandbox. Programs inherit no environment variable except `PATH`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use keyferry::ffi::version::KEYFERRY_ABI_VERSION;
use keyferry_sandbox::{Options, Sandbox, credentials as c};
use tempfile::TempDir;

use crate::files::beside;

/// A sandbox and a temporary directory, both removed on drop. The subdirectory `lib` of the
/// temporary directory holds links to the shared library.
pub struct HostHarness {
    folder: TempDir,
    sandbox: Sandbox,
}

impl Default for HostHarness {
    fn default() -> Self {
        Self::new()
    }
}

impl HostHarness {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        for name in [
            "libkeyferry.so".to_owned(),
            format!("libkeyferry.so.{KEYFERRY_ABI_VERSION}"),
        ] {
            symlink(
                beside("libkeyferry.so"),
                folder.path().join("lib").join(name),
            )
            .unwrap();
        }
        Self {
            folder,
            sandbox: Sandbox::start(Options::default()).unwrap(),
        }
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the command's environment with the environment of this harness.
    pub fn dress<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .current_dir(self.folder.path())
            .env("HOME", self.path("home"));
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(
            self.sandbox
                .variables()
                .into_iter()
                .filter(|(name, _)| !name.starts_with('#')),
        );
        command
            .envs(self.made_up())
            .env("TEST_FOLDER", self.folder.path())
            .env("TEST_VERSION", env!("CARGO_PKG_VERSION"))
    }

    /// Returns variables with the sandbox's made-up data, which the test programs need in addition
    /// to the settings.
    fn made_up(&self) -> [(&'static str, String); 10] {
        let link = |id: &str, secret: &str| format!("links/{id}?secret={secret}");
        [
            ("TEST_CONTROL_URL", self.sandbox.masv_url().to_owned()),
            ("TEST_API_KEY", c::API_KEY.to_owned()),
            ("TEST_PACKAGE", format!("packages/{}", c::PACKAGE_ID)),
            (
                "TEST_OTHER_PACKAGE",
                format!("packages/{}", c::OTHER_PACKAGE_ID),
            ),
            ("TEST_TRANSFER", format!("transfers/{}", c::TRANSFER_ID)),
            ("TEST_FILE", c::FILE_ID.to_owned()),
            ("TEST_LINK", link(c::LINK_ID, c::LINK_SECRET)),
            ("TEST_LINK_WITH_WRONG_SECRET", link(c::LINK_ID, "wrong")),
            (
                "TEST_PROTECTED_LINK",
                link(c::PROTECTED_LINK_ID, c::PROTECTED_LINK_SECRET),
            ),
            ("TEST_LINK_PASSWORD", c::LINK_PASSWORD.to_owned()),
        ]
    }
}
