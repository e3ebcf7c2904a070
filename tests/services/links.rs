//! Links: the way to a read token, by what people paste, with secrets and passwords as they are.

use keyferry::ffi::request::{KEYFERRY_ACCESS_MANAGE, KEYFERRY_ACCESS_READ, KEYFERRY_ACCESS_WRITE};
use keyferry::ffi::status as k;
use keyferry::ffi::token::{KEYFERRY_NO_EXPIRY, KEYFERRY_TOKEN_KIND_PACKAGE};
use keyferry_sandbox::credentials as c;
use keyferry_testing::http;
use serde_json::json;

use crate::checks::{
    call_with_token, check_requests, config_for, failure, link, package, sandbox, with_key,
    with_login,
};
use keyferry_testing::c_api::Request;

fn download() -> String {
    format!(
        "/v1/packages/{}/files/{}/download",
        c::PACKAGE_ID,
        c::FILE_ID
    )
}

#[test]
fn a_link_gives_a_read_token_that_serves_its_package_from_then_on() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let token = session.token(&link(c::LINK_ID, c::LINK_SECRET)).unwrap();
    assert_eq!(
        (token.kind(), token.access()),
        (KEYFERRY_TOKEN_KIND_PACKAGE, KEYFERRY_ACCESS_READ)
    );
    assert_eq!(token.header().0, "X-Package-Token");
    assert_eq!(token.details()["package_id"], c::PACKAGE_ID);
    assert!(token.expires_unix_s() < KEYFERRY_NO_EXPIRY);
    call_with_token(sandbox.masv_url(), &token, ("GET", &download(), ""));
    let link = link(c::LINK_ID, c::LINK_SECRET);
    for (resource, path) in [
        (format!("masv:{}", download()), download()),
        (link.clone(), format!("/v1/{link}")),
    ] {
        assert_eq!(session.token(&resource).unwrap().value(), token.value());
        let url = format!("{}{path}", sandbox.masv_url());
        assert_eq!(session.token(&url).unwrap().value(), token.value());
        assert_eq!(
            session.cached(&Request::new(&url)).unwrap().generation(),
            token.generation()
        );
        assert_eq!(
            session.peek(&url).unwrap(),
            format!("X-Package-Token: {}", token.value())
        );
    }
    assert_eq!(sandbox.count("link"), 1);
    check_requests(&sandbox);
}

#[test]
fn a_pasted_link_is_the_link_that_it_names() {
    let sandbox = sandbox();
    for host in ["get.massive.io", "get.massive.app", "GET.Massive.IO"] {
        let session = config_for(&sandbox).open();
        let pasted = format!("https://{host}/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
        call_with_token(
            sandbox.masv_url(),
            &session.token(&pasted).unwrap(),
            ("GET", &download(), ""),
        );
        let more = format!(
            "https://{host}/{}?utm_source=mail&secret={}&x",
            c::LINK_ID,
            c::LINK_SECRET
        );
        session.token(&more).unwrap();
    }
    check_requests(&sandbox);
}

#[test]
fn a_secret_arrives_as_it_is_however_it_was_encoded() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    for form in [
        c::ENCODED_LINK_SECRET_IN_URL,
        "s%2ba%2fn%25d%26b%3do%20x%3f%23%c3%a9",
    ] {
        let token = session.token(&link(c::ENCODED_LINK_ID, form)).unwrap();
        call_with_token(sandbox.masv_url(), &token, ("GET", &download(), ""));
        let pasted = format!(
            "https://get.massive.io/{}?secret={form}",
            c::ENCODED_LINK_ID
        );
        session.token(&pasted).unwrap();
    }
    assert_eq!(sandbox.count("bad_link_secret"), 0);
    check_requests(&sandbox);
}

#[test]
fn a_wrong_secret_is_asked_for_once_and_the_right_one_works_at_once() {
    let sandbox = sandbox();
    for status in [400, 401, 403] {
        sandbox.configure("link_secret_status", json!(status));
        sandbox.reset_counts();
        let session = config_for(&sandbox).open();
        for _ in 0..20 {
            let error = failure(
                session.token(&link(c::LINK_ID, "wrong-secret")),
                k::KEYFERRY_E_BAD_CREDENTIALS,
            );
            assert!(
                error.message.contains("secret") && !error.message.contains("wrong-secret"),
                "{error:?}"
            );
            assert_eq!(error.http_status, status);
        }
        assert_eq!(sandbox.count("link"), 1);
        session.token(&link(c::LINK_ID, c::LINK_SECRET)).unwrap();
    }
}

#[test]
fn a_wrong_password_is_asked_for_once_and_the_right_one_works_at_once() {
    let sandbox = sandbox();
    let resource = link(c::PROTECTED_LINK_ID, c::PROTECTED_LINK_SECRET);
    let with = |password: &str| Request::new(&resource).link_password(password);
    for status in [400, 401, 403] {
        sandbox.configure("link_password_status", json!(status));
        sandbox.reset_counts();
        let session = config_for(&sandbox).open();
        for _ in 0..20 {
            let error = failure(
                session.token_for(&with("wrong-password")),
                k::KEYFERRY_E_BAD_CREDENTIALS,
            );
            assert!(
                error.message.contains("password") && !error.message.contains("wrong-password"),
                "{error:?}"
            );
            let error = failure(session.token(&resource), k::KEYFERRY_E_BAD_CREDENTIALS);
            assert!(error.message.contains("pass its password"), "{error:?}");
        }
        assert_eq!(sandbox.count("link"), 2);
        let token = session.token_for(&with(c::LINK_PASSWORD)).unwrap();
        call_with_token(sandbox.masv_url(), &token, ("GET", &download(), ""));
        assert_eq!(
            session.token_for(&with(c::LINK_PASSWORD)).unwrap().value(),
            token.value()
        );
        assert!(
            session.token_for(&with("wrong-password")).is_err(),
            "the token of another password"
        );
    }
    check_requests(&sandbox);
}

#[test]
fn a_link_that_is_gone_or_was_never_there_says_whom_to_ask() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let error = failure(
        session.token(&link(c::ARCHIVED_LINK_ID, c::ARCHIVED_LINK_SECRET)),
        k::KEYFERRY_E_NOT_FOUND,
    );
    assert!(
        error.http_status == 410 && error.message.contains("ask the sender"),
        "{error:?}"
    );
    let error = failure(
        session.token(&link("01J0NOSUCHLINK", "a-secret-of-it")),
        k::KEYFERRY_E_NOT_FOUND,
    );
    assert!(
        error.http_status == 404
            && error.message.contains("01J0NOSUCHLINK")
            && !error.message.contains("a-secret-of-it"),
        "{error:?}"
    );
}

#[test]
fn a_link_without_its_secret_or_with_a_hostile_one_is_no_request() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let id = c::LINK_ID;
    for resource in [
        format!("links/{id}"),
        format!("links/{id}?"),
        format!("links/{id}?secret="),
        format!("links/{id}?secret"),
        format!("links/{id}?password=x"),
        format!("links/{id}?secret=a&secret=b"),
        format!("links/{id}?secret=a%0d%0aX-Evil:1"),
        format!("links/{id}?secret=a%00"),
        format!("links/{id}?secret=a%ff"),
        format!("links/{id}?secret=a%1b%5b31m"),
        format!("https://get.massive.io/{id}"),
    ] {
        let error = failure(session.token(&resource), k::KEYFERRY_E_INVALID_RESOURCE);
        assert!(
            error.message.contains("secret") || error.message.contains("line break"),
            "{resource}: {error:?}"
        );
    }
    assert_eq!(sandbox.count("requests"), 0);
}

#[test]
fn a_download_needs_a_link_and_the_message_says_how_to_make_one() {
    let sandbox = sandbox();
    for config in [with_key(&sandbox), with_login(&sandbox)] {
        let session = config.open();
        session.token(&package(c::PACKAGE_ID)).unwrap();
        let url = format!("{}{}", sandbox.masv_url(), download());
        let error = failure(session.token(&url), k::KEYFERRY_E_INSUFFICIENT_ACCESS);
        let remedy = format!("POST /v1/packages/{}/links", c::PACKAGE_ID);
        assert!(
            error.message.contains(&remedy) && error.message.contains("get.massive.io"),
            "{error:?}"
        );
        let error = failure(
            session.token_for(&Request::new(&package(c::PACKAGE_ID)).access(KEYFERRY_ACCESS_READ)),
            k::KEYFERRY_E_INSUFFICIENT_ACCESS,
        );
        assert!(error.message.contains(&remedy), "{error:?}");
        // What the message says works.
        let manage = session
            .token_for(&Request::new(&package(c::PACKAGE_ID)).access(KEYFERRY_ACCESS_MANAGE))
            .unwrap();
        let (name, value) = manage.header();
        let path = format!("/v1/packages/{}/links", c::PACKAGE_ID);
        let response = http::post(
            sandbox.masv_url(),
            &path,
            &[(name, value)],
            &json!({"password": "made up"}),
        );
        assert_eq!(response.status, 201, "{}", response.head);
        let made = response.json();
        let secret = made["download_secret"]
            .as_str()
            .unwrap()
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        let made = link(made["id"].as_str().unwrap(), &secret);
        let token = session
            .token_for(&Request::new(&made).link_password("made up"))
            .unwrap();
        call_with_token(sandbox.masv_url(), &token, ("GET", &download(), ""));
        call_with_token(
            sandbox.masv_url(),
            &session.token(&url).unwrap(),
            ("GET", &download(), ""),
        );
    }
    check_requests(&sandbox);
}

#[test]
fn what_is_explained_and_listed_of_a_link_holds_no_secret() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let resource = link(c::LINK_ID, c::LINK_SECRET);
    for _ in 0..2 {
        for text in [
            session.explain(&resource).unwrap(),
            session.list(),
            session.stats(),
        ] {
            assert!(!keyferry_testing::secrets::leaks(&text, &[]), "{text}");
        }
        session.token(&resource).unwrap();
    }
    let wrong = link(c::LINK_ID, "wrong-secret");
    session.token(&wrong).unwrap_err();
    assert!(!keyferry_testing::secrets::leaks(
        &session.explain(&wrong).unwrap(),
        &["wrong-secret"]
    ));
    crate::secret_leaks::check_log();
}

#[test]
fn who_asks_for_access_to_manage_is_not_given_a_link_s_token_to_read() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let read = session.token(&link(c::LINK_ID, c::LINK_SECRET)).unwrap();
    let resource = package(c::PACKAGE_ID);
    assert_eq!(
        session.token(&resource).unwrap().value(),
        read.value(),
        "whoever asks for any access gets what there is"
    );
    for (access, status) in [
        (KEYFERRY_ACCESS_MANAGE, k::KEYFERRY_E_NOT_CONFIGURED),
        (KEYFERRY_ACCESS_WRITE, k::KEYFERRY_E_INSUFFICIENT_ACCESS),
    ] {
        let request = Request::new(&resource).access(access);
        failure(session.token_for(&request), status);
    }
}

#[test]
fn a_token_to_manage_serves_whoever_asks_for_access_to_write() {
    let sandbox = sandbox();
    let session = with_login(&sandbox).open();
    let manage = session.token(&package(c::PACKAGE_ID)).unwrap();
    let write = Request::new(&package(c::PACKAGE_ID)).access(KEYFERRY_ACCESS_WRITE);
    assert_eq!(session.token_for(&write).unwrap().value(), manage.value());
}
