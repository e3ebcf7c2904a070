//! The programs under valgrind's memcheck: no wrong access, nothing definitely lost.

use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::child;
use keyferry_testing::host::HostHarness;

const LIMIT: Duration = Duration::from_secs(600);

/// The tool is some thirty times slower: fewer rounds, and more patience where a program measures time.
const SLOWLY: [(&str, &str); 4] = [("TEST_THREADS", "16"), ("TEST_ROUNDS", "20"), ("TEST_FORKS", "3"), ("TEST_PATIENCE_S", "20")];

const LEAKS: &[&str] = &["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"];

fn is_clean(source: &str, leaks: &[&str]) {
    if !child::has("valgrind") {
        return;
    }
    let place = HostHarness::new();
    let made = program::compile(source, &place);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9"]).args(leaks).arg(made);
    let ended = child::run(program::dress(&mut command, &place).envs(SLOWLY), LIMIT);
    assert!(ended.status.success(), "{source}: {}", ended.said());
}

#[test]
fn objects_without_network_are_clean() {
    for source in ["status.c", "version.c", "text.c", "config.c"] {
        is_clean(source, LEAKS);
    }
}

#[test]
fn errors_and_requests_are_clean() {
    for source in ["error.c", "request.c"] {
        is_clean(source, LEAKS);
    }
}

#[test]
fn tokens_and_sessions_are_clean() {
    for source in ["token.c", "session.c"] {
        is_clean(source, LEAKS);
    }
}

#[test]
fn every_service_is_clean() {
    for source in ["masv.c", "agent.c", "fileverbs.c"] {
        is_clean(source, LEAKS);
    }
}

#[test]
fn the_log_is_clean() {
    is_clean("log.c", LEAKS);
}

#[test]
fn nulls_are_clean() {
    is_clean("null_arguments.c", LEAKS);
}

#[test]
fn failures_leave_nothing_behind() {
    is_clean("after_error.c", LEAKS);
}

#[test]
fn threads_are_clean() {
    is_clean("threads.c", LEAKS);
}

/// A child has lost the stacks of its parent's threads, and what they alone pointed to; it leaves an old session alone on purpose.
/// Its accesses are checked, its leaks are not.
#[test]
fn forks_are_clean() {
    is_clean("fork.c", &["--leak-check=no"]);
}

#[test]
fn the_cpp_wrapper_and_the_quick_start_are_clean() {
    for source in ["cpp_wrapper.cpp", "quickstart.c"] {
        is_clean(source, LEAKS);
    }
}
