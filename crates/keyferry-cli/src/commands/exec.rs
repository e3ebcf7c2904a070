//! `keyferry exec -- COMMAND`: runs a program with the secrets of one profile in its environment.
//!
//! The program replaces keyferry, so its exit code and signals are its own. A standard stream that
//! was closed when keyferry started is also closed for the program.
//!
//! The secrets of other profiles and of plugins are removed from the environment, including
//! variables that `config.toml` refers to by name.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use crate::context::CliContext;
use crate::exit_code::EXIT_USAGE;
use crate::secrets;
use crate::streams::Streams;
use crate::sys::stdio;
use keyferry::config::{DEFAULT_ACCOUNT, SETTINGS, SettingDefinition, without_secrets};
use keyferry::error::Result;
use keyferry::sys::io_cause::{self, Subject};

/// The program does not exist. Shells use the same exit code.
pub const EXIT_NOT_FOUND: u8 = 127;
/// The program exists but cannot be started.
pub const EXIT_NOT_STARTED: u8 = 126;

/// The section of the help that lists the exit codes.
pub const EXIT_CODES_HELP: &str = "Exit codes: those of the program. If keyferry cannot start it:
  1    failure to read a setting; standard error says why and what to do
  2    invalid command line
  3    login or configuration required
  4    temporary failure; retry later
  126  the program cannot be started
  127  the program does not exist";

/// The options of `keyferry exec`.
#[derive(Args)]
pub struct ExecOptions {
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Program to run and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Replaces this process with the program. Returns only if that fails.
pub fn run(options: &ExecOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let Some((program, arguments)) = options.command.split_first() else {
        return EXIT_USAGE;
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Err(error) = set_environment(&mut command, options.profile.as_deref(), context) {
        return streams.fail_with(&error);
    }
    stdio::close_recorded_streams();
    let failed = command.exec();
    streams.fail(&format!(
        "cannot start {}: {}",
        program.to_string_lossy(),
        io_cause::explain(&failed, Subject::Program)
    ));
    if failed.kind() == std::io::ErrorKind::NotFound {
        EXIT_NOT_FOUND
    } else {
        EXIT_NOT_STARTED
    }
}

/// Whether `keyferry exec` exports a setting: true for the settings of services. The environment
/// variables of keyferry's own settings stay unchanged.
fn is_exported(field: &SettingDefinition) -> bool {
    ["masv.", "fileverbs.", "agent."]
        .iter()
        .any(|service| field.key.starts_with(service))
}

fn set_environment(
    command: &mut Command,
    profile: Option<&str>,
    context: &CliContext,
) -> Result<()> {
    let config = context.load_config()?;
    let account = profile.unwrap_or(config.default_account());
    let profile = config.profile(account)?;
    without_secrets(command);
    for field in SETTINGS.iter().filter(|field| is_exported(field)) {
        for name in field.env {
            command.env_remove(name).env_remove(format!("{name}_FILE"));
        }
        if let Some(value) = secrets::resolve_setting_or_plugin(&profile, field.key, || {
            context.open_configured_session(Some(account))
        })? {
            #[expect(
                clippy::disallowed_methods,
                reason = "passes the secret to the program that the user named"
            )]
            command.envs(field.env.iter().map(|name| (name, value.expose())));
        }
    }
    // If the program calls keyferry, that call then uses the same account.
    if account == DEFAULT_ACCOUNT {
        command.env_remove("KEYFERRY_PROFILE")
    } else {
        command.env("KEYFERRY_PROFILE", account)
    };
    Ok(())
}
