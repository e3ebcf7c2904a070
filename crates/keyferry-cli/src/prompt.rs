//! Prompts for secrets at the terminal, or through the program that `GIT_ASKPASS` or `SSH_ASKPASS`
//! names.
//!
//! A setting cannot use a prompt as its source. Only commands that may prompt call this module.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::sys::terminal::Terminal;
use keyferry::config::{Environment, check_text, without_secrets};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::{Extent, Secret};
use keyferry::sys::io_cause::{self, IoCause, Subject, cause};
use keyferry::sys::process::{Limits, RunOutcome, run};
use keyferry::text::is_invisible;

/// The order in which the ways to prompt are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PromptOrder {
    /// The terminal first.
    TerminalFirst,
    /// The askpass program first, as git does.
    AskpassFirst,
}

/// The limits of the askpass program. The user has 5 minutes to respond.
const ASKPASS_LIMITS: Limits = Limits {
    time: Duration::from_secs(300),
    bytes: 16 * 1024,
    own_group: false,
};

/// Prompts for a line of input. `hidden` turns the echo off.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if no prompt is possible or the input is invalid;
/// [`ErrorKind::Cancelled`] if the user cancelled the prompt.
pub fn ask(
    question: &str,
    hidden: bool,
    order: PromptOrder,
    environment: &Environment,
) -> Result<Secret> {
    let question = escape_prompt(question);
    let program = ["GIT_ASKPASS", "SSH_ASKPASS"]
        .iter()
        .find_map(|name| environment(name).filter(|path| !path.is_empty()));
    let bytes = match (program, order) {
        (Some(program), PromptOrder::AskpassFirst) => run_askpass(&program, &question)?,
        (program, _) => match (Terminal::open(), program) {
            (Ok(mut terminal), _) => terminal
                .ask(&question, hidden)
                .map_err(|error| terminal_error(&error))?,
            (Err(_), Some(program)) => run_askpass(&program, &question)?,
            (Err(error), None) => return Err(no_terminal(&error)),
        },
    };
    let answer = Secret::decode(&bytes, Extent::FirstLine, "the input")?;
    #[expect(clippy::disallowed_methods, reason = "looks for control characters")]
    check_text(ErrorKind::SecretSource, "the input", answer.expose())?;
    Ok(answer)
}

/// Asks a question at the terminal. Returns true only for `y` and `yes`.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if there is no terminal; [`ErrorKind::Cancelled`] if the user
/// cancelled the prompt.
pub fn confirm(question: &str) -> Result<bool> {
    let no_terminal = |_| {
        let message = "cannot ask for confirmation: there is no terminal; add --yes";
        Error::new(ErrorKind::SecretSource, message)
    };
    let mut terminal = Terminal::open().map_err(no_terminal)?;
    let answer = terminal
        .ask(&escape_prompt(question), false)
        .map_err(|error| terminal_error(&error))?;
    let answer = answer.trim_ascii();
    Ok(answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes"))
}

/// Returns the error for a terminal that can't be opened.
fn no_terminal(error: &io::Error) -> Error {
    let what = match cause(error) {
        IoCause::NotAFile | IoCause::NotFound => {
            "cannot prompt: there is no terminal; use --secret-file or --secret-fd, or set the value in config.toml"
                .to_owned()
        }
        _ => format!(
            "cannot open the terminal: {}",
            io_cause::explain(error, Subject::Terminal)
        ),
    };
    Error::new(ErrorKind::SecretSource, what)
}

fn terminal_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::Cancelled, "prompt cancelled: no input")
        }
        io::ErrorKind::InvalidData => Error::new(
            ErrorKind::SecretSource,
            "the input is longer than 16 KiB; shorten it",
        ),
        _ => Error::new(
            ErrorKind::SecretSource,
            format!(
                "cannot prompt at the terminal: {}",
                io_cause::explain(error, Subject::Terminal)
            ),
        ),
    }
}

/// Runs the askpass program as git and ssh do: the prompt is its only argument, and the first line
/// of its output is the input.
fn run_askpass(program: &OsStr, question: &str) -> Result<Zeroizing<Vec<u8>>> {
    let fail = |what: String| Error::new(ErrorKind::SecretSource, what);
    if !Path::new(program).is_absolute() {
        return Err(fail(
            "cannot run the askpass program: its path is not absolute; set GIT_ASKPASS or SSH_ASKPASS to an absolute path".into(),
        ));
    }
    let started = run(
        without_secrets(Command::new(program).arg(question)),
        None,
        ASKPASS_LIMITS,
    );
    let (output, ended) = started.map_err(|error| {
        fail(format!(
            "cannot start the askpass program {}, which GIT_ASKPASS or SSH_ASKPASS names: {}",
            program.display(),
            io_cause::explain(&error, Subject::Program)
        ))
    })?;
    if !matches!(ended, RunOutcome::Exited(Some(0))) {
        return Err(Error::new(
            ErrorKind::Cancelled,
            "prompt cancelled: the askpass program returned no input",
        ));
    }
    Ok(output)
}

/// Percent-encodes the characters of a prompt that could control the terminal, reorder the line, or
/// hide a part of it. Parts of a prompt may come from a URL.
fn escape_prompt(question: &str) -> String {
    let mut escaped = String::with_capacity(question.len());
    for character in question.chars() {
        if is_invisible(character) {
            character
                .encode_utf8(&mut [0; 4])
                .bytes()
                .for_each(|byte| escaped.push_str(&format!("%{byte:02X}")));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_question_steers_no_terminal() {
        assert_eq!(
            escape_prompt("Password for a\u{1b}[2J\r\nb\u{85}\u{202e}c\u{7f}: "),
            "Password for a%1B[2J%0D%0Ab%C2%85%E2%80%AEc%7F: "
        );
        assert_eq!(escape_prompt("für 東京: "), "für 東京: ");
    }

    #[test]
    fn the_askpass_program_gets_the_question_as_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ask pass");
        let text = format!(
            "#!/bin/sh\nprintf '%s|%s' \"$#\" \"$1\" > '{}/asked'\nprintf 'a b\\r\\nmore\\n'\n",
            folder.path().display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let name = program.to_str().unwrap().to_owned();
        let environment = |value: String| -> Environment {
            Arc::new(move |name| (name == "SSH_ASKPASS").then(|| value.clone().into()))
        };
        let answer = ask(
            "Who \u{1b}?",
            true,
            PromptOrder::AskpassFirst,
            &environment(name),
        )
        .unwrap();
        assert_eq!(answer.expose(), "a b");
        assert_eq!(
            fs::read_to_string(folder.path().join("asked")).unwrap(),
            "1|Who %1B?"
        );
        assert_eq!(
            ask(
                "?",
                true,
                PromptOrder::AskpassFirst,
                &environment("/bin/false".into())
            )
            .unwrap_err()
            .kind,
            ErrorKind::Cancelled
        );
        let error = ask(
            "?",
            true,
            PromptOrder::AskpassFirst,
            &environment("askpass".into()),
        )
        .unwrap_err();
        assert!(error.message().contains("absolute"), "{error}");
    }
}
