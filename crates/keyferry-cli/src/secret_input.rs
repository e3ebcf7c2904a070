//! Reads secrets for a command from a descriptor, a file, standard input or a prompt.
//!
//! No option takes the value of a secret, because every user of the machine can read the arguments
//! of every process.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::prompt::{PromptOrder, ask};
use crate::streams::Streams;
use crate::sys::stdio;
use keyferry::config::check_text;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::{Extent, Secret};
use keyferry::sys::private_file::{self, Privacy};

const MAX_INPUT_BYTES: usize = 64 * 1024;

/// The source of the password of a link. Without an option, a command prompts for the password if
/// the link needs one and a terminal is there.
#[derive(Args, Default)]
#[cfg_attr(test, derive(Debug))]
pub struct LinkPasswordInput {
    /// Read the password of a protected link from this file
    ///
    /// Other users must not be able to read the file. Without this option and --link-password-fd,
    /// `header`, `token` and `curl` prompt for the password at a terminal if the service rejects the
    /// link.
    #[arg(long, value_name = "FILE")]
    pub link_password_file: Option<PathBuf>,
    /// Read the password of a protected link from this file descriptor
    #[arg(long, value_name = "N", conflicts_with = "link_password_file")]
    pub link_password_fd: Option<i32>,
}

impl LinkPasswordInput {
    /// Whether an option names a descriptor or a file.
    pub fn is_given(&self) -> bool {
        self.link_password_fd.is_some() || self.link_password_file.is_some()
    }

    /// Reads the password. None if no option names its source.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if the password is missing or invalid; [`ErrorKind::UnsafeFile`]
    /// if other users can read the file.
    pub fn read(&self) -> Result<Option<Secret>> {
        let lines = read_source(
            self.link_password_fd,
            self.link_password_file.as_deref(),
            "--link-password-fd",
        )?;
        let Some(lines) = lines else {
            return Ok(None);
        };
        let password = lines.into_iter().next().unwrap_or_default();
        if password.is_empty() {
            return Err(source_error(
                "the password of the link is missing or empty; write it as the first line",
            ));
        }
        check_input(&password, "the password of the link")?;
        Ok(Some(password))
    }
}

/// The source of a secret. Without an option, the source is a prompt, or standard input if standard
/// input is not a terminal.
#[derive(Args)]
pub struct SecretInput {
    /// Read the secret from this file descriptor
    #[arg(long, value_name = "N", conflicts_with = "secret_file")]
    pub secret_fd: Option<i32>,
    /// Read the secret from this file, which other users must not be able to read
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Options that users might try to pass a secret with. They are rejected before clap's error
/// message could repeat their value.
const SECRET_OPTIONS: [&str; 12] = [
    "--password",
    "--passwd",
    "--pass",
    "--secret",
    "--secret-key",
    "--token",
    "--key",
    "--api-key",
    "--apikey",
    "--user-token",
    "--link-password",
    "-p",
];

/// Returns the error message for a command line that passes a secret as an option. None if it
/// doesn't. Arguments after `--` are not checked, because they belong to another program.
pub fn secret_option_error(words: &[OsString]) -> Option<String> {
    let own_words = words
        .iter()
        .take_while(|word| *word != "--")
        .map(|word| word.to_string_lossy());
    let found = own_words.filter_map(|word| {
        let name = word.split('=').next().unwrap_or_default();
        SECRET_OPTIONS.iter().find(|refused| **refused == name)
    });
    let name = found.into_iter().next()?;
    let options = if *name == "--link-password" {
        "--link-password-file or --link-password-fd"
    } else {
        "--secret-file or --secret-fd"
    };
    Some(format!(
        "{name} is not an option: other users can read secrets in a command line; use the prompt, {options}, and \
         replace a secret that was already passed this way"
    ))
}

impl SecretInput {
    /// Whether an option names a descriptor or a file.
    pub fn is_given(&self) -> bool {
        self.secret_fd.is_some() || self.secret_file.is_some()
    }

    /// Reads one secret for each prompt, in the order of the prompts. The first `required` secrets
    /// must not be missing or empty. If another secret is missing, returns an empty secret for it.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if a required secret is missing or the input is invalid;
    /// [`ErrorKind::UnsafeFile`] if other users can read the file.
    pub fn read(
        &self,
        prompts: &[&str],
        required: usize,
        context: &CliContext,
        streams: &mut Streams<'_>,
    ) -> Result<Vec<Secret>> {
        let given = read_source(self.secret_fd, self.secret_file.as_deref(), "--secret-fd")?;
        let secrets = match given {
            Some(secrets) => secrets,
            None if context.stdin_is_terminal => {
                return self.prompt_for_each(prompts, required, context);
            }
            None => read_lines(&mut *streams.stdin)?,
        };
        if secrets.len() < required || secrets.iter().take(required).any(Secret::is_empty) {
            return Err(source_error(
                "the secret is missing or empty; type it at a terminal, or use --secret-file or --secret-fd",
            ));
        }
        secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .try_for_each(|secret| check_input(secret, "the secret"))?;
        Ok(secrets
            .into_iter()
            .chain(std::iter::repeat_with(Secret::default))
            .take(prompts.len())
            .collect())
    }

    fn prompt_for_each(
        &self,
        prompts: &[&str],
        required: usize,
        context: &CliContext,
    ) -> Result<Vec<Secret>> {
        let mut secrets = Vec::new();
        for (number, prompt) in prompts.iter().enumerate() {
            let answer = ask(
                prompt,
                true,
                PromptOrder::TerminalFirst,
                &context.environment,
            );
            secrets.push(match answer {
                Err(error) if number >= required && error.kind == ErrorKind::SecretSource => {
                    Secret::default()
                }
                other => other?,
            });
        }
        Ok(secrets)
    }
}

/// Reads the lines of a descriptor or a file. None if neither is given. `fd_option` is the option
/// that names the descriptor, for error messages.
fn read_source(
    fd: Option<i32>,
    file: Option<&Path>,
    fd_option: &str,
) -> Result<Option<Vec<Secret>>> {
    match (fd, file) {
        (Some(1 | 2), _) => Err(source_error(format!(
            "cannot read a secret from {fd_option} 1 or 2: they are for output; use another descriptor, as in {fd_option} 3 3<FILE"
        ))),
        (Some(number), _) => {
            let file = stdio::open_inherited_fd(number).map_err(|_| {
                source_error(format!(
                    "the descriptor of {fd_option} is not open; open it, as in {fd_option} 3 3<FILE"
                ))
            })?;
            read_lines(&file).map(Some)
        }
        (None, Some(path)) => {
            let bytes = private_file::read(path, Privacy::Private, MAX_INPUT_BYTES)?;
            split_lines(&Zeroizing::new(bytes), &path.display().to_string()).map(Some)
        }
        (None, None) => Ok(None),
    }
}

#[expect(clippy::disallowed_methods, reason = "looks for control characters")]
fn check_input(secret: &Secret, subject: &str) -> Result<()> {
    check_text(ErrorKind::SecretSource, subject, secret.expose())
}

fn read_lines(input: impl Read) -> Result<Vec<Secret>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    input
        .take(MAX_INPUT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| {
            source_error("cannot read the secret from its file descriptor; open it for reading")
        })?;
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(source_error(
            "the secret is longer than 64 KiB; check that it is the right input",
        ));
    }
    split_lines(&bytes, "the secret")
}

/// Decodes each line as a secret. `subject` names the source in error messages.
fn split_lines(bytes: &[u8], subject: &str) -> Result<Vec<Secret>> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| Secret::decode(line, Extent::FirstLine, subject))
        .collect()
}

fn source_error(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::SecretSource, what.into())
}
