//! Prompts at the terminal, without echo for secrets.
//!
//! Input is read key by key, so that Ctrl-C cancels the prompt and the terminal is restored.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use zeroize::Zeroizing;

/// The controlling terminal of this process. It doesn't depend on the standard streams.
pub struct Terminal(File);

/// The longest input that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

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

    /// Prompts for a line and returns it without its line end.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] if the user cancelled the prompt. Otherwise returns the
    /// errors of the terminal.
    pub fn ask(&mut self, question: &str, hidden: bool) -> io::Result<Zeroizing<Vec<u8>>> {
        // Enter raw mode before the prompt is shown. Otherwise early input would be echoed, and an
        // early Ctrl-C would leave the terminal without echo.
        let raw = RawMode::enter(&self.0)?;
        self.0.write_all(question.as_bytes())?;
        let answer = self.read_line(hidden);
        drop(raw);
        self.0.write_all(b"\n")?;
        answer
    }

    fn read_line(&mut self, hidden: bool) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        loop {
            let mut byte = [0];
            if self.0.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match byte[0] {
                b'\r' | b'\n' => return Ok(line),
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

/// A terminal without echo and line editing. Dropping this restores the original mode.
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
        raw.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG);
        set_attributes(fd, &raw)?;
        Ok(Self {
            fd,
            original: before,
        })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = set_attributes(self.fd, &self.original);
    }
}

fn set_attributes(fd: i32, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: `tcgetattr` filled the structure for this terminal.
    if unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, attributes) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
