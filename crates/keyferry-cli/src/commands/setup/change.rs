//! A change to another program's settings, and the facts that all targets of `keyferry setup` need.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::context::CliContext;
use crate::installation::programs_dir;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::owner::{Owner, belongs_to, own_dir_remedy};
use keyferry::sys::trusted_dir::{self, Fault};

/// A change that can be shown before it is made.
pub(super) struct Change {
    /// Says what `lines` are, such as `Change to /home/me/.bazelrc:`.
    pub(super) title: String,
    /// The lines to show: commands, or lines of a file with `+` or `-` before them.
    pub(super) lines: Vec<String>,
    /// Makes the change.
    pub(super) make: Box<dyn FnOnce() -> Result<()>>,
    /// The message after the change.
    pub(super) done: String,
}

/// The result of comparing the current state with the wanted one.
pub(super) enum Plan {
    /// Nothing has to be changed. Contains the message.
    UpToDate(String),
    /// The change that leads to the wanted state.
    Needed(Change),
}

/// The URL of a service without its path, and the service's name.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Scheme, host and port, such as `https://api.massive.app`.
    pub(super) url: String,
    pub(super) service: String,
}

impl Origin {
    /// Returns the host without the port.
    pub(super) fn host(&self) -> &str {
        let (_, host) = self.url.split_once("://").unwrap_or(("", &self.url));
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

/// Returns the origins of all services that have credentials, in all accounts. The MASV Agent has
/// none.
pub(super) fn origins(context: &CliContext) -> Result<Vec<Origin>> {
    let config = context.load_config()?;
    let mut origins = Vec::new();
    for account in config.accounts() {
        let session = context.open_session(config.clone(), Some(&account))?;
        let services = session.inspect().services();
        for info in services.filter(|info| info.service != "agent") {
            let origin = Origin {
                url: info.base.origin().to_owned(),
                service: info.service.to_owned(),
            };
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
    }
    Ok(origins)
}

pub(super) fn failure(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}

/// Returns a path in the user's home directory.
///
/// # Errors
/// [`ErrorKind::Config`] if there is no home directory, or if it belongs to another user than this
/// one and root. Rationale: `sudo` may keep HOME. Root's files would then be in the home of the user
/// who called it, who could not change them.
pub(super) fn home_path(context: &CliContext, name: &str) -> Result<PathBuf> {
    let home = (context.environment)("HOME").map(PathBuf::from);
    let home = home
        .filter(|home| home.is_absolute())
        .ok_or_else(|| failure("cannot find the home directory; set HOME"))?;
    if let Err(Fault::OtherOwner(path, id)) = trusted_dir::find(&home) {
        return Err(failure(format!(
            "cannot change files in {}: it {}; {}",
            path.display(),
            belongs_to(id),
            own_dir_remedy(Owner::of(id))
        )));
    }
    Ok(home.join(name))
}

/// Returns the path under which the shell finds a program, if that is `file`.
pub(super) fn found_on_path(context: &CliContext, file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?;
    let id = |path: &Path| path.metadata().ok().map(|facts| (facts.dev(), facts.ino()));
    let variable: OsString = (context.environment)("PATH")?;
    let is_program = |path: &PathBuf| {
        let facts = path.metadata();
        facts.is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&variable)
        .map(|dir| dir.join(name))
        .find(is_program)
        .filter(|path| path.is_absolute() && id(path) == id(file))
}

/// Returns the path of a program in the directory of the programs that users start.
///
/// # Errors
/// [`ErrorKind::Config`] if there is no such program.
pub(super) fn own_program(name: &str) -> Result<PathBuf> {
    let dir = programs_dir().map_err(|error| {
        let reason = io_cause::explain(&error, Subject::Program);
        failure(format!("cannot find the path of keyferry: {reason}"))
    })?;
    let path = dir.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(failure(format!(
            "cannot find {name} in {}; install both programs in the same directory",
            dir.display()
        )))
    }
}

/// Returns the absolute path of keyferry as text. Prefers the path on PATH, which stays the same if
/// a package manager updates keyferry.
pub(super) fn keyferry_path(context: &CliContext) -> Result<String> {
    let path = own_program("keyferry")?;
    let path = found_on_path(context, &path).unwrap_or(path);
    let text = path
        .to_str()
        .filter(|text| keyferry::text::is_printable_line(text));
    text.map(str::to_owned).ok_or_else(|| {
        let shown = path.display();
        failure(format!("cannot write the path {shown} into a file, because it is not printable UTF-8; install keyferry elsewhere"))
    })
}
