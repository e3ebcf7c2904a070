//! Prompts at the terminal, without echo for secrets.
//!
//! Input is read key by key, so that Ctrl-C cancels the prompt. A signal that ends or suspends the
//! program takes effect after the terminal is restored.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use zeroize::Zeroizing;

use super::prompt_signals::{self, PromptSignals, Wakeup};

/// The controlling terminal of this process. It doesn't depend on the standard streams.
pub struct Terminal(File);

/// The longest input that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Why reading a line stopped without an error.
enum Stop {
    /// The line is complete.
    LineEnd,
    /// A signal arrived.
    Signal(Wakeup),
}

impl Terminal {
    /// Opens the terminal.
    ///
    /// # Errors
    /// Returns the system's error if the process has no controlling terminal.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .map(Self)
    }

    /// Prompts for a line and returns it without its line end. A signal that ends the program ends
    /// it here, after the terminal is restored. After a suspension the prompt is shown again.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] if the user cancelled the prompt. Otherwise returns the
    /// errors of the terminal.
    pub fn ask(&mut self, question: &str, hidden: bool) -> io::Result<Zeroizing<Vec<u8>>> {
        let signals = PromptSignals::watch()?;
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        let outcome = self.ask_until_signal(question, hidden, &mut line, &signals);
        // A signal may have arrived since the last look. A terminal that hangs up also fails.
        let late_signal = signals.stop_watching();
        let signal = outcome.as_ref().ok().copied().flatten().or(late_signal);
        if let Some(signal) = signal {
            drop(line);
            prompt_signals::raise(signal);
            return Err(io::ErrorKind::Interrupted.into());
        }
        outcome.map(|_| line)
    }

    /// Reads a line. Returns the signal that shall end the program, if one arrived before the line
    /// was complete.
    fn ask_until_signal(
        &mut self,
        question: &str,
        hidden: bool,
        line: &mut Vec<u8>,
        signals: &PromptSignals,
    ) -> io::Result<Option<i32>> {
        loop {
            // Enter raw mode before the prompt is shown. Otherwise early input would be echoed, and
            // an early Ctrl-C would leave the terminal without echo.
            let raw = RawMode::enter(&self.0)?;
            let shown = if hidden { 0 } else { line.len() };
            self.0
                .write_all(&[question.as_bytes(), &line[..shown]].concat())?;
            let outcome = self.read_line(hidden, line, signals);
            drop(raw);
            match outcome {
                Ok(Stop::Signal(Wakeup::Suspend)) => signals.suspend(),
                Ok(Stop::Signal(Wakeup::Resumed)) => {}
                outcome => {
                    // If the terminal is gone, the outcome says so.
                    let _ = self.0.write_all(b"\n");
                    return outcome.map(|stop| match stop {
                        Stop::Signal(Wakeup::End(signal)) => Some(signal),
                        _ => None,
                    });
                }
            }
        }
    }

    fn read_line(
        &mut self,
        hidden: bool,
        line: &mut Vec<u8>,
        signals: &PromptSignals,
    ) -> io::Result<Stop> {
        loop {
            if let Some(wakeup) = signals.wait_for_input(&self.0)? {
                return Ok(Stop::Signal(wakeup));
            }
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // The next wait returns the signal.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            };
            match byte[0] {
                b'\r' | b'\n' => return Ok(Stop::LineEnd),
                0x03 | 0x1b => return Err(io::ErrorKind::Interrupted.into()),
                0x04 if line.is_empty() => return Err(io::ErrorKind::Interrupted.into()),
                0x08 | 0x7f => {
                    // A character may consist of several bytes. All except the first begin with the
                    // bits 10.
                    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                    self.echo(hidden, b"\x08 \x08")?;
                }
                0x15 => {
                    let characters = line.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
                    line.clear();
                    self.echo(hidden, &b"\x08 \x08".repeat(characters))?;
                }
                0x04 => {}
                byte if line.len() < MAX_ANSWER_BYTES => {
                    line.push(byte);
                    if byte >= b' ' {
                        self.echo(hidden, &[byte])?;
                    }
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn echo(&mut self, hidden: bool, bytes: &[u8]) -> io::Result<()> {
        if hidden {
            Ok(())
        } else {
            self.0.write_all(bytes)
        }
    }
}

/// A terminal without echo and line editing, in which Ctrl-C is a character. Dropping this restores
/// the original mode.
struct RawMode {
    fd: i32,
    original: libc::termios,
}

impl RawMode {
    fn enter(terminal: &File) -> io::Result<Self> {
        let fd = terminal.as_raw_fd();
        let mut before = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the descriptor is open and the call fills the structure, or fails.
        if unsafe { libc::tcgetattr(fd, before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above filled the structure.
        let before = unsafe { before.assume_init() };
        let mut raw = before;
        raw.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON);
        raw.c_cc[libc::VINTR] = libc::_POSIX_VDISABLE;
        set_attributes(fd, &raw)?;
        Ok(Self {
            fd,
            original: before,
        })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // In the background the terminal belongs to another program, and this call would stop
        // this one.
        if is_in_foreground(self.fd) {
            // If the terminal is gone, there is nothing to restore.
            let _ = set_attributes(self.fd, &self.original);
        }
    }
}

/// Returns whether this process belongs to the group that the terminal takes its input for.
fn is_in_foreground(fd: i32) -> bool {
    // SAFETY: both calls take only integers.
    unsafe { libc::tcgetpgrp(fd) == libc::getpgrp() }
}

fn set_attributes(fd: i32, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: `tcgetattr` filled the structure for this terminal.
    if unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, attributes) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
