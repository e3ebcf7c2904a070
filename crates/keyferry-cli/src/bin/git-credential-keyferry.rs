//! The name by which git finds the helper: it answers from the store, and becomes `keyferry git`
//! for all else.
//!
//! Rationale: git starts it for every fetch, and most of what it costs is what a program with a
//! network links and sets up. This one has none, and `make` links it statically where that can be.

use std::process::ExitCode;

use keyferry_cli::commands::git::{FastPath, fast_path};
use keyferry_cli::startup;

/// Before Rust's own start.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = keyferry_cli::sys::stdio::record_closed_streams;

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
