//! What both programs begin with: the streams, the variables, and memory that gets into no core file; and how the quick one becomes
//! the whole one.
//!
//! The one place that reads what belongs to the process.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::git_protocol::Message;
use crate::streams::Streams;
use crate::sys;
use crate::terminal::{Output, TerminalCaps, sanitize};
use keyferry::config::process_environment;
use keyferry::log::{self, Level};

/// Runs a program: `run` gets the arguments behind the program's name, and its number is the exit code.
pub fn run_program(run: impl FnOnce(Vec<OsString>, &CliContext, &mut Streams<'_>) -> u8) -> ExitCode {
    keyferry::sys::wiping_alloc::keep_out_of_core_files();
    keyferry::sys::signals::reset_sigchld();
    keyferry::sys::signals::survive_sigxfsz();
    let (stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout().lock(), io::stderr());
    let caps = |is_terminal| TerminalCaps::detect(is_terminal, sys::stdio::terminal_width(), &|name| env::var(name).ok());
    let (of_stdout, of_stderr) = (caps(stdout.is_terminal()), caps(stderr.is_terminal()));
    let context = CliContext { environment: process_environment(), temp_dir: env::temp_dir(), stdin_is_terminal: stdin.is_terminal() };
    let mut stdin = sys::stdio::BlockingStdin(stdin);
    let stdout: &mut dyn Write = if sys::stdio::stdout_was_closed() { &mut sys::stdio::ClosedStdout } else { &mut stdout };
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(stdout, of_stdout),
        stderr: Output::new(&mut stderr, of_stderr),
        detach_stdout: sys::stdio::detach_stdout,
    };
    ExitCode::from(run(env::args_os().skip(1).collect(), &context, &mut streams))
}

/// Has what works in spite of a fault, as a store that can't be used, told on standard error.
pub fn log_warnings_to_stderr() {
    let tell = |_, text: &str| {
        // Where standard error is gone, nobody is left to tell.
        let _ = writeln!(io::stderr(), "keyferry: warning: {}", sanitize(text));
    };
    log::install(Some(Level::Warn), Some(Box::new(tell))).expect("nobody logs yet, so this is called from no log");
}

/// Goes on as the whole program, which lies beside this one, with `keyferry git` and these words. The exit code where it can't.
pub fn exec_full_cli(words: &[OsString], message: Option<&Message>, streams: &mut Streams<'_>) -> u8 {
    let mut input = Zeroizing::new(Vec::new());
    let written = message.map(|message| message.write(&mut *input)).transpose();
    let handed = written.and_then(|written| written.map(|()| sys::stdio::memfd_stdin(&input)).transpose());
    let failed = handed.and_then(|input| {
        let mut whole = Command::new(env::current_exe()?.with_file_name("keyferry"));
        input.map(|input| whole.stdin(input));
        whole.arg("git").args(words);
        sys::stdio::close_recorded_streams();
        Err::<(), _>(whole.exec())
    });
    let why = failed.err().map_or(io::ErrorKind::Other, |error| error.kind());
    streams.fail(&format!("git-credential-keyferry can't start keyferry, which has to be in its folder: {why}"))
}
