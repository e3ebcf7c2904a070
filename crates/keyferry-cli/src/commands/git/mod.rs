//! The door for git and for all that speak its credential protocol: `get`, `store`, `erase`, `capability`.
//!
//! An answer is complete or it is empty; what is not ours gets an empty one, exit code 0 and not a
//! word. It keeps no password that somebody typed, and asks a person only where git lets it.

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

/// The header whose token a caller may have got itself.
const ADOPTED_HEADER: &str = "X-Package-Token";
/// Services where a host alone says which token is meant, and what to ask them for.
const HOST_RESOURCES: &[(&str, &str)] = &[("fileverbs", "fileverbs:git")];

/// Arguments of `keyferry git`.
#[derive(Args)]
pub struct GitOptions {
    /// `get`, `store`, `erase` or `capability`; the rest is on standard input. Anything else is answered with nothing.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Answers an operation: the first word behind the program's name.
pub fn run(words: &[OsString], context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match operation_name(words) {
        Some("get") => run_operation(get, context, streams),
        Some("store") => run_operation(store, context, streams),
        Some("erase") => run_operation(erase, context, streams),
        other => answer_without_credential(other, streams),
    }
}

/// The operation, empty where it is in no language of ours.
fn operation_name(words: &[OsString]) -> Option<&str> {
    words.first().map(|word| word.to_str().unwrap_or_default())
}

/// What needs no credential to be answered.
fn answer_without_credential(word: Option<&str>, streams: &mut Streams<'_>) -> u8 {
    match word {
        Some("capability") => {
            let outcome = streams.stdout.write_data("version 0\ncapability authtype\n");
            streams.finish_write(outcome)
        }
        None => {
            // Where standard error is gone, nobody is left to tell.
            let _ = streams.stderr.write_line("usage: git-credential-keyferry get|store|erase|capability, as git calls it");
            EXIT_USAGE
        }
        _ => EXIT_OK,
    }
}

/// What the quick program makes of a call.
pub enum FastPath {
    /// It is answered, with this exit code.
    Answered(u8),
    /// It takes the whole program, which has to read this; where nothing was read, what was sent.
    NeedsFullCli(Option<Message>),
}

/// Answers what needs the store alone, or nothing: git asks every helper about every host, and tells each of every password.
pub fn fast_path(words: &[OsString], context: &CliContext, streams: &mut Streams<'_>) -> FastPath {
    let is_get = match operation_name(words) {
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
    answer.map_or(FastPath::NeedsFullCli(Some(message)), |answer| FastPath::Answered(write_message(&answer, streams)))
}

/// The answer that the store has, or an empty one to what is not ours. None where there is more to do.
fn stored_answer(request: &CredentialRequest, context: &CliContext) -> Option<Message> {
    let session = open_session(request, context, CliContext::open_offline).ok()?;
    let call = GitCall { request, session: &session, context };
    match call.with_resource(|resource| session.stored(&Request::new(resource))) {
        Ok(token) => encode_if_user_matches(&call, &token?).ok(),
        Err(error) => explain_missing_path(&call, error).err().filter(is_foreign).map(|_| Message::default()),
    }
}

type Operation = fn(&GitCall<'_>) -> Result<Message>;

/// One question and what answers it.
struct GitCall<'a> {
    request: &'a CredentialRequest,
    session: &'a Session,
    context: &'a CliContext,
}

fn run_operation(operation: Operation, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let request = match Message::read(streams.stdin).and_then(|message| CredentialRequest::read(&message)) {
        Ok(Some(request)) => request,
        Ok(None) => return EXIT_OK,
        // Whoever sent it is no caller of ours: an exit code would tell it nothing, a person at the terminal may wonder.
        Err(error) => return warn(streams, error.message()),
    };
    let session = open_session(&request, context, CliContext::open_session);
    match session.and_then(|session| operation(&GitCall { request: &request, session: &session, context })) {
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

fn warn(streams: &mut Streams<'_>, what: &str) -> u8 {
    streams.fail(what);
    EXIT_OK
}

/// Whether it means that the request is another helper's business.
fn is_foreign(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::UnknownService | ErrorKind::NoHeader | ErrorKind::InvalidResource)
}

/// A session for the account that the user name chooses, where it is one's name.
fn open_session(
    request: &CredentialRequest,
    context: &CliContext,
    opens: fn(&CliContext, Config, Option<&str>) -> Result<Session>,
) -> Result<Session> {
    let config = context.load_config()?;
    let accounts = config.accounts();
    let account = request.username.as_ref().filter(|name| accounts.contains(name));
    opens(context, config, account.map(String::as_str))
}

impl GitCall<'_> {
    /// Does something with the resource that the question is about: its URL, else what its host stands for.
    fn with_resource<T>(&self, then: impl Fn(&str) -> Result<T>) -> Result<T> {
        let outcome = then(&self.request.url);
        match outcome {
            Err(error) if error.kind == ErrorKind::UnknownService => then(self.host_resource().ok_or(error)?),
            other => other,
        }
    }

    /// Rationale: git sends a path only where `credential.useHttpPath` is set. One bearer serves all of FileVerbs; for MASV a
    /// host says too little, and the user's own token in place of a package's would be too much.
    fn host_resource(&self) -> Option<&'static str> {
        let mut here = self.session.services().filter(|place| self.request.matches_base(place.base));
        let place = here.next().filter(|_| here.next().is_none())?;
        HOST_RESOURCES.iter().find(|(service, _)| *service == place.service).map(|(_, resource)| *resource)
    }
}

fn get(call: &GitCall<'_>) -> Result<Message> {
    let outcome = call.with_resource(|resource| call.session.token_for(&Request::new(resource)));
    let token = match outcome {
        Err(error) if error.kind == ErrorKind::UnknownService => return explain_missing_path(call, error),
        Err(error) => call.with_resource(|resource| ask::sign_in_and_retry(call.session, resource, &error, call.context))?,
        Ok(token) => token,
    };
    encode_if_user_matches(call, &token)
}

/// Nothing where somebody else is asked for.
fn encode_if_user_matches(call: &GitCall<'_>, token: &Token) -> Result<Message> {
    let fits = |name: &String| name == call.session.inspect().account_name() || token.headers().any(|(header, _)| header == name);
    if call.request.username.as_ref().is_none_or(fits) { encode(call, token) } else { Ok(Message::default()) }
}

/// A MASV host without a path is ours, but says too little.
fn explain_missing_path(call: &GitCall<'_>, error: Error) -> Result<Message> {
    if call.request.has_path || !call.session.services().any(|place| place.service == "masv" && call.request.matches_base(place.base)) {
        return Err(error);
    }
    let what = "MASV's tokens differ by path, and git sent none: git config --global credential.URL.useHttpPath true, with MASV's URL";
    Err(Error::new(ErrorKind::Cancelled, what))
}

/// A token in the words of the protocol. `authtype` is claimed only where the caller understands it: git takes an answer with it
/// for an empty one otherwise, and asks nobody else.
fn encode(call: &GitCall<'_>, token: &Token) -> Result<Message> {
    let mut message = Message::default();
    let mut say = |key: &str, value: &str| message.push(key, Secret::from(value));
    let Some((name, value)) = token.headers().next() else { return Ok(message) };
    if name.eq_ignore_ascii_case("authorization") {
        match value.split_once(' ') {
            Some((scheme, credential)) if call.request.knows_authtype => {
                say("capability[]", "authtype")?;
                say("authtype", scheme)?;
                say("credential", credential)?;
                say("ephemeral", "1")?;
            }
            _ => {
                say("username", call.session.inspect().account_name())?;
                say("password", token.value())?;
            }
        }
    } else {
        say("username", name)?;
        say("password", value)?;
        for (name, value) in token.headers() {
            say("header[]", &format!("{name}: {value}"))?;
        }
    }
    // 0 would mean "never ends".
    if let Some(ends) = call.session.inspect().ends_here_unix_s(token).filter(|ends| *ends > 0) {
        say("password_expiry_utc", &ends.to_string())?;
    }
    Ok(message)
}

/// Keeps a package's write token that the caller got itself. git tells every helper of every password that worked: all others, and
/// those that came from here, are none of our business.
fn store(call: &GitCall<'_>) -> Result<Message> {
    let (request, session) = (call.request, call.session);
    let Some(value) = adopted_value(request) else { return Ok(Message::default()) };
    let explained: serde_json::Value = serde_json::from_str(&session.explain(&request.url)?).unwrap_or_default();
    // What a package's routes usually want is management or writing; a download's is reading.
    let is_package = explained["class"] == "package" && explained["access"] == "manage";
    if is_package && !session.is_known_value(&request.url, value)? {
        session.adopt(&request.url, value.clone(), request.expires_unix_s)?;
    }
    Ok(Message::default())
}

fn adopted_value(request: &CredentialRequest) -> Option<&Secret> {
    request.password.as_ref().filter(|_| request.username.as_deref() == Some(ADOPTED_HEADER) && request.has_path)
}

/// Rejects exactly the value that is named; without one, nothing.
fn erase(call: &GitCall<'_>) -> Result<Message> {
    for value in [&call.request.credential, &call.request.password].into_iter().flatten() {
        call.with_resource(|resource| call.session.reject_value(resource, value))?;
    }
    Ok(Message::default())
}

#[cfg(test)]
mod tests;
