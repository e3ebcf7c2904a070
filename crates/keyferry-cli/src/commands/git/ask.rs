//! Prompts for a missing password if git allows prompts.
//!
//! It prompts once. A wrong password is an error.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::context::CliContext;
use crate::prompt::{PromptOrder, ask};
use crate::secrets;
use keyferry::config::{DEFAULT_ACCOUNT, without_secrets};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::sys::process::{Limits, RunOutcome, run};

/// Prompts for the MASV password if only the password is missing, logs in and returns the token.
/// Returns the original error if prompts are not allowed.
///
/// # Errors
/// Returns the original error or the errors of the login.
pub fn sign_in_and_retry(
    session: &Session,
    resource: &str,
    error: &Error,
    context: &CliContext,
) -> Result<Token> {
    let explained = session.explain(resource)?;
    let password_may_help = matches!(
        error.kind,
        ErrorKind::LoginRequired | ErrorKind::NotConfigured
    ) && explained.service == "masv";
    let email = if password_may_help {
        configured_email(session, context)?
    } else {
        None
    };
    let Some(email) = email.filter(|_| prompts_allowed(context)) else {
        return Err(error.clone());
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the prompt names the e-mail address"
    )]
    let question = format!("Password for {} at {}: ", email.expose(), explained.base);
    // If no prompt is possible, the original error is more useful to the user.
    let password = ask(
        &question,
        true,
        PromptOrder::AskpassFirst,
        &context.environment,
    )
    .map_err(|prompt_error| {
        if prompt_error.kind == ErrorKind::Cancelled {
            prompt_error
        } else {
            error.clone()
        }
    })?;
    session.masv_login(Some(email), Some(password))?;
    session.token_for(&Request::new(resource))
}

/// Returns the configured e-mail address. None if a password is configured too: the user then has
/// to correct that password instead of typing another.
fn configured_email(session: &Session, context: &CliContext) -> Result<Option<Secret>> {
    let config = context.load_config()?;
    let account = if session.inspect().account_name().is_empty() {
        DEFAULT_ACCOUNT
    } else {
        session.inspect().account_name()
    };
    let profile = config.profile(account)?;
    if profile.is_set("masv.password") {
        Ok(None)
    } else {
        secrets::resolve_setting(&profile, "masv.email")
    }
}

/// Whether git's settings allow a prompt: `GIT_TERMINAL_PROMPT` and `credential.interactive`.
pub fn prompts_allowed(context: &CliContext) -> bool {
    let is_off = |value: &str| {
        matches!(
            value.trim().to_ascii_lowercase().as_str(),
            "0" | "no" | "off" | "false" | "never"
        )
    };
    if (context.environment)("GIT_TERMINAL_PROMPT")
        .is_some_and(|value| is_off(&value.to_string_lossy()))
    {
        return false;
    }
    let Some(git) = find_git(context) else {
        return true;
    };
    let limits = Limits {
        time: Duration::from_secs(2),
        bytes: 1024,
        own_group: true,
    };
    match run(
        without_secrets(Command::new(git).args(["config", "--get", "credential.interactive"])),
        None,
        limits,
    ) {
        Ok((output, RunOutcome::Exited(Some(0)))) => !is_off(&String::from_utf8_lossy(&output)),
        _ => true,
    }
}

/// Finds git in the absolute directories of PATH. Running the bare name could start a program in
/// the current directory.
fn find_git(context: &CliContext) -> Option<PathBuf> {
    let path = (context.environment)("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("git"))
        .find(|file| file.is_file())
}
