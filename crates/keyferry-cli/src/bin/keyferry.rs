//! The program `keyferry`.

use std::process::ExitCode;

use keyferry_cli::{args, commands, startup};

/// Runs before Rust's runtime starts.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "runs before `main`")]
static RECORD_CLOSED_STREAMS: extern "C" fn() = keyferry_cli::sys::stdio::record_closed_streams;

fn main() -> ExitCode {
    startup::run_program(
        |arguments, context, streams| match args::parse(arguments, streams) {
            Ok(command) => {
                startup::prepare_log(&command, context);
                commands::run(command, context, streams)
            }
            Err(code) => code,
        },
    )
}
