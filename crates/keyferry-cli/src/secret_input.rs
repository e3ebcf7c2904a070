//! Secrets as a command's input: from a descriptor, a file, standard input, or a prompt.
//!
//! No option takes a secret's value: every user of the machine can read the argument lists of all
//! programs.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use crate::context::CliContext;
use crate::prompt::{PromptOrder, ask};
use crate::streams::Streams;
use crate::sys::stdio;
use keyferry::config::check_text;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::Secret;
use keyferry::sys::private_file::{self, Privacy};

const MAX_INPUT_BYTES: usize = 64 * 1024;

/// Where a secret comes from, if not from the prompt or standard input.
#[derive(Args)]
pub struct SecretInput {
    /// Read the secret from this open descriptor, a line each where there are two.
    #[arg(long, value_name = "N", conflicts_with = "secret_file")]
    pub secret_fd: Option<i32>,
    /// Read it from this file, which nobody else may read.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Options that people try, refused before any message repeats their value.
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

/// The error message for a command line that passes a secret as an option, if it does. Words behind
/// `--` belong to another program.
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
    Some(format!(
        "{name} is no option: every user of this machine can read a secret in an argument list; type it at the prompt, or give \
         --secret-file or --secret-fd, and change one that stood in a command line"
    ))
}

impl SecretInput {
    /// Whether a descriptor or a file was named.
    pub fn is_given(&self) -> bool {
        self.secret_fd.is_some() || self.secret_file.is_some()
    }

    /// Reads the secrets for these prompts, in their order. A missing optional one is empty.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if a required one is missing, [`ErrorKind::UnsafeFile`] if
    /// others could read the file.
    pub fn read(
        &self,
        prompts: &[&str],
        required: usize,
        context: &CliContext,
        streams: &mut Streams<'_>,
    ) -> Result<Vec<Secret>> {
        let secrets = match (&self.secret_fd, &self.secret_file) {
            (Some(1 | 2), _) => {
                return Err(source_error(
                    "--secret-fd 1 and 2 are where answers go: open another, as in --secret-fd 3 3<FILE",
                ));
            }
            (Some(number), _) => {
                let file = stdio::open_inherited_fd(*number).map_err(|_| {
                    source_error("--secret-fd is not open: write it like --secret-fd 3 3<FILE")
                })?;
                read_lines(&file)?
            }
            (None, Some(path)) => split_lines(Zeroizing::new(private_file::read(
                path,
                Privacy::Private,
                MAX_INPUT_BYTES,
            )?))?,
            (None, None) if context.stdin_is_terminal => {
                return self.prompt_for_each(prompts, required, context);
            }
            (None, None) => read_lines(&mut *streams.stdin)?,
        };
        if secrets.len() < required || secrets.iter().take(required).any(Secret::is_empty) {
            return Err(source_error(
                "no secret came: type it at a terminal, or give --secret-file or --secret-fd",
            ));
        }
        secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .try_for_each(|secret| {
                check_text(ErrorKind::SecretSource, "the secret", secret.expose())
            })?;
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

fn read_lines(input: impl Read) -> Result<Vec<Secret>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    input
        .take(MAX_INPUT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| source_error("the secret can't be read"))?;
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(source_error("the secret is longer than 64 KiB"));
    }
    split_lines(bytes)
}

fn split_lines(bytes: Zeroizing<Vec<u8>>) -> Result<Vec<Secret>> {
    let line = |line: &[u8]| {
        Secret::from_bytes(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .ok_or_else(|| source_error("the secret is not UTF-8"))
    };
    bytes.split(|byte| *byte == b'\n').map(line).collect()
}

fn source_error(what: &'static str) -> Error {
    Error::new(ErrorKind::SecretSource, what)
}
