//! The doors for scripts: `keyferry header`, `keyferry curl` and `keyferry token`.
//!
//! What they print is meant for a pipe: no token gets into an argument list this way.

use std::io::{BufRead, BufReader, Read};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::args::Streams;
use crate::context::{CliContext, with_progress};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::resource::{MAX_BYTES, split_query};
use keyferry::model::token::Token;
use keyferry::session::Session;

/// What a script asks for.
#[derive(Args)]
pub struct PlainOptions {
    /// A URL of the service, or `user`, `packages/ID`, `links/ID?secret=S`, `fileverbs:bearer`; `-` reads it from standard input, so
    /// that a link's secret stands in no argument list.
    pub resource: String,
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// What the token must allow, where the resource doesn't say it.
    #[arg(long, value_enum)]
    pub access: Option<Allowed>,
    /// The token must be good for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub min_valid_s: u32,
    /// One JSON object: headers, expires_at, service, resource, generation.
    #[arg(long)]
    pub json: bool,
}

/// What a package's token allows.
#[derive(Clone, Copy, ValueEnum)]
pub enum Allowed {
    /// List and download.
    Read,
    /// Add files and finalize.
    Write,
    /// Everything but downloads.
    Manage,
}

/// In which form a token is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Name: value` lines, for `curl -H @-`.
    Header,
    /// A configuration file for `curl -K -`.
    ///
    /// Rationale: with -L curl took the key on to whatever host a redirect named; it keeps only `Authorization` and cookies back.
    Curl,
    /// The bare value.
    Token,
}

/// Prints a token.
pub fn run(form: Form, options: &PlainOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let text = match text(form, options, context, streams) {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(error) => return streams.fail_with(&error),
    };
    let written = streams.stdout.data(&text);
    streams.wrote(written)
}

fn text(form: Form, options: &PlainOptions, context: &CliContext, streams: &mut Streams<'_>) -> Result<String> {
    let PlainOptions { resource, profile, access, min_valid_s, json } = options;
    let resource = resource_of(resource, streams.stdin)?;
    let session = context.session(profile.as_deref())?;
    let request = Request {
        access: access.map(|allowed| match allowed {
            Allowed::Read => Access::Read,
            Allowed::Write => Access::Write,
            Allowed::Manage => Access::Manage,
        }),
        min_valid: std::time::Duration::from_secs((*min_valid_s).into()),
        ..Request::new(resource.as_str())
    };
    let token = with_progress(streams, "keyferry: getting a token", || session.token_for(&request))?;
    if *json {
        return Ok(format!("{}\n", object(&session, &token, &resource)));
    }
    let lines = token.headers().map(|(name, value)| match form {
        Form::Curl => format!("header = {}\n", quoted(&format!("{name}: {value}"))),
        _ => format!("{name}: {value}\n"),
    });
    Ok(match form {
        Form::Token => format!("{}\n", token.value()),
        Form::Header => lines.collect(),
        Form::Curl => std::iter::once("max-redirs = 0\n".to_owned()).chain(lines).collect(),
    })
}

/// The resource as it was typed, or the first line of standard input.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if that can't be read.
pub fn resource_of(typed: &str, stdin: &mut dyn Read) -> Result<String> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut line = String::new();
    let read = BufReader::new(stdin.take(MAX_BYTES as u64 + 2)).read_line(&mut line);
    read.map_err(|_| {
        Error::new(ErrorKind::InvalidResource, "the resource can't be read from standard input: write one line of text to it")
    })?;
    Ok(line.strip_suffix('\n').unwrap_or(&line).to_owned())
}

/// A token as one JSON object. The resource is named without its query: that may hold a link's secret.
fn object(session: &Session, token: &Token, resource: &str) -> Value {
    let headers: Map<String, Value> = token.headers().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let ends = session.inspect().ends_here_unix_s(token).and_then(moment).map(clock_time);
    json!({
        "headers": headers, "expires_at": ends, "service": token.service(), "resource": split_query(resource).0,
        "generation": token.meta().generation,
    })
}

/// A text as curl reads it in a configuration file: within quotes a backslash takes the next character as it is, but for
/// `\t \n \r \v`, which no header holds.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A moment that can be written down.
pub fn moment(unix_s: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(unix_s).ok()
}

/// A moment as RFC 3339 has it, in whole seconds.
pub fn clock_time(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn curl_reads_quotes_and_backslashes_back() {
        assert_eq!(quoted(r#"X: a"b\c$'d #e"#), r#""X: a\"b\\c$'d #e""#);
    }

    #[test]
    fn a_resource_is_one_line() {
        let read = |text: &str| resource_of("-", &mut text.as_bytes()).unwrap();
        assert_eq!((read("links/a?secret=b\nmore"), read("user"), read("a\r\n")), ("links/a?secret=b".into(), "user".into(), "a\r".into()));
        assert_eq!(resource_of("user", &mut &b"other"[..]).unwrap(), "user");
    }

    #[test]
    fn moments_are_written_in_whole_seconds() {
        assert_eq!(clock_time(moment(1_767_323_045).unwrap()), "2026-01-02T03:04:05Z");
        assert!(moment(i64::MAX).is_none());
    }
}
