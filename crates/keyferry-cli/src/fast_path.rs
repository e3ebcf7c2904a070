//! Answers a command from the store, without network code, threads and plugins.
//!
//! `git-credential-keyferry` and the program that `make` installs as `keyferry` consist of this
//! code. They leave every other command to the full program. An answer from here is the same, byte
//! for byte, as that of the full program.

use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::log_output;
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
