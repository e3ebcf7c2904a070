//! Runs a test in a process of its own, where no other test changes what is measured: memory,
//! threads, the environment.

use std::process::Command;
use std::time::Duration;

use crate::child;

/// Runs one ignored test of this program alone, with these variables and without `HOME`. Panics
/// unless it passes within 600 s.
pub fn run_in_own_process(test: &str, variables: &[(&str, &str)]) {
    run_in_own_process_without(&[], test, variables);
}

/// Runs a test as [`run_in_own_process`] does, without these variables of this process.
pub fn run_in_own_process_without(without: &[&str], test: &str, variables: &[(&str, &str)]) {
    let mut command = ignored_test(test, &[]);
    without.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(variables.iter().copied());
    let ended = child::run(&mut command, Duration::from_secs(600));
    assert!(
        ended.status.success() && ended.out.contains("1 passed"),
        "{}",
        ended.said()
    );
}

/// Returns a command that runs one ignored test of this program alone, with these variables and
/// without `HOME`.
pub(crate) fn ignored_test(test: &str, variables: &[(&str, &str)]) -> Command {
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
    command
}
