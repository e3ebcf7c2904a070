//! Runs programs with a time limit and captures their output.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub use crate::program_output::ProgramOutput;

/// The time limit of [`run_with_input`].
const LIMIT: Duration = Duration::from_secs(120);

/// The signals that a terminal sends.
const TERMINAL_SIGNALS: [libc::c_int; 4] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTSTP];

/// Starts a command with the default actions of the terminal's signals.
///
/// Rationale: `nohup` and background jobs ignore some of them, and a program inherits that. A test
/// that sends such a signal would then wait for ever.
#[expect(unsafe_code, reason = "system calls")]
pub fn reset_signals(command: &mut Command) -> &mut Command {
    let reset = || {
        for signal in TERMINAL_SIGNALS {
            // SAFETY: the default action needs no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: `signal` is async-signal-safe, so it may run between fork and exec.
    unsafe { command.pre_exec(reset) }
}

/// Runs a program without input until it closes its outputs. Panics if that takes longer than
/// `limit`. Waiting for the outputs to close needs no polling.
pub fn run(command: &mut Command, limit: Duration) -> ProgramOutput {
    capture(command, None, limit)
}

/// Runs a program with this text as its standard input, for at most 120 s. A program that does not
/// read its input is not an error.
pub fn run_with_input(command: &mut Command, input: &(impl AsRef<[u8]> + ?Sized)) -> ProgramOutput {
    capture(command, Some(input.as_ref()), LIMIT)
}

/// Starts a program, and reads its standard output until the program closes it. The program may go on
/// running.
pub fn start_and_read(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    (child, printed)
}

fn capture(command: &mut Command, input: Option<&[u8]>, limit: Duration) -> ProgramOutput {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    if let Some((mut stdin, input)) = child.stdin.take().zip(input.map(<[u8]>::to_vec)) {
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let (said, heard) = mpsc::channel();
    let pipes: [(bool, Box<dyn Read + Send>); 2] = [
        (true, Box::new(child.stdout.take().unwrap())),
        (false, Box::new(child.stderr.take().unwrap())),
    ];
    for (is_out, mut pipe) in pipes {
        let said = said.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = said.send((is_out, bytes));
        });
    }
    let mut texts = [String::new(), String::new()];
    for _ in 0..2 {
        let Ok((is_out, bytes)) = heard.recv_timeout(limit) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} did not end within {limit:?}: {texts:?}");
        };
        texts[usize::from(!is_out)] = String::from_utf8(bytes).expect("the output is UTF-8");
    }
    let status = child.wait().unwrap();
    let [out, err] = texts;
    ProgramOutput {
        status,
        code: status.code(),
        out,
        err,
    }
}
