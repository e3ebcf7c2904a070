//! The commands of `keyferry`, one file each.
//!
//! To add a command: a file here, a variant of [`Command`] and an arm of [`run`].

pub mod agent;
pub mod config;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod get;
pub mod git;
pub mod login;
pub mod logout;
pub mod plugin;
pub mod print;
pub mod sandbox;
pub mod status;

use clap::Subcommand;

use crate::context::CliContext;
use crate::demo::{self, DemoOptions};
use crate::exit_code::EXIT_CODES_HELP;
use crate::streams::Streams;

use agent::AgentOptions;
use config::ConfigOptions;
use doctor::DoctorOptions;
use exec::ExecOptions;
use explain::ExplainOptions;
use get::GetOptions;
use git::GitOptions;
use login::LoginOptions;
use logout::LogoutOptions;
use plugin::PluginOptions;
use print::OutputFormat;
use print::PrintOptions;
use sandbox::SandboxOptions;
use status::StatusOptions;

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

/// Runs a command and returns the exit code.
///
/// A command is a function of its options, the context and the three streams: it reads no variable,
/// argument or clock by itself.
pub fn run(command: Command, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match command {
        Command::Demo(options) => demo::run(&options, streams),
        Command::Sandbox(options) => sandbox::run(&options, &context.temp_dir, streams),
        Command::Login(options) => login::run(&options, context, streams),
        Command::Logout(options) => logout::run(&options, context, streams),
        Command::Status(options) => status::run(&options, context, streams),
        Command::Exec(options) => exec::run(&options, context, streams),
        Command::Agent(options) => agent::run(options, context, streams),
        Command::Explain(options) => explain::run(&options, context, streams),
        Command::Doctor(options) => doctor::run(&options, context, streams),
        Command::Plugin(options) => plugin::run(&options, context, streams),
        Command::Config(options) => config::run(&options, context, streams),
        Command::Header(options) => print::run(OutputFormat::Header, &options, context, streams),
        Command::Curl(options) => print::run(OutputFormat::Curl, &options, context, streams),
        Command::Token(options) => print::run(OutputFormat::Token, &options, context, streams),
        Command::Get(options) => get::run(&options, context, streams),
        Command::Git(options) => git::run(&options.words, context, streams),
    }
}
