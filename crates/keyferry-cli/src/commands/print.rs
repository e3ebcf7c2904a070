//! `keyferry header`, `keyferry curl` and `keyferry token`: print a token for scripts.
//!
//! The output is meant for a pipe, so that no token is passed as a command-line argument.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::context::CliContext;
use crate::progress::with_progress;
use crate::resource_input::read_resource;
use crate::streams::Streams;
use crate::time_format::rfc3339;
use keyferry::error::Result;
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::resource::split_query;
use keyferry::model::token::Token;
use keyferry::session::Session;

/// What a script asks for.
#[derive(Args)]
pub struct PrintOptions {
    /// A URL of the service, or `user`, `packages/ID`, `links/ID?secret=S`, `fileverbs:bearer`; `-`
    /// reads it from standard input, so that a link's secret stands in no argument list.
    pub resource: String,
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// What the token must allow, where the resource doesn't say it.
    #[arg(long, value_enum)]
    pub access: Option<PackageAccess>,
    /// The token must be good for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub min_valid_s: u32,
    /// One JSON object: headers, expires_at, service, resource, generation.
    #[arg(long)]
    pub json: bool,
}

/// What a package's token allows.
#[derive(Clone, Copy, ValueEnum)]
pub enum PackageAccess {
    /// List and download.
    Read,
    /// Add files and finalize.
    Write,
    /// Everything but downloads.
    Manage,
}

/// The format in which a token is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// `Name: value` lines, for `curl -H @-`.
    Header,
    /// A configuration file for `curl -K -`.
    ///
    /// Rationale: with -L curl took the key on to whatever host a redirect named; it keeps only
    /// `Authorization` and cookies back.
    Curl,
    /// The bare value.
    Token,
}

/// Prints a token.
pub fn run(
    output_format: OutputFormat,
    options: &PrintOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> u8 {
    let text = match render(output_format, options, context, streams) {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(error) => return streams.fail_with(&error),
    };
    let written = streams.stdout.write_data(&text);
    streams.finish_write(written)
}

fn render(
    output_format: OutputFormat,
    options: &PrintOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> Result<String> {
    let PrintOptions {
        resource,
        profile,
        access,
        min_valid_s,
        json,
    } = options;
    let resource = read_resource(resource, streams.stdin)?;
    let session = context.open_configured_session(profile.as_deref())?;
    let request = Request {
        access: access.map(|package_access| match package_access {
            PackageAccess::Read => Access::Read,
            PackageAccess::Write => Access::Write,
            PackageAccess::Manage => Access::Manage,
        }),
        min_valid: std::time::Duration::from_secs((*min_valid_s).into()),
        ..Request::new(resource.as_str())
    };
    let token = with_progress(streams, "keyferry: getting a token", || {
        session.token_for(&request)
    })?;
    if *json {
        return Ok(format!("{}\n", token_json(&session, &token, &resource)));
    }
    let lines = token.headers().map(|(name, value)| match output_format {
        OutputFormat::Curl => format!("header = {}\n", curl_quote(&format!("{name}: {value}"))),
        _ => format!("{name}: {value}\n"),
    });
    Ok(match output_format {
        OutputFormat::Token => format!("{}\n", token.value()),
        OutputFormat::Header => lines.collect(),
        OutputFormat::Curl => std::iter::once("max-redirs = 0\n".to_owned())
            .chain(lines)
            .collect(),
    })
}

/// A token as one JSON object. The resource is named without its query: that may hold a link's
/// secret.
fn token_json(session: &Session, token: &Token, resource: &str) -> Value {
    let headers: Map<String, Value> = token
        .headers()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let expires_at = session.inspect().ends_here_unix_s(token).and_then(rfc3339);
    json!({
        "headers": headers, "expires_at": expires_at, "service": token.service(), "resource": split_query(resource).0,
        "generation": token.meta().generation,
    })
}

/// A text as curl reads it in a configuration file: within quotes a backslash takes the next
/// character as it is, but for `\t \n \r \v`, which no header holds.
fn curl_quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_reads_quotes_and_backslashes_back() {
        assert_eq!(curl_quote(r#"X: a"b\c$'d #e"#), r#""X: a\"b\\c$'d #e""#);
    }
}
