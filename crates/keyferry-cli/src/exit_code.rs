//! The exit codes of both programs.

use keyferry::error::{Error, ErrorKind};

/// The command succeeded.
pub const EXIT_OK: u8 = 0;
/// The command failed. Standard error contains the reason.
pub const EXIT_FAILED: u8 = 1;
/// The command line is invalid.
pub const EXIT_USAGE: u8 = 2;
/// The user must log in or change the configuration.
pub const EXIT_LOGIN_REQUIRED: u8 = 3;
/// The failure is temporary. The same command may succeed later.
pub const EXIT_RETRY_LATER: u8 = 4;
/// The user cancelled a prompt with Ctrl-C. Shells use this code for a program that SIGINT ends.
pub const EXIT_CANCELLED: u8 = 130;

/// Returns the exit code for an error.
pub fn of_error(error: &Error) -> u8 {
    use ErrorKind::{
        BadCredentials, Cancelled, Config, LoginRequired, NotConfigured, SecretSource, UnsafeFile,
    };
    match error.kind {
        Cancelled => EXIT_CANCELLED,
        LoginRequired | NotConfigured => EXIT_LOGIN_REQUIRED,
        _ if error.is_transient() => EXIT_RETRY_LATER,
        BadCredentials | Config | SecretSource | UnsafeFile => EXIT_LOGIN_REQUIRED,
        _ => EXIT_FAILED,
    }
}

/// The section of a command's help that lists the exit codes.
pub const EXIT_CODES_HELP: &str = "Exit codes:
  0    success
  1    failure; standard error says why and what to do
  2    invalid command line
  3    login or configuration required
  4    temporary failure, such as no network; retry later
  130  Ctrl-C at a prompt";
