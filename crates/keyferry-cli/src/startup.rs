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

use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::git_protocol::Message;
use crate::json::JsonOutput;
use crate::streams::Streams;
use crate::sys;
use crate::terminal::{Output, TerminalCaps};
use crate::{commands, log_output, variables};
use keyferry::config::{process_environment, trusts_environment};
use keyferry::error::{Error, ErrorKind};
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
        let what = "cannot run with raised privilege (AT_SECURE), because the caller controls the environment; remove the program's setuid and setgid bits (`chmod ug-s`) and its file capabilities (`setcap -r`)";
        return ExitCode::from(streams.fail_with(&Error::new(ErrorKind::Unsupported, what)));
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

/// Writes the library's log to standard error: warnings, for example that the store cannot be used,
/// and with `KEYFERRY_LOG` or `-v` what a command does. Warns about unknown variables, except in a
/// helper that git starts: git shows its output for every fetch.
pub fn prepare_log(command: &commands::Command, context: &CliContext) {
    let level = (context.environment)(log_output::VARIABLE);
    log_output::install(level.as_deref(), command.log_options());
    if matches!(command, commands::Command::Git(_)) {
        return;
    }
    let names: Vec<_> = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(variables::PREFIX))
        .collect();
    for warning in variables::warnings(&names, context) {
        log::write(Level::Warn, format_args!("{warning}"));
    }
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
