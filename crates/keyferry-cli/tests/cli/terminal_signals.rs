//! Signals at a prompt: the terminal is as it was before, and the signal takes effect.

#![expect(unsafe_code, reason = "system calls")]

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use keyferry_sandbox::credentials as c;

use crate::programs::{HELPER, KEYFERRY};
use crate::terminal::TerminalSession;
use keyferry_testing::harness::Harness;

const PASSWORD_PROMPT: &str = "Password for";
const EMAIL_PROMPT: &str = "E-mail address: ";

fn login(harness: &Harness, options: &[&str]) -> Command {
    let arguments = [&["login", "masv"], options].concat();
    harness.program_without_secrets(KEYFERRY, &arguments)
}

/// A login that asks for the password.
fn password_login(harness: &Harness) -> Command {
    login(harness, &["--email", c::EMAIL])
}

/// git's helper, which asks for the password.
fn helper(harness: &Harness) -> Command {
    let host = harness.sandbox().masv_url();
    let host = host.strip_prefix("http://").unwrap();
    let script = format!(
        "printf 'protocol=http\\nhost={host}\\npath=v1/user\\n' > request; exec \"$HELPER\" get < request"
    );
    let mut command = harness.program_without_secrets("bash", &["-c", &script]);
    command
        .env("HELPER", HELPER)
        .env("KEYFERRY_MASV_EMAIL", c::EMAIL)
        .env_remove("GIT_TERMINAL_PROMPT");
    command
}

/// Starts a program, waits for its prompt, and lets it have a part of an answer. Then `interrupt`
/// must end it by this signal.
fn assert_ended(
    command: &mut Command,
    prompt: &str,
    signal: i32,
    interrupt: impl Fn(&mut TerminalSession),
) {
    let mut session = TerminalSession::start(command);
    session.expect(prompt);
    assert!(!session.has_echo(), "{prompt}");
    session.send("half a pass");
    interrupt(&mut session);
    let (seen, status) = session.end_with_first_mode();
    assert_eq!(status.signal(), Some(signal), "{prompt}: {seen:?}");
    assert!(
        prompt == EMAIL_PROMPT || !seen.contains("half a pass"),
        "{seen:?}"
    );
}

#[test]
fn a_signal_at_a_prompt_ends_the_program_and_leaves_the_terminal_as_it_was() {
    let harness = Harness::watching_arguments();
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGALRM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGXCPU,
    ] {
        for (mut command, prompt) in [
            (password_login(&harness), PASSWORD_PROMPT),
            (login(&harness, &[]), EMAIL_PROMPT),
            (helper(&harness), PASSWORD_PROMPT),
        ] {
            assert_ended(&mut command, prompt, signal, |session| {
                session.signal(signal);
            });
        }
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn ctrl_backslash_at_a_prompt_ends_the_program() {
    let harness = Harness::watching_arguments();
    let mut command = password_login(&harness);
    assert_ended(&mut command, PASSWORD_PROMPT, libc::SIGQUIT, |session| {
        session.send("\u{1c}");
    });
}

/// Runs the login as a job of bash, as a user does, and continues it after it was suspended.
#[test]
fn ctrl_z_at_a_prompt_gives_the_terminal_back_until_the_job_goes_on() {
    let harness = Harness::watching_arguments();
    let script = r#"set -m
        "$KEYFERRY" login masv
        echo "suspended $?"
        stty -a | grep -o -- '-*echo\b' | head -1
        fg > /dev/null
        echo "ended $?"
        stty -a | grep -o -- '-*echo\b' | head -1"#;
    let mut command = harness.program_without_secrets("bash", &["-c", script]);
    let mut session = TerminalSession::start(command.env("KEYFERRY", KEYFERRY));
    session.expect(EMAIL_PROMPT);
    let (first, rest) = c::EMAIL.split_at(4);
    session.send(first);
    session.expect(&format!("{EMAIL_PROMPT}{first}"));
    session.send("\u{1a}");
    session.expect("suspended 148\r\necho\r\n");
    session.expect_times(&format!("{EMAIL_PROMPT}{first}"), 2);
    assert!(!session.has_echo());
    session.send(&format!("{rest}\r"));
    session.expect(PASSWORD_PROMPT);
    session.send("\u{1a}");
    // The script does not continue the job a second time, so the shell ends it.
    session.expect("ended 148\r\necho\r\n");
}

#[test]
fn a_suspended_prompt_turns_the_echo_off_again() {
    let harness = Harness::watching_arguments();
    let mut session = TerminalSession::start(&mut password_login(&harness));
    session.expect(PASSWORD_PROMPT);
    // A shell gives the terminal its own mode while a job is stopped.
    session.signal(libc::SIGSTOP);
    session.turn_echo_on();
    assert!(session.has_echo());
    session.signal(libc::SIGCONT);
    session.expect_times(PASSWORD_PROMPT, 2);
    assert!(!session.has_echo());
    // The kernel does not stop a session's leader, which nobody could continue.
    session.signal(libc::SIGTSTP);
    session.expect_times(PASSWORD_PROMPT, 3);
    assert!(!session.has_echo());
    session.send(&format!("{}\r", c::PASSWORD));
    let (seen, code) = session.end();
    assert_eq!(code, Some(0), "{seen:?}");
}

/// Ignores SIGHUP in the program, as `nohup` does.
fn ignoring_hang_up(command: &mut Command) -> &mut Command {
    let ignore = || {
        // SAFETY: ignoring a signal needs no handler.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        Ok(())
    };
    // SAFETY: `signal` is async-signal-safe, so it may run between fork and exec.
    unsafe { command.pre_exec(ignore) }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_at_a_prompt() {
    let harness = Harness::watching_arguments();
    let mut command = password_login(&harness);
    let mut session = TerminalSession::start_then(&mut command, |command| {
        ignoring_hang_up(command);
    });
    session.expect(PASSWORD_PROMPT);
    session.signal(libc::SIGHUP);
    session.send(&format!("{}\r", c::PASSWORD));
    let (seen, code) = session.end();
    assert_eq!(code, Some(0), "{seen:?}");
}

#[test]
fn a_terminal_that_is_gone_ends_the_prompt() {
    let harness = Harness::watching_arguments();
    for ignores in [false, true] {
        let mut command = password_login(&harness);
        let mut session = TerminalSession::start_then(&mut command, |command| {
            if ignores {
                ignoring_hang_up(command);
            }
        });
        session.expect(PASSWORD_PROMPT);
        let status = session.hang_up();
        let expected = (!ignores).then_some(libc::SIGHUP);
        assert_eq!(status.signal(), expected, "{status}");
        assert!(!status.success(), "{status}");
    }
}

/// A shell that does not set the mode of its terminal itself gets it back from the prompt whose
/// parent was killed, as soon as the prompt sees that the terminal is not its own any more.
#[test]
fn a_prompt_whose_parent_was_killed_gives_the_terminal_back() {
    let harness = Harness::watching_arguments();
    let script = r#"set -m
        bash -c 'echo "$$" > parent
            sh -c "echo \$\$ > prompt; exec \"$KEYFERRY\" login masv --email ferry@example.com"
            :'
        while kill -0 "$(cat prompt)" 2> /dev/null; do sleep 0.01; done
        stty -a | grep -o -- '-*echo\b' | head -1"#;
    let mut command = harness.program_without_secrets("bash", &["-c", script]);
    let mut session = TerminalSession::start(command.env("KEYFERRY", KEYFERRY));
    session.expect(PASSWORD_PROMPT);
    let parent = fs::read_to_string(harness.path("work/parent")).unwrap();
    // SAFETY: the call takes only integers.
    let killed = unsafe { libc::kill(parent.trim().parse().unwrap(), libc::SIGKILL) };
    assert_eq!(killed, 0);
    let (seen, _) = session.end();
    assert!(seen.trim_end().ends_with("\necho"), "{seen:?}");
}
