//! The small program. As `git-credential-keyferry`, git starts it as its credential helper. As
//! `keyferry`, it answers the commands `header`, `token`, `curl` and `get`. It answers from the store
//! alone if it can. Otherwise it replaces itself with the full program.
//!
//! Rationale: git starts the helper for every fetch, and scripts start `keyferry header` for every
//! request. A program with network code spends most of its start-up time on loading and
//! initialising that code. This program contains none, and `make` links it statically where the
//! platform allows it.

use std::ffi::OsString;
use std::process::ExitCode;

use keyferry_cli::commands::{self, git};
use keyferry_cli::context::CliContext;
use keyferry_cli::fast_path::FastPath;
use keyferry_cli::installation::SmallProgram;
use keyferry_cli::json::JsonOutput;
use keyferry_cli::quick_args;
use keyferry_cli::startup;
use keyferry_cli::streams::Streams;

/// Runs before Rust's runtime starts.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "runs before `main`")]
static RECORD_CLOSED_STREAMS: extern "C" fn() = keyferry_cli::sys::stdio::record_closed_streams;

fn main() -> ExitCode {
    startup::run_program(|words, context, streams| {
        let program = SmallProgram::of_process();
        let outcome = match program {
            SmallProgram::GitHelper => git::run_from_store(&words, context, streams),
            SmallProgram::Keyferry => answer(&words, context, streams),
        };
        match outcome {
            FastPath::Answered(code) => code,
            FastPath::NeedsFullCli(input) => {
                let input = input.as_ref().map(|input| input.as_slice());
                startup::exec_full_cli(program, &words, input, streams)
            }
        }
    })
}

/// Answers a command from the store, if the full program would log nothing.
fn answer(words: &[OsString], context: &CliContext, streams: &mut Streams<'_>) -> FastPath {
    streams.json = JsonOutput::of(words.iter());
    match quick_args::parse(words).filter(|_| startup::prepare_quiet_log(context)) {
        Some(command) => commands::run_from_store(&command, context, streams),
        None => FastPath::NeedsFullCli(None),
    }
}
