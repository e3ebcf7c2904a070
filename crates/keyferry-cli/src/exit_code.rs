//! The exit codes of both programs.

/// Everything worked.
pub const EXIT_OK: u8 = 0;
/// Something failed; standard error says what.
pub const EXIT_FAILED: u8 = 1;
/// The command line could not be understood.
pub const EXIT_USAGE: u8 = 2;
/// A person has to log in or configure something.
pub const EXIT_LOGIN_REQUIRED: u8 = 3;
/// The same may work later without anybody changing anything.
pub const EXIT_RETRY_LATER: u8 = 4;

/// The section of a command's help that lists the exit codes.
pub const EXIT_CODES_HELP: &str = "Exit codes:\n  0  it worked\n  1  it failed: standard error says why and what helps\n  2  the command line was not understood\n  \
     3  somebody has to log in or configure something\n  4  it failed and may work later: no network, too many requests, a lock";
