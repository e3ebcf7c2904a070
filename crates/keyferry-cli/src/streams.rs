//! The three standard streams of a command, and the exit codes for errors and failed writes.

use std::io::{self, Read};

use crate::exit_code::{EXIT_FAILED, EXIT_LOGIN_REQUIRED, EXIT_OK, EXIT_RETRY_LATER};
use crate::terminal::Output;
use keyferry::error::{Error, ErrorKind};
use keyferry::sys::io_cause::{self, Subject};

/// The streams that a command reads and writes.
pub struct Streams<'a> {
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub stdout: Output<'a>,
    /// Standard error.
    pub stderr: Output<'a>,
    /// Closes standard output. The reader then stops waiting, although the command is still
    /// running.
    pub detach_stdout: fn() -> io::Result<()>,
}

impl Streams<'_> {
    /// Writes a message to standard error and returns [`EXIT_FAILED`].
    pub fn fail(&mut self, message: &str) -> u8 {
        // If standard error is closed, the message is lost.
        let _ = self.stderr.write_line(&format!("keyferry: {message}"));
        EXIT_FAILED
    }

    /// Writes an error to standard error and returns its exit code.
    pub fn fail_with(&mut self, error: &Error) -> u8 {
        let pause = error
            .retry_after_ms
            .filter(|ms| *ms > 0 && error.is_transient())
            .map(|ms| ms.div_ceil(1000));
        match pause {
            Some(seconds) => self.fail(&format!("{} (wait at least {seconds} s)", error.message())),
            None => self.fail(error.message()),
        };
        match error.kind {
            ErrorKind::LoginRequired | ErrorKind::NotConfigured => EXIT_LOGIN_REQUIRED,
            _ if error.is_transient() => EXIT_RETRY_LATER,
            _ => EXIT_FAILED,
        }
    }

    /// Returns the exit code after a write to standard output. A closed pipe is not an error: the
    /// reader has stopped reading.
    pub fn finish_write(&mut self, outcome: io::Result<()>) -> u8 {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                self.fail("cannot write the output: standard output is closed")
            }
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.fail(&format!(
                "cannot write the output: {}",
                io_cause::explain(&error, Subject::Stream)
            )),
            _ => EXIT_OK,
        }
    }
}
