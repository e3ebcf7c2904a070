//! `keyferry header`, `keyferry curl` and `keyferry token`: print a token for scripts.
//!
//! The output is meant for a pipe, so that no token is passed as a command-line argument.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::context::CliContext;
use crate::json;
use crate::log_output::LogOptions;
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

/// The options of `keyferry header`, `keyferry curl` and `keyferry token`.
#[derive(Args)]
pub struct PrintOptions {
    /// URL that the request will be sent to, or a short form
    ///
    /// Short forms: `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`,
    /// `links/ID?secret=SECRET`, `fileverbs:bearer`, `fileverbs:secret-key`, and `PLUGIN:PATH`.
    /// Write any other path as a URL, or as `SERVICE:/PATH`, such as `masv:/v1/teams`. With `-`,
    /// keyferry reads the URL from standard input, which keeps a link's secret out of the command
    /// line.
    pub resource: String,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Access that the package token must allow [default: derived from the URL]
    #[arg(long, value_enum)]
    pub access: Option<PackageAccess>,
    /// Return a token that is valid for at least this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub min_valid_s: u32,
    /// Print JSON with headers, expires_at, service, resource and generation
    ///
    /// The generation is a number that orders the tokens of the resource. A newer token has a
    /// greater number.
    #[arg(long)]
    pub json: bool,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
}

/// The access that a package token allows.
#[derive(Clone, Copy, ValueEnum)]
pub enum PackageAccess {
    /// List and download files
    Read,
    /// Add files and finalize the package
    Write,
    /// Everything except downloads
    Manage,
}

/// The format in which a token is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// `Name: value` lines for `curl -H @-`.
    Header,
    /// A configuration file for `curl -K -`.
    ///
    /// Rationale: with -L, curl follows redirects. If a redirect leads to another host, curl omits
    /// only `Authorization` and cookies, and sends all other headers to that host. The configuration
    /// therefore forbids redirects.
    Curl,
    /// The value without a header name.
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
        log: _,
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
    let token = with_progress(streams, "keyferry: fetching a token", || {
        session.token_for(&request)
    })?;
    if *json {
        let fields = token_json(&session, &token, &resource);
        return Ok(json::document(&fields) + "\n");
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

/// Returns a token as a JSON object. The resource appears without its query, which may contain a
/// link's secret.
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

/// Quotes a string for a curl configuration file. Inside quotes, curl takes the character after a
/// backslash literally, except in `\t`, `\n`, `\r` and `\v`. Headers contain none of these four
/// characters.
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
