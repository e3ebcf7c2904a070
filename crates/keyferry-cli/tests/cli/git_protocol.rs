//! The traps of the git protocol, by their numbers in its description.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keyferry_sandbox::{BodyKind, Fault, FaultAction, credentials as c};
use serde_json::json;

use crate::programs::{HELPER, KEYFERRY, Programs, protocol_and_host};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::http;

fn package(harness: &Harness) -> String {
    format!(
        "{}path=v1/packages/{}/files\n",
        protocol_and_host(harness.sandbox().masv_url()),
        c::PACKAGE_ID
    )
}

fn fileverbs(harness: &Harness) -> String {
    protocol_and_host(harness.sandbox().fileverbs_url())
}

#[test]
fn trap_1_nothing_is_half_printed() {
    let harness = Harness::watching_arguments();
    for (variable, value) in [
        ("KEYFERRY_FILEVERBS_API_KEY", "wrong"),
        ("KEYFERRY_FILEVERBS_SECRET_KEY", "wrong"),
    ] {
        let output = run_with_input(
            harness.program(HELPER, &["get"]).env(variable, value),
            &fileverbs(&harness),
        );
        output.assert_error(3, "FileVerbs rejected the keys");
    }
    for act in [
        FaultAction::Empty,
        FaultAction::Half,
        FaultAction::Status {
            status: 503,
            body: BodyKind::Html,
        },
    ] {
        harness.sandbox().fault(Fault::new(act));
        let output = harness.helper("get", &fileverbs(&harness));
        assert_ne!(output.code, Some(0), "{output:?}");
        assert_eq!(output.out, "");
        output.assert_no_secrets();
        harness.sandbox().clear_faults();
    }
    let output = run_with_input(
        harness
            .program(HELPER, &["get"])
            .env("KEYFERRY_FILEVERBS_SECRET_KEY_FILE", "/x"),
        &fileverbs(&harness),
    );
    output.assert_error(3, "are both set");
}

#[test]
fn trap_2_authtype_is_sent_only_where_it_was_announced() {
    let harness = Harness::watching_arguments();
    let plain = harness.helper("get", &fileverbs(&harness));
    assert_eq!(
        (
            plain.line("username"),
            plain.line("authtype"),
            plain.line("capability[]")
        ),
        (Some("default"), None, None)
    );
    assert!(
        plain
            .line("password")
            .is_some_and(|value| value.starts_with("eyJ"))
            && plain.line("password_expiry_utc").is_some()
    );
    let state = harness.helper(
        "get",
        &format!(
            "capability[]=state\ncapability[]=unheard\n{}",
            fileverbs(&harness)
        ),
    );
    assert_eq!(
        (state.line("authtype"), state.line("username")),
        (None, Some("default"))
    );
    for input in [
        format!("capability[]=authtype\n{}", fileverbs(&harness)),
        format!("{}capability[]=authtype\n", fileverbs(&harness)),
    ] {
        let output = harness.helper("get", &input);
        let lines: Vec<_> = output
            .out
            .lines()
            .map(|line| line.split('=').next().unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                "capability[]",
                "authtype",
                "credential",
                "ephemeral",
                "password_expiry_utc"
            ]
        );
        assert_eq!(
            (
                output.line("capability[]"),
                output.line("authtype"),
                output.line("ephemeral")
            ),
            (Some("authtype"), Some("Bearer"), Some("1"))
        );
        let header = format!("Bearer {}", output.line("credential").unwrap());
        assert_eq!(
            http::get(
                harness.sandbox().fileverbs_url(),
                "/api/v1/fileuploads",
                &[("Authorization", &header)]
            )
            .status,
            200
        );
    }
    let masv = harness.helper(
        "get",
        &format!("capability[]=authtype\n{}", package(&harness)),
    );
    assert_eq!(
        (masv.line("authtype"), masv.line("username")),
        (None, Some("X-Package-Token")),
        "git can't send such a header"
    );
    let reset = harness.helper(
        "get",
        &format!(
            "capability[]=authtype\ncapability[]=\n{}",
            fileverbs(&harness)
        ),
    );
    assert_eq!(reset.line("authtype"), None, "an empty one resets the list");
}

#[test]
fn trap_3_a_url_counts_wherever_it_stands() {
    let harness = Harness::watching_arguments();
    let url = format!("url={}/a/repo.git\n", harness.sandbox().fileverbs_url());
    for input in [
        format!("{url}capability[]=authtype\n"),
        format!("capability[]=authtype\n{url}"),
    ] {
        assert_eq!(
            harness.helper("get", &input).line("authtype"),
            Some("Bearer")
        );
    }
    // Two addresses in one request: which one is meant is nobody's guess.
    harness
        .helper("get", &format!("{url}host=other.example\n"))
        .assert_error(0, "url as well as protocol or host");
}

#[test]
fn trap_4_no_end_is_no_line() {
    let harness = Harness::watching_arguments();
    for behaviour in ["no_exp", "opaque"] {
        harness.sandbox().configure(behaviour, json!(["bearer"]));
        let output = harness.helper("get", &fileverbs(&harness));
        assert!(
            output.line("password").is_some() && !output.out.contains("password_expiry_utc"),
            "{behaviour}"
        );
    }
    let key = run_with_input(
        harness
            .program(HELPER, &["get"])
            .env("KEYFERRY_MASV_API_KEY", c::API_KEY),
        &format!(
            "{}path=v1/user\n",
            protocol_and_host(harness.sandbox().masv_url())
        ),
    );
    assert_eq!(
        (
            key.line("username"),
            key.line("password"),
            key.line("password_expiry_utc")
        ),
        (Some("X-API-KEY"), Some(c::API_KEY), None)
    );
}

#[test]
fn trap_4_an_end_is_told_by_this_machines_clock() {
    let harness = Harness::watching_arguments();
    harness
        .sandbox()
        .clock()
        .advance(std::time::Duration::from_secs(7200));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let ends: u64 = harness
        .helper("get", &fileverbs(&harness))
        .line("password_expiry_utc")
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (600..=930).contains(&(ends - now)),
        "a token of 15 minutes ends in {} s",
        ends - now
    );
}

#[test]
fn trap_5_standard_output_holds_lines_of_the_protocol_alone() {
    let harness = Harness::watching_arguments();
    for input in [
        fileverbs(&harness),
        package(&harness),
        format!("capability[]=authtype\n{}", fileverbs(&harness)),
    ] {
        let output = run_with_input(
            harness
                .program(HELPER, &["get"])
                .env("TERM", "xterm")
                .env("CLICOLOR_FORCE", "1"),
            &input,
        );
        assert!(
            output.out.ends_with('\n') && output.out.lines().all(|line| line.contains('=')),
            "{}",
            output.out
        );
        assert_eq!(output.err, "");
    }
}

#[test]
fn trap_6_too_little_is_answered_with_nothing() {
    let harness = Harness::watching_arguments();
    let lines = [
        "protocol=http",
        &protocol_and_host(harness.sandbox().fileverbs_url())[14..],
        "username=default",
        "path=a",
    ];
    for word in ["get", "store", "erase"] {
        harness.helper(word, "").assert_silent();
        harness.helper(word, "\n").assert_silent();
        for set in 0..16_u32 {
            let kept = |at: &usize| set & (1 << at) != 0;
            let input: String = (0..4)
                .filter(kept)
                .map(|at| format!("{}\n", lines[at].trim_end()))
                .collect();
            let is_enough = set & 3 == 3 && word == "get";
            let output = harness.helper(word, &input);
            if is_enough {
                assert!(output.line("password").is_some(), "{input}")
            } else {
                output.assert_silent()
            }
        }
    }
    for input in [
        "protocol=http\nhost=\n",
        "protocol=\nhost=x\n",
        "protocol=cert\npath=/x\n",
        "url=\n",
        "url=x\n",
        "url=http://\n",
    ] {
        harness.helper("get", input).assert_silent();
    }
}

#[test]
fn trap_7_what_a_url_hides_is_refused() {
    let harness = Harness::watching_arguments();
    let host = harness
        .sandbox()
        .fileverbs_url()
        .strip_prefix("http://")
        .unwrap();
    for hidden in [
        "%0a",
        "%0A",
        "%0d",
        "%00",
        "%1b",
        "%7f",
        "%c2%85",
        "%e2%80%a8",
    ] {
        for (url, reason) in [
            (
                format!("http://{host}/a{hidden}b"),
                "an encoded control character",
            ),
            (
                format!("http://u{hidden}@{host}/"),
                "an encoded control character",
            ),
            (format!("http://{host}{hidden}/"), "percent-encoded"),
            (format!("http://{hidden}{host}/"), "percent-encoded"),
        ] {
            harness
                .helper("get", &format!("url={url}\n"))
                .assert_error(0, reason);
        }
        // Encoded once more it is text to git, and would be a line break to the next reader.
        let output = harness.helper(
            "get",
            &format!(
                "{}path=v1/packages/a{hidden}\n",
                protocol_and_host(harness.sandbox().masv_url())
            ),
        );
        assert_eq!(output.out, "", "{hidden}");
    }
    let encoded = host.replace('.', "%2e");
    for (url, reason) in [
        (format!("http://{encoded}/"), "percent-encoded"),
        (format!("http://:@{host}/"), "an empty user name"),
        (format!("http://@{host}/"), "an empty user name"),
        (format!("http://u:@{host}/"), "a password"),
        (format!("http://u:p@{host}/"), "a password"),
    ] {
        harness
            .helper("get", &format!("url={url}\n"))
            .assert_error(0, reason);
    }
    for bad in [
        "host=a\r\n",
        "host=a\rb\n",
        "protocol=http\r\nhost=a\r\n\r\n",
    ] {
        harness
            .helper("get", bad)
            .assert_error(0, "control character");
    }
    harness
        .helper("get", "ho\0st=a\n")
        .assert_error(0, "write host");
    assert_eq!(harness.sandbox().count("requests"), 0);
}

/// A program that writes its question down and answers with the password.
fn askpass(harness: &Harness) -> String {
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\ncat '{}'\n",
        harness.path("asked").display(),
        harness
            .write_private_file("typed", &format!("{}\n", c::PASSWORD))
            .display()
    );
    let path = harness.write_private_file("askpass", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn trap_8_a_question_shows_nothing_that_steers() {
    let harness = Harness::watching_arguments();
    let ask = |email: &str| {
        let mut command = harness.program_without_secrets(HELPER, &["get"]);
        command
            .env_remove("GIT_TERMINAL_PROMPT")
            .env("GIT_ASKPASS", askpass(&harness))
            .env("KEYFERRY_MASV_EMAIL", email)
            .env("KEYFERRY_MASV_TEAM", c::TEAM_ID);
        run_with_input(&mut command, &package(&harness))
    };
    let output = ask(c::EMAIL);
    assert_eq!(
        output.line("username"),
        Some("X-Package-Token"),
        "{}",
        output.err
    );
    assert_eq!(
        fs::read_to_string(harness.path("asked")).unwrap(),
        format!(
            "Password for {} at {}: \n",
            c::EMAIL,
            harness.sandbox().masv_url()
        )
    );
    ask("a\u{202e}b@example.com").assert_error(3, "rejected");
    assert!(
        fs::read_to_string(harness.path("asked"))
            .unwrap()
            .contains("a%E2%80%AEb@example.com")
    );
}

#[test]
fn trap_9_a_masv_host_without_a_path_says_too_little() {
    let harness = Harness::watching_arguments();
    let output = harness.helper("get", &protocol_and_host(harness.sandbox().masv_url()));
    output.assert_error(0, "useHttpPath");
    harness
        .helper(
            "get",
            &format!("{}path=\n", protocol_and_host(harness.sandbox().masv_url())),
        )
        .assert_error(0, "useHttpPath");
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn trap_11_nobody_is_asked_where_git_says_so() {
    let harness = Harness::watching_arguments();
    let ask = |variables: &[(&str, &str)]| {
        let mut command = harness.program_without_secrets(HELPER, &["get"]);
        command
            .env_remove("GIT_TERMINAL_PROMPT")
            .env("GIT_ASKPASS", askpass(&harness))
            .env("KEYFERRY_MASV_EMAIL", c::EMAIL);
        run_with_input(command.envs(variables.iter().copied()), &package(&harness))
    };
    ask(&[("GIT_TERMINAL_PROMPT", "0")]).assert_error(3, "masv.password");
    for value in ["never", "false", "0"] {
        let variables = [
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "credential.interactive"),
            ("GIT_CONFIG_VALUE_0", value),
        ];
        ask(&variables).assert_error(3, "masv.password");
    }
    assert!(!harness.path("asked").exists());
    assert_eq!(ask(&[]).line("username"), Some("X-Package-Token"));
}

#[test]
fn trap_11_without_a_terminal_it_fails_at_once() {
    let harness = Harness::watching_arguments();
    let mut command = harness.program_without_secrets("setsid", &["--wait", HELPER, "get"]);
    let output = run_with_input(
        command
            .env_remove("GIT_TERMINAL_PROMPT")
            .env("KEYFERRY_MASV_EMAIL", c::EMAIL),
        &package(&harness),
    );
    output.assert_error(3, "masv.password");
}

#[test]
fn trap_12_other_headers_come_under_a_key_that_git_drops() {
    let harness = Harness::watching_arguments();
    let output = harness.helper("get", &package(&harness));
    let (name, value) = output.line("header[]").unwrap().split_once(": ").unwrap();
    assert_eq!(
        (name, Some(value)),
        ("X-Package-Token", output.line("password"))
    );
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(
        http::get(harness.sandbox().masv_url(), &path, &[(name, value)]).status,
        200
    );
}

#[test]
fn what_is_not_ours_is_answered_with_nothing() {
    let harness = Harness::watching_arguments();
    let agent = protocol_and_host(harness.sandbox().agent_url());
    let port = harness
        .sandbox()
        .fileverbs_url()
        .rsplit(':')
        .next()
        .unwrap();
    for input in [
        "protocol=https\nhost=github.com\n".to_owned(),
        agent.clone(),
        format!("{agent}path=api/v1/login\n"),
        format!("protocol=https\nhost=127.0.0.1:{port}\n"),
        format!("protocol=http\nhost=127.0.0.1.example.com:{port}\n"),
        format!("protocol=http\nhost=localhost:{port}\n"),
        format!(
            "protocol=http\nhost=127.0.0.1:{}\n",
            port.parse::<u32>().unwrap() ^ 1
        ),
        format!("protocol=http\nhost=evil.example@127.0.0.1:{port}\n"),
        format!("protocol=http\nhost=127.0.0.1:{port}/x\n"),
        format!("protocol=http\nhost=127.0.0.1:{port}#\n"),
        format!("protocol=ssh\nhost=127.0.0.1:{port}\n"),
        "protocol=http\nhost=api.fileverbs.com\n".to_owned(),
        format!("{}username=somebody\n", fileverbs(&harness)),
        format!(
            "{}path=v1/packages/../user\n",
            protocol_and_host(harness.sandbox().masv_url())
        ),
    ] {
        for word in ["get", "store", "erase"] {
            let output = harness.helper(word, &input);
            assert_eq!(
                (output.code, output.out.as_str(), output.err.as_str()),
                (Some(0), "", ""),
                "{word} {input}"
            );
        }
    }
}

#[test]
fn unknown_words_are_quiet_and_capability_is_told() {
    let harness = Harness::watching_arguments();
    for word in ["unheard", "--help", "GET", "get ", ""] {
        harness.helper(word, &fileverbs(&harness)).assert_silent();
    }
    for mut command in [
        harness.program(HELPER, &["capability"]),
        harness.program(KEYFERRY, &["git", "capability"]),
    ] {
        assert_eq!(
            run_with_input(&mut command, "").out,
            "version 0\ncapability authtype\n"
        );
    }
    let none = run_with_input(&mut harness.program(HELPER, &[]), "");
    assert!(
        none.code == Some(2) && none.err.contains("usage"),
        "{none:?}"
    );
    let same = run_with_input(
        &mut harness.program(KEYFERRY, &["git", "get"]),
        &fileverbs(&harness),
    );
    assert_eq!(same.line("username"), Some("default"));
}

#[test]
fn store_and_erase_say_nothing_and_keep_no_typed_password() {
    let harness = Harness::watching_arguments();
    for (word, more) in [
        ("store", "username=ann\npassword=typed\n"),
        ("store", "username=X-User-Token\npassword=typed\n"),
        ("store", "username=X-Package-Token\npassword=a.b.c\n"),
        ("erase", "username=ann\npassword=typed\n"),
        ("erase", "authtype=Bearer\ncredential=typed\n"),
        ("erase", ""),
    ] {
        for host in [
            package(&harness),
            fileverbs(&harness),
            protocol_and_host(harness.sandbox().masv_url()),
        ] {
            harness
                .helper(word, &format!("{host}{more}"))
                .assert_silent();
        }
    }
    // What a program prints for a missing token is none.
    let output = harness.helper(
        "store",
        &format!(
            "{}username=X-Package-Token\npassword=undefined\n",
            package(&harness)
        ),
    );
    output.assert_error(1, "missing token");
    assert_eq!(
        harness.sandbox().count("requests"),
        0,
        "neither goes to the network"
    );
}

#[test]
fn a_profile_is_chosen_by_its_name_as_user_name() {
    let harness = Harness::watching_arguments();
    let config = format!(
        "[profile.work.fileverbs]\nsecret_key = \"{}\"\n",
        c::SECRET_KEY
    );
    fs::create_dir_all(harness.config().parent().unwrap()).unwrap();
    harness.write_private_file("home/.config/keyferry/config.toml", &config);
    let output = run_with_input(
        &mut harness.program_without_secrets(HELPER, &["get"]),
        &format!("{}username=work\n", fileverbs(&harness)),
    );
    assert_eq!(
        (output.line("username"), output.line("password")),
        (Some("SecretKey"), Some(c::SECRET_KEY)),
        "{}",
        output.err
    );
    run_with_input(
        &mut harness.program_without_secrets(HELPER, &["get"]),
        &fileverbs(&harness),
    )
    .assert_error(3, "fileverbs.secret_key");
}
