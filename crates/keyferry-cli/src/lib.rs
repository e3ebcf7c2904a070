//! The programs `keyferry` and `git-credential-keyferry`: their command line, their commands, and
//! the demo.

pub mod args;
pub mod commands;
pub mod context;
pub mod credentials;
pub mod demo;
pub mod exit_code;
pub mod git_protocol;
pub mod progress;
pub mod prompt;
pub mod resource_input;
pub mod save_secret;
pub mod secret_input;
pub mod secrets;
pub mod shell;
pub mod startup;
pub mod streams;
pub mod sys;
pub mod table;
pub mod temp_dir;
pub mod terminal;
pub mod time_format;

use args::Command;
use commands::print::OutputFormat;
use commands::{
    agent, config, doctor, exec, explain, get, git, login, logout, plugin, print, sandbox, status,
};
use context::CliContext;
use streams::Streams;

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
