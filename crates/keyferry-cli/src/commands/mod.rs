//! The commands of `keyferry`, one file each.
//!
//! To add a command, create a file here, a variant of [`Command`] and an arm in [`run`].

pub mod agent;
pub mod completions;
pub mod config;
pub mod curl;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod get;
pub mod git;
pub mod login;
pub mod logout;
pub mod plugin;
pub mod print;
pub mod reject;
pub mod sandbox;
pub mod setup;
pub mod status;

use clap::{CommandFactory, Parser, Subcommand};

use crate::context::CliContext;
use crate::demo::{self, DemoOptions};
use crate::exit_code::EXIT_CODES_HELP;
use crate::fast_path::FastPath;
use crate::log_output::LogOptions;
use crate::streams::Streams;

use agent::AgentOptions;
use completions::CompletionsOptions;
use config::ConfigOptions;
use curl::CurlOptions;
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
use reject::RejectOptions;
use sandbox::SandboxOptions;
use setup::SetupOptions;
use status::StatusOptions;

#[derive(Parser)]
#[command(name = "keyferry", version, about, after_help = EXIT_CODES_HELP)]
/// Get valid authentication headers for MASV and FileVerbs
///
/// keyferry logs in when necessary, stores the token and refreshes it before it expires. All of the
/// user's programs share the stored tokens: scripts, curl, git, build tools and applications.
///
/// For a first look, run `keyferry demo`. It needs no account.
///
/// With an account, run `keyferry login masv`, then `keyferry curl -- -sS URL`. If something fails, run
/// `keyferry doctor`.
pub struct CommandLine {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Returns the definition of the command line, from which the manual pages are generated.
pub fn command_line() -> clap::Command {
    CommandLine::command()
}

/// The commands of `keyferry`.
#[derive(Subcommand)]
pub enum Command {
    /// Show a tour of keyferry, using test services on this machine
    ///
    /// Fetches and uses every kind of token that keyferry supports, and shows the service's
    /// response each time. Needs no account and no internet access. Reads and writes no files.
    #[command(after_help = EXIT_CODES_HELP)]
    Demo(DemoOptions),
    /// Run fakes of MASV, the MASV Agent and FileVerbs on this machine
    ///
    /// Use it to test your own programs without an account. It runs until Ctrl-C or SIGTERM and
    /// then exits with code 0.
    ///
    /// It prints the environment variables that point keyferry to these services. At a terminal it
    /// also prints test data and a command to try. Otherwise it prints only `export` lines and then
    /// closes standard output, so that a script can run `eval "$(keyferry sandbox &)"`. The script
    /// stops the sandbox with `kill "$KEYFERRY_SANDBOX_PID"`.
    ///
    /// The variables also select a temporary store, so your own stored tokens are not used. The
    /// sandbox keeps uploaded files in memory, at most 1 GiB, and serves them again.
    #[command(after_help = EXIT_CODES_HELP)]
    Sandbox(SandboxOptions),
    /// Log in to a service and store the token for all your programs
    ///
    /// If standard input is a terminal, keyferry prompts for the secret there. If it is not, keyferry
    /// reads the secret from standard input. --secret-fd and --secret-file name another source. No option takes the secret
    /// itself, because other users of the machine can read command lines.
    ///
    /// With a password: `keyferry login masv --email ADDRESS`
    ///
    /// With an API key: `keyferry login masv --with-key --save file`
    #[command(after_help = EXIT_CODES_HELP)]
    Login(LoginOptions),
    /// Delete stored tokens, and the secrets that `keyferry login --save` saved
    ///
    /// Keeps all other passwords and keys that are configured, so the next request logs in again. To
    /// prevent this, remove the settings that the output lists.
    #[command(after_help = EXIT_CODES_HELP)]
    Logout(LogoutOptions),
    /// Show who is logged in to each service, and for how long
    ///
    /// Prints a row for each service of each profile. --json also lists all stored tokens. Sends no
    /// request to any service.
    #[command(after_help = EXIT_CODES_HELP)]
    Status(StatusOptions),
    /// Print the request headers for a URL, for use with `curl -H @-`
    ///
    /// Prints one `Name: value` line per header.
    ///
    /// Example: `curl -H @<(keyferry header URL) URL`
    ///
    /// This keeps the token out of the command line, where other users could read it. Send the
    /// header only to the host of the URL, and don't follow redirects: `curl -L` and most other
    /// clients also send such a header to the host that a redirect names.
    #[command(after_help = EXIT_CODES_HELP)]
    Header(PrintOptions),
    /// Run curl with the headers for a URL, or print them for `curl -K -`
    ///
    /// Example: `keyferry curl -- -sS -o FILE URL`
    ///
    /// keyferry gets the headers for the one URL in ARGS and replaces itself with curl. curl reads
    /// the headers from a descriptor, and does not read ~/.curlrc. keyferry refuses every option
    /// that could send the headers to another host or print them, such as -L and -v.
    ///
    /// Example without ARGS: `keyferry curl URL | curl -K - URL`
    ///
    /// Prints a configuration file for curl. It sets `max-redirs = 0`, so that curl follows no
    /// redirects even with -L. Otherwise curl would also send the headers to the host that a
    /// redirect names. After an error, the configuration stops curl before it sends a request.
    #[command(after_help = curl::after_help())]
    Curl(CurlOptions),
    /// Print the token or key for a URL, without a header name
    ///
    /// Use it for programs that build the header themselves. `keyferry header` also prints the
    /// header's name.
    #[command(after_help = EXIT_CODES_HELP)]
    Token(PrintOptions),
    /// Report that a service refused the token that keyferry gave for a URL
    ///
    /// Run it after a 401 response. keyferry then no longer returns this token for this URL, in any
    /// program. Other URLs still get the token. The output says what the next request does.
    #[command(after_help = EXIT_CODES_HELP)]
    Reject(RejectOptions),
    /// Run a program with the secrets of a profile in its environment
    ///
    /// Sets one environment variable for each setting of the profile. For example, MASV_API_KEY is
    /// set to the MASV API key. Removes the secrets of other profiles from the environment.
    ///
    /// Example: `keyferry exec --profile work -- COMMAND`
    ///
    /// The program replaces the keyferry process, so the exit code is the program's own.
    #[command(after_help = exec::EXIT_CODES_HELP)]
    Exec(ExecOptions),
    /// Show whether the MASV Agent is running and who is signed in, or sign in
    ///
    /// Without a subcommand, prints the agent's URL, the user who is signed in and the user's
    /// teams.
    #[command(after_help = EXIT_CODES_HELP)]
    Agent(AgentOptions),
    /// Explain which credential keyferry would use for a URL, and why a request would fail
    ///
    /// Shows which header keyferry would send, where it comes from, who the user is, how long it
    /// lasts, and what the next request does. Sends no request to any service. Reads the secret
    /// that the request would use, which may run a command or ask a keyring.
    #[command(after_help = EXIT_CODES_HELP)]
    Explain(ExplainOptions),
    /// Check the configuration, secrets, store, network and clock
    ///
    /// Run it when something doesn't work. It also shows the last refusal or pause of each service.
    /// The output contains no secrets, so it is safe to paste into an issue. The exit code is the
    /// one of the first fault.
    #[command(after_help = EXIT_CODES_HELP)]
    Doctor(DoctorOptions),
    /// List the configured plugins, or check a plugin file
    #[command(after_help = EXIT_CODES_HELP)]
    Plugin(PluginOptions),
    /// List every setting, its value and where it is set
    ///
    /// Values of secrets are not shown.
    #[command(after_help = EXIT_CODES_HELP)]
    Config(ConfigOptions),
    /// Answer a credential request from Bazel or another build tool
    ///
    /// Reads one JSON object `{"uri": …}` from standard input. Prints a JSON object with the
    /// request headers and the time when they expire.
    ///
    /// This is EngFlow's credential helper protocol. To have Bazel use keyferry, run `keyferry setup
    /// bazel`, or `bazel build --credential_helper=HOST=/path/to/keyferry`.
    #[command(after_help = EXIT_CODES_HELP)]
    Get(GetOptions),
    /// Answer a credential request from git
    ///
    /// To have git use keyferry, run `keyferry setup git`. git then starts git-credential-keyferry,
    /// which must be in the same directory as keyferry.
    #[command(after_help = EXIT_CODES_HELP)]
    Git(GitOptions),
    /// Make git, Bazel or curl use keyferry, or take that back
    ///
    /// Shows each change and asks before it is made. --undo removes exactly what was added.
    /// Settings that keyferry did not write stay as they are.
    #[command(after_help = EXIT_CODES_HELP)]
    Setup(SetupOptions),
    /// Print the completion script of a shell
    ///
    /// `make install` installs the scripts of bash, zsh and fish. To install one yourself:
    ///
    /// bash: `keyferry completions bash > ~/.local/share/bash-completion/completions/keyferry`
    ///
    /// zsh: `keyferry completions zsh > DIR/_keyferry`, where DIR is a directory of $fpath
    ///
    /// fish: `keyferry completions fish > ~/.config/fish/completions/keyferry.fish`
    ///
    /// PowerShell: `keyferry completions powershell >> $PROFILE`
    #[command(after_help = EXIT_CODES_HELP)]
    Completions(CompletionsOptions),
}

impl Command {
    /// Returns the options of the command's log.
    pub fn log_options(&self) -> LogOptions {
        match self {
            Self::Login(options) => options.log,
            Self::Header(options) | Self::Token(options) => options.token.log,
            Self::Curl(options) => options.token.log,
            Self::Agent(options) => options.log_options(),
            Self::Doctor(options) => options.log,
            Self::Get(options) => options.log,
            _ => LogOptions::default(),
        }
    }
}

/// Runs a command and returns the exit code.
///
/// A command depends only on its options, the context and the three streams. It doesn't read
/// arguments, environment variables or the clock of the process itself.
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
        Command::Curl(options) => curl::run(&options, context, streams),
        Command::Token(options) => print::run(OutputFormat::Token, &options, context, streams),
        Command::Reject(options) => reject::run(&options, context, streams),
        Command::Get(options) => get::run(&options, context, streams),
        Command::Git(options) => git::run(&options.words, context, streams),
        Command::Setup(options) => setup::run(&options, context, streams),
        Command::Completions(options) => completions::run(&options, &mut command_line(), streams),
    }
}

/// Answers `header`, `token`, `curl` and `get` if the token is in the store.
pub fn run_from_store(
    command: &Command,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> FastPath {
    match command {
        Command::Header(options) => {
            print::run_from_store(OutputFormat::Header, options, context, streams)
        }
        Command::Token(options) => {
            print::run_from_store(OutputFormat::Token, options, context, streams)
        }
        Command::Curl(options) => curl::run_from_store(options, context, streams),
        Command::Get(options) => get::run_from_store(options, context, streams),
        _ => FastPath::NeedsFullCli(None),
    }
}
