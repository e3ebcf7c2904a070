//! Odd ways to be started: signals, streams and limits that somebody else left behind.

use std::process::Command;

use keyferry::sandbox::credentials as c;

use crate::stage::{KEYFERRY, Said, Stage, say};

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
