//! The name by which git finds the helper. Imports the library; it is `keyferry git` and nothing else.

use std::process::ExitCode;

use keyferry::{frontends, program};

fn main() -> ExitCode {
    program::start(|arguments, desk, streams| frontends::git::run(&arguments, desk, streams))
}
