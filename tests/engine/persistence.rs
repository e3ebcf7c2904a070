//! What is kept, brought by callers, forgotten and told.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{
    KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_FOUND, KEYFERRY_E_UNKNOWN_SERVICE,
    KEYFERRY_E_UNSUPPORTED,
};
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, Sandbox, credentials as made};
use keyferry_testing::http::{self, claims};
use keyferry_testing::secrets::leaks;
use serde_json::{Value, json};

use crate::sessions::{self, TimedSession, package};
use keyferry_testing::c_api;

fn from_portal(sandbox: &Sandbox) -> (String, String) {
    let path = format!("/v1/portals/{}/packages", made::PORTAL_ID);
    let made = http::post(sandbox.masv_url(), &path, &[], &json!({"name": "n"})).json();
    (
        format!("packages/{}", made["id"].as_str().unwrap()),
        made["access_token"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_adopted_write_token_is_handed_out_without_a_request() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let (resource, value) = from_portal(&sandbox);
    session.adopt(&resource, &value).unwrap();
    sandbox.reset_counts();
    let token = session.token(&resource).unwrap();
    assert_eq!(
        (token.header(), token.access()),
        (("X-Package-Token", value.as_str()), 3)
    );
    assert_eq!(
        token.expires_unix_s(),
        claims(&value)["exp"].as_i64().unwrap(),
        "read from the token"
    );
    let url = format!("{}/v1/{resource}/files", sandbox.masv_url());
    assert_eq!(
        session.peek_into(&url, 4096).2,
        format!("X-Package-Token: {value}")
    );
    assert_eq!(sandbox.count("requests"), 0);
    session.reject(&token).unwrap();
    let managed = session.token(&resource).unwrap();
    assert_ne!(managed.value(), value, "the inbox lists it for its owner");
    assert_eq!(managed.access(), 4);
}

#[test]
fn an_adopted_transfer_token_is_found_by_its_id() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let transfer = format!("transfers/{}", made::TRANSFER_ID);
    assert_eq!(
        session.token(&transfer).map(drop).unwrap_err().status,
        KEYFERRY_E_NOT_FOUND
    );
    let listed = session
        .token(&format!("{}/{transfer}", package(1)))
        .unwrap();
    let value = listed.value().to_owned();
    session.forget(None).unwrap();
    session
        .adopt_until(&transfer, &value, claims(&value)["exp"].as_i64().unwrap())
        .unwrap();
    sandbox.reset_counts();
    assert_eq!(session.token(&transfer).unwrap().value(), value);
    assert_eq!(
        session
            .token(&format!("{}/{transfer}", package(1)))
            .unwrap()
            .value(),
        value,
        "with its package too"
    );
    assert_eq!(sandbox.count("requests"), 0);
}

#[test]
fn what_can_not_be_a_token_is_not_adopted() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let (resource, value) = from_portal(&sandbox);
    let long = "x".repeat(20_000);
    for bad in [
        "",
        "undefined",
        "null",
        "None",
        "a\r\nX-Evil: b",
        "a\nb",
        "a\rb",
        "tok en",
        " token",
        "tü",
        &long,
    ] {
        let failure = session.adopt(&resource, bad).unwrap_err();
        assert_eq!(failure.status, KEYFERRY_E_INVALID_VALUE, "{bad:?}");
        assert!(!failure.message.contains("Evil"));
    }
    for ended in [
        0,
        1,
        -1,
        i64::MIN,
        claims(&value)["exp"].as_i64().unwrap() - 2 * 86_400,
    ] {
        assert_eq!(
            session
                .adopt_until(&resource, &value, ended)
                .unwrap_err()
                .status,
            KEYFERRY_E_INVALID_VALUE,
            "{ended}"
        );
    }
    let link = format!("links/{}?secret=s", made::LINK_ID);
    assert_eq!(
        session.adopt(&link, &value).unwrap_err().status,
        KEYFERRY_E_UNSUPPORTED
    );
    assert_eq!(
        session.adopt("user", &value).unwrap_err().status,
        KEYFERRY_E_UNSUPPORTED
    );
    assert_eq!(
        session
            .adopt("fileverbs:bearer", &value)
            .unwrap_err()
            .status,
        KEYFERRY_E_UNSUPPORTED
    );
    let elsewhere = format!("https://elsewhere.example/v1/{resource}");
    assert_eq!(
        session.adopt(&elsewhere, &value).unwrap_err().status,
        KEYFERRY_E_UNKNOWN_SERVICE
    );
    assert_eq!(session.list(), "[]");
}

#[test]
fn an_adopted_token_that_ends_is_handed_out_no_more() {
    let timed = TimedSession::but(&[("masv.email", ""), ("masv.password", "")]);
    let adopt = |end| {
        timed
            .session
            .adopt(&package(1), Secret::from("opaque"), Some(end))
    };
    adopt(timed.now_s() + 100).unwrap();
    for _ in 0..100 {
        assert_eq!(timed.token(&package(1)).unwrap().value(), "opaque");
        timed.pass_s(1);
    }
    assert_eq!(
        timed.token(&package(1)).unwrap_err(),
        ErrorKind::NotConfigured
    );
    assert_eq!(
        adopt(timed.now_s()).map_err(|error| error.kind),
        Err(ErrorKind::InvalidValue)
    );
    for end in [i64::MAX, i64::MAX / 1_000_000, i64::MAX / 1_000_000 + 1] {
        adopt(end).unwrap();
        assert_eq!(timed.token(&package(1)).unwrap().value(), "opaque", "{end}");
    }
    assert_eq!(timed.sandbox().count("requests"), 0);
}

#[test]
fn fileverbs_renews_by_cookie_and_logs_in_again_after_forget() {
    for forgotten in [Some("fileverbs:bearer"), None] {
        let timed = TimedSession::new();
        timed.token("fileverbs:bearer").unwrap();
        timed.pass_s(890);
        timed.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                timed.sandbox().count("fileverbs_login"),
                timed.sandbox().count("refresh")
            ),
            (1, 1)
        );
        timed.pass_s(901);
        timed.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                timed.sandbox().count("fileverbs_login"),
                timed.sandbox().count("refresh")
            ),
            (1, 2),
            "renewed after its end too"
        );
        timed.session.forget(forgotten).unwrap();
        timed.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                timed.sandbox().count("fileverbs_login"),
                timed.sandbox().count("refresh")
            ),
            (2, 2)
        );
        assert_eq!(
            (
                timed.sandbox().count("refresh_reuse"),
                timed.sandbox().count("refresh_refused")
            ),
            (0, 0)
        );
    }
}

#[test]
fn a_renewal_that_is_refused_is_followed_by_one_login() {
    let timed = TimedSession::new();
    timed.token("fileverbs:bearer").unwrap();
    timed.sandbox().set_life("refresh", 1);
    timed.session.forget(None).unwrap();
    timed.token("fileverbs:bearer").unwrap();
    timed.pass_s(890);
    sessions::together(16, |_| assert!(timed.token("fileverbs:bearer").is_ok()));
    assert_eq!(
        (
            timed.sandbox().count("refresh"),
            timed.sandbox().count("fileverbs_login")
        ),
        (1, 3)
    );
    // A renewal whose answer is lost has used the cookie up: the next try ends in a login, not in a
    // loop.
    timed.sandbox().set_life("refresh", 10_000);
    timed.session.forget(None).unwrap();
    timed.token("fileverbs:bearer").unwrap();
    timed.sandbox().reset_counts();
    timed.sandbox().fault(
        Fault::new(keyferry_sandbox::FaultAction::Lost).path("/api/v1/accounts/refresh-token"),
    );
    timed.pass_s(890);
    let failed = (0..20).filter(|_| {
        let outcome = timed.token("fileverbs:bearer");
        timed.pass_s(1);
        outcome.is_err()
    });
    assert_eq!(failed.count(), 0);
    assert!(timed.token("fileverbs:bearer").is_ok());
    assert_eq!(
        (
            timed.sandbox().count("refresh"),
            timed.sandbox().count("fileverbs_login")
        ),
        (1, 1)
    );
}

#[test]
fn forgetting_drops_the_token_and_the_refusal() {
    let timed = TimedSession::but(&[("masv.password", "wrong")]);
    for forgotten in [Some("user"), None, Some("user")] {
        let before = timed.sandbox().count("login");
        assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
        assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
        assert_eq!(timed.sandbox().count("login"), before + 1);
        timed.session.forget(forgotten).unwrap();
    }
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let (user, one) = (
        session.token("user").unwrap(),
        session.token(&package(1)).unwrap(),
    );
    session.forget(Some(&package(1))).unwrap();
    assert_eq!(session.peek_into(&package(1), 4096).1, usize::MAX);
    assert_eq!(
        session.token("user").unwrap().generation(),
        user.generation()
    );
    assert_ne!(session.token(&package(1)).unwrap().value(), one.value());
}

#[test]
fn a_link_with_a_password_is_forgotten_and_rejected_as_one_without() {
    let timed = TimedSession::new();
    let link = format!(
        "links/{}?secret={}",
        made::PROTECTED_LINK_ID,
        made::PROTECTED_LINK_SECRET
    );
    let mut request = keyferry::model::request::Request::new(link.as_str());
    request.link_password = Some(Secret::from(made::LINK_PASSWORD));
    let first = timed.session.token_for(&request).unwrap();
    timed.session.reject(&first).unwrap();
    let second = timed.session.token_for(&request).unwrap();
    assert!(second.meta().generation > first.meta().generation);
    timed.session.forget(Some(&link)).unwrap();
    assert!(
        timed.session.token_for(&request).unwrap().meta().generation > second.meta().generation
    );
    assert_eq!(timed.sandbox().count("link"), 3);
}

#[test]
fn explain_list_and_stats_are_json_without_any_secret() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    let transfer = format!("{}/transfers/{}", package(1), made::TRANSFER_ID);
    let resources = [
        "user",
        "fileverbs:bearer",
        &package(1),
        &transfer,
        &link,
        "fileverbs:secret-key",
        "packages/none",
    ];
    let tell = |tokens: &[&str]| {
        let explained = resources.map(|resource| session.explain(resource).unwrap());
        for text in explained.iter().chain([&session.list(), &session.stats()]) {
            let _: Value = serde_json::from_str(text).unwrap();
            assert!(!leaks(text, tokens), "{text}");
        }
    };
    tell(&[]);
    let gotten: Vec<_> = resources
        .iter()
        .filter_map(|resource| session.token_for(&c_api::Request::new(resource)).ok())
        .collect();
    assert_eq!(gotten.len(), 6);
    let tokens: Vec<_> = gotten.iter().map(c_api::Token::value).collect();
    tell(&tokens);
    let listed: Value = serde_json::from_str(&session.list()).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["kind"] == "user" && row["account"] == "default"),
        "{listed}"
    );
    let explained: Value = serde_json::from_str(&session.explain(&package(1)).unwrap()).unwrap();
    assert_eq!(
        explained["token"]["generation"].as_u64().unwrap(),
        session.token(&package(1)).unwrap().generation()
    );
    let stats: Value = serde_json::from_str(&session.stats()).unwrap();
    assert_eq!(
        (
            stats["logins"].as_u64(),
            stats["flights_under_way"].as_u64()
        ),
        (Some(3), Some(0)),
        "{stats}"
    );
}

#[test]
fn a_renewal_whose_answer_was_lost_holds_up_no_later_renewal() {
    const BEARER: &str = "fileverbs:bearer";
    let timed = TimedSession::new();
    timed.token(BEARER).unwrap();
    timed.sandbox().fault(
        Fault::new(keyferry_sandbox::FaultAction::Lost).path("/api/v1/accounts/refresh-token"),
    );
    timed.pass_s(901);
    let second = timed.token(BEARER).unwrap();
    let counts = || ["refresh", "fileverbs_login"].map(|name| timed.sandbox().count(name));
    assert_eq!(counts(), [1, 2], "a login follows at once");
    timed.session.reject(&second).unwrap();
    let third = timed.token(BEARER).unwrap();
    assert!(third.meta().generation > second.meta().generation);
    assert_eq!(counts(), [2, 2]);
}
