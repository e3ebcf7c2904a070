//! Commands in a host whose children are collected by somebody else. It changes what is of the
//! whole process, so it is alone here.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyferry::config::{Environment, Setting};
use keyferry::error::Result;
use keyferry::secret::Secret;
use keyferry::secret_sources::resolve;

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn a_command_is_heard_out_where_its_exit_code_goes_to_somebody_else() {
    // SAFETY: nothing in this process waits for a child yet.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    check(true);
    // SAFETY: as above; no child runs.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    std::thread::spawn(|| {
        loop {
            // SAFETY: there may be nowhere to put the status, and no child.
            unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            std::thread::yield_now();
        }
    });
    // Who of the two is first to ask learns the exit code.
    check(false);
}

fn check(is_lost: bool) {
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(shell("echo first; echo second").unwrap().expose(), "first");
    }
    assert_eq!(
        shell("head -c 16000 /dev/zero | tr '\\0' x").unwrap().len(),
        16_000
    );
    assert_eq!(shell("sleep 20 >&2 & echo here").unwrap().expose(), "here");
    for script in ["exit 3", "kill -9 $$", "echo"] {
        let error = shell(script).unwrap_err();
        assert!(
            !is_lost
                || (error.message().contains("/bin/sh") && error.message().contains("SIGCHLD")),
            "{error}"
        );
    }
    let missing = command(&["/nonexistent/x"]).unwrap_err();
    assert!(
        missing.message().contains("cannot run /nonexistent/x"),
        "{missing}"
    );
    let error = shell("head -c 70000 /dev/zero; sleep 100").unwrap_err();
    assert!(error.message().contains("64 KiB"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

fn shell(script: &str) -> Result<Secret> {
    command(&["/bin/sh", "-c", script])
}

fn command(words: &[&str]) -> Result<Secret> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let nothing: Environment = Arc::new(|_| None);
    resolve(&Setting::Command(words), "masv.password", &nothing)
}
