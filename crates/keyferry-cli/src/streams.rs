//! The three standard streams of a command, and the exit codes for errors and failed writes.

use std::io::{self, Read};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::exit_code::{self, EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::json::{self, JsonOutput};
use crate::recorded_failure::with_times;
use crate::terminal::Output;
use crate::time_format::now_s;
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
    /// Whether standard output gets a JSON document, and whether it is written.
    pub json: JsonOutput,
}

impl Streams<'_> {
    /// Writes a document for `--json` to standard output. `fields` is an object with the fields
    /// other than `format`.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write_json(&mut self, fields: &Value) -> io::Result<()> {
        self.json = JsonOutput::Written;
        self.stdout.write_line(&json::document(fields))
    }

    /// Writes a text that contains a token to standard output. Returns the exit code.
    pub fn write_secret(&mut self, text: &Zeroizing<String>) -> u8 {
        let written = self.stdout.write_data(text);
        self.finish_write(written)
    }

    /// Writes a message to standard error and returns [`EXIT_FAILED`]. It is for commands without
    /// `--json`, and for commands that have written their document.
    pub fn fail(&mut self, message: &str) -> u8 {
        self.write_message(message)
    }

    /// Writes a message about an invalid command line to standard error and returns [`EXIT_USAGE`].
    /// With `--json`, also writes the document of the error.
    pub fn fail_usage(&mut self, message: &str) -> u8 {
        self.write_usage_error(message);
        self.write_message(message);
        EXIT_USAGE
    }

    /// Writes an error to standard error and returns its exit code. With `--json`, also writes the
    /// document of the error.
    pub fn fail_with(&mut self, error: &Error) -> u8 {
        self.fail_with_fields(error, json!({}))
    }

    /// Does what [`Streams::fail_with`] does. The document of the error also has these fields.
    pub fn fail_with_fields(&mut self, error: &Error, fields: Value) -> u8 {
        self.write_error(error, fields);
        let pause = error.retry_after_s().filter(|_| error.is_transient());
        match pause {
            _ if error.since_unix_s.is_some() => {
                let now_s = now_s();
                self.write_message(&with_times(error, now_s))
            }
            Some(seconds) => {
                self.write_message(&format!("{} (wait at least {seconds} s)", error.message()))
            }
            None => self.write_message(error.message()),
        };
        exit_code::of_error(error)
    }

    /// With `--json`, writes the document of an invalid command line.
    pub fn write_usage_error(&mut self, message: &str) {
        let error = Error::new(ErrorKind::InvalidValue, message.to_owned());
        self.write_error(&error, json!({}));
    }

    fn write_error(&mut self, error: &Error, mut fields: Value) {
        if self.json == JsonOutput::Pending {
            fields["error"] = json::error(error);
            // If standard output is closed, the document is lost. The exit code remains.
            let _ = self.write_json(&fields);
        }
    }

    fn write_message(&mut self, message: &str) -> u8 {
        // If standard error is closed, the message is lost.
        let _ = self.stderr.write_line(&format!("keyferry: {message}"));
        EXIT_FAILED
    }

    /// Returns the exit code after a write to standard output. A closed pipe is not an error: the
    /// reader has stopped reading.
    pub fn finish_write(&mut self, outcome: io::Result<()>) -> u8 {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                self.write_message("cannot write the output: standard output is closed")
            }
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.write_message(&format!(
                    "cannot write the output: {}",
                    io_cause::explain(&error, Subject::Stream)
                ))
            }
            _ => EXIT_OK,
        }
    }
}
