//! The executable. Imports the library; it holds no command of its own.

use std::process::ExitCode;

use keyferry::frontends::{self, Command};
use keyferry::{demo, program};

/// Before Rust's own start.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = keyferry::sys::stdio::look;

fn main() -> ExitCode {
    program::tell_warnings();
    program::start(|arguments, desk, streams| match frontends::parse(arguments, streams) {
        Ok(Command::Demo(options)) => demo::run(&options, streams),
        Ok(command) => frontends::run(command, desk, streams),
        Err(code) => code,
    })
}
