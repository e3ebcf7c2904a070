//! Answers a command from the store, without network code, threads and plugins.
//!
//! `git-credential-keyferry` and the program that `make` installs as `keyferry` consist of this
//! code. They leave every other command to the full program. An answer from here is the same, byte
//! for byte, as that of the full program.

use std::ffi::OsString;

use zeroize::Zeroizing;

use crate::commands::print::OutputFormat;
use crate::commands::{Command, curl, get, print};
use crate::context::CliContext;
use crate::json::JsonOutput;
use crate::streams::Streams;
use crate::{log_output, quick_args};
use keyferry::error::{ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::session::Session;

/// The outcome of the fast path.
pub enum FastPath {
    /// The command was answered. Contains the exit code.
    Answered(u8),
    /// The full program must run the command. Contains what this program has read from standard
    /// input.
    NeedsFullCli(Option<Zeroizing<Vec<u8>>>),
}

/// Answers `header`, `token`, `curl` and `get` if the token is in the store.
///
/// `is_quiet` returns whether the full program would write nothing to its log.
pub fn run(
    arguments: &[OsString],
    context: &CliContext,
    streams: &mut Streams<'_>,
    is_quiet: impl FnOnce() -> bool,
) -> FastPath {
    streams.json = JsonOutput::of(arguments.iter());
    let Some(command) = quick_args::parse(arguments).filter(|_| is_quiet()) else {
        return FastPath::NeedsFullCli(None);
    };
    match command {
        Command::Header(options) => {
            print::run_from_store(OutputFormat::Header, &options, context, streams)
        }
        Command::Token(options) => {
            print::run_from_store(OutputFormat::Token, &options, context, streams)
        }
        Command::Curl(options) => curl::run_from_store(&options, context, streams),
        Command::Get(options) => get::run_from_store(&options, context, streams),
        _ => FastPath::NeedsFullCli(None),
    }
}

/// Returns the stored token for a request and its session, or the error that says that the resource
/// needs no token. `None` if the full program must answer.
pub fn stored_token(
    request: &Request,
    account: Option<&str>,
    context: &CliContext,
) -> Option<(Session, Result<Token>)> {
    let config = context.load_config().ok()?;
    let profile = config.profile(account.unwrap_or(config.selected_account()));
    // The user may refuse to unlock the keyring. The full program would then ask again.
    if profile.ok()?.text("store_key") == Some("keyring") {
        return None;
    }
    let session = context.open_offline(config, account).ok()?;
    let outcome = match session.stored(request) {
        Ok(token) => Ok(token?),
        Err(error) if matches!(error.kind, ErrorKind::UnknownService | ErrorKind::NoHeader) => {
            Err(error)
        }
        Err(_) => return None,
    };
    (!log_output::was_detected()).then_some((session, outcome))
}
