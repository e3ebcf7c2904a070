//! `keyferry setup`: makes git, Bazel or curl use keyferry, and takes that back.
//!
//! Each target computes a [`Change`] from the current state of its files. The change is shown and
//! confirmed before it is made. A setting that keyferry did not write is never changed.

mod bazel;
mod curl;
mod git;

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::context::CliContext;
use crate::exit_code::{EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::prompt::confirm;
use crate::streams::Streams;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::process::this_program;

/// The options of `keyferry setup`.
#[derive(Args)]
pub struct SetupOptions {
    #[command(subcommand)]
    target: SetupTarget,
}

#[derive(Subcommand)]
enum SetupTarget {
    /// Make git get credentials for the configured services from keyferry
    ///
    /// For the URL of MASV, of FileVerbs and of each service that a plugin adds, in all profiles,
    /// this command sets `credential.URL.helper` with `git config --global`. Other credential
    /// helpers are then not used for these URLs. It also sets `credential.URL.useHttpPath` where
    /// the token depends on the path.
    #[command(after_help = EXIT_CODES_HELP)]
    Git(ChangeOptions),
    /// Make Bazel 6.3 or later get credentials for the configured services from keyferry
    ///
    /// Adds one `--credential_helper` line to ~/.bazelrc for the host of MASV, of FileVerbs and of
    /// each service that a plugin adds, in all profiles.
    #[command(after_help = EXIT_CODES_HELP)]
    Bazel(ChangeOptions),
    /// Install the command kcurl, which runs curl with the header for its URL
    ///
    /// Creates the script ~/.local/bin/kcurl. `kcurl ARGUMENTS` is short for `keyferry curl --
    /// ARGUMENTS`. curl itself is not changed, so that no other use of curl sends a credential.
    #[command(after_help = EXIT_CODES_HELP)]
    Curl(ChangeOptions),
}

#[derive(Args)]
struct ChangeOptions {
    /// Remove everything that this command added
    #[arg(long)]
    undo: bool,
    /// Make the change without asking
    #[arg(long)]
    yes: bool,
}

/// A change that can be shown before it is made.
struct Change {
    /// Says what `lines` are, such as `Change to /home/me/.bazelrc:`.
    title: String,
    /// The lines to show: commands, or lines of a file with `+` or `-` before them.
    lines: Vec<String>,
    /// Makes the change.
    make: Box<dyn FnOnce() -> Result<()>>,
    /// The message after the change.
    done: String,
}

/// The result of comparing the current state with the wanted one.
enum Plan {
    /// Nothing has to be changed. Contains the message.
    UpToDate(String),
    /// The change that leads to the wanted state.
    Needed(Change),
}

/// Shows a change, asks, and makes it.
pub fn run(options: &SetupOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let (options, plan) = match &options.target {
        SetupTarget::Git(options) => (options, git::plan(options.undo, context)),
        SetupTarget::Bazel(options) => (options, bazel::plan(options.undo, context)),
        SetupTarget::Curl(options) => (options, curl::plan(options.undo, context)),
    };
    let done = match plan {
        Ok(Plan::UpToDate(message)) => Ok(message),
        Ok(Plan::Needed(change)) => match confirmed(&change, options.yes, context, streams) {
            Ok(true) => (change.make)().map(|()| change.done),
            Ok(false) => return EXIT_FAILED,
            Err(code) => return code,
        },
        Err(error) => Err(error),
    };
    match done {
        Ok(message) => {
            let written = streams.stdout.write_line(&message);
            streams.finish_write(written)
        }
        Err(error) => streams.fail_with(&error),
    }
}

/// Shows a change and asks whether to make it. Returns an exit code if that is not possible.
fn confirmed(
    change: &Change,
    is_agreed: bool,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> std::result::Result<bool, u8> {
    let lines: String = change
        .lines
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect();
    let written = streams
        .stdout
        .write_text(&format!("{}\n{lines}", change.title));
    match streams.finish_write(written) {
        EXIT_OK => {}
        code => return Err(code),
    }
    if is_agreed {
        return Ok(true);
    }
    if !context.stdin_is_terminal {
        streams.fail("cannot ask for confirmation, because standard input is not a terminal; add --yes to make this change");
        return Err(EXIT_USAGE);
    }
    let is_confirmed =
        confirm("Make this change? [y/N] ").map_err(|error| streams.fail_with(&error))?;
    if !is_confirmed {
        streams.fail("nothing was changed");
    }
    Ok(is_confirmed)
}

/// The URL of a service without its path, and the service's name.
#[derive(Clone, PartialEq, Eq)]
struct Origin {
    /// Scheme, host and port, such as `https://api.massive.app`.
    url: String,
    service: String,
}

impl Origin {
    /// Returns the host without the port.
    fn host(&self) -> &str {
        let (_, host) = self.url.split_once("://").unwrap_or(("", &self.url));
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

/// Returns the origins of all services that have credentials, in all accounts. The MASV Agent has
/// none.
fn origins(context: &CliContext) -> Result<Vec<Origin>> {
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

fn failure(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}

/// Returns a path in the user's home directory.
fn home_path(context: &CliContext, name: &str) -> Result<PathBuf> {
    let home = (context.environment)("HOME").map(PathBuf::from);
    home.filter(|home| home.is_absolute())
        .map(|home| home.join(name))
        .ok_or_else(|| failure("cannot find the home directory; set HOME"))
}

/// Returns the path under which the shell finds a program, if that is `file`.
fn found_on_path(context: &CliContext, file: &Path) -> Option<PathBuf> {
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

/// Returns the path of a program in the directory of this one.
///
/// # Errors
/// [`ErrorKind::Config`] if there is no such program.
fn own_program(name: &str) -> Result<PathBuf> {
    let this = this_program().map_err(|error| {
        let reason = io_cause::explain(&error, Subject::Program);
        failure(format!("cannot find the path of keyferry: {reason}"))
    })?;
    let path = this.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        let dir = this.parent().unwrap_or(Path::new("/")).display();
        Err(failure(format!(
            "cannot find {name} in {dir}; install both programs in the same directory"
        )))
    }
}

/// Returns the absolute path of keyferry as text. Prefers the path on PATH, which stays the same if
/// a package manager updates keyferry.
fn keyferry_path(context: &CliContext) -> Result<String> {
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
