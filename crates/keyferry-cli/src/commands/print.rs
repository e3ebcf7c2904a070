//! `keyferry header` and `keyferry token`: print a token for scripts.
//!
//! The output is meant for a pipe, so that no token is passed as a command-line argument.

use clap::Args;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::fast_path::FastPath;
use crate::json;
use crate::resource_input::read_resource;
use crate::streams::Streams;
use crate::time_format::rfc3339;
use crate::token_options::TokenOptions;
use keyferry::model::resource::split_query;
use keyferry::model::token::Token;
use keyferry::session::Session;

/// The options of `keyferry header` and `keyferry token`.
#[derive(Args)]
#[cfg_attr(test, derive(Debug))]
pub struct PrintOptions {
    /// URL that the request will be sent to, or a short form
    ///
    /// Short forms: `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`,
    /// `links/ID?secret=SECRET`, `fileverbs:bearer`, `fileverbs:secret-key`, and `PLUGIN:PATH`.
    /// Write any other path as a URL, or as `SERVICE:/PATH`, such as `masv:/v1/teams`. With `-`,
    /// keyferry reads the URL from standard input, which keeps a link's secret out of the command
    /// line.
    pub resource: String,
    /// The token to print.
    #[command(flatten)]
    pub token: TokenOptions,
    /// Print JSON with headers, expires_at, service, resource and generation
    ///
    /// The generation is a number that orders the tokens of the resource. A newer token has a
    /// greater number.
    #[arg(long)]
    pub json: bool,
}

/// The format in which a token is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// `Name: value` lines for `curl -H @-`.
    Header,
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
    let outcome = read_resource(&options.resource, streams.stdin).and_then(|resource| {
        let (session, token) = options.token.fetch(&resource, context, streams)?;
        Ok(text(
            output_format,
            options.json,
            &session,
            &token,
            &resource,
        ))
    });
    match outcome {
        Ok(text) => streams.write_secret(&text),
        Err(error) => streams.fail_with(&error),
    }
}

/// Does what [`run`] does, if the token is in the store.
pub fn run_from_store(
    output_format: OutputFormat,
    options: &PrintOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> FastPath {
    let resource = &options.resource;
    match options.token.stored(resource, context) {
        Some((session, token)) => FastPath::Answered(streams.write_secret(&text(
            output_format,
            options.json,
            &session,
            &token,
            resource,
        ))),
        None => FastPath::NeedsFullCli(None),
    }
}

fn text(
    output_format: OutputFormat,
    is_json: bool,
    session: &Session,
    token: &Token,
    resource: &str,
) -> Zeroizing<String> {
    Zeroizing::new(if is_json {
        json::document(&token_json(session, token, resource)) + "\n"
    } else {
        match output_format {
            OutputFormat::Token => format!("{}\n", token.value()),
            OutputFormat::Header => token
                .headers()
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect(),
        }
    })
}

/// Returns a token as a JSON object. The resource appears without its query, which may contain a
/// link's secret.
pub fn token_json(session: &Session, token: &Token, resource: &str) -> Value {
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
