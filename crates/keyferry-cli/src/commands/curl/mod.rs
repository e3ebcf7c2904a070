//! `keyferry curl`: gives curl the headers for a URL.
//!
//! `keyferry curl URL` prints a configuration file for `curl -K -`. `keyferry curl -- ARGS` replaces
//! keyferry with curl, which reads the headers and the URL from a descriptor.

pub mod arguments;

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::commands::exec::{EXIT_NOT_FOUND, EXIT_NOT_STARTED};
use crate::commands::print::token_json;
use crate::context::CliContext;
use crate::fast_path::FastPath;
use crate::json::{self, JsonOutput};
use crate::resource_input::read_resource;
use crate::streams::Streams;
use crate::sys::stdio;
use crate::token_options::TokenOptions;
use arguments::CurlArguments;
use keyferry::config::without_secrets;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::token::Token;
use keyferry::session::Session;
use keyferry::sys::io_cause::{self, Subject};

/// A configuration that makes curl fail before it sends a request.
///
/// curl 8.19 and later stop at the unknown option, whose name they print. Older versions print a
/// warning and go on. They then fail because http and https are not allowed, or, if the command
/// line has --proto, because they cannot connect.
///
/// Rationale: versions 7.85 to 8.6 ignore `-all`, which forbids all protocols (CVE-2024-2004).
pub const STOP_CONFIG: &str =
    "keyferry-has-no-token\nproto = \"=file\"\nunix-socket = \"/dev/null/keyferry-has-no-token\"\n";

/// The section of the help that lists the exit codes and the options for curl.
pub fn after_help() -> String {
    format!(
        "Exit codes:
  0    success
  1    failure; standard error says why and what to do
  2    invalid command line
  3    login or configuration required
  4    temporary failure, such as no network; retry later
  126  curl cannot be started
  127  curl is not installed

With ARGS, the exit codes of curl follow once curl has started.

Options in ARGS that are passed on to curl, in their full names:
{}",
        arguments::accepted_options()
    )
}

/// The options of `keyferry curl`.
#[derive(Args)]
#[cfg_attr(test, derive(Debug))]
#[command(
    override_usage = "keyferry curl [OPTIONS] <RESOURCE>\n       keyferry curl [OPTIONS] -- <ARGS>..."
)]
pub struct CurlOptions {
    /// URL that the request will be sent to, or a short form, as for `keyferry header`
    ///
    /// With `-`, keyferry reads the URL from standard input.
    #[arg(required_unless_present = "arguments", conflicts_with = "arguments")]
    pub resource: Option<String>,
    /// The token to print.
    #[command(flatten)]
    pub token: TokenOptions,
    /// Print JSON with headers, expires_at, service, resource and generation
    #[arg(long, conflicts_with = "arguments")]
    pub json: bool,
    /// Arguments for curl: one URL, and options
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

/// Prints a configuration for curl, or replaces this process with curl.
pub fn run(options: &CurlOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match &options.resource {
        Some(resource) => print(resource, options, context, streams),
        None => run_curl(options, context, streams),
    }
}

/// Returns whether a command line asks for a configuration for curl, even if it is invalid.
pub fn prints_config(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|word| word == "curl")
        && JsonOutput::of(arguments.iter()) == JsonOutput::Off
        && !arguments.iter().any(|word| word == "--")
}

/// Prints a configuration that stops curl. Rationale: if keyferry printed nothing after an error,
/// the curl that reads this pipe would send the request without a token.
pub fn print_stop(streams: &mut Streams<'_>) {
    if !streams.stdout.caps().is_terminal {
        // A closed pipe means that curl does not read the configuration.
        let _ = streams.stdout.write_data(STOP_CONFIG);
    }
}

fn print(
    resource: &str,
    options: &CurlOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> u8 {
    let outcome = read_resource(resource, streams.stdin).and_then(|resource| {
        let (session, token) = options.token.fetch(&resource, context, streams)?;
        Ok(text(options, &session, &token, &resource))
    });
    match outcome {
        Ok(text) => streams.write_secret(&text),
        Err(error) => {
            if !options.json {
                print_stop(streams);
            }
            streams.fail_with(&error)
        }
    }
}

/// Does what [`run`] does, if the token is in the store.
pub fn run_from_store(
    options: &CurlOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> FastPath {
    let code = match &options.resource {
        Some(resource) => options
            .token
            .stored(resource, context)
            .map(|(session, token)| {
                streams.write_secret(&text(options, &session, &token, resource))
            }),
        None => run_curl_from_store(options, context, streams),
    };
    code.map_or(FastPath::NeedsFullCli(None), FastPath::Answered)
}

fn run_curl_from_store(
    options: &CurlOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> Option<u8> {
    let arguments = arguments::check(&options.arguments).ok()?;
    let (session, token) = options.token.stored(arguments.url.as_str(), context)?;
    let config = config(&session, &token, &arguments).ok()?;
    Some(exec_curl(&config, &arguments.options, streams))
}

/// Returns the output for a resource.
fn text(
    options: &CurlOptions,
    session: &Session,
    token: &Token,
    resource: &str,
) -> Zeroizing<String> {
    Zeroizing::new(if options.json {
        json::document(&token_json(session, token, resource)) + "\n"
    } else {
        format!("max-redirs = 0\n{}", header_lines(token))
    })
}

/// Returns the lines of a curl configuration that set the headers of a token.
fn header_lines(token: &Token) -> String {
    let lines = token
        .headers()
        .map(|(name, value)| setting("header", &format!("{name}: {value}")));
    lines.collect()
}

/// Runs curl. Returns only if that fails.
fn run_curl(options: &CurlOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let arguments = match arguments::check(&options.arguments) {
        Ok(arguments) => arguments,
        Err(reason) => return streams.fail_usage(&reason),
    };
    let fetched = options
        .token
        .fetch(arguments.url.as_str(), context, streams)
        .and_then(|(session, token)| config(&session, &token, &arguments));
    match fetched {
        Ok(config) => exec_curl(&config, &arguments.options, streams),
        Err(error) => streams.fail_with(&error),
    }
}

/// Returns the configuration for curl: the URL, the headers, and the settings that keep them at the
/// host of the URL.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if the token is for another host than that of the URL;
/// [`ErrorKind::InvalidValue`] if an option sets a header of the token.
fn config(
    session: &Session,
    token: &Token,
    arguments: &CurlArguments,
) -> Result<Zeroizing<String>> {
    let url = &arguments.url;
    let inspect = session.inspect();
    let base = inspect
        .services()
        .find(|info| info.service == token.service())
        .map(|info| info.base);
    if base.is_none_or(|base| base.below(url).is_none()) {
        let place = base.map_or("another host", |base| base.as_str());
        return Err(Error::new(
            ErrorKind::InvalidResource,
            format!(
                "cannot send the token to this URL: it is for {place}; use a URL there, or `keyferry header` for the header"
            ),
        ));
    }
    let repeated = token.headers().map(|(name, _)| name).find(|name| {
        let is_it = |given: &String| given.eq_ignore_ascii_case(name);
        arguments.header_names.iter().any(is_it)
    });
    if let Some(name) = repeated {
        return Err(Error::new(
            ErrorKind::InvalidValue,
            format!("cannot send two {name} headers: keyferry sets this header; leave it out"),
        ));
    }
    Ok(Zeroizing::new(
        setting("url", url.as_str()) + &restrictions(url) + &header_lines(token),
    ))
}

/// Returns the settings that keep curl at the host of the URL.
fn restrictions(url: &Url) -> String {
    let mut lines = format!(
        "globoff\nmax-redirs = 0\n{}",
        setting("proto", &format!("={}", url.scheme()))
    );
    if url.scheme() == "http" {
        // The host is this machine. A proxy, such as that of `http_proxy`, is another one.
        lines += "noproxy = \"*\"\n";
        // Old versions of curl ask DNS for `localhost` and the names below it.
        if let (Some(Host::Domain(name)), Some(port)) = (url.host(), url.port_or_known_default()) {
            lines += &setting("resolve", &format!("{name}:{port}:127.0.0.1,[::1]"));
        }
    }
    lines
}

/// Replaces this process with curl. curl ignores ~/.curlrc, which may contain any option.
fn exec_curl(config: &str, options: &[OsString], streams: &mut Streams<'_>) -> u8 {
    let input = match stdio::inheritable_input(config.as_bytes()) {
        Ok(input) => input,
        Err(error) => {
            return streams.fail(&format!(
                "cannot pass the header to curl: {}",
                io_cause::explain(&error, Subject::Stream)
            ));
        }
    };
    let mut command = Command::new("curl");
    without_secrets(&mut command)
        .args(["--disable", "--config"])
        .arg(format!("/dev/fd/{}", input.as_raw_fd()))
        .args(options);
    stdio::close_recorded_streams();
    let failed = command.exec();
    if failed.kind() == std::io::ErrorKind::NotFound {
        streams.fail("cannot start curl: it is not on PATH; install curl");
        return EXIT_NOT_FOUND;
    }
    streams.fail(&format!(
        "cannot start curl: {}",
        io_cause::explain(&failed, Subject::Program)
    ));
    EXIT_NOT_STARTED
}

/// Returns a line of a curl configuration. Inside quotes, curl takes the character after a
/// backslash literally, except in `\t`, `\n`, `\r` and `\v`. Headers and URLs contain none of these
/// four characters.
fn setting(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name} = \"{value}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_reads_quotes_and_backslashes_back() {
        assert_eq!(
            setting("header", r#"X: a"b\c$'d #e"#),
            "header = \"X: a\\\"b\\\\c$'d #e\"\n"
        );
    }
}
