//! `keyferry reject`, `--fresh` and the passwords of links.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry_sandbox::{Fault, credentials as c};
use serde_json::Value;

use crate::programs::KEYFERRY;
use crate::terminal::TerminalSession;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::settings::{config, settings};

/// Runs keyferry with the store that users have.
fn run(harness: &Harness, arguments: &[&str]) -> ProgramOutput {
    run_with_input(
        harness
            .program(KEYFERRY, arguments)
            .env_remove("KEYFERRY_STORE"),
        "",
    )
}

fn run_on_link(harness: &Harness, arguments: &[&str]) -> ProgramOutput {
    run_with_input(
        harness
            .program(KEYFERRY, arguments)
            .env_remove("KEYFERRY_STORE"),
        &format!("{}\n", protected_link()),
    )
}

fn protected_link() -> String {
    format!(
        "links/{}?secret={}",
        c::PROTECTED_LINK_ID,
        c::PROTECTED_LINK_SECRET
    )
}

fn refuse_teams(harness: &Harness) {
    let refusal = Fault::status(401).path("/v1/teams").forever();
    harness.sandbox().fault(refusal);
}

#[test]
fn a_valid_token_is_not_replaced_and_a_dead_one_is() {
    let harness = Harness::watching_arguments();
    let teams = format!("{}/v1/teams", harness.sandbox().masv_url());
    let nothing = run(&harness, &["reject", &teams]);
    assert!(
        nothing.code == Some(0) && nothing.out.starts_with("rejected no token\nnext: "),
        "{nothing:?}"
    );
    let first = run(&harness, &["header", &teams]).out;
    let rejected = run(&harness, &["reject", &teams]);
    assert_eq!(rejected.code, Some(0), "{rejected:?}");
    assert!(
        rejected
            .out
            .starts_with("rejected the user token of masv for this URL")
            && rejected.out.contains("asks masv whether"),
        "{rejected:?}"
    );
    rejected.assert_no_secrets();
    assert_eq!(
        harness.sandbox().count("login"),
        1,
        "a report sends nothing"
    );
    run(&harness, &["header", &teams]).assert_error(1, "the token is valid");
    assert_eq!(run(&harness, &["header", "user"]).out, first);
    assert_eq!(harness.sandbox().count("login"), 1);

    let other = format!(
        "{}/v1/teams/{}/packages",
        harness.sandbox().masv_url(),
        c::TEAM_ID
    );
    let before = run(&harness, &["header", &other]).out;
    refuse_teams(&harness);
    let object = run(&harness, &["reject", &other, "--json"]);
    let object: Value = serde_json::from_str(&object.out).unwrap();
    assert_eq!(
        (&object["format"], &object["rejected"], &object["kind"]),
        (&1.into(), &true.into(), &"user".into())
    );
    // The answer to the last test request is remembered for ten seconds, in the record.
    let status = run(&harness, &["header", &other]);
    assert!(status.code == Some(1) || status.out != before, "{status:?}");
}

#[test]
fn a_dead_token_is_replaced_once() {
    let harness = Harness::watching_arguments();
    let teams = format!("{}/v1/teams", harness.sandbox().masv_url());
    let first = run(&harness, &["header", &teams]).out;
    refuse_teams(&harness);
    assert_eq!(run(&harness, &["reject", &teams]).code, Some(0));
    let second = run(&harness, &["header", &teams]);
    assert!(second.code == Some(0) && second.out != first, "{second:?}");
    assert_eq!(run(&harness, &["header", "user"]).out, second.out);
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn a_token_that_was_replaced_is_not_rejected() {
    let harness = Harness::watching_arguments();
    let shown: Value =
        serde_json::from_str(&run(&harness, &["header", "user", "--json"]).out).unwrap();
    let generation = shown["generation"].to_string();
    let other = run(&harness, &["reject", "user", "--generation", "7"]);
    assert!(
        other.code == Some(0) && other.out.starts_with("rejected no token"),
        "{other:?}"
    );
    let own = run(&harness, &["reject", "user", "--generation", &generation]);
    assert!(own.out.starts_with("rejected the user token"), "{own:?}");
}

#[test]
fn a_dead_key_is_reported_to_all_programs() {
    let harness = Harness::watching_arguments();
    let run = |arguments: &[&str]| {
        let mut command = harness.program(KEYFERRY, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("KEYFERRY_MASV_API_KEY", c::API_KEY);
        run_with_input(&mut command, "")
    };
    assert_eq!(run(&["header", "user"]).code, Some(0));
    refuse_teams(&harness);
    let rejected = run(&["reject", "user"]);
    assert!(
        rejected.code == Some(0)
            && rejected.out.contains("the configured key of masv")
            && rejected.out.contains("masv rejected the configured secret"),
        "{rejected:?}"
    );
    let after = run(&["header", "user"]);
    assert!(
        after.code != Some(0) && after.err.contains("rejected the configured secret"),
        "{after:?}"
    );
}

#[test]
fn a_link_password_comes_from_a_file_or_a_descriptor() {
    let harness = Harness::watching_arguments();
    let file = harness.write_private_file("pass", &format!("{}\n", c::LINK_PASSWORD));
    let file_name = file.to_str().unwrap();
    run_on_link(&harness, &["header", "-"]).assert_error(3, "--link-password-file");
    for form in ["header", "token", "curl"] {
        let output = run_on_link(&harness, &[form, "-", "--link-password-file", file_name]);
        assert!(
            output.code == Some(0) && output.out.contains("eyJ"),
            "{form}: {output:?}"
        );
    }
    assert_eq!(harness.sandbox().count("link"), 2, "one refusal, one token");
    let script = r#""$KEYFERRY" header - --link-password-fd 3 3<"$FILE" <link"#;
    harness.write_private_file("work/link", &format!("{}\n", protected_link()));
    let mut command = harness.program("sh", &["-c", script]);
    command.env("KEYFERRY", KEYFERRY).env("FILE", &file);
    let output = run_with_input(&mut command, "");
    assert!(output.out.starts_with("X-Package-Token: eyJ"), "{output:?}");

    let rejected = run_on_link(
        &harness,
        &["reject", "-", "--link-password-file", file_name],
    );
    assert!(
        rejected.out.contains("rejected the package token of masv"),
        "{rejected:?}"
    );
    let opened = harness.sandbox().count("link");
    let again = run_on_link(
        &harness,
        &["header", "-", "--link-password-file", file_name],
    );
    assert_eq!(
        (again.code, harness.sandbox().count("link")),
        (Some(0), opened + 1)
    );

    let empty = harness.write_private_file("empty", "\n");
    let words = [
        "header",
        "-",
        "--link-password-file",
        empty.to_str().unwrap(),
    ];
    run_on_link(&harness, &words).assert_error(3, "missing or empty");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let words = ["token", "-", "--link-password-file", file_name];
    let unsafe_file = run_on_link(&harness, &words);
    assert!(
        unsafe_file.code != Some(0) && unsafe_file.err.contains("chmod 600"),
        "{unsafe_file:?}"
    );
    let value = run_on_link(&harness, &["header", "-", "--link-password", "hunter2"]);
    value.assert_error(2, "--link-password-file or --link-password-fd");
    assert!(!value.err.contains("hunter2"));
    harness.assert_no_secret_in_argv();
}

#[test]
fn a_terminal_is_asked_for_the_password_of_a_link() {
    let harness = Harness::watching_arguments();
    harness.write_private_file("work/link", &format!("{}\n", protected_link()));
    let mut command = harness.program("sh", &["-c", r#""$KEYFERRY" header - < link"#]);
    command.env("KEYFERRY", KEYFERRY);
    let mut session = TerminalSession::start(&mut command);
    session.expect("If the link has a password, type it: ");
    session.send(&format!("{}\n", c::LINK_PASSWORD));
    let (seen, code) = session.end();
    assert!(
        code == Some(0) && seen.contains("X-Package-Token: eyJ"),
        "{seen}"
    );
    assert!(!seen.contains(c::LINK_PASSWORD), "{seen}");
}

#[test]
fn a_session_finds_the_token_of_a_protected_link_by_its_value() {
    let harness = Harness::new();
    let session = Session::open(config(settings(harness.sandbox(), &[]))).unwrap();
    let request = Request {
        link_password: Some(Secret::from(c::LINK_PASSWORD)),
        ..Request::new(protected_link())
    };
    let first = session.token_for(&request).unwrap();
    let value = Secret::from(first.value());
    session.reject_value(&protected_link(), &value).unwrap();
    let second = session.token_for(&request).unwrap();
    assert!(second.meta().generation > first.meta().generation);
}

#[test]
fn fresh_fetches_at_most_one_token_in_ten_seconds() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let harness = Harness::at(i64::try_from(now.as_micros()).unwrap());
    let options = Options {
        clock: harness.clock().clone(),
        refreshes_in_background: false,
    };
    let config = config(settings(harness.sandbox(), &[]));
    let session = Session::open_with(config, options).unwrap();
    let any = Request::new("user");
    let fresh = Request {
        max_age: Some(Duration::from_secs(10)),
        ..any.clone()
    };
    let first = session.token_for(&any).unwrap();
    harness.pass_s(9);
    for _ in 0..20 {
        let same = session.token_for(&fresh).unwrap();
        assert_eq!(same.meta().generation, first.meta().generation);
    }
    assert_eq!(harness.sandbox().count("login"), 1);
    harness.pass_s(2);
    let second = session.token_for(&fresh).unwrap();
    assert!(second.meta().generation > first.meta().generation);
    for _ in 0..20 {
        session.token_for(&fresh).unwrap();
    }
    assert_eq!(harness.sandbox().count("login"), 2);

    // The old token is no replacement for a fresh one, but it serves all other requests.
    harness.pass_s(11);
    harness
        .sandbox()
        .fault(Fault::status(503).path("/v1/auth").forever());
    for _ in 0..5 {
        let error = session.token_for(&fresh).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(harness.sandbox().count("login"), 3, "the pause holds");
    assert_eq!(session.token_for(&any).unwrap().value(), second.value());
}

#[test]
fn fresh_returns_the_token_that_was_just_fetched() {
    let harness = Harness::watching_arguments();
    let first = run(&harness, &["header", "user"]).out;
    for form in ["header", "token", "curl"] {
        let output = run(&harness, &[form, "user", "--fresh"]);
        let value = first.trim_end().split_once(": ").unwrap().1;
        assert!(output.out.contains(value), "{output:?}");
    }
    assert_eq!(harness.sandbox().count("login"), 1);
}
