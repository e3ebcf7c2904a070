//! `keyferry git`: git's credential protocol with `get`, `store`, `erase` and `capability`.
//!
//! A response is complete or empty; a foreign host gets an empty one, exit code 0 and no message.
//! It stores no typed password, and prompts only where git allows it.

pub mod ask;
pub mod request;

use std::ffi::OsString;

use clap::Args;

use crate::commands::git::request::CredentialRequest;
use crate::context::CliContext;
use crate::exit_code::{EXIT_OK, EXIT_USAGE};
use crate::git_protocol::Message;
use crate::streams::Streams;
use keyferry::config::Config;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::Session;

/// The header whose token a caller may have fetched itself.
const ADOPTED_HEADER: &str = "X-Package-Token";
/// The resource that a host alone stands for, by service.
const HOST_RESOURCES: &[(&str, &str)] = &[("fileverbs", "fileverbs:git")];

/// Arguments of `keyferry git`.
#[derive(Args)]
pub struct GitOptions {
    /// `get`, `store`, `erase` or `capability`; the rest is on standard input. Anything else is
    /// answered with nothing.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Runs the operation that the first argument names.
pub fn run(arguments: &[OsString], context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match operation_name(arguments) {
        Some("get") => run_operation(get, context, streams),
        Some("store") => run_operation(store, context, streams),
        Some("erase") => run_operation(erase, context, streams),
        other => answer_without_credential(other, streams),
    }
}

/// The name of the operation; empty if it is not UTF-8.
fn operation_name(arguments: &[OsString]) -> Option<&str> {
    arguments
        .first()
        .map(|name| name.to_str().unwrap_or_default())
}

/// Answers what needs no credential: `capability`, a missing operation and unknown ones.
fn answer_without_credential(name: Option<&str>, streams: &mut Streams<'_>) -> u8 {
    match name {
        Some("capability") => {
            let outcome = streams
                .stdout
                .write_data("version 0\ncapability authtype\n");
            streams.finish_write(outcome)
        }
        None => {
            // Where standard error is gone, nobody is left to tell.
            let _ = streams.stderr.write_line(
                "usage: git-credential-keyferry get|store|erase|capability, as git calls it",
            );
            EXIT_USAGE
        }
        _ => EXIT_OK,
    }
}

/// The outcome of a call in git-credential-keyferry, which has no network.
pub enum FastPath {
    /// Answered, with this exit code.
    Answered(u8),
    /// Needs the full program, which has to read this message, or standard input if nothing was
    /// read yet.
    NeedsFullCli(Option<Message>),
}

/// Answers calls that need the store alone, or nothing: git asks every helper about every host, and
/// sends each every password.
pub fn fast_path(
    arguments: &[OsString],
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> FastPath {
    let is_get = match operation_name(arguments) {
        Some("get") => true,
        Some("store") => false,
        Some("erase") => return FastPath::NeedsFullCli(None),
        other => return FastPath::Answered(answer_without_credential(other, streams)),
    };
    let message = match Message::read(streams.stdin) {
        Ok(message) => message,
        Err(error) => return FastPath::Answered(warn(streams, error.message())),
    };
    let answer = match CredentialRequest::read(&message) {
        Ok(Some(request)) if is_get => stored_answer(&request, context),
        Ok(Some(request)) if adopted_value(&request).is_some() => None,
        Ok(_) => Some(Message::default()),
        Err(error) => return FastPath::Answered(warn(streams, error.message())),
    };
    answer.map_or(FastPath::NeedsFullCli(Some(message)), |answer| {
        FastPath::Answered(write_message(&answer, streams))
    })
}

/// The answer from the store, or an empty one for a foreign host. None if the full program is
/// needed.
fn stored_answer(request: &CredentialRequest, context: &CliContext) -> Option<Message> {
    let session = open_session(request, context, CliContext::open_offline).ok()?;
    let call = GitCall {
        request,
        session: &session,
        context,
    };
    match call.with_resource(|resource| session.stored(&Request::new(resource))) {
        Ok(token) => encode_if_user_matches(&call, &token?).ok(),
        Err(error) => explain_missing_path(&call, error)
            .err()
            .filter(is_foreign)
            .map(|_| Message::default()),
    }
}

type Operation = fn(&GitCall<'_>) -> Result<Message>;

/// One request and its session.
struct GitCall<'a> {
    request: &'a CredentialRequest,
    session: &'a Session,
    context: &'a CliContext,
}

fn run_operation(operation: Operation, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let request =
        match Message::read(streams.stdin).and_then(|message| CredentialRequest::read(&message)) {
            Ok(Some(request)) => request,
            Ok(None) => return EXIT_OK,
            // Git ignores the exit code, so warn on standard error for the user.
            Err(error) => return warn(streams, error.message()),
        };
    let session = open_session(&request, context, CliContext::open_session);
    match session.and_then(|session| {
        operation(&GitCall {
            request: &request,
            session: &session,
            context,
        })
    }) {
        Ok(message) => write_message(&message, streams),
        Err(error) if error.kind == ErrorKind::Cancelled => warn(streams, error.message()),
        Err(error) if is_foreign(&error) => EXIT_OK,
        Err(error) => streams.fail_with(&error),
    }
}

fn write_message(message: &Message, streams: &mut Streams<'_>) -> u8 {
    if message.is_empty() {
        return EXIT_OK;
    }
    let written = message.write(streams.stdout.raw());
    streams.finish_write(written)
}

fn warn(streams: &mut Streams<'_>, message: &str) -> u8 {
    streams.fail(message);
    EXIT_OK
}

/// Whether the error means that the request is for another helper.
fn is_foreign(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::UnknownService | ErrorKind::NoHeader | ErrorKind::InvalidResource
    )
}

/// Opens a session for the account that the user name names, else for the default one.
fn open_session(
    request: &CredentialRequest,
    context: &CliContext,
    open: fn(&CliContext, Config, Option<&str>) -> Result<Session>,
) -> Result<Session> {
    let config = context.load_config()?;
    let accounts = config.accounts();
    let account = request
        .username
        .as_ref()
        .filter(|name| accounts.contains(name));
    open(context, config, account.map(String::as_str))
}

impl GitCall<'_> {
    /// Calls `operation` with the URL of the request, else with the resource that its host stands
    /// for.
    fn with_resource<T>(&self, operation: impl Fn(&str) -> Result<T>) -> Result<T> {
        let outcome = operation(&self.request.url);
        match outcome {
            Err(error) if error.kind == ErrorKind::UnknownService => {
                operation(self.host_resource().ok_or(error)?)
            }
            other => other,
        }
    }

    /// The resource that the request's host stands for, if one service alone is there.
    ///
    /// Rationale: git sends a path only where `credential.useHttpPath` is set. One bearer serves
    /// all of FileVerbs; for MASV a host says too little, and the user's own token in place of a
    /// package's would be too much.
    fn host_resource(&self) -> Option<&'static str> {
        let mut services = self
            .session
            .inspect()
            .services()
            .filter(|service| self.request.matches_base(service.base));
        let service = services.next().filter(|_| services.next().is_none())?;
        HOST_RESOURCES
            .iter()
            .find(|(name, _)| *name == service.service)
            .map(|(_, resource)| *resource)
    }
}

fn get(call: &GitCall<'_>) -> Result<Message> {
    let outcome = call.with_resource(|resource| call.session.token_for(&Request::new(resource)));
    let token = match outcome {
        Err(error) if error.kind == ErrorKind::UnknownService => {
            return explain_missing_path(call, error);
        }
        Err(error) => call.with_resource(|resource| {
            ask::sign_in_and_retry(call.session, resource, &error, call.context)
        })?,
        Ok(token) => token,
    };
    encode_if_user_matches(call, &token)
}

/// Encodes the token, or nothing if the request names another user.
fn encode_if_user_matches(call: &GitCall<'_>, token: &Token) -> Result<Message> {
    let matches_user = |name: &String| {
        name == call.session.inspect().account_name()
            || token.headers().any(|(header, _)| header == name)
    };
    if call.request.username.as_ref().is_none_or(matches_user) {
        encode(call, token)
    } else {
        Ok(Message::default())
    }
}

/// Explains the missing path for a MASV host; other errors stay.
fn explain_missing_path(call: &GitCall<'_>, error: Error) -> Result<Message> {
    if call.request.has_path
        || !call
            .session
            .inspect()
            .services()
            .any(|service| service.service == "masv" && call.request.matches_base(service.base))
    {
        return Err(error);
    }
    let what = "MASV's tokens differ by path, and git sent none: git config --global credential.URL.useHttpPath true, with MASV's URL";
    Err(Error::new(ErrorKind::Cancelled, what))
}

/// Encodes a token as a message. `authtype` is claimed only where the caller understands it: git
/// takes an answer with it for an empty one otherwise, and asks nobody else.
fn encode(call: &GitCall<'_>, token: &Token) -> Result<Message> {
    let mut message = Message::default();
    let mut push = |key: &str, value: &str| message.push(key, Secret::from(value));
    let Some((name, value)) = token.headers().next() else {
        return Ok(message);
    };
    if name.eq_ignore_ascii_case("authorization") {
        match value.split_once(' ') {
            Some((scheme, credential)) if call.request.knows_authtype => {
                push("capability[]", "authtype")?;
                push("authtype", scheme)?;
                push("credential", credential)?;
                push("ephemeral", "1")?;
            }
            _ => {
                push("username", call.session.inspect().account_name())?;
                push("password", token.value())?;
            }
        }
    } else {
        push("username", name)?;
        push("password", value)?;
        for (name, value) in token.headers() {
            push("header[]", &format!("{name}: {value}"))?;
        }
    }
    // 0 would mean "never ends".
    if let Some(expires_unix_s) = call
        .session
        .inspect()
        .ends_here_unix_s(token)
        .filter(|expires_unix_s| *expires_unix_s > 0)
    {
        push("password_expiry_utc", &expires_unix_s.to_string())?;
    }
    Ok(message)
}

/// Adopts a package's write token that the caller fetched itself. git sends every helper every
/// password that worked: all others, and those that came from here, are ignored.
fn store(call: &GitCall<'_>) -> Result<Message> {
    let (request, session) = (call.request, call.session);
    let Some(value) = adopted_value(request) else {
        return Ok(Message::default());
    };
    let explained: serde_json::Value =
        serde_json::from_str(&session.explain(&request.url)?).unwrap_or_default();
    // What a package's routes usually want is management or writing; a download's is reading.
    let is_package = explained["class"] == "package" && explained["access"] == "manage";
    if is_package && !session.is_known_value(&request.url, value)? {
        session.adopt(&request.url, value.clone(), request.expires_unix_s)?;
    }
    Ok(Message::default())
}

fn adopted_value(request: &CredentialRequest) -> Option<&Secret> {
    request
        .password
        .as_ref()
        .filter(|_| request.username.as_deref() == Some(ADOPTED_HEADER) && request.has_path)
}

/// Rejects exactly the value in the request; without one, nothing.
fn erase(call: &GitCall<'_>) -> Result<Message> {
    for value in [&call.request.credential, &call.request.password]
        .into_iter()
        .flatten()
    {
        call.with_resource(|resource| call.session.reject_value(resource, value))?;
    }
    Ok(Message::default())
}

#[cfg(test)]
mod tests;
