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

use super::prompt_signals::{self, PromptSignals, Wakeup, without_sigttou};

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
                Ok(Stop::Signal(Wakeup::Suspend)) => signals.suspend(libc::SIGTSTP),
                Ok(Stop::Signal(Wakeup::Background)) => {
                    signals.suspend(libc::SIGTTIN);
                    if prompt_signals::is_in_background(&self.0) {
                        return Err(io::Error::from_raw_os_error(libc::EIO));
                    }
                }
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
    /// The mode that the terminal has now.
    raw: libc::termios,
}

impl RawMode {
    fn enter(terminal: &File) -> io::Result<Self> {
        let fd = terminal.as_raw_fd();
        let original = get_attributes(fd)?;
        let mut raw = original;
        raw.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON);
        raw.c_cc[libc::VINTR] = libc::_POSIX_VDISABLE;
        set_attributes(fd, &raw)?;
        Ok(Self {
            fd,
            original,
            raw: get_attributes(fd)?,
        })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A shell sets its own mode when it takes the terminal back from a suspended program, or from
        // one whose parent was killed. That mode stays.
        if get_attributes(self.fd).is_ok_and(|present| is_same(&present, &self.raw)) {
            // In the background, SIGTTOU would suspend this program. If the terminal is gone, there
            // is nothing to restore.
            let _ = without_sigttou(|| set_attributes(self.fd, &self.original));
        }
    }
}

fn is_same(one: &libc::termios, other: &libc::termios) -> bool {
    let flags = |mode: &libc::termios| [mode.c_iflag, mode.c_oflag, mode.c_cflag, mode.c_lflag];
    flags(one) == flags(other) && one.c_cc == other.c_cc
}

fn get_attributes(fd: i32) -> io::Result<libc::termios> {
    let mut attributes = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: the descriptor is open and the call fills the structure, or fails.
    if unsafe { libc::tcgetattr(fd, attributes.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above filled the structure.
    Ok(unsafe { attributes.assume_init() })
}

fn set_attributes(fd: i32, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: `tcgetattr` filled the structure for this terminal.
    if unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, attributes) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
