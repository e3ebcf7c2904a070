//! The command line of `keyferry`: what it accepts and how it is parsed.
//!
//! The commands and their options are in [`crate::commands`].

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::commands::git::GitOptions;
use crate::exit_code::{EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::secret_input;
use crate::streams::Streams;

#[derive(Parser)]
#[command(name = "keyferry", version, about, after_help = EXIT_CODES_HELP)]
/// The right, unexpired request headers for MASV and FileVerbs, for every program on the machine.
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The command line, for the manual.
pub fn command_line() -> clap::Command {
    CommandLine::command()
}

/// Parses the arguments behind the program's name. If there is no command to run, the reason was
/// written to a stream and the error is the exit code. Git's arguments bypass clap: git starts this
/// program for every fetch.
///
/// # Errors
/// [`EXIT_OK`] after `--help` and `--version`, [`EXIT_USAGE`] after a command line that can't be
/// parsed, [`EXIT_FAILED`] if the message couldn't be written.
pub fn parse(arguments: Vec<OsString>, streams: &mut Streams<'_>) -> Result<Command, u8> {
    if arguments.first().is_some_and(|argument| argument == "git")
        && arguments
            .get(1)
            .is_some_and(|argument| !argument.to_string_lossy().starts_with('-'))
    {
        return Ok(Command::Git(GitOptions {
            words: arguments.into_iter().skip(1).collect(),
        }));
    }
    if let Some(message) = secret_input::secret_option_error(&arguments) {
        streams.fail(&message);
        return Err(EXIT_USAGE);
    }
    let takes_secrets = arguments
        .iter()
        .any(|argument| argument == "login" || argument == "sign-in");
    let command_line = std::iter::once(OsString::from("keyferry")).chain(arguments);
    let error = match CommandLine::try_parse_from(command_line) {
        Ok(command_line) => return Ok(command_line.command),
        Err(error) => error,
    };
    if takes_secrets && error.use_stderr() {
        // The reader would repeat the word that it doesn't know, and that may be a password.
        streams.fail("the command line was not understood: a service, options of `keyferry login --help`, and never a secret");
        return Err(EXIT_USAGE);
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
