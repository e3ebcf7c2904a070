//! Loading the library starts, opens and reads nothing: its system calls, seen by strace.

use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::child;
use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// All that the loader does to bring a library in.
const LOADER: [&str; 17] = [
    "brk",
    "close",
    "fstat",
    "futex",
    "getrandom",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "openat",
    "pread64",
    "read",
    "readlink",
    "stat",
    "statx",
];

fn is_loaders(call: &str) -> bool {
    let name = call.split('(').next().unwrap();
    let is_library =
        || call.contains(".so") && (call.contains("O_RDONLY|O_CLOEXEC") || call.contains("ENOENT"));
    LOADER.contains(&name) && (name != "openat" || is_library())
}

#[test]
fn loading_starts_no_thread_and_opens_no_file_and_no_socket() {
    if skip::without_strace() {
        return;
    }
    let harness = Harness::with_library();
    let program_path = program::compile("loading.c", &harness);
    let mut command = Command::new("strace");
    harness
        .set_test_environment(&mut command)
        .args(["-f", "-qq", "-o"])
        .arg(harness.path("calls"))
        .arg(program_path)
        .arg(files::beside("libkeyferry.so"));
    let ended = child::run(&mut command, Duration::from_secs(60));
    assert!(ended.status.success(), "{}", ended.said());
    let calls = std::fs::read_to_string(harness.path("calls")).unwrap();
    let between: Vec<_> = calls
        .lines()
        .map(|line| line.split_once(' ').unwrap().1.trim_start())
        .skip_while(|call| !call.contains("before loading"))
        .skip(1)
        .take_while(|call| !call.contains("after loading"))
        .collect();
    assert!(
        between.iter().any(|call| call.contains("libkeyferry.so")),
        "{calls}"
    );
    let foreign: Vec<_> = between.iter().filter(|call| !is_loaders(call)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}
