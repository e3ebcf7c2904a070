//! The traps of the git protocol, by their numbers in its description.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keyferry_sandbox::{BodyKind, Fault, FaultAction, credentials as c};
use serde_json::json;

use crate::harness::{HELPER, KEYFERRY, SECRETS, Stage, call, say};

fn package(stage: &Stage) -> String {
    format!("{}path=v1/packages/{}/files\n", stage.host(stage.sandbox.masv_url()), c::PACKAGE_ID)
}

fn fileverbs(stage: &Stage) -> String {
    stage.host(stage.sandbox.fileverbs_url())
}

#[test]
fn trap_1_nothing_is_half_printed() {
    let stage = Stage::set();
    for (variable, value) in [("KEYFERRY_FILEVERBS_API_KEY", "wrong"), ("KEYFERRY_FILEVERBS_SECRET_KEY", "wrong")] {
        let said = say(stage.program(HELPER, &["get"]).env(variable, value), &fileverbs(&stage));
        said.assert_sentence(1, "FileVerbs refuses the keys");
    }
    for act in [FaultAction::Empty, FaultAction::Half, FaultAction::Status { status: 503, body: BodyKind::Html }] {
        stage.sandbox.fault(Fault::new(act));
        let said = stage.helper("get", &fileverbs(&stage));
        assert_ne!(said.code, Some(0), "{said:?}");
        assert_eq!(said.out, "");
        said.assert_harmless();
        stage.sandbox.clear_faults();
    }
    let said = say(stage.program(HELPER, &["get"]).env("KEYFERRY_FILEVERBS_SECRET_KEY_FILE", "/x"), &fileverbs(&stage));
    said.assert_sentence(1, "are both set");
}

#[test]
fn trap_2_authtype_is_sent_only_where_it_was_announced() {
    let stage = Stage::set();
    let plain = stage.helper("get", &fileverbs(&stage));
    assert_eq!((plain.line("username"), plain.line("authtype"), plain.line("capability[]")), (Some("default"), None, None));
    assert!(plain.line("password").is_some_and(|value| value.starts_with("eyJ")) && plain.line("password_expiry_utc").is_some());
    let state = stage.helper("get", &format!("capability[]=state\ncapability[]=unheard\n{}", fileverbs(&stage)));
    assert_eq!((state.line("authtype"), state.line("username")), (None, Some("default")));
    for input in [format!("capability[]=authtype\n{}", fileverbs(&stage)), format!("{}capability[]=authtype\n", fileverbs(&stage))] {
        let said = stage.helper("get", &input);
        let lines: Vec<_> = said.out.lines().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(lines, ["capability[]", "authtype", "credential", "ephemeral", "password_expiry_utc"]);
        assert_eq!(
            (said.line("capability[]"), said.line("authtype"), said.line("ephemeral")),
            (Some("authtype"), Some("Bearer"), Some("1"))
        );
        let header = format!("Bearer {}", said.line("credential").unwrap());
        assert_eq!(call(stage.sandbox.fileverbs_url(), "/api/v1/fileuploads", &[("Authorization", &header)]), 200);
    }
    let masv = stage.helper("get", &format!("capability[]=authtype\n{}", package(&stage)));
    assert_eq!((masv.line("authtype"), masv.line("username")), (None, Some("X-Package-Token")), "git can't send such a header");
    let reset = stage.helper("get", &format!("capability[]=authtype\ncapability[]=\n{}", fileverbs(&stage)));
    assert_eq!(reset.line("authtype"), None, "an empty one resets the list");
}

#[test]
fn trap_3_a_url_counts_wherever_it_stands() {
    let stage = Stage::set();
    let url = format!("url={}/a/repo.git\n", stage.sandbox.fileverbs_url());
    for input in [format!("{url}capability[]=authtype\n"), format!("capability[]=authtype\n{url}")] {
        assert_eq!(stage.helper("get", &input).line("authtype"), Some("Bearer"));
    }
    // Two addresses in one request: which one is meant is nobody's guess.
    stage.helper("get", &format!("{url}host=other.example\n")).assert_sentence(0, "url stands beside");
}

#[test]
fn trap_4_no_end_is_no_line() {
    let stage = Stage::set();
    for behaviour in ["no_exp", "opaque"] {
        stage.sandbox.configure(behaviour, json!(["bearer"]));
        let said = stage.helper("get", &fileverbs(&stage));
        assert!(said.line("password").is_some() && !said.out.contains("password_expiry_utc"), "{behaviour}");
    }
    let key = say(
        stage.program(HELPER, &["get"]).env("KEYFERRY_MASV_API_KEY", c::API_KEY),
        &format!("{}path=v1/user\n", stage.host(stage.sandbox.masv_url())),
    );
    assert_eq!((key.line("username"), key.line("password"), key.line("password_expiry_utc")), (Some("X-API-KEY"), Some(c::API_KEY), None));
}

#[test]
fn trap_4_an_end_is_told_by_this_machines_clock() {
    let stage = Stage::set();
    stage.sandbox.clock().advance(std::time::Duration::from_secs(7200));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ends: u64 = stage.helper("get", &fileverbs(&stage)).line("password_expiry_utc").unwrap().parse().unwrap();
    assert!((600..=930).contains(&(ends - now)), "a token of 15 minutes ends in {} s", ends - now);
}

#[test]
fn trap_5_standard_output_holds_lines_of_the_protocol_alone() {
    let stage = Stage::set();
    for input in [fileverbs(&stage), package(&stage), format!("capability[]=authtype\n{}", fileverbs(&stage))] {
        let said = say(stage.program(HELPER, &["get"]).env("TERM", "xterm").env("CLICOLOR_FORCE", "1"), &input);
        assert!(said.out.ends_with('\n') && said.out.lines().all(|line| line.contains('=')), "{}", said.out);
        assert_eq!(said.err, "");
    }
}

#[test]
fn trap_6_too_little_is_answered_with_nothing() {
    let stage = Stage::set();
    let lines = ["protocol=http", &stage.host(stage.sandbox.fileverbs_url())[14..], "username=default", "path=a"];
    for word in ["get", "store", "erase"] {
        stage.helper(word, "").assert_quiet();
        stage.helper(word, "\n").assert_quiet();
        for set in 0..16_u32 {
            let kept = |at: &usize| set & (1 << at) != 0;
            let input: String = (0..4).filter(kept).map(|at| format!("{}\n", lines[at].trim_end())).collect();
            let is_enough = set & 3 == 3 && word == "get";
            let said = stage.helper(word, &input);
            if is_enough { assert!(said.line("password").is_some(), "{input}") } else { said.assert_quiet() }
        }
    }
    for input in ["protocol=http\nhost=\n", "protocol=\nhost=x\n", "protocol=cert\npath=/x\n", "url=\n", "url=x\n", "url=http://\n"] {
        stage.helper("get", input).assert_quiet();
    }
}

#[test]
fn trap_7_what_a_url_hides_is_refused() {
    let stage = Stage::set();
    let host = stage.sandbox.fileverbs_url().strip_prefix("http://").unwrap();
    for hidden in ["%0a", "%0A", "%0d", "%00", "%1b", "%7f", "%c2%85", "%e2%80%a8"] {
        for url in [
            format!("http://{host}/a{hidden}b"),
            format!("http://u{hidden}@{host}/"),
            format!("http://{host}{hidden}/"),
            format!("http://{hidden}{host}/"),
        ] {
            stage.helper("get", &format!("url={url}\n")).assert_sentence(0, "hides a control character");
        }
        // Encoded once more it is text to git, and would be a line break to the next reader.
        let said = stage.helper("get", &format!("{}path=v1/packages/a{hidden}\n", stage.host(stage.sandbox.masv_url())));
        assert_eq!(said.out, "", "{hidden}");
    }
    for bad in ["host=a\r\n", "host=a\rb\n", "ho\0st=a\n", "protocol=http\r\nhost=a\r\n\r\n"] {
        stage.helper("get", bad).assert_sentence(0, "control character");
    }
    assert_eq!(stage.sandbox.count("requests"), 0);
}

/// A program that writes its question down and answers with the password.
fn askpass(stage: &Stage) -> String {
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\ncat '{}'\n",
        stage.path("asked").display(),
        stage.private("typed", &format!("{}\n", c::PASSWORD)).display()
    );
    let path = stage.private("askpass", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn trap_8_a_question_shows_nothing_that_steers() {
    let stage = Stage::set();
    let ask = |email: &str| {
        let mut command = stage.stranger(HELPER, &["get"]);
        command
            .env_remove("GIT_TERMINAL_PROMPT")
            .env("GIT_ASKPASS", askpass(&stage))
            .env("KEYFERRY_MASV_EMAIL", email)
            .env("KEYFERRY_MASV_TEAM", c::TEAM_ID);
        say(&mut command, &package(&stage))
    };
    let said = ask(c::EMAIL);
    assert_eq!(said.line("username"), Some("X-Package-Token"), "{}", said.err);
    assert_eq!(fs::read_to_string(stage.path("asked")).unwrap(), format!("Password for {} at {}: \n", c::EMAIL, stage.sandbox.masv_url()));
    ask("a\u{202e}b@example.com").assert_sentence(1, "refuses");
    assert!(fs::read_to_string(stage.path("asked")).unwrap().contains("a%E2%80%AEb@example.com"));
}

#[test]
fn trap_9_a_masv_host_without_a_path_says_too_little() {
    let stage = Stage::set();
    let said = stage.helper("get", &stage.host(stage.sandbox.masv_url()));
    said.assert_sentence(0, "useHttpPath");
    stage.helper("get", &format!("{}path=\n", stage.host(stage.sandbox.masv_url()))).assert_sentence(0, "useHttpPath");
    assert_eq!(stage.sandbox.count("requests"), 0);
}

#[test]
fn trap_11_nobody_is_asked_where_git_says_so() {
    let stage = Stage::set();
    let ask = |variables: &[(&str, &str)]| {
        let mut command = stage.stranger(HELPER, &["get"]);
        command.env_remove("GIT_TERMINAL_PROMPT").env("GIT_ASKPASS", askpass(&stage)).env("KEYFERRY_MASV_EMAIL", c::EMAIL);
        say(command.envs(variables.iter().copied()), &package(&stage))
    };
    ask(&[("GIT_TERMINAL_PROMPT", "0")]).assert_sentence(3, "masv.password");
    for value in ["never", "false", "0"] {
        let variables = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "credential.interactive"), ("GIT_CONFIG_VALUE_0", value)];
        ask(&variables).assert_sentence(3, "masv.password");
    }
    assert!(!stage.path("asked").exists());
    assert_eq!(ask(&[]).line("username"), Some("X-Package-Token"));
}

#[test]
fn trap_11_without_a_terminal_it_fails_at_once() {
    let stage = Stage::set();
    let mut command = stage.stranger("setsid", &["--wait", HELPER, "get"]);
    let said = say(command.env_remove("GIT_TERMINAL_PROMPT").env("KEYFERRY_MASV_EMAIL", c::EMAIL), &package(&stage));
    said.assert_sentence(3, "masv.password");
}

#[test]
fn trap_12_other_headers_come_under_a_key_that_git_drops() {
    let stage = Stage::set();
    let said = stage.helper("get", &package(&stage));
    let (name, value) = said.line("header[]").unwrap().split_once(": ").unwrap();
    assert_eq!((name, Some(value)), ("X-Package-Token", said.line("password")));
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(call(stage.sandbox.masv_url(), &path, &[(name, value)]), 200);
}

#[test]
fn what_is_not_ours_is_answered_with_nothing() {
    let stage = Stage::set();
    let agent = stage.host(stage.sandbox.agent_url());
    let port = stage.sandbox.fileverbs_url().rsplit(':').next().unwrap();
    for input in [
        "protocol=https\nhost=github.com\n".to_owned(),
        agent.clone(),
        format!("{agent}path=api/v1/login\n"),
        format!("protocol=https\nhost=127.0.0.1:{port}\n"),
        format!("protocol=http\nhost=127.0.0.1.example.com:{port}\n"),
        format!("protocol=http\nhost=localhost:{port}\n"),
        format!("protocol=http\nhost=127.0.0.1:{}\n", port.parse::<u32>().unwrap() ^ 1),
        format!("protocol=http\nhost=evil.example@127.0.0.1:{port}\n"),
        format!("protocol=http\nhost=127.0.0.1:{port}/x\n"),
        format!("protocol=http\nhost=127.0.0.1:{port}#\n"),
        format!("protocol=ssh\nhost=127.0.0.1:{port}\n"),
        "protocol=http\nhost=api.fileverbs.com\n".to_owned(),
        format!("{}username=somebody\n", fileverbs(&stage)),
        format!("{}path=v1/packages/../user\n", stage.host(stage.sandbox.masv_url())),
    ] {
        for word in ["get", "store", "erase"] {
            let said = stage.helper(word, &input);
            assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""), "{word} {input}");
        }
    }
}

#[test]
fn unknown_words_are_quiet_and_capability_is_told() {
    let stage = Stage::set();
    for word in ["unheard", "--help", "GET", "get ", ""] {
        stage.helper(word, &fileverbs(&stage)).assert_quiet();
    }
    for mut command in [stage.program(HELPER, &["capability"]), stage.program(KEYFERRY, &["git", "capability"])] {
        assert_eq!(say(&mut command, "").out, "version 0\ncapability authtype\n");
    }
    let none = say(&mut stage.program(HELPER, &[]), "");
    assert!(none.code == Some(2) && none.err.contains("usage"), "{none:?}");
    let same = say(&mut stage.program(KEYFERRY, &["git", "get"]), &fileverbs(&stage));
    assert_eq!(same.line("username"), Some("default"));
}

#[test]
fn store_and_erase_say_nothing_and_keep_no_typed_password() {
    let stage = Stage::set();
    for (word, more) in [
        ("store", "username=ann\npassword=typed\n"),
        ("store", "username=X-User-Token\npassword=typed\n"),
        ("store", "username=X-Package-Token\npassword=a.b.c\n"),
        ("erase", "username=ann\npassword=typed\n"),
        ("erase", "authtype=Bearer\ncredential=typed\n"),
        ("erase", ""),
    ] {
        for host in [package(&stage), fileverbs(&stage), stage.host(stage.sandbox.masv_url())] {
            stage.helper(word, &format!("{host}{more}")).assert_quiet();
        }
    }
    // What a program prints for a missing token is none.
    let said = stage.helper("store", &format!("{}username=X-Package-Token\npassword=undefined\n", package(&stage)));
    said.assert_sentence(1, "no token");
    assert_eq!(stage.sandbox.count("requests"), 0, "neither goes to the network");
}

#[test]
fn a_profile_is_chosen_by_its_name_as_user_name() {
    let stage = Stage::set();
    let config = format!("[profile.work.fileverbs]\nsecret_key = \"{}\"\n", c::SECRET_KEY);
    fs::create_dir_all(stage.config().parent().unwrap()).unwrap();
    stage.private("home/.config/keyferry/config.toml", &config);
    let said = say(&mut stage.stranger(HELPER, &["get"]), &format!("{}username=work\n", fileverbs(&stage)));
    assert_eq!((said.line("username"), said.line("password")), (Some("SecretKey"), Some(c::SECRET_KEY)), "{}", said.err);
    say(&mut stage.stranger(HELPER, &["get"]), &fileverbs(&stage)).assert_sentence(3, "fileverbs.secret_key");
    assert!(SECRETS.contains(&c::SECRET_KEY));
}
