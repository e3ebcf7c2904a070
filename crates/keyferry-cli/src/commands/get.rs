//! `keyferry get`: EngFlow's credential helper protocol for Bazel and other build tools.
//!
//! It never prompts: its callers give up after 10 s.

use std::io::Read;

use clap::Args;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::streams::Streams;
use crate::time_format::rfc3339;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::resource::is_url;

/// The longest request: a URI of 8 KiB and room for future properties.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// How `keyferry get` answers.
#[derive(Args)]
pub struct GetOptions {
    /// Leave `expires` out: Bazel 7.1 to 7.3 reads it the wrong way round and asks again for each
    /// request.
    #[arg(long)]
    pub no_expires: bool,
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Whatever else a build tool adds.
    #[arg(hide = true, trailing_var_arg = true)]
    pub rest: Vec<std::ffi::OsString>,
}

/// Answers one request.
pub fn run(options: &GetOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match read_uri(streams.stdin).and_then(|uri| headers_for(&uri, options, context)) {
        Ok(response) => {
            let written = streams.stdout.write_data(&format!("{response}\n"));
            streams.finish_write(written)
        }
        Err(error) => streams.fail_with(&error),
    }
}

fn read_uri(input: &mut dyn Read) -> Result<String> {
    let invalid_request = |why: &str| {
        Error::new(
            ErrorKind::InvalidValue,
            format!("the request is not answered: {why}"),
        )
    };
    let mut text = Zeroizing::new(String::new());
    let length = input
        .take(MAX_REQUEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|_| invalid_request("standard input is not UTF-8, or can't be read"))?;
    if length as u64 > MAX_REQUEST_BYTES {
        return Err(invalid_request("it is longer than 64 KiB"));
    }
    let document: Value = serde_json::from_str(&text)
        .map_err(|_| invalid_request("write one JSON object like {\"uri\":\"https://…\"} to it"))?;
    let uri = document
        .get("uri")
        .and_then(Value::as_str)
        .ok_or_else(|| invalid_request("it has no text in \"uri\""))?;
    if count_key("uri", &text) > 1 {
        return Err(invalid_request("\"uri\" stands in it twice"));
    }
    let is_absolute = uri
        .split_once(':')
        .is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_absolute {
        Ok(uri.to_owned())
    } else {
        Err(invalid_request(
            "\"uri\" has to be a whole one, as https://…",
        ))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Counts a key on the top level of a JSON object. The text is known to be valid JSON.
///
/// Rationale: of two equal keys this reader keeps the last and others the first: a caller could
/// name one host and get another's headers.
fn count_key(name: &str, object: &str) -> usize {
    let (mut depth, mut count, mut position) = (0_usize, 0, 0);
    while let Some(found) = object[position..]
        .find(['"', '{', '[', '}', ']'])
        .map(|found| position + found)
    {
        position = found + 1;
        match object.as_bytes()[found] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {
                let mut escaped = false;
                let end = object[position..].find(|symbol| {
                    let is_end = symbol == '"' && !escaped;
                    escaped = symbol == '\\' && !escaped;
                    is_end
                });
                position += end.map_or(object.len() - position, |end| end + 1);
                let is_key = depth == 1 && object[position..].trim_start().starts_with(':');
                count += usize::from(
                    is_key
                        && serde_json::from_str::<String>(&object[found..position])
                            .is_ok_and(|key| key == name),
                );
            }
        }
    }
    count
}

fn headers_for(uri: &str, options: &GetOptions, context: &CliContext) -> Result<Value> {
    let uri = grpc_to_http(uri);
    // Another scheme is nobody's here, also where it is how a resource begins.
    if !is_url(&uri) {
        return Ok(json!({ "headers": {} }));
    }
    let session = context.open_configured_session(options.profile.as_deref())?;
    let token = match session.token_for(&Request::new(uri)) {
        Ok(token) => token,
        // No headers means that none are needed: somebody else's host, or a route that takes none.
        Err(error) if matches!(error.kind, ErrorKind::UnknownService | ErrorKind::NoHeader) => {
            return Ok(json!({ "headers": {} }));
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

/// Replaces the scheme of a gRPC URI with that of its HTTP connection.
fn grpc_to_http(uri: &str) -> String {
    let with_scheme =
        |from: &str, to: &str| uri.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    with_scheme("grpcs://", "https://")
        .or_else(|| with_scheme("grpc://", "http://"))
        .unwrap_or_else(|| uri.to_owned())
}
