//! `keyferry exec -- COMMAND`: the secrets of one profile in the environment of one program.
//!
//! The program takes this one's place, so its exit code and signals are its own, and a stream that
//! this one was started without is closed for it too. Whatever another profile has in the
//! environment is taken out of it, also under a name of its own that `config.toml` refers to, and
//! so are plugins' secrets.

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

/// The program was not found, as in shells.
const EXIT_NOT_FOUND: u8 = 127;
/// The program was found and can't be started.
const EXIT_NOT_STARTED: u8 = 126;

/// The section of the help that lists the exit codes.
pub const EXIT_CODES_HELP: &str = "Exit codes: the program's own. Where it was not started:\n  \
     1    a setting could not be had: standard error says why and what helps\n  2    the command line was not understood\n  \
     3    somebody has to log in or configure something\n  4    it failed and may work later\n  126  the program can't be started\n  \
     127  it is not there";

/// How `keyferry exec` runs.
#[derive(Args)]
pub struct ExecOptions {
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The program and its arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Replaces this program with the command. Returns only if that fails.
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
        "{} can't be started: {}",
        program.to_string_lossy(),
        failed.kind()
    ));
    if failed.kind() == std::io::ErrorKind::NotFound {
        EXIT_NOT_FOUND
    } else {
        EXIT_NOT_STARTED
    }
}

/// Whether a setting is exported: those of services are, those of keyferry itself stay as they are.
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
            command.envs(field.env.iter().map(|name| (name, value.expose())));
        }
    }
    // A keyferry in the program then keeps its tokens under the same name.
    if account == DEFAULT_ACCOUNT {
        command.env_remove("KEYFERRY_PROFILE")
    } else {
        command.env("KEYFERRY_PROFILE", account)
    };
    Ok(())
}
