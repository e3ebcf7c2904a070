//! The JSON of `explain`, `list` and `stats`: each field, in its order.

use std::sync::Arc;

use keyferry::session::inspect::Sources;
use keyferry::{Config, NextStep, Session};
use keyferry_testing::harness::Harness;

use crate::sessions::{self, package};

/// The text with `0` for each number: times, generations and ports differ between runs.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for symbol in text.chars() {
        match symbol {
            '0'..='9' if masked.ends_with('0') => {}
            '0'..='9' => masked.push('0'),
            _ => masked.push(symbol),
        }
    }
    masked
}

#[test]
fn explain_has_the_same_fields_with_and_without_a_token() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    assert_eq!(
        masked(&session.explain("user").unwrap()),
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"fetch":{"failure":null,"header":null,"setting":null,"step":"log_in"},"id":"","key":"masv user","next":"the store is checked, then the service is contacted","origin":"service","pause":null,"service":"masv","settings":[{"key":"masv.email","source":"the program"},{"key":"masv.password","source":"the program"}],"store":"memory","token":null}"#
    );
    session.token("user").unwrap();
    assert_eq!(
        masked(&session.explain("user").unwrap()),
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"fetch":null,"id":"","key":"masv user","next":"the cached token is fresh and is returned","origin":"memory","pause":null,"service":"masv","settings":[],"store":"memory","token":{"access":"full","acquired_unix_s":0,"callers_wait_from_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-User-Token"],"id":"","kind":"user","refresh_from_unix_s":0,"service":"masv","user":"ferry@example.com"}}"#
    );
}

#[test]
fn explain_shows_a_pause_with_its_error() {
    let session = sessions::open_but(&sessions::sandbox(), &[("masv.url", "http://127.0.0.1:1")]);
    session.token("user").unwrap_err();
    assert_eq!(
        masked(&session.explain("user").unwrap()),
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"fetch":{"failure":{"message":"cannot connect to 0.0.0.0:0: connection refused; check that it is running, and check its URL and port","retry_after_ms":0,"since_unix_s":null,"status":0},"header":null,"setting":null,"step":"fail"},"id":"","key":"masv user","next":"the last error is returned until the pause ends","origin":"service","pause":{"error":"cannot connect to 0.0.0.0:0: connection refused; check that it is running, and check its URL and port","retry_after_ms":0},"service":"masv","settings":[],"store":"memory","token":null}"#
    );
}

/// The message of the rejection, and `explain`, name each setting and its source, and no value.
#[test]
fn a_rejection_names_the_settings_and_their_sources() {
    let sandbox = sessions::sandbox();
    let used = "; keyferry read `masv.email` from the program and `masv.password` from the program";
    let session = sessions::open_but(&sandbox, &[("masv.password", "wrong")]);
    for _ in 0..2 {
        let error = session.token("user").unwrap_err();
        assert!(error.message.ends_with(used), "{}", error.message);
        assert_eq!(error.message.matches("keyferry read").count(), 1);
    }
    let explained: serde_json::Value =
        serde_json::from_str(&session.explain("user").unwrap()).unwrap();
    let failure = &explained["fetch"]["failure"];
    assert!(failure["message"].as_str().unwrap().ends_with(used));
    assert!(failure["since_unix_s"].is_i64(), "{failure}");
    assert_eq!(sandbox.count("login"), 1);

    let key = sessions::open_but(&sandbox, &[("masv.api_key", "wrong")]);
    for resource in [package(1), package(2)] {
        let error = key.token(&resource).unwrap_err();
        let used = "; keyferry read `masv.api_key` from the program";
        assert!(error.message.ends_with(used), "{}", error.message);
    }
}

/// `explain` of the library starts no program. The command line may: it tells why the program fails.
#[test]
fn explain_starts_no_program_unless_it_may_read_all_sources() {
    let harness = Harness::new();
    let mark = harness.path("started");
    let text = format!(
        "store = \"memory\"\n[masv]\nurl = {:?}\nemail = \"a@example.com\"\npassword = {{ command = [\"/bin/sh\", \"-c\", \"echo > '{}'; echo made-up\"] }}\n",
        harness.sandbox().masv_url(),
        mark.display()
    );
    let file = harness.write_private_file("config.toml", &text);
    let session = Session::open(Config::load(Some(&file), Arc::new(|_| None)).unwrap()).unwrap();
    let explained = session.explain("user").unwrap();
    let step = explained.fetch.unwrap();
    assert!(
        matches!(&step, NextStep::ReadSecret(key) if key == "masv.password"),
        "{step:?}"
    );
    assert_eq!(explained.settings[1].source, "command /bin/sh");
    assert!(!mark.exists());
    let explained = session
        .inspect()
        .explain("user", None, Sources::All)
        .unwrap();
    assert!(matches!(explained.fetch, Some(NextStep::LogIn)));
    assert!(mark.exists());
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn list_and_stats_have_all_fields() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    assert_eq!(session.list(), "[]");
    session.token(&package(1)).unwrap();
    session.token("fileverbs:secret-key").unwrap();
    let list = masked(&session.list());
    for row in [
        r#"{"access":"manage","account":"default","acquired_unix_s":0,"expires_here_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-Package-Token"],"id":"0J0SANDB0XPACKAGE0","kind":"package","service":"masv","user":null}"#,
        r#"{"access":"full","account":"default","acquired_unix_s":0,"expires_here_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-User-Token"],"id":"","kind":"user","service":"masv","user":"ferry@example.com"}"#,
        r#"{"access":"full","account":"default","acquired_unix_s":0,"expires_here_unix_s":null,"expires_unix_s":null,"generation":0,"headers":["SecretKey"],"id":"","kind":"key","service":"fileverbs","user":null}"#,
    ] {
        assert!(list.contains(row), "{list}");
    }
    assert_eq!(
        masked(&session.stats()),
        r#"{"exchanges":0,"flights":0,"flights_under_way":0,"logins":0,"refreshes_beside":0,"refused_from_memory":0,"rejected":0,"renewals":0,"waits":0}"#
    );
}
