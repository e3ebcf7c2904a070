//! `keyferry get`: answers requests of Bazel and other build tools in EngFlow's credential helper
//! protocol.
//!
//! It never prompts, because build tools wait only 10 s for a response.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use clap::Args;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::fast_path::{FastPath, stored_token};
use crate::git_protocol::plain_key;
use crate::log_output::LogOptions;
use crate::streams::Streams;
use crate::time_format::rfc3339;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::resource::is_url;
use keyferry::model::token::Token;
use keyferry::session::Session;
use keyferry::text::BYTE_ORDER_MARK;

/// The longest request that is read: a URI of 8 KiB, and room for properties that the protocol may
/// add.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// The options of `keyferry get`.
#[derive(Args)]
#[cfg_attr(test, derive(Debug))]
pub struct GetOptions {
    /// Omit `expires` from the output
    ///
    /// For Bazel 7.1 to 7.3, which misinterpret `expires` and run keyferry again for every request.
    #[arg(long)]
    pub no_expires: bool,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
    /// Further arguments of a build tool, which are ignored.
    #[arg(hide = true, trailing_var_arg = true)]
    pub rest: Vec<std::ffi::OsString>,
}

/// Answers one request.
pub fn run(options: &GetOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = read_uri(streams.stdin).and_then(|uri| {
        let Some(request) = request(&uri) else {
            return Ok(no_headers());
        };
        let session = context.open_configured_session(options.profile.as_deref())?;
        response(options, &session, session.token_for(&request))
    });
    write_outcome(outcome, streams)
}

/// Does what [`run`] does, if this needs only the store.
pub fn run_from_store(
    options: &GetOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> FastPath {
    let uri = match read_uri(streams.stdin) {
        Ok(uri) => uri,
        Err(error) => return FastPath::Answered(streams.fail_with(&error)),
    };
    let outcome = match request(&uri) {
        None => Some(Ok(no_headers())),
        Some(request) => stored_token(&request, options.profile.as_deref(), context)
            .map(|(session, outcome)| response(options, &session, outcome))
            .filter(Result::is_ok),
    };
    match outcome {
        Some(outcome) => FastPath::Answered(write_outcome(outcome, streams)),
        None => FastPath::NeedsFullCli(Some(json!({ "uri": uri }).to_string().into_bytes().into())),
    }
}

fn write_outcome(outcome: Result<Value>, streams: &mut Streams<'_>) -> u8 {
    match outcome {
        Ok(response) => streams.write_secret(&Zeroizing::new(format!("{response}\n"))),
        Err(error) => streams.fail_with(&error),
    }
}

/// Reads one JSON object and returns its `uri`. Reads no further than the end of the object, because
/// a build tool may keep the pipe open.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] if the input does not begin with a JSON object that has one absolute
/// `uri`.
pub fn read_uri(input: &mut dyn Read) -> Result<String> {
    let mut input = BufReader::new(input.take(MAX_REQUEST_BYTES));
    skip_byte_order_mark(&mut input)?;
    let uris = Uris::deserialize(&mut serde_json::Deserializer::from_reader(&mut input));
    let is_too_long = input.get_ref().limit() == 0;
    let uris = uris.map_err(|error| {
        invalid_request(match error.classify() {
            Category::Io => NOT_READABLE,
            Category::Eof if is_too_long => "it is longer than 64 KiB",
            _ => {
                "standard input is not a JSON object in UTF-8; write one such as {\"uri\":\"https://…\"}"
            }
        })
    })?;
    let uri = match uris.values.as_slice() {
        _ if uris.has_misspelled_key => Err(
            "a key differs from \"uri\" only by case, blanks or invisible characters; write \"uri\"",
        ),
        [Value::String(uri)] => Ok(uri),
        [_, _, ..] => Err("\"uri\" occurs twice"),
        _ => Err("\"uri\" is missing or not a string"),
    };
    let uri = uri.map_err(invalid_request)?;
    let is_absolute = uri
        .split_once(':')
        .is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_absolute {
        Ok(uri.clone())
    } else {
        Err(invalid_request(
            "\"uri\" is not absolute; begin it with a scheme, as in https://…",
        ))
    }
}

const NOT_READABLE: &str = "standard input cannot be read";

/// Skips a byte order mark. Waits for its three bytes only if the first byte arrives, which no JSON
/// document begins with.
fn skip_byte_order_mark(input: &mut impl BufRead) -> Result<()> {
    let not_readable = |_| invalid_request(NOT_READABLE);
    let first_byte = input.fill_buf().map_err(not_readable)?.first().copied();
    if first_byte == BYTE_ORDER_MARK.first().copied() {
        let mut mark = [0; BYTE_ORDER_MARK.len()];
        input.read_exact(&mut mark).map_err(not_readable)?;
    }
    Ok(())
}

fn invalid_request(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidValue,
        format!("cannot answer the request: {why}"),
    )
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The values of the key `uri` in a JSON object. Other keys are ignored.
///
/// Rationale: if a key occurs twice, serde_json keeps the last value and other parsers keep the
/// first. A build tool that checked the first `uri` could then receive headers for the host in the
/// last. Some parsers also ignore case.
#[derive(Default)]
struct Uris {
    values: Vec<Value>,
    has_misspelled_key: bool,
}

impl<'de> Deserialize<'de> for Uris {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(UrisVisitor)
    }
}

struct UrisVisitor;

impl<'de> Visitor<'de> for UrisVisitor {
    type Value = Uris;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut object: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut uris = Uris::default();
        while let Some(key) = object.next_key::<String>()? {
            if key == "uri" {
                uris.values.push(object.next_value()?);
            } else {
                uris.has_misspelled_key |= plain_key(&key) == "uri";
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(uris)
    }
}

/// Returns the request for a URI. `None` if the scheme is not that of a service, which are all at
/// http or https: a short form of a resource, such as `masv:user`, looks like such a URI.
fn request(uri: &str) -> Option<Request> {
    let uri = grpc_to_http(uri);
    is_url(&uri).then(|| Request::new(uri))
}

fn no_headers() -> Value {
    json!({ "headers": {} })
}

/// Returns the response for the outcome of a request.
fn response(options: &GetOptions, session: &Session, outcome: Result<Token>) -> Result<Value> {
    let token = match outcome {
        Ok(token) => token,
        // An empty object means that the URI needs no headers: the host is unknown, or the route
        // takes no credential.
        Err(error) if matches!(error.kind, ErrorKind::UnknownService | ErrorKind::NoHeader) => {
            return Ok(no_headers());
        }
        Err(error) => return Err(error),
    };
    let headers: Map<String, Value> = token
        .headers()
        .map(|(name, value)| (name.to_owned(), json!([value])))
        .collect();
    let mut response = json!({ "headers": headers });
    let expires_unix_s = session
        .inspect()
        .ends_here_unix_s(&token)
        .filter(|_| !options.no_expires);
    if let Some(expires) = expires_unix_s.and_then(rfc3339) {
        response["expires"] = json!(expires);
    }
    Ok(response)
}

/// Replaces the scheme of a gRPC URI with the scheme of its HTTP connection.
fn grpc_to_http(uri: &str) -> String {
    let with_scheme =
        |from: &str, to: &str| uri.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    with_scheme("grpcs://", "https://")
        .or_else(|| with_scheme("grpc://", "http://"))
        .unwrap_or_else(|| uri.to_owned())
}
