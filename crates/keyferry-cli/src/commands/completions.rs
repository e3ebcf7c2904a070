//! `keyferry completions`: prints the completion script of a shell.
//!
//! `make install` installs the scripts of bash, zsh and fish.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::streams::Streams;

/// The options of `keyferry completions`.
#[derive(Args)]
pub struct CompletionsOptions {
    /// Shell that reads the script
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script for a command line.
pub fn run(
    options: &CompletionsOptions,
    command_line: &mut clap::Command,
    streams: &mut Streams<'_>,
) -> u8 {
    let mut script = Vec::new();
    generate(options.shell, command_line, "keyferry", &mut script);
    let script = String::from_utf8_lossy(&script);
    let written = streams.stdout.write_data(&script);
    streams.finish_write(written)
}
