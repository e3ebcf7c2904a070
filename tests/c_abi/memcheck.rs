//! The programs under valgrind's memcheck: no wrong access, nothing definitely lost.

use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::harness::Harness;
use keyferry_testing::{child, skip};

const LIMIT: Duration = Duration::from_secs(600);

/// The tool is some thirty times slower: fewer rounds, and more patience where a program measures
/// time.
const VALGRIND_ENVIRONMENT: [(&str, &str); 4] = [
    ("TEST_THREADS", "16"),
    ("TEST_ROUNDS", "20"),
    ("TEST_FORKS", "3"),
    ("TEST_PATIENCE_S", "20"),
];

const LEAK_CHECK: &[&str] = &[
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
];

fn is_clean(source: &str, options: &[&str]) {
    let is_cpp = source.ends_with(".cpp");
    if skip::without(&["valgrind"]) || is_cpp && skip::without(&["c++"]) {
        return;
    }
    let harness = Harness::with_library();
    let program_path = program::compile(source, &harness);
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--error-exitcode=9"])
        .args(options)
        .arg(program_path);
    let ended = child::run(
        program::set_environment(&mut command, &harness).envs(VALGRIND_ENVIRONMENT),
        LIMIT,
    );
    assert!(ended.status.success(), "{source}: {}", ended.said());
}

#[test]
fn objects_without_network_are_clean() {
    for source in ["status.c", "version.c", "text.c", "config.c"] {
        is_clean(source, LEAK_CHECK);
    }
}

#[test]
fn errors_and_requests_are_clean() {
    for source in ["error.c", "request.c"] {
        is_clean(source, LEAK_CHECK);
    }
}

#[test]
fn tokens_and_sessions_are_clean() {
    for source in ["token.c", "session.c"] {
        is_clean(source, LEAK_CHECK);
    }
}

#[test]
fn every_service_is_clean() {
    for source in ["masv.c", "agent.c", "fileverbs.c"] {
        is_clean(source, LEAK_CHECK);
    }
}

#[test]
fn the_log_is_clean() {
    is_clean("log.c", LEAK_CHECK);
}

#[test]
fn nulls_are_clean() {
    is_clean("null_arguments.c", LEAK_CHECK);
}

#[test]
fn failures_leave_nothing_behind() {
    is_clean("after_error.c", LEAK_CHECK);
}

#[test]
fn threads_are_clean() {
    is_clean("threads.c", LEAK_CHECK);
}

#[test]
fn a_session_that_is_freed_in_use_is_clean() {
    is_clean("session_free.c", LEAK_CHECK);
}

/// A child has lost the stacks of its parent's threads, and what they alone pointed to; it leaves
/// an old session alone on purpose. Its accesses are checked, its leaks are not.
#[test]
fn forks_are_clean() {
    is_clean("fork.c", &["--leak-check=no"]);
}

#[test]
fn the_cpp_wrapper_and_the_quick_start_are_clean() {
    for source in ["cpp_wrapper.cpp", "quickstart.c"] {
        is_clean(source, LEAK_CHECK);
    }
}
