//! Runs a program without a shell, limits its time and output, and leaves no process behind.
//!
//! Starts no thread. Discards the program's standard error.

#![expect(unsafe_code, reason = "system calls")]

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::fork::PerProcess;
use super::signals::{self, SigpipeGuard};

/// The limits for one run of a program.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The maximum running time.
    pub time: Duration,
    /// The maximum size of its standard output, in bytes.
    pub bytes: usize,
    /// Whether the program runs in a process group of its own, which is killed together with the
    /// program. A program that prompts at the terminal must stay in the process group of this
    /// process.
    pub own_group: bool,
}

/// The outcome of running a program.
pub enum RunOutcome {
    /// The program exited with this code. `None` means that a signal ended it.
    Exited(Option<i32>),
    /// The program ended, but its exit code is lost, because the application ignores SIGCHLD or
    /// waits for all child processes.
    StatusLost,
    /// The program was killed because it reached the time limit.
    TimedOut,
    /// The program was killed because its output exceeded the size limit.
    OutputTooLong,
}

/// How long to wait for output after the program has ended, if another process keeps the pipe open.
const DRAIN_TIME: Duration = Duration::from_millis(50);
/// The interval at which to check whether the program has ended. Output or a closed pipe ends the
/// interval early.
const POLL_MS: i32 = 20;

/// Runs a program with `input` as its standard input, or with `/dev/null`. Returns its standard
/// output and the outcome.
///
/// # Errors
/// Returns the error of starting the program.
pub fn run(
    command: &mut Command,
    input: Option<&[u8]>,
    limits: Limits,
) -> io::Result<(Zeroizing<Vec<u8>>, RunOutcome)> {
    let deadline = Instant::now() + limits.time;
    command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if limits.own_group {
        command.process_group(0);
    }
    let mut child = signals::spawn(command)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        let _guard = SigpipeGuard::block();
        // A secret fits into the pipe's buffer, so the write does not wait. If the write fails, the
        // program ended without reading the secret and reports its own failure.
        let _ = pipe.write_all(input);
    }
    let mut output = Zeroizing::new(Vec::with_capacity(limits.bytes.min(4096) + 1));
    let outcome = read_output(&mut child, &mut output, limits, deadline);
    if matches!(outcome, RunOutcome::TimedOut | RunOutcome::OutputTooLong) {
        kill(&mut child, limits.own_group);
    }
    Ok((output, outcome))
}

fn read_output(
    child: &mut Child,
    output: &mut Vec<u8>,
    limits: Limits,
    deadline: Instant,
) -> RunOutcome {
    let mut pipes: Vec<(Box<dyn Pipe>, bool)> = Vec::new();
    pipes.extend(
        child
            .stdout
            .take()
            .map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, true)),
    );
    pipes.extend(
        child
            .stderr
            .take()
            .map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, false)),
    );
    let mut exited: Option<(RunOutcome, Instant)> = None;
    let mut idle = false;
    loop {
        if exited.is_none() {
            exited = try_wait(child).map(|outcome| (outcome, Instant::now() + DRAIN_TIME));
        }
        let now = Instant::now();
        match exited {
            // Even after the deadline, output that is already in the pipe is read first.
            Some((outcome, until))
                if pipes.is_empty() || (idle && now >= until) || now >= deadline.max(until) =>
            {
                return outcome;
            }
            None if now >= deadline => return RunOutcome::TimedOut,
            _ => {}
        }
        let ready = poll(&pipes);
        idle = !ready.contains(&true);
        for at in (0..pipes.len()).rev().filter(|at| ready[*at]) {
            let mut chunk = Zeroizing::new([0; 4096]);
            let count = pipes[at].0.read(chunk.as_mut()).unwrap_or(0);
            if count == 0 {
                pipes.remove(at);
            } else if pipes[at].1 {
                output.extend_from_slice(&chunk[..count]);
                if output.len() > limits.bytes {
                    return RunOutcome::OutputTooLong;
                }
            }
        }
    }
}

/// Returns the outcome, or `None` while the program runs.
fn try_wait(child: &mut Child) -> Option<RunOutcome> {
    match child.try_wait() {
        Ok(status) => status.map(|status| RunOutcome::Exited(status.code())),
        Err(_) => Some(RunOutcome::StatusLost),
    }
}

trait Pipe: Read + AsRawFd {}
impl<T: Read + AsRawFd> Pipe for T {}

/// Waits up to 20 ms until a pipe is readable or closed. Returns, for each pipe, whether it is
/// readable or closed.
fn poll(pipes: &[(Box<dyn Pipe>, bool)]) -> Vec<bool> {
    let mut polled: Vec<_> = pipes
        .iter()
        .map(|(pipe, _)| libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the array has the given length, and its descriptors are open. With an empty array the
    // call only sleeps.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, POLL_MS) };
    polled.iter().map(|one| one.revents != 0).collect()
}

/// Kills the program and its process group.
///
/// Rationale: other code in this process may have waited for the child already. The kernel may then
/// have reused the child's id for another process or group, which must not be killed. So this
/// function checks the child again, and kills nothing if the child cannot be waited for.
fn kill(child: &mut Child, own_group: bool) {
    let is_ours = matches!(child.try_wait(), Ok(None));
    if let Some(group) = i32::try_from(child.id())
        .ok()
        .filter(|_| is_ours && own_group)
    {
        // SAFETY: the call only takes numbers. The child still existed when it was checked above,
        // so its id is also the id of its own group.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    if is_ours {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Returns the path of the program that this process runs.
///
/// # Errors
/// Returns the operating system's error.
pub fn this_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

/// Excludes this process's memory from core files, and hides it from other processes of the same
/// user. Only for keyferry's own programs, never for the library.
pub fn keep_out_of_core_files() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call only takes numbers and sets a flag of this process. If it fails, nothing has
    // changed.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

/// Runs a function when the process exits: when `main` returns, or `exit` is called.
pub fn at_exit(run: extern "C" fn()) {
    // SAFETY: the function stays loaded until the process ends, because the library is linked with
    // `-z nodelete`. If it can't be registered, it doesn't run.
    unsafe { libc::atexit(run) };
}

/// Facts about a process, from the kernel.
#[derive(Default)]
pub struct ProcessFacts {
    /// When the process started, in clock ticks since the machine booted, or 0 if this is not known.
    /// Together with the id, the time identifies a process.
    pub start_time: u64,
    /// Whether a signal such as SIGSTOP has stopped the process.
    pub is_stopped: bool,
}

/// Returns the facts of a process. If it does not exist, or they are not known, returns the default.
pub fn facts(pid: u32) -> ProcessFacts {
    let read = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses, and may contain spaces. The state
        // is field 3, and the start time is field 22.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some(ProcessFacts {
            is_stopped: fields.next()? == "T",
            start_time: fields.nth(18)?.parse().ok()?,
        })
    };
    read().unwrap_or_default()
}

/// Returns when this process started, as [`ProcessFacts::start_time`] says.
pub fn own_start_time() -> u64 {
    static OWN: PerProcess<u64> = PerProcess::new();
    *OWN.get_or_init(|| facts(std::process::id()).start_time)
}
