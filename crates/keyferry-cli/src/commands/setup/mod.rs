//! `keyferry setup`: makes git, Bazel or curl use keyferry, and takes that back.
//!
//! Each target computes a `Change` from the current state of its files. The change is shown and
//! confirmed before it is made. A setting that keyferry did not write is never changed.

mod bazel;
mod change;
mod curl;
mod git;

use clap::{Args, Subcommand};

use crate::context::CliContext;
use crate::exit_code::{EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::prompt::confirm;
use crate::streams::Streams;
use change::{Change, Plan};

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
