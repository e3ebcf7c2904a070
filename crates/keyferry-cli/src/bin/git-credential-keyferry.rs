//! The program `git-credential-keyferry`, which git starts as its credential helper. It answers
//! from the store alone if it can. Otherwise it replaces itself with `keyferry git`.
//!
//! Rationale: git starts this program for every fetch. A program with network code spends most of
//! its start-up time on loading and initialising that code. This program contains none, and `make`
//! links it statically where the platform allows it.

use std::process::ExitCode;

use keyferry_cli::commands::git::{FastPath, fast_path};
use keyferry_cli::startup;

/// Runs before Rust's runtime starts.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "runs before `main`")]
static RECORD_CLOSED_STREAMS: extern "C" fn() = keyferry_cli::sys::stdio::record_closed_streams;

fn main() -> ExitCode {
    startup::run_program(
        |words, context, streams| match fast_path(&words, context, streams) {
            FastPath::Answered(code) => code,
            FastPath::NeedsFullCli(message) => {
                startup::exec_full_cli(&words, message.as_ref(), streams)
            }
        },
    )
}
