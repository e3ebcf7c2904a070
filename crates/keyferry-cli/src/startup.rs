//! Starts the full and the small program: prepares the standard streams and the environment, and
//! keeps secrets out of core files. For a request that the small program cannot answer itself, it
//! replaces its process by the full program.
//!
//! Only this file reads the arguments and environment variables of the process.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::commands::curl;
use crate::context::CliContext;
use crate::installation::SmallProgram;
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
    let names: Vec<_> = own_variables().collect();
    for warning in variables::warnings(&names, context) {
        log::write(Level::Warn, format_args!("{warning}"));
    }
}

/// Returns whether [`prepare_log`] would write nothing, and whether the log would get only warnings
/// and errors. From then on, [`log_output::was_detected`] reports these.
pub fn prepare_quiet_log(context: &CliContext) -> bool {
    log_output::detect();
    let has_level =
        (context.environment)(log_output::VARIABLE).is_some_and(|level| !level.is_empty());
    !has_level && own_variables().all(|name| variables::is_own(&name))
}

fn own_variables() -> impl Iterator<Item = String> {
    env::vars_os()
        .filter(|(name, _)| {
            name.as_encoded_bytes()
                .starts_with(variables::PREFIX.as_bytes())
        })
        .filter_map(|(name, _)| name.into_string().ok())
}

/// Replaces this program by the full program. `input` is what this program has read from standard
/// input. Returns an exit code if that fails.
pub fn exec_full_cli(
    program: SmallProgram,
    words: &[OsString],
    input: Option<&[u8]>,
    streams: &mut Streams<'_>,
) -> u8 {
    let reason = match program.full_program() {
        Ok(path) => explain_exec(program, &exec(program, &path, words, input)),
        Err(reason) => reason,
    };
    if program == SmallProgram::Keyferry && curl::prints_config(words) {
        curl::print_stop(streams);
    }
    match program {
        SmallProgram::GitHelper => streams.fail(&format!(
            "git-credential-keyferry cannot start keyferry: {reason}"
        )),
        SmallProgram::Keyferry => streams.fail_with(&Error::new(
            ErrorKind::Unsupported,
            format!("cannot start the program that runs this command: {reason}"),
        )),
    }
}

/// Returns only if it fails.
fn exec(program: SmallProgram, path: &Path, words: &[OsString], input: Option<&[u8]>) -> io::Error {
    let mut full_cli = Command::new(path);
    match input.map(sys::stdio::memfd_stdin).transpose() {
        Ok(Some(stdin)) => full_cli.stdin(stdin),
        Ok(None) => &mut full_cli,
        Err(error) => return error,
    };
    match program {
        SmallProgram::GitHelper => full_cli.arg("git"),
        SmallProgram::Keyferry => full_cli.arg0(env::args_os().next().unwrap_or_default()),
    };
    sys::stdio::close_recorded_streams();
    full_cli.args(words).exec()
}

fn explain_exec(program: SmallProgram, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && program == SmallProgram::GitHelper {
        return "it does not exist; install both programs in the same directory".to_owned();
    }
    io_cause::explain(error, Subject::Program)
}
