//! Runs another program without a shell, within limits of time and output, and leaves no process
//! behind.
//!
//! It starts no thread, and drops what the program writes to standard error.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::signals::{self, SigpipeGuard};

/// The limits of a program.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The longest that the program may run.
    pub time: Duration,
    /// The largest size of its standard output.
    pub bytes: usize,
    /// Whether it gets a process group of its own, which is killed with it. A program that asks at
    /// the terminal needs this process's.
    pub own_group: bool,
}

/// How a program ended.
pub enum RunOutcome {
    /// It exited with this code. `None` if a signal ended it.
    Exited(Option<i32>),
    /// It ended, but its exit code is lost: the host ignores SIGCHLD, or waits for children that
    /// are not its own.
    StatusLost,
    /// It was killed at the limit of time.
    TimedOut,
    /// It was killed because it printed too much.
    OutputTooLong,
}

/// How long output is read after the program has ended, while another process holds the pipe open.
const DRAIN_TIME: Duration = Duration::from_millis(50);
/// How often the program's end is checked. A closed pipe wakes earlier.
const POLL_MS: i32 = 20;

/// Runs a program with `input` as its standard input, or an empty one. Gives its standard output
/// and how it ended.
///
/// # Errors
/// Those of starting it.
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
        // A secret fits into a pipe. A program that doesn't read it fails by itself.
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
            // The output that is in the pipe is read first, however late that is.
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

/// How the program ended. `None` while it runs.
fn try_wait(child: &mut Child) -> Option<RunOutcome> {
    match child.try_wait() {
        Ok(status) => status.map(|status| RunOutcome::Exited(status.code())),
        Err(_) => Some(RunOutcome::StatusLost),
    }
}

trait Pipe: Read + AsRawFd {}
impl<T: Read + AsRawFd> Pipe for T {}

/// Waits up to 20 ms for a pipe to be readable. Gives for each pipe whether it is readable or
/// closed.
fn poll(pipes: &[(Box<dyn Pipe>, bool)]) -> Vec<bool> {
    let mut polled: Vec<_> = pipes
        .iter()
        .map(|(pipe, _)| libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the array has the given length, and its descriptors are open; with none it is a
    // pause.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, POLL_MS) };
    polled.iter().map(|one| one.revents != 0).collect()
}

/// Kills the program and its group.
///
/// Rationale: where other code collects this process's children, the number of one that is gone may
/// be another process's already, or another group's. So the child is checked once more, and one
/// that can't be waited for is left alone.
fn kill(child: &mut Child, own_group: bool) {
    let is_ours = matches!(child.try_wait(), Ok(None));
    if let Some(group) = i32::try_from(child.id())
        .ok()
        .filter(|_| is_ours && own_group)
    {
        // SAFETY: the call takes numbers. The child was there a moment ago, so the number, which is
        // its group's, is nobody else's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    if is_ours {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The path of this process's program.
///
/// # Errors
/// Those of the system.
pub fn this_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

/// Keeps this process's memory out of core files, and from other processes of the same user. For
/// programs, never for the library.
pub fn keep_out_of_core_files() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers and changes a flag of this process; where it fails nothing is
    // worse than before.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}
