//! The parser of the command line of `keyferry`.
//!
//! [`crate::commands`] defines the commands and their options.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};

use crate::commands::curl;
use crate::commands::{Command, CommandLine};
use crate::exit_code::{EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::json::JsonOutput;
use crate::quick_args;
use crate::secret_input;
use crate::streams::Streams;
use keyferry::model::nearest::did_you_mean;

/// Parses the arguments that follow the program's name.
///
/// [`quick_args`] parses the common forms. If there is no command to run, this function writes the
/// help text or error message itself and returns the exit code as the error.
///
/// # Errors
/// [`EXIT_OK`] after `--help` and `--version`; [`EXIT_USAGE`] if the command line is invalid;
/// [`EXIT_FAILED`] if the message cannot be written.
pub fn parse(arguments: Vec<OsString>, streams: &mut Streams<'_>) -> Result<Command, u8> {
    streams.json = JsonOutput::of(arguments.iter());
    if let Some(command) = quick_args::parse(&arguments) {
        return Ok(command);
    }
    let is_curl_config = curl::prints_config(&arguments);
    if let Some(message) = secret_input::secret_option_error(&arguments) {
        if is_curl_config {
            curl::print_stop(streams);
        }
        return Err(streams.fail_usage(&message));
    }
    let takes_secrets = arguments
        .iter()
        .any(|argument| argument == "login" || argument == "sign-in");
    let error = match parse_words(arguments, help_width(streams)) {
        Ok(command_line) => return Ok(command_line.command),
        Err(error) => error,
    };
    if is_curl_config && error.use_stderr() {
        curl::print_stop(streams);
    }
    if takes_secrets && error.use_stderr() {
        // clap's message would quote the unknown argument, which may be a password.
        let hint = did_you_mean(suggestion(&error));
        return Err(streams.fail_usage(&format!(
            "invalid arguments; {hint}see the command's --help, and never pass a secret as an argument"
        )));
    }
    if error.use_stderr() {
        streams.write_usage_error(&one_line(&error.render().to_string()));
    }
    let (output, code) = if error.use_stderr() {
        (&mut streams.stderr, EXIT_USAGE)
    } else {
        (&mut streams.stdout, EXIT_OK)
    };
    let outcome = output.write_text(&error.render().to_string());
    Err(if streams.finish_write(outcome) == EXIT_OK {
        code
    } else {
        EXIT_FAILED
    })
}

/// Returns clap's error message on one line, without its prefix, the usage and the note about
/// `--help`.
fn one_line(rendered: &str) -> String {
    let is_message = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
    let mut message = String::new();
    for line in rendered.lines().take_while(is_message).map(str::trim) {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if !message.is_empty() && !line.is_empty() {
            message += if message.ends_with(':') { " " } else { "; " };
        }
        message += line;
    }
    message
}

/// The widest line of a help text. Longer lines are hard to read.
const MAX_HELP_WIDTH: usize = 100;

/// Returns the width of help texts. If standard output is a pipe to a pager, the width is that of
/// the terminal at standard error.
fn help_width(streams: &Streams<'_>) -> usize {
    let outputs = [streams.stdout.caps(), streams.stderr.caps()];
    let terminal = outputs.into_iter().find(|caps| caps.is_terminal);
    terminal.map_or(MAX_HELP_WIDTH, |caps| caps.width.min(MAX_HELP_WIDTH))
}

fn parse_words(words: Vec<OsString>, help_width: usize) -> Result<CommandLine, clap::Error> {
    let mut definition = CommandLine::command().term_width(help_width);
    let words = std::iter::once(OsString::from("keyferry")).chain(words);
    let mut matches = definition.try_get_matches_from_mut(words)?;
    CommandLine::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut definition))
}

/// Returns the option, value or command that was probably meant. It is one that keyferry has, so it
/// contains nothing that the user typed.
fn suggestion(error: &clap::Error) -> Option<&str> {
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
        ContextKind::SuggestedSubcommand,
    ];
    let found = kinds.iter().find_map(|kind| error.get(*kind))?;
    match found {
        ContextValue::String(word) => Some(word),
        ContextValue::Strings(words) => words.first().map(String::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_clap_fits_on_one_line() {
        for (rendered, message) in [
            (
                "error: unrecognized subcommand 'statu'\n\n  tip: a similar subcommand exists: 'status'\n\nUsage: keyferry <COMMAND>\n\nFor more information, try '--help'.\n",
                "unrecognized subcommand 'statu'; tip: a similar subcommand exists: 'status'",
            ),
            (
                "error: the following required arguments were not provided:\n  <SERVICE>\n\nUsage: keyferry login <SERVICE>\n",
                "the following required arguments were not provided: <SERVICE>",
            ),
        ] {
            assert_eq!(one_line(rendered), message);
        }
    }
}
