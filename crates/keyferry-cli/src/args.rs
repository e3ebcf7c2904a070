//! The command line of `keyferry`: what it accepts and how it is parsed.
//!
//! A new command is one file in `commands/`, a variant of [`Command`] and an arm of [`crate::run`].

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::agent::AgentOptions;
use crate::commands::config::ConfigOptions;
use crate::commands::doctor::DoctorOptions;
use crate::commands::exec::{self, ExecOptions};
use crate::commands::explain::ExplainOptions;
use crate::commands::get::GetOptions;
use crate::commands::git::GitOptions;
use crate::commands::login::LoginOptions;
use crate::commands::logout::LogoutOptions;
use crate::commands::plugin::PluginOptions;
use crate::commands::print::PrintOptions;
use crate::commands::sandbox::SandboxOptions;
use crate::commands::status::StatusOptions;
use crate::demo::DemoOptions;
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

/// The commands of `keyferry`.
#[derive(Subcommand)]
pub enum Command {
    /// Show the main job: every kind of token, got and used against made-up services on this
    /// machine.
    #[command(after_help = EXIT_CODES_HELP)]
    Demo(DemoOptions),
    /// Serve made-up MASV, MASV Agent and FileVerbs on this machine until Ctrl-C or SIGTERM, which
    /// is exit code 0.
    ///
    /// Prints the variables that point keyferry there. On a terminal it tells the rest too;
    /// otherwise standard output holds the `export` lines alone and is closed behind them, so that
    /// `eval "$(keyferry sandbox &)"` works in a script, which stops it with `kill
    /// "$KEYFERRY_SANDBOX_PID"`.
    #[command(after_help = EXIT_CODES_HELP)]
    Sandbox(SandboxOptions),
    /// Log in once; every program of yours is served from then on.
    ///
    /// The secret comes from the prompt, from standard input where that is no terminal, or from
    /// --secret-fd or --secret-file; never from the command line, which everybody on the machine
    /// can read.
    #[command(after_help = EXIT_CODES_HELP)]
    Login(LoginOptions),
    /// Forget tokens, and what renews them.
    #[command(after_help = EXIT_CODES_HELP)]
    Logout(LogoutOptions),
    /// Show which tokens are kept, and how long they last.
    #[command(after_help = EXIT_CODES_HELP)]
    Status(StatusOptions),
    /// Print `Name: value` lines for `curl -H @-`.
    ///
    /// Example: `curl -H @<(keyferry header URL) URL`. Other programs can't see a token that comes
    /// this way. Send it to the host of the URL alone, and follow no redirect with it: clients,
    /// `curl -L` among them, take such a header on to the next host.
    #[command(after_help = EXIT_CODES_HELP)]
    Header(PrintOptions),
    /// Print a configuration for `curl -K -`, quoted by curl's own rules.
    ///
    /// Example: `keyferry curl URL | curl -K - URL`. Its first line, `max-redirs = 0`, has curl
    /// follow no redirect, also with -L: curl would take the header on to the next host.
    #[command(after_help = EXIT_CODES_HELP)]
    Curl(PrintOptions),
    /// Print the bare token or key.
    #[command(after_help = EXIT_CODES_HELP)]
    Token(PrintOptions),
    /// Run a program with a profile's secrets in its environment: `keyferry exec --profile work --
    /// COMMAND`.
    ///
    /// The program takes this one's place, so exit code and signals are its own.
    #[command(after_help = exec::EXIT_CODES_HELP)]
    Exec(ExecOptions),
    /// Show whether the MASV Agent runs and who is signed in, or sign in.
    #[command(after_help = EXIT_CODES_HELP)]
    Agent(AgentOptions),
    /// Say what would happen for a resource, and why.
    #[command(after_help = EXIT_CODES_HELP)]
    Explain(ExplainOptions),
    /// Examine configuration, secrets, store, network and clock. Holds nothing that can't be shown
    /// to a stranger.
    #[command(after_help = EXIT_CODES_HELP)]
    Doctor(DoctorOptions),
    /// Show the plugins, or test one as its author.
    #[command(after_help = EXIT_CODES_HELP)]
    Plugin(PluginOptions),
    /// Show every setting, whether it is set and by whom; no secret's value.
    #[command(after_help = EXIT_CODES_HELP)]
    Config(ConfigOptions),
    /// Answer a build tool: one JSON object `{"uri": …}` on standard input, headers and their end
    /// on standard output.
    ///
    /// EngFlow's credential helper protocol, as `bazel --credential_helper=HOST=/path/to/keyferry`
    /// speaks it.
    #[command(after_help = EXIT_CODES_HELP)]
    Get(GetOptions),
    /// Answer git: `git config --global credential.helper keyferry`, with git-credential-keyferry
    /// on PATH.
    #[command(after_help = EXIT_CODES_HELP)]
    Git(GitOptions),
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
