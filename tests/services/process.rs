//! A test in a process of its own, for what other tests of this one would disturb: memory and the
//! environment.

use std::process::Command;

/// Runs one ignored test of this program alone, with these variables and no others that matter to
/// keyferry.
pub(crate) fn run_in_own_process(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            test,
            "--exact",
            "--ignored",
            "--test-threads=1",
            "--nocapture",
        ])
        .env_remove("HOME")
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
