//! The output of a program, and what tests require of it.

use std::process::ExitStatus;

use serde_json::Value;

use crate::secrets::assert_no_secrets;

/// The exit status and the output of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    pub status: ExitStatus,
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl ProgramOutput {
    /// Returns the status and all output, for the message of a failed assertion.
    pub fn said(&self) -> String {
        format!("{}\n{}{}", self.status, self.out, self.err)
    }

    /// Returns the value of a `key=value` line, as git's credential protocol has them.
    pub fn line(&self, key: &str) -> Option<&str> {
        self.out
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    /// Panics unless the program succeeded and printed nothing.
    #[track_caller]
    pub fn assert_silent(&self) {
        assert_eq!(
            (self.code, self.out.as_str(), self.err.as_str()),
            (Some(0), "", "")
        );
    }

    /// Panics unless the program failed with `code` and printed nothing but one error line on
    /// standard error, which contains `hint`, no secret and no control character.
    #[track_caller]
    pub fn assert_error(&self, code: i32, hint: &str) {
        assert_eq!(self.out, "", "{}", self.err);
        self.assert_error_line(code, hint);
    }

    /// Does what [`Self::assert_error`] does for a command with `--json`, which prints the document
    /// of the error on standard output.
    #[track_caller]
    pub fn assert_json_error(&self, code: i32, hint: &str) {
        let document: Value = serde_json::from_str(&self.out).unwrap();
        let message = document["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(hint) && self.err.contains(message),
            "{self:?}"
        );
        self.assert_error_line(code, hint);
    }

    #[track_caller]
    fn assert_error_line(&self, code: i32, hint: &str) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(
            self.err.contains(hint)
                && self.err.lines().count() == 1
                && self.err.starts_with("keyferry: "),
            "{}",
            self.err
        );
        self.assert_no_secrets();
    }

    /// Panics if either stream contains a secret or a control character.
    #[track_caller]
    pub fn assert_no_secrets(&self) {
        for text in [&self.out, &self.err] {
            assert_no_secrets(text);
            assert!(
                !text
                    .chars()
                    .any(|symbol| symbol.is_control() && symbol != '\n'),
                "a control character was printed: {text:?}"
            );
        }
    }
}
