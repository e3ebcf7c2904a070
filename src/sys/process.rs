//! Running another program within limits: no shell, a bound on time and output, and nobody left behind.
//!
//! Imports nothing of the crate. It starts no thread, and gives no text of the program's error output to anybody.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

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
    let mut child = command.spawn()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A secret fits into a pipe; a program that doesn't read it fails by itself.
        let _ = pipe.write_all(input);
    }
    let mut output = Zeroizing::new(Vec::with_capacity(limits.bytes.min(4096) + 1));
    let ended = listen(&mut child, &mut output, limits, deadline);
    if !matches!(ended, Ended::Code(_)) {
        end(&mut child, limits.own_group);
    }
    Ok((output, ended))
}

fn listen(child: &mut Child, output: &mut Vec<u8>, limits: Limits, deadline: Instant) -> Ended {
    let mut pipes: Vec<(Box<dyn Pipe>, bool)> = Vec::new();
    pipes.extend(child.stdout.take().map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, true)));
    pipes.extend(child.stderr.take().map(|pipe| (Box::new(pipe) as Box<dyn Pipe>, false)));
    let mut gone: Option<(Option<i32>, Instant)> = None;
    loop {
        if gone.is_none() {
            gone = child.try_wait().ok().flatten().map(|status| (status.code(), Instant::now() + DRAIN));
        }
        match gone {
            Some((code, until)) if pipes.is_empty() || Instant::now() >= until => return Ended::Code(code),
            _ if Instant::now() >= deadline => return Ended::TooLate,
            _ => {}
        }
        let ready = wait(&pipes);
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

fn end(child: &mut Child, own_group: bool) {
    if own_group && let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: the child is not waited for yet, so its number, which is its group's, is nobody else's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Where the program of this process is.
///
/// # Errors
/// Those of the system.
pub fn this_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}
