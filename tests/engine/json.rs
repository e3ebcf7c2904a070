//! The JSON of `explain`, `list` and `stats`: each field, in its order.

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
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"id":"","key":"masv user","next":"the store is checked, then the service is contacted","pause":null,"service":"masv","store":"memory","token":null}"#
    );
    session.token("user").unwrap();
    assert_eq!(
        masked(&session.explain("user").unwrap()),
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"id":"","key":"masv user","next":"the cached token is fresh and is returned","pause":null,"service":"masv","store":"memory","token":{"access":"full","acquired_unix_s":0,"callers_wait_from_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-User-Token"],"id":"","kind":"user","refresh_from_unix_s":0,"service":"masv"}}"#
    );
}

#[test]
fn explain_shows_a_pause_with_its_error() {
    let session = sessions::open_but(&sessions::sandbox(), &[("masv.url", "http://127.0.0.1:1")]);
    session.token("user").unwrap_err();
    assert_eq!(
        masked(&session.explain("user").unwrap()),
        r#"{"access":"full","account":"default","base":"http://0.0.0.0:0","class":"user","clock_skew_s":0,"id":"","key":"masv user","next":"the last error is returned until the pause ends","pause":{"error":"cannot connect to 0.0.0.0:0: connection refused; check that it is running, and check its URL and port","retry_after_ms":0},"service":"masv","store":"memory","token":null}"#
    );
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
        r#"{"access":"manage","account":"default","acquired_unix_s":0,"expires_here_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-Package-Token"],"id":"0J0SANDB0XPACKAGE0","kind":"package","service":"masv"}"#,
        r#"{"access":"full","account":"default","acquired_unix_s":0,"expires_here_unix_s":0,"expires_unix_s":0,"generation":0,"headers":["X-User-Token"],"id":"","kind":"user","service":"masv"}"#,
        r#"{"access":"full","account":"default","acquired_unix_s":0,"expires_here_unix_s":null,"expires_unix_s":null,"generation":0,"headers":["SecretKey"],"id":"","kind":"key","service":"fileverbs"}"#,
    ] {
        assert!(list.contains(row), "{list}");
    }
    assert_eq!(
        masked(&session.stats()),
        r#"{"exchanges":0,"flights":0,"flights_under_way":0,"logins":0,"refreshes_beside":0,"refused_from_memory":0,"rejected":0,"renewals":0,"waits":0}"#
    );
}
