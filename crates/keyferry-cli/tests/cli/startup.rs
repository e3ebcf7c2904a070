//! Odd ways to be started: signals, streams and limits that somebody else left behind.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use keyferry_sandbox::credentials as c;

use crate::harness::{HELPER, KEYFERRY, Said, Stage, say};

/// Runs a program behind this line of a shell, which knows it as `"$@"`.
fn behind(stage: &Stage, line: &str, program: &str, arguments: &[&str]) -> Command {
    stage.program("/bin/sh", &[&["-c", line, "sh", program], arguments].concat())
}

#[track_caller]
fn assert_token(said: &Said) {
    assert!(said.code == Some(0) && said.out.starts_with("eyJ"), "{said:?}");
}

#[test]
fn a_parent_that_ignored_its_children_changes_nothing() {
    let stage = Stage::set();
    let password = stage.private("password", c::PASSWORD);
    let config = |script: &str| {
        let words = format!("[\"/bin/sh\", \"-c\", \"{script}\", \"sh\", \"{}\"]", password.display());
        stage.private("home/.config/keyferry/config.toml", &format!("[masv]\npassword = {{ command = {words} }}\n"));
        let mut command = behind(&stage, "trap '' CHLD; exec \"$@\"", KEYFERRY, &["token", "user"]);
        say(command.env_remove("KEYFERRY_MASV_PASSWORD").env_remove("KEYFERRY_MASV_API_KEY"), "")
    };
    assert_token(&config("cat $1"));
    let said = config("echo wrong; exit 3");
    assert!(said.code != Some(0) && said.err.contains("exit code 3"), "{said:?}");
}

#[test]
fn a_limit_of_no_bytes_a_file_means_memory_only() {
    let stage = Stage::set();
    let said = say(behind(&stage, "ulimit -f 0; exec \"$@\"", KEYFERRY, &["token", "user"]).env("KEYFERRY_STORE", "file"), "");
    assert_token(&said);
    assert!(said.err.contains("warning"), "{said:?}");
}

#[test]
fn a_standard_input_that_does_not_wait_is_waited_for() {
    let stage = Stage::set();
    let host = stage.host(stage.sandbox.masv_url());
    for (program, arguments, input) in [
        (HELPER, &["get"][..], format!("{host}path=v1/user\n\n")),
        (KEYFERRY, &["get"][..], format!("{{\"uri\":\"{}/v1/user\"}}", stage.sandbox.masv_url())),
    ] {
        let (theirs, mut ours) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut command = stage.program(program, arguments);
        let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nothing comes before it waits.
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") S ") && !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        // Where it is gone already, its exit code tells.
        let _ = ours.write_all(input.as_bytes());
        drop((ours, command));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("eyJ"), "{output:?}");
    }
}

#[test]
fn who_may_open_no_more_files_is_told_of_the_limit() {
    let stage = Stage::set();
    let answers = [5, 6, 7].map(|most| {
        let said = say(&mut behind(&stage, &format!("ulimit -n {most}; exec \"$@\""), KEYFERRY, &["token", "user"]), "");
        assert!(said.code == Some(0) || said.err.contains("limit"), "{said:?}");
        said.code
    });
    assert!(answers.iter().any(|code| *code != Some(0)), "{answers:?}");
}

#[test]
fn a_program_that_takes_the_place_finds_the_streams_closed_that_were() {
    let stage = Stage::set();
    let closed = |words: &str| say(&mut stage.program("sh", &["-c", &format!("exec '{KEYFERRY}' exec -- {words}")]), "");
    let said = closed("/bin/echo hi >&-");
    assert!(said.code == Some(1) && said.err.contains("echo"), "{said:?}");
    let said = closed("/bin/cat <&-");
    assert!(said.code == Some(1) && said.err.contains("cat"), "{said:?}");
    let said = closed("/bin/sh -c 'echo hi >&2 || exit 42' 2>&-");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(42), "", ""));
    closed("/nonexistent/x >&- <&-").assert_sentence(127, "/nonexistent/x can't be started");
    let said = closed("/bin/cat");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "open ones stay");
}
