//! The executable's doors and commands: each a function of what it was told and of three streams, ending in an exit code.
//!
//! Reads no variable, argument or clock by itself: [`crate::startup`] gives them in, and `bin` runs
//! [`Command::Demo`], which stands above this floor. A new command is one file, a line in
//! [`Command`] and one in [`run`].

use std::ffi::OsString;
use std::io::{self, Read};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::agent::AgentOptions;
use crate::commands::config::ConfigOptions;
use crate::commands::doctor::DoctorOptions;
use crate::commands::exec::ExecOptions;
use crate::commands::get::GetOptions;
use crate::commands::login::LoginOptions;
use crate::commands::plugin::PluginOptions;
use crate::commands::print::{Form, PlainOptions};
use crate::commands::status::{ExplainOptions, LogoutOptions, StatusOptions};
use crate::commands::{agent, config, doctor, exec, get, git, login, plugin, print, sandbox, status};
use crate::context::CliContext;
use crate::secret_input;
use crate::terminal::Output;

/// Everything worked.
pub const EXIT_OK: u8 = 0;
/// Something failed; standard error says what.
pub const EXIT_FAILED: u8 = 1;
/// The command line could not be understood.
pub const EXIT_USAGE: u8 = 2;
/// A person has to log in or configure something.
pub const EXIT_LOGIN_REQUIRED: u8 = 3;
/// The same may work later without anybody changing anything.
pub const EXIT_RETRY_LATER: u8 = 4;

/// The exit codes, for the help of a command.
pub const EXIT_CODES: &str = "Exit codes:\n  0  it worked\n  1  it failed: standard error says why and what helps\n  2  the command line was not understood\n  \
     3  somebody has to log in or configure something\n  4  it failed and may work later: no network, too many requests, a lock";

/// What a command reads and writes.
pub struct Streams<'a> {
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub stdout: Output<'a>,
    /// Standard error.
    pub stderr: Output<'a>,
    /// Lets go of standard output while the command runs on, so that whoever reads it goes on too.
    pub release: fn() -> io::Result<()>,
}

impl Streams<'_> {
    /// Tells a failure in one sentence, and is the exit code for it.
    pub fn fail(&mut self, what: &str) -> u8 {
        // Where standard error is gone, nobody is left to tell.
        let _ = self.stderr.line(&format!("keyferry: {what}"));
        EXIT_FAILED
    }
}

#[derive(Parser)]
#[command(name = "keyferry", version, about, after_help = EXIT_CODES)]
/// The right, unexpired request headers for MASV and FileVerbs, for every program on the machine.
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What the executable can do.
#[derive(Subcommand)]
pub enum Command {
    /// Show the main job: every kind of token, got and used against made-up services on this machine.
    #[command(after_help = EXIT_CODES)]
    Demo(DemoOptions),
    /// Serve made-up MASV, MASV Agent and FileVerbs on this machine until Ctrl-C or SIGTERM, which is exit code 0.
    ///
    /// Prints the variables that point keyferry there. On a terminal it tells the rest too; otherwise standard output holds the
    /// `export` lines alone and is closed behind them, so that `eval "$(keyferry sandbox &)"` works in a script, which stops it
    /// with `kill "$KEYFERRY_SANDBOX_PID"`.
    #[command(after_help = EXIT_CODES)]
    Sandbox(SandboxOptions),
    /// Log in once; every program of yours is served from then on.
    ///
    /// The secret comes from the prompt, from standard input where that is no terminal, or from --secret-fd or --secret-file; never
    /// from the command line, which everybody on the machine can read.
    #[command(after_help = EXIT_CODES)]
    Login(LoginOptions),
    /// Forget tokens, and what renews them.
    #[command(after_help = EXIT_CODES)]
    Logout(LogoutOptions),
    /// Show which tokens are kept, and how long they last.
    #[command(after_help = EXIT_CODES)]
    Status(StatusOptions),
    /// Print `Name: value` lines for `curl -H @-`.
    ///
    /// Example: `curl -H @<(keyferry header URL) URL`. Other programs can't see a token that comes this way. Send it to the host of
    /// the URL alone, and follow no redirect with it: clients, `curl -L` among them, take such a header on to the next host.
    #[command(after_help = EXIT_CODES)]
    Header(PlainOptions),
    /// Print a configuration for `curl -K -`, quoted by curl's own rules.
    ///
    /// Example: `keyferry curl URL | curl -K - URL`. Its first line, `max-redirs = 0`, has curl follow no redirect, also with -L: curl
    /// would take the header on to the next host.
    #[command(after_help = EXIT_CODES)]
    Curl(PlainOptions),
    /// Print the bare token or key.
    #[command(after_help = EXIT_CODES)]
    Token(PlainOptions),
    /// Run a program with a profile's secrets in its environment: `keyferry exec --profile work -- COMMAND`.
    ///
    /// The program takes this one's place, so exit code and signals are its own.
    #[command(after_help = exec::EXIT_CODES)]
    Exec(ExecOptions),
    /// Show whether the MASV Agent runs and who is signed in, or sign in.
    #[command(after_help = EXIT_CODES)]
    Agent(AgentOptions),
    /// Say what would happen for a resource, and why.
    #[command(after_help = EXIT_CODES)]
    Explain(ExplainOptions),
    /// Examine configuration, secrets, store, network and clock. Holds nothing that can't be shown to a stranger.
    #[command(after_help = EXIT_CODES)]
    Doctor(DoctorOptions),
    /// Show the plugins, or test one as its author.
    #[command(after_help = EXIT_CODES)]
    Plugin(PluginOptions),
    /// Show every setting, whether it is set and by whom; no secret's value.
    #[command(after_help = EXIT_CODES)]
    Config(ConfigOptions),
    /// Answer a build tool: one JSON object `{"uri": …}` on standard input, headers and their end on standard output.
    ///
    /// EngFlow's credential helper protocol, as `bazel --credential_helper=HOST=/path/to/keyferry` speaks it.
    #[command(after_help = EXIT_CODES)]
    Get(GetOptions),
    /// Answer git: `git config --global credential.helper keyferry`, with git-credential-keyferry on PATH.
    #[command(after_help = EXIT_CODES)]
    Git(GitOptions),
}

/// What git asks.
#[derive(Args)]
pub struct GitOptions {
    /// `get`, `store`, `erase` or `capability`; the rest is on standard input. Anything else is answered with nothing.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Runs a command. [`Command::Demo`] is not among those that this floor knows.
pub fn run(command: Command, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match command {
        Command::Demo(_) => EXIT_USAGE,
        Command::Sandbox(options) => sandbox::run(&options, &context.temporary, streams),
        Command::Login(options) => login::run(&options, context, streams),
        Command::Logout(options) => status::logout(&options, context, streams),
        Command::Status(options) => status::status(&options, context, streams),
        Command::Exec(options) => exec::run(&options, context, streams),
        Command::Agent(options) => agent::run(options, context, streams),
        Command::Explain(options) => status::explain(&options, context, streams),
        Command::Doctor(options) => doctor::run(&options, context, streams),
        Command::Plugin(options) => plugin::run(&options, context, streams),
        Command::Config(options) => config::run(&options, context, streams),
        Command::Header(options) => print::run(Form::Header, &options, context, streams),
        Command::Curl(options) => print::run(Form::Curl, &options, context, streams),
        Command::Token(options) => print::run(Form::Token, &options, context, streams),
        Command::Get(options) => get::run(&options, context, streams),
        Command::Git(options) => git::run(&options.words, context, streams),
    }
}

/// How `keyferry demo` runs.
#[derive(Args)]
pub struct DemoOptions {
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// How `keyferry sandbox` runs.
#[derive(Args, Default)]
pub struct SandboxOptions {
    /// MASV at this port, the MASV Agent at the next, FileVerbs at the one after; without it any that are free.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65533))]
    pub port_base: Option<u16>,
    /// Port of MASV; 0 is any that is free.
    #[arg(long, value_name = "PORT")]
    pub masv_port: Option<u16>,
    /// Port of the MASV Agent; 0 is any that is free.
    #[arg(long, value_name = "PORT")]
    pub agent_port: Option<u16>,
    /// Port of FileVerbs; 0 is any that is free.
    #[arg(long, value_name = "PORT")]
    pub fileverbs_port: Option<u16>,
    /// Serve https with a throw-away certificate, and name its CA in `KEYFERRY_HTTP_CA_FILE`.
    #[arg(long)]
    pub tls: bool,
    /// One JSON object instead of `export` lines.
    #[arg(long)]
    pub json: bool,
}

/// The command line, for the manual.
pub fn command_line() -> clap::Command {
    CommandLine::command()
}

/// Reads the words behind the program's name. Where there is nothing to run, the streams were told why, and the exit code is the
/// error. A helper's words are not for the command line's reader: git starts this program for every fetch.
///
/// # Errors
/// [`EXIT_OK`] after `--help` and `--version`, [`EXIT_USAGE`] after a line that can't be understood, [`EXIT_FAILED`] if nobody could be told.
pub fn parse(words: Vec<OsString>, streams: &mut Streams<'_>) -> Result<Command, u8> {
    if words.first().is_some_and(|word| word == "git") && words.get(1).is_some_and(|word| !word.to_string_lossy().starts_with('-')) {
        return Ok(Command::Git(GitOptions { words: words.into_iter().skip(1).collect() }));
    }
    if let Some(what) = secret_input::refusal(&words) {
        streams.fail(&what);
        return Err(EXIT_USAGE);
    }
    let takes_secrets = words.iter().any(|word| word == "login" || word == "sign-in");
    let line = std::iter::once(OsString::from("keyferry")).chain(words);
    let stop = match CommandLine::try_parse_from(line) {
        Ok(line) => return Ok(line.command),
        Err(stop) => stop,
    };
    if takes_secrets && stop.use_stderr() {
        // The reader would repeat the word that it doesn't know, and that may be a password.
        streams.fail("the command line was not understood: a service, options of `keyferry login --help`, and never a secret");
        return Err(EXIT_USAGE);
    }
    let (output, code) = if stop.use_stderr() { (&mut streams.stderr, EXIT_USAGE) } else { (&mut streams.stdout, EXIT_OK) };
    let outcome = output.text(&stop.render().to_string());
    Err(if streams.wrote(outcome) == EXIT_OK { code } else { EXIT_FAILED })
}
