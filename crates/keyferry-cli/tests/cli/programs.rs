//! The built programs, run in the harness.

use keyferry_cli::commands::curl::STOP_CONFIG;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

pub(crate) const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_git-credential-keyferry");

/// Runs the built programs with the sandbox's credentials.
pub(crate) trait Programs {
    fn keyferry(&self, arguments: &[&str]) -> ProgramOutput;

    /// Calls the helper as git does.
    fn helper(&self, operation: &str, input: &str) -> ProgramOutput;
}

impl Programs for Harness {
    fn keyferry(&self, arguments: &[&str]) -> ProgramOutput {
        run_with_input(&mut self.program(KEYFERRY, arguments), "")
    }

    fn helper(&self, operation: &str, input: &str) -> ProgramOutput {
        run_with_input(&mut self.program(HELPER, &[operation]), input)
    }
}

/// Panics unless `keyferry curl` failed as [`ProgramOutput::assert_error`] says, and printed the
/// configuration that stops curl.
#[track_caller]
pub(crate) fn assert_stops_curl(mut output: ProgramOutput, code: i32, hint: &str) {
    assert_eq!(
        std::mem::take(&mut output.out),
        STOP_CONFIG,
        "{}",
        output.err
    );
    output.assert_error(code, hint);
}

/// Returns the lines of git's credential protocol that name a service's host.
pub(crate) fn protocol_and_host(url: &str) -> String {
    format!(
        "protocol=http\nhost={}\n",
        url.strip_prefix("http://").unwrap()
    )
}
