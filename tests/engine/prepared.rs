//! Requests that are used again: they keep how their resource was resolved, and still get the token
//! that a new request would get.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry_testing::settings::config;

use crate::sessions::{TimedSession, package, together};

/// Opens a session at this base URL with this API key, which is the token of all the user's URLs.
fn keyed(url: &str, key: &str) -> Session {
    Session::open(config([("masv.url", url), ("masv.api_key", key)])).unwrap()
}

fn value(session: &Session, request: &Request) -> Result<String, ErrorKind> {
    let token = session.token_for(request).map_err(|error| error.kind)?;
    Ok(token.value().to_owned())
}

#[test]
fn a_request_gets_the_token_of_the_session_that_it_is_used_with() {
    let sessions = [
        keyed("https://one.example", "key-1"),
        keyed("https://two.example", "key-2"),
        keyed("https://one.example", "key-3"),
    ];
    let (url, short) = (
        Request::new("https://one.example/v1/user"),
        Request::new("user"),
    );
    for _ in 0..3 {
        let by = |request| sessions.each_ref().map(|session| value(session, request));
        assert_eq!(
            by(&url),
            [
                Ok("key-1".into()),
                Err(ErrorKind::UnknownService),
                Ok("key-3".into())
            ]
        );
        assert_eq!(
            by(&short),
            ["key-1", "key-2", "key-3"].map(|key| Ok(key.into()))
        );
        assert_eq!(by(&short.clone()), by(&short));
        let cached = |session: &Session| Some(session.cached(&short).ok()?.value().to_owned());
        assert_eq!(
            sessions.each_ref().map(cached),
            ["key-1", "key-2", "key-3"].map(|key| Some(key.into()))
        );
    }
}

#[test]
fn threads_and_sessions_share_a_request() {
    let sessions = [1, 2].map(|number| {
        keyed(
            &format!("https://{number}.example"),
            &format!("key-{number}"),
        )
    });
    for _ in 0..50 {
        let request = Request::new("user");
        together(8, |thread| {
            for turn in 0..20 {
                let number = (thread + turn / 5) % 2;
                let wanted = format!("key-{}", number + 1);
                assert_eq!(value(&sessions[number], &request), Ok(wanted));
            }
        });
    }
}

#[test]
fn a_used_request_that_is_changed_gets_what_it_then_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text =
        "store = 'memory'\n[masv]\napi_key = 'key-1'\n[profile.other.masv]\napi_key = 'key-2'\n";
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let session = Session::open(Config::load(Some(&path), Arc::new(|_| None)).unwrap()).unwrap();
    let adopt = |resource: &str, value: &str| {
        session.adopt(resource, Secret::from(value), None).unwrap();
    };
    adopt("transfers/01T", "made-up-transfer-token");
    let mut request = Request::new("user");
    for _ in 0..2 {
        request.account = None;
        assert_eq!(value(&session, &request), Ok("key-1".into()));
        request.account = Some("other".into());
        assert_eq!(value(&session, &request), Ok("key-2".into()));
        request.account = Some("nobody".into());
        assert_eq!(value(&session, &request), Err(ErrorKind::NotConfigured));
    }
    request.account = None;
    request.resource = "transfers/01T".into();
    assert_eq!(
        value(&session, &request),
        Ok("made-up-transfer-token".into())
    );
    request.cancel.cancel();
    assert_eq!(value(&session, &request), Err(ErrorKind::Cancelled));
}

#[test]
fn a_used_request_asks_for_its_access_and_lifetime() {
    let timed = TimedSession::new();
    let mut request = Request::new(package(1));
    let access = |request: &Request| {
        let token = timed.session.token_for(request);
        token
            .map(|token| token.meta().access)
            .map_err(|error| error.kind)
    };
    for _ in 0..2 {
        request.access = None;
        assert_eq!(access(&request), Ok(Access::Manage));
        request.access = Some(Access::Read);
        assert_eq!(access(&request), Err(ErrorKind::InsufficientAccess));
    }
    let mut user = Request::new("user");
    let first = timed.session.token_for(&user).unwrap();
    assert_eq!(
        timed.session.token_for(&user).unwrap().value(),
        first.value()
    );
    timed.pass_s(10);
    user.max_age = Some(Duration::from_secs(5));
    let second = timed.session.token_for(&user).unwrap();
    assert!(second.meta().generation > first.meta().generation);
    timed.pass_s(2);
    user.max_age = None;
    let life_s = second.expires_unix_s().unwrap() - timed.now_s();
    user.min_valid = Duration::from_secs(life_s.unsigned_abs() + 1);
    let third = timed.session.token_for(&user).unwrap();
    assert!(third.meta().generation > second.meta().generation);
}

#[test]
fn a_used_request_does_not_get_a_rejected_or_expired_token() {
    let timed = TimedSession::new();
    let request = Request::new("user");
    let token = || timed.session.token_for(&request).unwrap();
    let first = token();
    assert_eq!(token().meta().generation, first.meta().generation);
    timed.sandbox().reject_token(first.value());
    timed
        .session
        .reject_value("user", &Secret::from(first.value()))
        .unwrap();
    let second = token();
    assert!(second.meta().generation > first.meta().generation);
    timed.pass_s(second.expires_unix_s().unwrap() - timed.now_s());
    let third = token();
    assert!(third.meta().generation > second.meta().generation);
    timed.session.forget(None).unwrap();
    assert_eq!(
        timed.session.cached(&request).err().unwrap().kind,
        ErrorKind::NotCached
    );
    assert!(token().meta().generation > third.meta().generation);
}
