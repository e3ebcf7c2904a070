//! Odd ways to be started: signals, streams and limits that somebody else left behind.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use keyferry_sandbox::credentials as c;

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

/// Runs a program behind this line of a shell, which knows it as `"$@"`.
fn through_shell(harness: &Harness, line: &str, program: &str, arguments: &[&str]) -> Command {
    harness.program(
        "/bin/sh",
        &[&["-c", line, "sh", program], arguments].concat(),
    )
}

#[track_caller]
fn assert_token(output: &ProgramOutput) {
    assert!(
        output.code == Some(0) && output.out.starts_with("eyJ"),
        "{output:?}"
    );
}

#[test]
fn a_parent_that_ignored_its_children_changes_nothing() {
    let harness = Harness::watching_arguments();
    let password = harness.write_private_file("password", c::PASSWORD);
    let config = |script: &str| {
        let words = format!(
            "[\"/bin/sh\", \"-c\", \"{script}\", \"sh\", \"{}\"]",
            password.display()
        );
        harness.write_private_file(
            "home/.config/keyferry/config.toml",
            &format!("[masv]\npassword = {{ command = {words} }}\n"),
        );
        let mut command = through_shell(
            &harness,
            "trap '' CHLD; exec \"$@\"",
            KEYFERRY,
            &["token", "user"],
        );
        run_with_input(
            command
                .env_remove("KEYFERRY_MASV_PASSWORD")
                .env_remove("KEYFERRY_MASV_API_KEY"),
            "",
        )
    };
    assert_token(&config("cat $1"));
    let output = config("echo wrong; exit 3");
    assert!(
        output.code != Some(0) && output.err.contains("exit code 3"),
        "{output:?}"
    );
}

#[test]
fn a_limit_of_no_bytes_a_file_means_memory_only() {
    let harness = Harness::watching_arguments();
    let output = run_with_input(
        through_shell(
            &harness,
            "ulimit -f 0; exec \"$@\"",
            KEYFERRY,
            &["token", "user"],
        )
        .env("KEYFERRY_STORE", "file"),
        "",
    );
    assert_token(&output);
    assert!(output.err.contains("warning"), "{output:?}");
}

#[test]
fn a_standard_input_that_does_not_wait_is_waited_for() {
    let harness = Harness::watching_arguments();
    let host = protocol_and_host(harness.sandbox().masv_url());
    for (program, arguments, input) in [
        (HELPER, &["get"][..], format!("{host}path=v1/user\n\n")),
        (
            KEYFERRY,
            &["get"][..],
            format!("{{\"uri\":\"{}/v1/user\"}}", harness.sandbox().masv_url()),
        ),
    ] {
        let (theirs, mut ours) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut command = harness.program(program, arguments);
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Nothing comes before it waits.
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") S ")
            && !std::fs::read_to_string(&stat).unwrap().contains(") Z ")
        {
            std::thread::yield_now();
        }
        // Where it is gone already, its exit code tells.
        let _ = ours.write_all(input.as_bytes());
        drop((ours, command));
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("eyJ"),
            "{output:?}"
        );
    }
}

#[test]
fn who_may_open_no_more_files_is_told_of_the_limit() {
    let harness = Harness::watching_arguments();
    let answers = [5, 6, 7].map(|most| {
        let output = run_with_input(
            &mut through_shell(
                &harness,
                &format!("ulimit -n {most}; exec \"$@\""),
                KEYFERRY,
                &["token", "user"],
            ),
            "",
        );
        assert!(
            output.code == Some(0) || output.err.contains("limit"),
            "{output:?}"
        );
        output.code
    });
    assert!(answers.iter().any(|code| *code != Some(0)), "{answers:?}");
}

#[test]
fn a_program_that_takes_the_place_finds_the_streams_closed_that_were() {
    let harness = Harness::watching_arguments();
    let closed = |words: &str| {
        run_with_input(
            &mut harness.program("sh", &["-c", &format!("exec '{KEYFERRY}' exec -- {words}")]),
            "",
        )
    };
    let output = closed("/bin/echo hi >&-");
    assert!(
        output.code == Some(1) && output.err.contains("echo"),
        "{output:?}"
    );
    let output = closed("/bin/cat <&-");
    assert!(
        output.code == Some(1) && output.err.contains("cat"),
        "{output:?}"
    );
    let output = closed("/bin/sh -c 'echo hi >&2 || exit 42' 2>&-");
    assert_eq!(
        (output.code, output.out.as_str(), output.err.as_str()),
        (Some(42), "", "")
    );
    closed("/nonexistent/x >&- <&-").assert_error(127, "cannot start /nonexistent/x");
    let output = closed("/bin/cat");
    assert_eq!(
        (output.code, output.err.as_str()),
        (Some(0), ""),
        "open ones stay"
    );
}
