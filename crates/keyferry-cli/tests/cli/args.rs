//! The command line as a whole: help, exit codes, homes that are odd, and folders that are hostile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::programs::{HELPER, KEYFERRY, Programs, protocol_and_host};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;

const ALL: [&str; 14] = [
    "login", "logout", "status", "token", "header", "curl", "get", "git", "exec", "agent",
    "explain", "doctor", "config", "sandbox",
];

/// Checks that the meanings of the exit codes in a command's help are in one column.
#[track_caller]
fn assert_columns(help: &str) {
    let section = help.split("Exit codes:").nth(1).unwrap();
    let column = |line: &str| {
        let (code, meaning) = line.trim_start().split_once(' ')?;
        code.parse::<u8>().ok()?;
        Some(line.len() - meaning.trim_start().len())
    };
    let columns: BTreeSet<_> = section.lines().filter_map(column).collect();
    assert_eq!(columns.len(), 1, "{section}");
}

#[test]
fn every_command_explains_itself_and_its_exit_codes() {
    let harness = Harness::watching_arguments();
    let help = harness.keyferry(&["--help"]);
    for command in ALL {
        assert!(
            help.out
                .lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command}: {}",
            help.out
        );
        let own = harness.keyferry(&[command, "--help"]);
        assert!(
            own.code == Some(0) && own.err.is_empty() && own.out.contains("Exit codes:"),
            "{command}: {own:?}"
        );
        assert_columns(&own.out);
    }
    for command in ALL
        .iter()
        .filter(|command| !["get", "git", "exec"].contains(command))
    {
        assert!(
            harness
                .keyferry(&[command, "--help"])
                .out
                .contains("--json"),
            "{command}"
        );
    }
    for wrong in [
        &["unheard"][..],
        &["token"],
        &["status", "--unheard"],
        &["login"],
        &["header", "a", "b"],
    ] {
        let output = harness.keyferry(wrong);
        assert_eq!(
            (output.code, output.out.as_str()),
            (Some(2), ""),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_home_that_is_missing_odd_or_unreadable_changes_nothing_here() {
    let harness = Harness::watching_arguments();
    let input = protocol_and_host(harness.sandbox().fileverbs_url());
    for home in ["", "/nonexistent", "relative", "/dev/null"] {
        let output = run_with_input(harness.program(HELPER, &["get"]).env("HOME", home), &input);
        assert_eq!(
            (output.line("username"), output.err.as_str()),
            (Some("default"), ""),
            "{home}"
        );
    }
    let output = run_with_input(
        harness
            .program(HELPER, &["get"])
            .env_remove("HOME")
            .env("XDG_CONFIG_HOME", "relative"),
        &input,
    );
    assert_eq!(output.line("username"), Some("default"));
    assert!(
        fs::read_dir(harness.path("home")).unwrap().next().is_none(),
        "nothing is written into a home that nothing was asked of"
    );
}

#[test]
fn a_store_that_can_not_be_used_costs_one_warning_and_no_answer() {
    let harness = Harness::watching_arguments();
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    for (home, hint) in [
        (None, "file:/absolute/path"),
        (Some("/nonexistent"), "/nonexistent"),
        (Some("/dev/null"), "/dev/null"),
    ] {
        for (program, arguments, input) in [
            (KEYFERRY, ["header", "user"], ""),
            (HELPER, ["get", ""], question.as_str()),
        ] {
            let mut command = harness.program(program, &arguments);
            command
                .env_remove("HOME")
                .env("KEYFERRY_STORE", "file")
                .envs(home.map(|home| ("HOME", home)));
            let output = run_with_input(&mut command, input);
            assert!(
                output.code == Some(0) && output.out.contains("eyJ"),
                "{home:?}: {output:?}"
            );
            assert!(
                output.err.starts_with("keyferry: warning: ") && output.err.contains(hint),
                "{home:?}: {output:?}"
            );
            assert_eq!(output.err.lines().count(), 1, "{home:?}: {output:?}");
        }
    }
}

#[test]
fn too_few_descriptors_or_too_little_memory_are_a_sentence_or_an_answer() {
    let harness = Harness::watching_arguments();
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    let limits = (3..14)
        .map(|files| format!("-n {files}"))
        .chain([19, 20, 24, 32, 64, 128].map(|mib| format!("-v {}", mib * 1024)));
    for limit in limits {
        for command in ["\"$KEYFERRY\" header user", "\"$HELPER\" get"] {
            // With less the system can not load the program, or has no memory left for it once it is
            // loaded, and ends it. A debug build needs 18.2 MiB.
            let script = format!("ulimit {limit} && {command}");
            let mut shell = harness.program("bash", &["-c", &script]);
            let output = run_with_input(
                shell
                    .env("KEYFERRY", KEYFERRY)
                    .env("HELPER", HELPER)
                    .env("KEYFERRY_STORE", "file"),
                &question,
            );
            assert!(
                output.code.is_some_and(|code| code < 128 && code != 101),
                "{script}: {output:?}"
            );
            assert!(
                (output.code == Some(0)) == output.out.contains("eyJ"),
                "{script}: {output:?}"
            );
        }
    }
}

#[test]
fn a_configuration_that_can_not_be_read_answers_no_helper() {
    let harness = Harness::watching_arguments();
    for (text, mode, hint) in [
        ("no TOML", 0o600, "config.toml is not valid TOML"),
        ("[masv]\npassword = \"canary\"\n", 0o644, "chmod 600"),
        (
            "[masv]\npasword = \"x\"\n",
            0o600,
            "did you mean masv.password",
        ),
        ("", 0o666, "chmod go-w"),
    ] {
        let path = harness.write_private_file("home/.config/keyferry/config.toml", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        harness
            .helper("get", &protocol_and_host(harness.sandbox().fileverbs_url()))
            .assert_error(3, hint);
        harness.keyferry(&["token", "user"]).assert_error(3, hint);
    }
}

#[test]
fn nothing_is_looked_for_where_the_user_happens_to_be() {
    let harness = Harness::watching_arguments();
    for name in [
        "config.toml",
        "keyferry.toml",
        ".env",
        ".netrc",
        ".config/keyferry/config.toml",
        "keyferry/config.toml",
    ] {
        let path = harness.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(
            &path,
            "masv.url = \"http://127.0.0.1:1\"\nKEYFERRY_MASV_URL=http://127.0.0.1:1\n",
        )
        .unwrap();
    }
    let git = harness.path("work/git");
    fs::write(&git, "#!/bin/sh\ntouch was-run\n").unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!(".::{}", std::env::var("PATH").unwrap());
    let mut command = harness.program_without_secrets(HELPER, &["get"]);
    command
        .env("PATH", path)
        .env_remove("GIT_TERMINAL_PROMPT")
        .env("GIT_ASKPASS", "askpass")
        .env("KEYFERRY_MASV_EMAIL", "a@example.com");
    let output = run_with_input(
        &mut command,
        &format!(
            "{}path=v1/user\n",
            protocol_and_host(harness.sandbox().masv_url())
        ),
    );
    assert_eq!(output.out, "");
    assert!(
        !harness.path("work/was-run").exists(),
        "a git of that folder was started"
    );
    assert_eq!(harness.keyferry(&["token", "user"]).code, Some(0));
}

#[test]
fn a_reader_may_leave() {
    let harness = Harness::watching_arguments();
    let script = "\"$KEYFERRY\" header user | true; \"$KEYFERRY\" status | true; echo $?";
    let output = run_with_input(
        harness
            .program("bash", &["-c", script])
            .env("KEYFERRY", KEYFERRY),
        "",
    );
    assert_eq!((output.out.as_str(), output.err.as_str()), ("0\n", ""));
}

#[test]
fn an_answer_that_nobody_can_get_is_no_success() {
    let harness = Harness::watching_arguments();
    let closed = |words: &str, input: &str| {
        run_with_input(
            &mut harness.program("sh", &["-c", &format!("exec {words} >&-")]),
            input,
        )
    };
    for word in ["header", "token", "curl"] {
        closed(&format!("'{KEYFERRY}' {word} user"), "")
            .assert_error(1, "standard output is closed");
    }
    for word in ["--version", "--help", "help", "header --help"] {
        closed(&format!("'{KEYFERRY}' {word}"), "")
            .assert_error(1, "cannot write the output: standard output is closed");
        let full = run_with_input(
            &mut harness.program(
                "sh",
                &["-c", &format!("exec '{KEYFERRY}' {word} >/dev/full")],
            ),
            "",
        );
        full.assert_error(1, "cannot write the output: ");
    }
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    closed(&format!("'{HELPER}' get"), &question).assert_error(1, "standard output is closed");
    // `erase` prints nothing, so a closed standard output is no error.
    closed(&format!("'{HELPER}' erase"), &question).assert_silent();
    let output = run_with_input(
        &mut harness.program(
            "sh",
            &[
                "-c",
                &format!("'{KEYFERRY}' header user > /dev/null && echo well"),
            ],
        ),
        "",
    );
    assert_eq!((output.out.as_str(), output.err.as_str()), ("well\n", ""));
}

#[test]
fn a_misspelt_word_is_answered_with_the_nearest_one() {
    let harness = Harness::new();
    for (words, meant) in [
        (&["stauts"][..], "status"),
        (&["plugin", "lsit"], "list"),
        (&["header", "--acess", "read", "user"], "--access"),
        (&["header", "--access", "raed", "user"], "read"),
        (&["logout", "msav"], "masv"),
        (&["login", "mavs"], "masv"),
        (&["login", "masv", "--emial", "a@example.com"], "--email"),
    ] {
        let output = harness.keyferry(words);
        assert!(
            output.code == Some(2) && output.err.contains(meant),
            "{words:?}: {output:?}"
        );
    }
    let secret = harness.keyferry(&["login", "masv", "--emial", "canary"]);
    assert!(!secret.err.contains("canary"), "{secret:?}");
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        "[profile.client.masv]\nteam = \"t\"\n",
    );
    harness
        .keyferry(&["header", "--profile", "cleint", "user"])
        .assert_error(3, "did you mean client?");
}
