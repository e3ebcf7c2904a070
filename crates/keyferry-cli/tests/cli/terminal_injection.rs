//! Characters that a terminal obeys reach no terminal and no pipe: from a server, a URL, an
//! argument, a variable, a file's name.

use std::fs;
use std::path::Path;

use keyferry_sandbox::{Fault, FaultAction, credentials as c};
use serde_json::{Value, json};

use crate::programs::{HELPER, KEYFERRY, Programs, protocol_and_host};
use crate::terminal::TerminalSession;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

/// C0, DEL, C1, and what turns the direction of writing.
const EVIL: &str =
    "\u{1b}[2J\u{7}\u{8}\u{7f}\u{9b}31m\u{85}\u{2028}\u{202e}\u{2066}\u{200f}\u{61c}";

fn steers(symbol: char) -> bool {
    let turns = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    (symbol.is_control() && symbol != '\n')
        || "\u{2028}\u{2029}".contains(symbol)
        || turns.contains(symbol)
}

#[track_caller]
fn assert_plain(output: &ProgramOutput) {
    for text in [&output.out, &output.err] {
        assert!(!text.contains(steers), "{text:?}");
    }
}

/// Every command that may show something of what it was told, with the input that it reads.
fn commands(harness: &Harness) -> Vec<(&'static str, Vec<String>, String)> {
    let package = format!("packages/{}", c::PACKAGE_ID);
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    let uri =
        json!({ "uri": format!("{}/v1/{package}", harness.sandbox().masv_url()) }).to_string();
    let plain = [
        &["login", "masv"][..],
        &["login", "fileverbs"],
        &["login", "agent"],
        &["agent"],
        &["agent", "--json"],
        &["agent", "sign-in"],
        &["header", "masv:/v1/users/self"],
        &["curl", &package],
        &["token", "fileverbs:bearer"],
        &["status"],
        &["status", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["config"],
        &["config", "--json"],
        &["explain", &package],
        &["logout", "masv"],
    ];
    let owned = |words: &&[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let mut all: Vec<_> = plain
        .iter()
        .map(|words| (KEYFERRY, owned(words), String::new()))
        .collect();
    all.push((KEYFERRY, owned(&&["get"][..]), uri));
    all.push((HELPER, owned(&&["get"][..]), question.clone()));
    all.push((
        HELPER,
        owned(&&["erase"][..]),
        format!("{question}password=x\n"),
    ));
    all
}

fn run(
    harness: &Harness,
    (program, words, input): &(&str, Vec<String>, String),
    variables: &[(&str, String)],
) -> ProgramOutput {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut command = harness.program(program, &words);
    run_with_input(
        command.envs(variables.iter().map(|(name, value)| (name, value))),
        input,
    )
}

#[test]
fn a_servers_words_reach_no_terminal_raw_by_any_command() {
    let harness = Harness::watching_arguments();
    let response: Value = json!({
        "code": 1, "message": EVIL, "error": EVIL, "errors": [{ "msg": EVIL, "field": EVIL }], "detail": EVIL, "title": EVIL,
        "token": EVIL, "email": EVIL, "name": EVIL, "user": { "email": format!("a{EVIL}@example.com"), "name": EVIL },
        "teams": [{ "id": EVIL, "name": EVIL, "subdomain": EVIL }], "JwtToken": EVIL, "access_token": EVIL,
    });
    for status in [200, 401, 404, 500] {
        for command in commands(&harness) {
            for path in ["/v1", "/api", "/"] {
                let action = FaultAction::Literal {
                    status,
                    media_type: "application/json".into(),
                    body: response.to_string(),
                };
                harness
                    .sandbox()
                    .fault(Fault::new(action).path(path).forever());
            }
            let output = run(
                &harness,
                &command,
                &[("KEYFERRY_HTTP_TIMEOUT_MS", "1500".into())],
            );
            assert_plain(&output);
            harness.sandbox().clear_faults();
        }
    }
}

#[test]
fn what_the_agent_says_of_its_user_is_shown_without_what_steers() {
    let harness = Harness::watching_arguments();
    let user = json!({ "user": { "email": format!("ann{EVIL}@example.com") }, "teams": [{ "id": "1", "name": format!("team{EVIL}") }] });
    for words in [&["agent"][..], &["agent", "--json"]] {
        harness.sandbox().fault(Fault::new(FaultAction::Literal {
            status: 200,
            media_type: "application/json".into(),
            body: user.to_string(),
        }));
        let output = harness.keyferry(words);
        assert!(
            output.code == Some(0) && output.out.contains("ann") && output.out.contains("team"),
            "{output:?}"
        );
        assert_plain(&output);
    }
}

#[test]
fn arguments_come_back_without_what_steers() {
    let harness = Harness::watching_arguments();
    let evil = format!("x{EVIL}");
    let long = format!("--{evil}");
    let url = format!("{}/v1/packages/{evil}", harness.sandbox().masv_url());
    for words in [
        &[evil.as_str()][..],
        &[&long],
        &["status", &long],
        &["status", &evil],
        &["login", "masv", "--email", &evil],
        &["header", &evil],
        &["header", &url],
        &["header", "user", "--profile", &evil],
        &["header", "user", "--access", &evil],
        &["explain", &evil],
        &["explain", &url],
        &["explain", "packages/%1b%5b2J%e2%80%ae"],
        &["config", "--profile", &evil],
        &["doctor", "--profile", &evil],
        &["logout", &evil],
        &["exec", "--profile", &evil, "--", "true"],
        &["exec", "--", &format!("/nonexistent/{evil}")],
        &[
            "login",
            "masv",
            "--secret-file",
            &format!("/nonexistent/{evil}"),
        ],
        &["sandbox", "--masv-port", &evil],
    ] {
        let output = harness.keyferry(words);
        assert_ne!(output.code, Some(101), "{output:?}");
        assert_plain(&output);
    }
    for input in [
        format!("protocol=https\nhost={evil}\n"),
        format!("url=https://{evil}/\n"),
        format!("{evil}=x\n"),
    ] {
        let output = harness.helper("get", &input);
        assert_plain(&output);
    }
}

#[test]
fn names_of_files_variables_and_settings_are_shown_without_what_steers() {
    let harness = Harness::watching_arguments();
    let home = harness.path(&format!("home{}", EVIL.replace('\u{85}', "")));
    let file = home.join(".config/keyferry/config.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let private = |text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let variables = |home: &Path| {
        let proxy = format!("http://user:x@proxy{EVIL}.example:1");
        [
            ("HOME", home.display().to_string()),
            ("HTTPS_PROXY", proxy),
            ("KEYFERRY_STORE", "file".into()),
            ("LC_ALL", EVIL.into()),
        ]
    };
    let email = "a\u{202e}b@example.com";
    for text in [
        "no TOML",
        &format!(
            "[masv]\nemail = \"{email}\"\npassword = {{ command = [\"/nonexistent/\u{202e}x\"] }}\n"
        ),
    ] {
        private(text);
        for command in commands(&harness) {
            assert_plain(&run(&harness, &command, &variables(&home)));
        }
    }
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let doctor = run(
        &harness,
        &(KEYFERRY, vec!["doctor".into()], String::new()),
        &variables(&home),
    );
    assert!(
        doctor.code == Some(3) && doctor.out.contains("chmod go-w"),
        "{doctor:?}"
    );
    assert_plain(&doctor);
}

#[test]
fn a_terminal_sees_no_more_than_a_pipe() {
    let harness = Harness::watching_arguments();
    let response = json!({ "message": EVIL, "token": format!("x{EVIL}"), "user": { "email": EVIL }, "teams": [] }).to_string();
    for words in [
        &["header", "user"][..],
        &["token", "user"],
        &["login", "masv"],
        &["agent"],
        &["doctor"],
        &["status"],
        &["explain", EVIL],
    ] {
        harness.sandbox().fault(
            Fault::new(FaultAction::Literal {
                status: 200,
                media_type: "application/json".into(),
                body: response.clone(),
            })
            .forever(),
        );
        let (seen, _) =
            TerminalSession::start(harness.program(KEYFERRY, words).env("TERM", "dumb")).end();
        assert!(
            !seen.replace('\r', "").contains(steers),
            "{words:?}: {seen:?}"
        );
        harness.sandbox().clear_faults();
    }
}
