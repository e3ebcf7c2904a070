//! The programs under valgrind's memcheck: no wrong access, nothing definitely lost.

use std::process::Command;
use std::time::Duration;

use crate::support::place::Place;
use crate::support::{child, compiler};

const LIMIT: Duration = Duration::from_secs(600);

/// The tool is some thirty times slower: fewer rounds, and more patience where a program measures time.
const SLOWLY: [(&str, &str); 4] = [("TEST_THREADS", "16"), ("TEST_ROUNDS", "20"), ("TEST_FORKS", "3"), ("TEST_PATIENCE_S", "20")];

fn is_clean(source: &str, leaks: &str) {
    if !child::has("valgrind") {
        return;
    }
    let place = Place::new();
    let program = compiler::program(source, &place.path(""), &place.libraries());
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]).arg(format!("--errors-for-leak-kinds={leaks}")).arg(program);
    let ended = child::run(place.dress(&mut command).envs(SLOWLY).env("LD_LIBRARY_PATH", place.libraries()), LIMIT);
    assert!(ended.status.success(), "{source}: {}", ended.said());
}

#[test]
fn objects_without_network_are_clean() {
    for source in ["status.c", "version.c", "text.c", "config.c"] {
        is_clean(source, "definite");
    }
}

#[test]
fn errors_and_requests_are_clean() {
    for source in ["error.c", "request.c"] {
        is_clean(source, "definite");
    }
}

#[test]
fn tokens_and_sessions_are_clean() {
    for source in ["token.c", "session.c"] {
        is_clean(source, "definite");
    }
}

#[test]
fn every_service_is_clean() {
    for source in ["masv.c", "agent.c", "fileverbs.c"] {
        is_clean(source, "definite");
    }
}

#[test]
fn log_and_nulls_are_clean() {
    for source in ["log.c", "nulls.c"] {
        is_clean(source, "definite");
    }
}

#[test]
fn failures_leave_nothing_behind() {
    is_clean("after_error.c", "definite");
}

#[test]
fn threads_are_clean() {
    is_clean("threads.c", "definite");
}

/// A child has lost the stacks of its parent's threads, and what they alone pointed to; it leaves an old session alone on purpose.
/// Its accesses are checked, its leaks are not.
#[test]
fn forks_are_clean() {
    is_clean("fork.c", "none");
}

#[test]
fn the_cpp_skin_and_the_quick_start_are_clean() {
    for source in ["skin.cpp", "quickstart.c"] {
        is_clean(source, "definite");
    }
}
