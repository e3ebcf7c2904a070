//! The executable: gives arguments, streams and what is known of the terminal to the commands, and their exit code to the system.
//!
//! Imports the library. It holds no command of its own.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use keyferry::frontends::terminal::{Look, Output};
use keyferry::frontends::{self, Command, Streams};
use keyferry::{demo, sys};

fn main() -> ExitCode {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin().lock(), io::stdout().lock(), io::stderr());
    let look = |is_terminal| Look::of(is_terminal, sys::stdio::columns(), &|name| env::var(name).ok());
    let (of_stdout, of_stderr) = (look(stdout.is_terminal()), look(stderr.is_terminal()));
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(&mut stdout, of_stdout),
        stderr: Output::new(&mut stderr, of_stderr),
        release: sys::stdio::release_output,
    };
    ExitCode::from(run(env::args_os(), &mut streams))
}

fn run(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> u8 {
    match frontends::parse(arguments, streams) {
        Ok(Command::Demo(options)) => demo::run(&options, streams),
        Ok(Command::Sandbox(options)) => frontends::serve::run(&options, &env::temp_dir(), streams),
        Err(code) => code,
    }
}
