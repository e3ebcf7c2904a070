//! `keyferry git`: answers git's credential helper protocol with the operations `get`, `store`,
//! `erase` and `capability`.
//!
//! A response is either complete or empty. For an unknown host it is empty, with exit code 0 and no
//! message. keyferry doesn't store passwords that the user typed for git, and prompts only if git
//! allows it.

pub mod ask;
pub mod request;

use std::ffi::OsString;

use clap::Args;
use zeroize::Zeroizing;

use crate::commands::git::request::{CredentialRequest, USED_KEYS};
use crate::context::CliContext;
use crate::exit_code::{EXIT_OK, EXIT_USAGE};
use crate::fast_path::FastPath;
use crate::git_protocol::Message;
use crate::streams::Streams;
use keyferry::config::Config;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::{Access, ResourceKind};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::Session;

/// The header whose token the caller may have fetched itself.
const ADOPTED_HEADER: &str = "X-Package-Token";
/// The resource to use for a service if the request contains no path.
const HOST_RESOURCES: &[(&str, &str)] = &[("fileverbs", "fileverbs:/api/v1/git")];

/// The arguments of `keyferry git`.
#[derive(Args)]
#[cfg_attr(test, derive(Debug))]
pub struct GitOptions {
    /// Operation: `get`, `store`, `erase` or `capability`
    ///
    /// The request is read from standard input. Unknown operations print nothing.
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

/// Returns the name of the operation. Empty if it is not UTF-8.
fn operation_name(arguments: &[OsString]) -> Option<&str> {
    arguments
        .first()
        .map(|name| name.to_str().unwrap_or_default())
}

/// Answers operations that need no credential: `capability`, a missing operation and unknown ones.
fn answer_without_credential(name: Option<&str>, streams: &mut Streams<'_>) -> u8 {
    match name {
        Some("capability") => {
            let outcome = streams
                .stdout
                .write_data("version 0\ncapability authtype\n");
            streams.finish_write(outcome)
        }
        None => {
            // If standard error is closed, the message is lost.
            let _ = streams.stderr.write_line(
                "usage: git-credential-keyferry get|store|erase|capability (git runs this program)",
            );
            EXIT_USAGE
        }
        _ => EXIT_OK,
    }
}

/// Answers requests that need only the store, or nothing at all. That is enough for most requests:
/// git asks every helper about every host, and sends every password to every helper.
pub fn run_from_store(
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
    let message = match Message::read(streams.stdin, USED_KEYS) {
        Ok(message) => message,
        Err(error) => return FastPath::Answered(warn(streams, error.message())),
    };
    let response = match CredentialRequest::read(&message) {
        Ok(Some(request)) if is_get => stored_response(&request, context),
        Ok(Some(request)) if adopted_value(&request).is_some() => None,
        Ok(_) => Some(Message::default()),
        Err(error) => return FastPath::Answered(warn(streams, error.message())),
    };
    match response {
        Some(response) => FastPath::Answered(write_message(&response, streams)),
        None => {
            let mut input = Zeroizing::new(Vec::new());
            message
                .write(&mut *input)
                .expect("a write to memory does not fail");
            FastPath::NeedsFullCli(Some(input))
        }
    }
}

/// Returns the response from the store, or an empty one for an unknown host. None if the full
/// program is needed.
fn stored_response(request: &CredentialRequest, context: &CliContext) -> Option<Message> {
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

/// A request and its session.
struct GitCall<'a> {
    request: &'a CredentialRequest,
    session: &'a Session,
    context: &'a CliContext,
}

fn run_operation(operation: Operation, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let request = match Message::read(streams.stdin, USED_KEYS)
        .and_then(|message| CredentialRequest::read(&message))
    {
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

/// Whether the error means that the request is for another credential helper.
fn is_foreign(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::UnknownService | ErrorKind::NoHeader | ErrorKind::InvalidResource
    )
}

/// Opens a session for the account that the user name selects. Uses the default account if there is
/// no user name or no such account.
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
    /// Calls `operation` with the URL of the request. If no service knows that URL, calls it with
    /// the resource for the host.
    fn with_resource<T>(&self, operation: impl Fn(&str) -> Result<T>) -> Result<T> {
        let outcome = operation(&self.request.url);
        match outcome {
            Err(error) if error.kind == ErrorKind::UnknownService => {
                operation(self.host_resource().ok_or(error)?)
            }
            other => other,
        }
    }

    /// Returns the resource for the host of the request, if exactly one service is at that host.
    ///
    /// Rationale: git sends a path only if `credential.useHttpPath` is set. FileVerbs needs no
    /// path, because one bearer token is valid for the whole service. MASV needs a path: without
    /// it, keyferry could only return the user's own token, which allows more than a package token.
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

/// Encodes the token. Returns an empty message if the request names another user.
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

/// Returns an error that explains the missing path if the host is MASV's. Otherwise returns the
/// original error.
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
    let what = "cannot choose a MASV token: git sent no path; run `git config --global credential.URL.useHttpPath true` with MASV's URL";
    Err(Error::new(ErrorKind::Cancelled, what))
}

/// Encodes a token as a message. It contains `authtype` only if the caller understands that key.
/// Otherwise git would treat the response as empty and not ask other helpers.
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
    // Git would read 0 as "never expires".
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

/// Adopts a package's write token that the caller fetched itself. git sends every password that
/// worked to every helper, so all other passwords are ignored, and so are tokens that came from
/// keyferry.
fn store(call: &GitCall<'_>) -> Result<Message> {
    let (request, session) = (call.request, call.session);
    let Some(value) = adopted_value(request) else {
        return Ok(Message::default());
    };
    let explained = session.explain(&request.url)?;
    // `explain` reports `manage` for package URLs that accept a management or a write token, and
    // `read` for download URLs.
    let is_package =
        explained.resource_kind == ResourceKind::Package && explained.access == Access::Manage;
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

/// Rejects exactly the value in the request. Does nothing if the request contains none.
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
