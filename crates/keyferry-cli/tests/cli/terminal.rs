//! What a person sees: a terminal of its own, questions without echo, colour where it is welcome.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

use keyferry_sandbox::credentials as c;

use crate::programs::{HELPER, KEYFERRY};
use keyferry_testing::child::reset_signals;
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secrets;

/// The mode of a terminal: its flags and control characters.
pub(crate) type Mode = ([libc::tcflag_t; 4], Vec<libc::cc_t>);

/// A program at a terminal.
pub(crate) struct TerminalSession {
    terminal: File,
    /// The mode of the terminal before the program was started.
    first_mode: Mode,
    child: Child,
    seen: String,
}

impl TerminalSession {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_then(command, |_| {})
    }

    /// Starts a program at a terminal with this many columns.
    pub(crate) fn start_at_width(command: &mut Command, columns: u16) -> Self {
        Self::start_sized(command, columns, |_| {})
    }

    /// Starts a program. `prepare` may change what the program inherits.
    pub(crate) fn start_then(command: &mut Command, prepare: impl Fn(&mut Command)) -> Self {
        Self::start_sized(command, 0, prepare)
    }

    fn start_sized(command: &mut Command, columns: u16, prepare: impl Fn(&mut Command)) -> Self {
        let (ours, theirs) = open_terminal();
        set_columns(&ours, columns);
        prepare(reset_signals(command));
        let first_mode = mode_of(&get_attributes(&ours));
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
            terminal: ours,
            first_mode,
            child,
            seen: String::new(),
        }
    }

    /// Reads until this was seen.
    pub(crate) fn expect(&mut self, text: &str) {
        self.expect_times(text, 1);
    }

    /// Reads until this was seen as often.
    pub(crate) fn expect_times(&mut self, text: &str, times: usize) {
        while self.seen.matches(text).count() < times {
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

    pub(crate) fn send(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the call takes only integers. The child is not waited for yet, so its number is
        // its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    pub(crate) fn has_echo(&self) -> bool {
        get_attributes(&self.terminal).c_lflag & libc::ECHO != 0
    }

    pub(crate) fn turn_echo_on(&self) {
        let mut attributes = get_attributes(&self.terminal);
        attributes.c_lflag |= libc::ECHO;
        let fd = self.terminal.as_raw_fd();
        // SAFETY: the descriptor is open, and the structure was read from it.
        let failed = unsafe { libc::tcsetattr(fd, libc::TCSANOW, &attributes) };
        assert_eq!(failed, 0);
    }

    /// Everything that was to be seen, and the status. Fails unless the terminal has the mode that
    /// it had before.
    pub(crate) fn end_with_first_mode(mut self) -> (String, ExitStatus) {
        while self.read_more() {}
        let mode = mode_of(&get_attributes(&self.terminal));
        assert_eq!(mode, self.first_mode, "{:?}", self.seen);
        (self.seen, self.child.wait().unwrap())
    }

    /// Closes the terminal, as a connection that breaks does.
    pub(crate) fn hang_up(mut self) -> ExitStatus {
        drop(self.terminal);
        self.child.wait().unwrap()
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

/// Opens both ends of a terminal. No program inherits them unless it is given them.
fn open_terminal() -> (File, OwnedFd) {
    // SAFETY: the call takes only integers.
    let number = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(number >= 0);
    // SAFETY: the call above created the descriptor, and nothing else owns it.
    let ours = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::grantpt(number) }, 0);
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::unlockpt(number) }, 0);
    let mut name = [0; 64];
    // SAFETY: the buffer is as long as the call is told.
    let failed = unsafe { libc::ptsname_r(number, name.as_mut_ptr(), name.len()) };
    assert_eq!(failed, 0);
    // SAFETY: the call above wrote a C string into the buffer.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(name.to_str().unwrap())
        .unwrap();
    (ours.into(), theirs.into())
}

/// Sets the width of a terminal. 0 means unknown.
fn set_columns(terminal: &File, columns: u16) {
    let size = libc::winsize {
        ws_row: 0,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open, and the call only reads the structure.
    let failed = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) };
    assert_eq!(failed, 0);
}

fn get_attributes(terminal: &File) -> libc::termios {
    let mut attributes = MaybeUninit::<libc::termios>::zeroed();
    let fd = terminal.as_raw_fd();
    // SAFETY: the descriptor is open, and the structure is writable.
    assert_eq!(unsafe { libc::tcgetattr(fd, attributes.as_mut_ptr()) }, 0);
    // SAFETY: the call above filled it.
    unsafe { attributes.assume_init() }
}

fn mode_of(attributes: &libc::termios) -> Mode {
    let flags = [
        attributes.c_iflag,
        attributes.c_oflag,
        attributes.c_cflag,
        attributes.c_lflag,
    ];
    (flags, attributes.c_cc.to_vec())
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
    for (arguments, question, typed) in [
        (
            "login masv --email a@example.com",
            "Password for",
            "half a pass",
        ),
        (
            "login masv --email a@example.com | cat",
            "Password for",
            "half a pass",
        ),
        ("login masv", "E-mail address: ", ""),
        ("login fileverbs", "SecretKey for", "half a pass"),
        (
            "agent sign-in --email a@example.com",
            "Password for",
            "half a pass",
        ),
    ] {
        let script = format!(
            "\"$KEYFERRY\" {arguments}; echo \"code ${{PIPESTATUS[0]}}\"; stty -a | grep -o -- '-*echo\\b' | head -1"
        );
        let mut session = TerminalSession::start(
            harness
                .program_without_secrets("bash", &["-c", &script])
                .env("KEYFERRY", KEYFERRY),
        );
        session.expect(question);
        session.send(&format!("{typed}\u{3}"));
        let (seen, _) = session.end();
        assert!(
            seen.contains("prompt cancelled")
                && seen.contains("code 130")
                && seen.contains("\necho"),
            "{arguments}: {seen:?}"
        );
        assert!(!seen.contains("half a pass"), "{arguments}: {seen:?}");
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
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
    assert_eq!(code, Some(3), "{seen:?}");
    assert!(
        !seen
            .chars()
            .any(|symbol| symbol.is_control() && !"\r\n".contains(symbol))
            && !seen.contains('\u{202e}'),
        "{seen:?}"
    );
}
