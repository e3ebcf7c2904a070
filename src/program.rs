//! What both programs begin with: the streams, the variables, and memory that gets into no core file.
//!
//! Imports [`crate::frontends`] and [`crate::sys`]. The one place that reads what belongs to the process.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::config::process_environment;
use crate::frontends::Streams;
use crate::frontends::desk::Desk;
use crate::frontends::terminal::{Look, Output};
use crate::sys;

/// Runs a program: `run` gets the arguments behind the program's name, and its number is the exit code.
pub fn start(run: impl FnOnce(Vec<OsString>, &Desk, &mut Streams<'_>) -> u8) -> ExitCode {
    sys::memory::keep_out_of_core_files();
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout().lock(), io::stderr());
    let look = |is_terminal| Look::of(is_terminal, sys::stdio::columns(), &|name| env::var(name).ok());
    let (of_stdout, of_stderr) = (look(stdout.is_terminal()), look(stderr.is_terminal()));
    let desk = Desk { environment: process_environment(), temporary: env::temp_dir(), stdin_is_terminal: stdin.is_terminal() };
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(&mut stdout, of_stdout),
        stderr: Output::new(&mut stderr, of_stderr),
        release: sys::stdio::release_output,
    };
    ExitCode::from(run(env::args_os().skip(1).collect(), &desk, &mut streams))
}
