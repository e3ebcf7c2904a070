//! The executable's commands: each a function of what it was told and of three streams, ending in an exit code.
//!
//! Imports [`crate::sandbox`] and the floors below; never [`crate::ffi`]. Reads no variable, argument or clock by itself: `bin`
//! gives them in, and runs [`Command::Demo`], which stands above this floor. A new command is one file and a line in [`Command`].

pub mod scratch;
pub mod serve;
pub mod shell;
pub mod terminal;

use std::ffi::OsString;
use std::io::{self, Read};

use clap::{Args, Parser, Subcommand};

use terminal::Output;

/// Everything worked.
pub const OK: u8 = 0;
/// Something failed; standard error says what.
pub const FAILED: u8 = 1;
/// The command line could not be understood.
pub const USAGE: u8 = 2;

const EXIT_CODES: &str =
    "Exit codes:\n  0  it worked\n  1  it failed: standard error says why and what helps\n  2  the command line was not understood";

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
        FAILED
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

/// Reads the command line. Where there is nothing to run, the streams were told why, and the exit code is the error.
///
/// # Errors
/// [`OK`] after `--help` and `--version`, [`USAGE`] after a line that can't be understood, [`FAILED`] if nobody could be told.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> Result<Command, u8> {
    let stop = match CommandLine::try_parse_from(arguments) {
        Ok(line) => return Ok(line.command),
        Err(stop) => stop,
    };
    let (output, code) = if stop.use_stderr() { (&mut streams.stderr, USAGE) } else { (&mut streams.stdout, OK) };
    match output.text(&stop.render().to_string()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(FAILED),
        _ => Err(code),
    }
}
