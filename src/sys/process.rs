//! Running another program within limits: no shell, a bound on time and output, and nobody left behind.
//!
//! It starts no thread, and gives no text of the program's error output to anybody.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::signals::{self, SigpipeGuard};

/// What a program may take.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Until it has ended.
    pub time: Duration,
    /// Of standard output.
    pub bytes: usize,
    /// Whether it gets a process group of its own, which ends with it. A program that asks at the terminal needs ours.
    pub own_group: bool,
}

/// What became of it.
pub enum Ended {
    /// It ended by itself, with this exit code; none if a signal ended it.
    Code(Option<i32>),
    /// It ended, and somebody else took its exit code: the host ignores SIGCHLD, or waits for whatever child ends.
    Unknown,
    /// It was ended at the limit of time.
    TooLate,
    /// It was ended because it printed too much.
    TooLong,
}

/// How long what holds the pipe open is listened to when the program itself has ended.
const DRAIN: Duration = Duration::from_millis(50);
/// How often is looked whether it has ended; its closed pipes wake earlier.
const TICK_MS: i32 = 20;

/// Runs a program with `input` as its standard input, or none. What it printed, and how it ended.
///
/// # Errors
/// Those of starting it.
pub fn run(command: &mut Command, input: Option<&[u8]>, limits: Limits) -> io::Result<(Zeroizing<Vec<u8>>, Ended)> {
    let deadline = Instant::now() + limits.time;
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
    if limits.own_group {
        command.process_group(0);
    }
    let mut child = signals::start(command)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        let _shield = SigpipeGuard::raise();
        // A secret fits into a pipe; a program that doesn't read it fails by itself.
        let _ = pipe.write_all(input);
    }
    let mut output = Zeroizing::new(Vec::with_capacity(limits.bytes.min(4096) + 1));
    let ended = listen(&mut child, &mut output, limits, deadline);
    if matches!(ended, Ended::TooLate | Ended::TooLong) {
        end(&mut child, limits.own_group);
    }
    Ok((output, ended))
}

fn listen(child: &mut Child, output: &mut Vec<u8>, limits: Limits, deadline: Instant) -> Ended {
    let mut pipes: Vec<(Box<dyn Pipe>, bool)> = Vec::new();
    pipes.extend(child.stdout.take().map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, true)));
    pipes.extend(child.stderr.take().map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, false)));
    let mut gone: Option<(Ended, Instant)> = None;
    let mut idle = false;
    loop {
        if gone.is_none() {
            gone = ended(child).map(|ended| (ended, Instant::now() + DRAIN));
        }
        let now = Instant::now();
        match gone {
            // What it left in the pipe is read first, however late that is.
            Some((ended, until)) if pipes.is_empty() || (idle && now >= until) || now >= deadline.max(until) => return ended,
            None if now >= deadline => return Ended::TooLate,
            _ => {}
        }
        let ready = wait(&pipes);
        idle = !ready.contains(&true);
        for at in (0..pipes.len()).rev().filter(|at| ready[*at]) {
            let mut chunk = Zeroizing::new([0; 4096]);
            let count = pipes[at].0.read(chunk.as_mut()).unwrap_or(0);
            if count == 0 {
                pipes.remove(at);
            } else if pipes[at].1 {
                output.extend_from_slice(&chunk[..count]);
                if output.len() > limits.bytes {
                    return Ended::TooLong;
                }
            }
        }
    }
}

/// How it ended, if it has.
fn ended(child: &mut Child) -> Option<Ended> {
    match child.try_wait() {
        Ok(status) => status.map(|status| Ended::Code(status.code())),
        Err(_) => Some(Ended::Unknown),
    }
}

trait Pipe: Read + AsRawFd {}
impl<T: Read + AsRawFd> Pipe for T {}

/// Waits a moment for something to read. Which of them have something, or are at their end.
fn wait(pipes: &[(Box<dyn Pipe>, bool)]) -> Vec<bool> {
    let mut polled: Vec<_> =
        pipes.iter().map(|(pipe, _)| libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the array is as long as is said, and its descriptors are open; with none it is a pause.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, TICK_MS) };
    polled.iter().map(|one| one.revents != 0).collect()
}

/// Ends it, and its group.
///
/// Rationale: where somebody else collects this process's children, the number of one that is gone may be another's already, or
/// another group's. So it is looked once more, and one that can't be waited for is left alone.
fn end(child: &mut Child, own_group: bool) {
    let is_ours = matches!(child.try_wait(), Ok(None));
    if let Some(group) = i32::try_from(child.id()).ok().filter(|_| is_ours && own_group) {
        // SAFETY: the call takes numbers. The child was there a moment ago, so the number, which is its group's, is nobody else's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    if is_ours {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Where the program of this process is.
///
/// # Errors
/// Those of the system.
pub fn this_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}
