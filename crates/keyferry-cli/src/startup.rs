//! Starts the programs `keyferry` and `git-credential-keyferry`: prepares the standard streams and
//! the environment, and keeps secrets out of core files. `git-credential-keyferry` is a small
//! program that contains no network code. For a request that it cannot answer itself, it replaces
//! its process with `keyferry git`.
//!
//! Only this file reads the arguments and environment variables of the process.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::git_protocol::Message;
use crate::json::JsonOutput;
use crate::streams::Streams;
use crate::sys;
use crate::terminal::{Output, TerminalCaps, sanitize};
use keyferry::config::{process_environment, trusts_environment};
use keyferry::log::{self, Level};
use keyferry::sys::io_cause::{self, Subject};

/// Runs a program. `run` receives the arguments after the program's name and returns the exit code.
pub fn run_program(
    run: impl FnOnce(Vec<OsString>, &CliContext, &mut Streams<'_>) -> u8,
) -> ExitCode {
    keyferry::sys::process::keep_out_of_core_files();
    keyferry::sys::signals::reset_sigchld();
    keyferry::sys::signals::survive_sigxfsz();
    let (stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout().lock(), io::stderr());
    let (stdout_caps, stderr_caps) = (detect_caps(&stdout), detect_caps(&stderr));
    let context = CliContext {
        environment: process_environment(),
        temp_dir: env::temp_dir(),
        stdin_is_terminal: stdin.is_terminal(),
    };
    let mut stdin = sys::stdio::BlockingStdin(stdin);
    let stdout: &mut dyn Write = if sys::stdio::stdout_was_closed() {
        &mut sys::stdio::ClosedStdout
    } else {
        &mut stdout
    };
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(stdout, stdout_caps),
        stderr: Output::new(&mut stderr, stderr_caps),
        detach_stdout: sys::stdio::detach_stdout,
        json: JsonOutput::Off,
    };
    if !trusts_environment() {
        streams.json = JsonOutput::of(env::args_os().skip(1));
        return ExitCode::from(streams.fail(
            "cannot run with raised privilege (AT_SECURE), because the caller controls the environment; remove the program's setuid and setgid bits (`chmod ug-s`) and its file capabilities (`setcap -r`)",
        ));
    }
    ExitCode::from(run(
        env::args_os().skip(1).collect(),
        &context,
        &mut streams,
    ))
}

fn detect_caps(stream: &(impl IsTerminal + AsRawFd)) -> TerminalCaps {
    let variable = |name: &str| env::var(name).ok();
    let width = sys::stdio::terminal_width(stream);
    TerminalCaps::detect(stream.is_terminal(), width, &variable)
}

/// Logs warnings to standard error, for example that the store cannot be used.
pub fn log_warnings_to_stderr() {
    let log_warning = |_, text: &str| {
        if !collect(text) {
            // If standard error is closed, the warning is lost.
            let _ = writeln!(io::stderr(), "keyferry: warning: {}", sanitize(text));
        }
    };
    log::install(Some(Level::Warn), Some(Box::new(log_warning)))
        .expect("log::install fails only inside a log callback, and none is installed yet");
}

/// The warnings that are collected instead of being written. `None` if they are written.
static COLLECTED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Runs a function, and returns the warnings that it logs instead of writing them to standard error.
/// Each warning is returned once.
pub fn collect_warnings<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    let set = |value| {
        COLLECTED
            .lock()
            .map(|mut it| std::mem::replace(&mut *it, value))
    };
    let _ = set(Some(Vec::new()));
    let outcome = run();
    (outcome, set(None).ok().flatten().unwrap_or_default())
}

/// Collects a warning. Returns false if warnings are written now.
fn collect(text: &str) -> bool {
    let mut collected = COLLECTED.lock().ok();
    let Some(warnings) = collected.as_deref_mut().and_then(Option::as_mut) else {
        return false;
    };
    if !warnings.iter().any(|warning| warning == text) {
        warnings.push(text.to_owned());
    }
    true
}

/// Replaces this program with `keyferry git` from the same directory. Returns an exit code if that
/// fails.
pub fn exec_full_cli(
    words: &[OsString],
    message: Option<&Message>,
    streams: &mut Streams<'_>,
) -> u8 {
    let mut input = Zeroizing::new(Vec::new());
    let written = message
        .map(|message| message.write(&mut *input))
        .transpose();
    let stdin_result = written.and_then(|written| {
        written
            .map(|()| sys::stdio::memfd_stdin(&input))
            .transpose()
    });
    let outcome = stdin_result.and_then(|input| {
        let mut full_cli = Command::new(env::current_exe()?.with_file_name("keyferry"));
        input.map(|input| full_cli.stdin(input));
        full_cli.arg("git").args(words);
        sys::stdio::close_recorded_streams();
        Err::<(), _>(full_cli.exec())
    });
    let error = outcome.err().unwrap_or_else(|| io::ErrorKind::Other.into());
    let why = match error.kind() {
        io::ErrorKind::NotFound => {
            "it does not exist; install both programs in the same directory".to_owned()
        }
        _ => io_cause::explain(&error, Subject::Program),
    };
    streams.fail(&format!(
        "git-credential-keyferry cannot start keyferry: {why}"
    ))
}
