//! `keyferry get`: answers requests of Bazel and other build tools in EngFlow's credential helper
//! protocol.
//!
//! It never prompts, because build tools wait only 10 s for a response.

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

/// The longest request that is read: a URI of 8 KiB, and room for properties that the protocol may
/// add.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// The options of `keyferry get`.
#[derive(Args)]
pub struct GetOptions {
    /// Omit `expires` from the output
    ///
    /// For Bazel 7.1 to 7.3, which misinterpret `expires` and run keyferry again for every request.
    #[arg(long)]
    pub no_expires: bool,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Further arguments of a build tool, which are ignored.
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
            format!("cannot answer the request: {why}"),
        )
    };
    let mut text = Zeroizing::new(String::new());
    let length = input
        .take(MAX_REQUEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|_| invalid_request("standard input is not UTF-8 or cannot be read"))?;
    if length as u64 > MAX_REQUEST_BYTES {
        return Err(invalid_request("it is longer than 64 KiB"));
    }
    let document: Value = serde_json::from_str(&text).map_err(|_| {
        invalid_request(
            "standard input is not a JSON object; write one such as {\"uri\":\"https://…\"}",
        )
    })?;
    let uri = document
        .get("uri")
        .and_then(Value::as_str)
        .ok_or_else(|| invalid_request("\"uri\" is missing or not a string"))?;
    if count_key("uri", &text) > 1 {
        return Err(invalid_request("\"uri\" occurs twice"));
    }
    let is_absolute = uri
        .split_once(':')
        .is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_absolute {
        Ok(uri.to_owned())
    } else {
        Err(invalid_request(
            "\"uri\" is not absolute; begin it with a scheme, as in https://…",
        ))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Counts how often a key occurs at the top level of a JSON object. The caller has checked that the
/// text is valid JSON.
///
/// Rationale: if a key occurs twice, serde_json keeps the last value and other parsers keep the
/// first. A build tool that checked the first `uri` could then receive headers for the host in the
/// last.
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
    // All services use http or https, so a URI with another scheme gets no headers. Check this
    // first, because a short form of a resource, such as `masv:user`, looks like such a URI.
    if !is_url(&uri) {
        return Ok(json!({ "headers": {} }));
    }
    let session = context.open_configured_session(options.profile.as_deref())?;
    let token = match session.token_for(&Request::new(uri)) {
        Ok(token) => token,
        // An empty object means that the URI needs no headers: the host is unknown, or the route
        // takes no credential.
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

/// Replaces the scheme of a gRPC URI with the scheme of its HTTP connection.
fn grpc_to_http(uri: &str) -> String {
    let with_scheme =
        |from: &str, to: &str| uri.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    with_scheme("grpcs://", "https://")
        .or_else(|| with_scheme("grpc://", "http://"))
        .unwrap_or_else(|| uri.to_owned())
}
