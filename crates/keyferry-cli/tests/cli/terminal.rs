//! What a person sees: a terminal of its own, questions without echo, colour where it is welcome.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use keyferry_sandbox::credentials as c;

use crate::programs::{HELPER, KEYFERRY};
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secrets;

/// A program at a terminal.
pub(crate) struct TerminalSession {
    terminal: File,
    child: Child,
    seen: String,
}

impl TerminalSession {
    pub(crate) fn start(command: &mut Command) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let nothing = std::ptr::null_mut();
        // SAFETY: both numbers are writable, and what may be absent is.
        assert_eq!(
            // SAFETY: as above.
            unsafe {
                libc::openpty(
                    &mut ours,
                    &mut theirs,
                    nothing,
                    nothing.cast(),
                    nothing.cast(),
                )
            },
            0
        );
        // SAFETY: the call above made it, and nobody else has it.
        let ours = unsafe { OwnedFd::from_raw_fd(ours) };
        // SAFETY: as above.
        let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
        let end = || theirs.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: between fork and exec it makes two system calls and nothing else.
        unsafe { command.pre_exec(become_session_leader) };
        let child = command.spawn().unwrap();
        // The command holds copies of the other end: it has to go, or this end never sees the end.
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        Self {
            terminal: ours.into(),
            child,
            seen: String::new(),
        }
    }

    /// Reads until this was seen.
    fn expect(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.read_more(), "{text:?} never came: {:?}", self.seen);
        }
    }

    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.terminal.read(&mut bytes) {
            Ok(count) if count > 0 => self.seen += &String::from_utf8_lossy(&bytes[..count]),
            _ => return false,
        }
        true
    }

    fn send(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Everything that was to be seen, and the exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        while self.read_more() {}
        (
            std::mem::take(&mut self.seen),
            self.child.wait().unwrap().code(),
        )
    }
}

/// Makes the program's standard input the terminal of a session of its own.
fn become_session_leader() -> std::io::Result<()> {
    // SAFETY: the call takes nothing.
    unsafe { libc::setsid() };
    // SAFETY: the call takes numbers; where it fails the test sees no question.
    unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    Ok(())
}

const COLOUR: &str = "\u{1b}[";

#[test]
fn a_password_is_asked_for_without_echo() {
    let harness = Harness::watching_arguments();
    let mut session = TerminalSession::start(
        harness
            .program_without_secrets(KEYFERRY, &["login", "masv"])
            .env("TERM", "xterm"),
    );
    session.expect("E-mail address: ");
    session.send("wrongx\u{15}ferryy\u{7f}@example.com\r");
    session.expect(&format!(
        "Password for {} at {}: ",
        c::EMAIL,
        harness.sandbox().masv_url()
    ));
    session.send(&format!("{}x\u{7f}\r", c::PASSWORD));
    let (seen, code) = session.end();
    assert_eq!(code, Some(0), "{seen}");
    assert!(
        seen.contains("logged in to masv") && seen.contains(COLOUR),
        "{seen:?}"
    );
    assert_no_secrets(&seen);
}

#[test]
fn ctrl_c_leaves_a_question_and_the_terminal_as_it_was() {
    let harness = Harness::watching_arguments();
    let script = "\"$KEYFERRY\" login masv --email a@example.com; echo \"code $?\"; stty -a | grep -o -- '-*echo\\b' | head -1";
    let mut session = TerminalSession::start(
        harness
            .program_without_secrets("bash", &["-c", script])
            .env("KEYFERRY", KEYFERRY),
    );
    session.expect("Password for");
    session.send("half a pass\u{3}");
    let (seen, _) = session.end();
    assert!(
        seen.contains("prompt cancelled") && seen.contains("code 1") && seen.contains("\necho"),
        "{seen:?}"
    );
    assert!(
        !seen.contains("half a pass") && harness.sandbox().count("requests") == 0,
        "{seen:?}"
    );
}

#[test]
fn the_git_door_asks_at_the_terminal_where_git_lets_it() {
    let harness = Harness::watching_arguments();
    let script = format!(
        "printf 'protocol=http\\nhost={}\\npath=v1/user\\n' | \"$HELPER\" get > answer",
        harness
            .sandbox()
            .masv_url()
            .strip_prefix("http://")
            .unwrap()
    );
    let mut command = harness.program_without_secrets("bash", &["-c", &script]);
    command
        .env("HELPER", HELPER)
        .env("KEYFERRY_MASV_EMAIL", c::EMAIL)
        .env_remove("GIT_TERMINAL_PROMPT");
    let mut session = TerminalSession::start(&mut command);
    session.expect("Password for");
    session.send(&format!("{}\n", c::PASSWORD));
    let (seen, code) = session.end();
    let answer = std::fs::read_to_string(harness.path("work/answer")).unwrap();
    assert!(
        code == Some(0) && answer.starts_with("username=X-User-Token\npassword=eyJ"),
        "{seen:?}"
    );
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let harness = Harness::watching_arguments();
    let look = |variables: &[(&str, &str)]| {
        let mut command = harness.program(KEYFERRY, &["status"]);
        let (seen, code) = TerminalSession::start(command.envs(variables.iter().copied())).end();
        assert_eq!(code, Some(0), "{seen}");
        seen
    };
    assert!(look(&[("TERM", "xterm")]).contains(COLOUR));
    for variables in [
        &[("TERM", "xterm"), ("NO_COLOR", "1")][..],
        &[("TERM", "dumb")],
        &[],
    ] {
        assert!(!look(variables).contains(COLOUR), "{variables:?}");
    }
}

#[test]
fn a_slow_answer_is_announced_after_a_second() {
    let harness = Harness::watching_arguments();
    harness.sandbox().fault(keyferry_sandbox::Fault::slow(
        std::time::Duration::from_millis(1600),
    ));
    let (seen, code) =
        TerminalSession::start(&mut harness.program(KEYFERRY, &["header", "user"])).end();
    assert!(
        code == Some(0) && seen.contains("fetching a token …") && seen.contains("X-User-Token"),
        "{seen:?}"
    );
    let (quick, _) =
        TerminalSession::start(&mut harness.program(KEYFERRY, &["header", "user"])).end();
    assert!(!quick.contains("fetching a token"), "{quick:?}");
}

#[test]
fn a_servers_words_steer_no_terminal() {
    let harness = Harness::watching_arguments();
    let body = "{\"code\":1,\"message\":\"evil \\u001b[2J\\u0007\\u202ereversed\",\"errors\":[{\"msg\":\"\\u001b]0;x\\u0007\"}]}";
    for _ in 0..2 {
        harness.sandbox().fault(keyferry_sandbox::Fault::new(
            keyferry_sandbox::FaultAction::Literal {
                status: 401,
                media_type: "application/json".into(),
                body: body.into(),
            },
        ));
    }
    let (seen, code) = TerminalSession::start(
        harness
            .program(KEYFERRY, &["login", "masv"])
            .env("TERM", "dumb"),
    )
    .end();
    assert_eq!(code, Some(1), "{seen:?}");
    assert!(
        !seen
            .chars()
            .any(|symbol| symbol.is_control() && !"\r\n".contains(symbol))
            && !seen.contains('\u{202e}'),
        "{seen:?}"
    );
}
