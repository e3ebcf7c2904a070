//! FileVerbs: the bearer, its renewal, and the SecretKey.

use std::time::Duration;

use keyferry::ffi::status as k;
use keyferry::ffi::token::{KEYFERRY_TOKEN_KIND_BEARER, KEYFERRY_TOKEN_KIND_KEY};
use keyferry::session;
use keyferry_sandbox::{Clock, Fault, FaultAction, Options, Sandbox, Service, credentials as c};
use serde_json::json;

use crate::checks::{
    call_with_token, check_requests, config_for, failure, fileverbs_settings, sandbox, with_login,
};
use keyferry_testing::c_api::Session;
use keyferry_testing::{http, settings};

const JOB: (&str, &str, &str) = (
    "GET",
    "/api/v1/jobrequests/5f0c1d2e-0000-4000-8000-000000000001/outputs",
    "",
);
const START_US: i64 = 1_800_000_000_000_000;
const REFRESH: &str = "/api/v1/accounts/refresh-token";

fn renew(session: &Session) {
    session.reject(&session.bearer().unwrap()).unwrap();
    session.bearer().unwrap();
}

#[test]
fn a_bearer_that_ends_is_renewed_by_its_cookie_which_rotates() {
    let (clock, services) = (
        keyferry::clock::Clock::manual(START_US),
        Clock::manual(START_US / 1000),
    );
    let sandbox = Sandbox::start(Options {
        clock: services.clone(),
        ..Options::default()
    })
    .unwrap();
    let config = settings::config(fileverbs_settings(&sandbox));
    let options = session::Options {
        clock: clock.clone(),
        refreshes_in_background: false,
    };
    let session = session::Session::open_with(config, options).unwrap();
    let mut before = String::new();
    for round in 0..=6 {
        let token = session.token("fileverbs:bearer").unwrap();
        assert_ne!(token.value(), before, "round {round}");
        before = token.value().to_owned();
        let header = format!("Bearer {before}");
        assert_eq!(
            http::send(
                sandbox.fileverbs_url(),
                JOB.0,
                JOB.1,
                &[("Authorization", &header)],
                ""
            )
            .status,
            200
        );
        assert_eq!(
            (sandbox.count("fileverbs_login"), sandbox.count("refresh")),
            (1, round)
        );
        clock.advance_us(901_000_000);
        services.advance(Duration::from_secs(901));
    }
    // The cookie ends after seven days, and then the token call is made again.
    clock.advance_us(8 * 86_400_000_000);
    services.advance(Duration::from_secs(8 * 86_400));
    session.token("fileverbs:bearer").unwrap();
    assert_eq!(
        (
            sandbox.count("fileverbs_login"),
            sandbox.count("refresh_reuse")
        ),
        (2, 0)
    );
    check_requests(&sandbox);
}

#[test]
fn a_bearer_is_renewed_by_its_cookie() {
    let sandbox = sandbox();
    let session = with_login(&sandbox).open();
    let first = session.bearer().unwrap();
    assert_eq!(
        (first.kind(), first.header().0),
        (KEYFERRY_TOKEN_KIND_BEARER, "Authorization")
    );
    assert_eq!(first.header().1, format!("Bearer {}", first.value()));
    assert_eq!(first.details()["Email"], c::EMAIL);
    assert!(
        first.details().get("RefreshToken").is_none() && first.details().get("JwtToken").is_none()
    );
    call_with_token(sandbox.fileverbs_url(), &first, JOB);
    session.reject(&first).unwrap();
    call_with_token(sandbox.fileverbs_url(), &session.bearer().unwrap(), JOB);
    assert_eq!(sandbox.count("refresh"), 1);
    assert_eq!(
        (
            sandbox.count("fileverbs_login"),
            sandbox.count("refresh_reuse")
        ),
        (1, 0)
    );
    check_requests(&sandbox);
}

#[test]
fn the_answer_is_read_in_any_case_and_with_the_cookie_or_the_field_alone() {
    let field_alone = |bearer: &str| {
        let body = json!({"JwtToken": bearer, "RefreshToken": "field-refresh-token"}).to_string();
        FaultAction::Literal {
            status: 200,
            media_type: "application/json".into(),
            body,
        }
    };
    let sandbox = sandbox();
    sandbox.configure("camel_case", json!(true));
    let session = with_login(&sandbox).open();
    call_with_token(sandbox.fileverbs_url(), &session.bearer().unwrap(), JOB);
    renew(&session);
    assert_eq!(
        (sandbox.count("fileverbs_login"), sandbox.count("refresh")),
        (1, 1)
    );
    sandbox.reset_counts();
    let session = with_login(&sandbox).open();
    sandbox.fault(Fault::new(field_alone("opaque-bearer")).path("/api/v1/accounts/access-token"));
    assert_eq!(session.bearer().unwrap().value(), "opaque-bearer");
    renew(&session);
    // The field was tried as a cookie; the sandbox has never issued it, so the token call came
    // next.
    assert_eq!(
        (
            sandbox.count("refresh"),
            sandbox.count("refresh_refused"),
            sandbox.count("fileverbs_login")
        ),
        (1, 1, 2)
    );
    check_requests(&sandbox);
}

#[test]
fn the_cookie_alone_renews() {
    let sandbox = sandbox();
    let session = with_login(&sandbox).open();
    let head = "HTTP/1.1 200 OK\r\nSet-Cookie: other=x; path=/\r\nSet-Cookie: refreshToken=a%3Db; expires=Fri, 01 Jan 2038 00:00:00 GMT; \
                path=/; httponly\r\nContent-Length: 23\r\n\r\n{\"jwtToken\":\"opaque-1\"}\n";
    sandbox.fault(Fault::new(FaultAction::Raw(head.into())).path("/api/v1/accounts/access-token"));
    assert_eq!(session.bearer().unwrap().value(), "opaque-1");
    renew(&session);
    assert_eq!(
        (sandbox.count("refresh"), sandbox.count("refresh_refused")),
        (1, 1)
    );
    check_requests(&sandbox);
}

#[test]
fn a_service_without_a_route_that_renews_is_asked_for_it_once() {
    for status in [404, 405] {
        let sandbox = sandbox();
        sandbox.configure("no_refresh_route", json!(status));
        let session = with_login(&sandbox).open();
        renew(&session);
        assert_eq!(
            (sandbox.count("fileverbs_login"), sandbox.count("refresh")),
            (2, 1)
        );
        session.forget(Some("fileverbs:bearer")).unwrap();
        renew(&session);
        session.forget(Some("fileverbs:bearer")).unwrap();
        renew(&session);
        assert_eq!(sandbox.count("refresh"), 1, "remembered");
        check_requests(&sandbox);
    }
}

#[test]
fn a_revoked_family_is_left_for_the_token_call() {
    for status in [400, 401, 403] {
        let sandbox = sandbox();
        sandbox.configure("refresh_refusal_status", json!(status));
        let session = with_login(&sandbox).open();
        sandbox.reject_generation("refresh", 1);
        renew(&session);
        call_with_token(sandbox.fileverbs_url(), &session.bearer().unwrap(), JOB);
        let counts =
            ["refresh", "refresh_refused", "fileverbs_login"].map(|name| sandbox.count(name));
        assert_eq!(counts, [1, 1, 2], "{status}");
        check_requests(&sandbox);
    }
}

#[test]
fn a_renewal_whose_answer_is_lost_is_not_tried_again_with_the_same_cookie() {
    for action in [
        FaultAction::Lost,
        FaultAction::Half,
        FaultAction::Empty,
        FaultAction::Null,
        FaultAction::WrongTypes,
        FaultAction::Token("undefined".into()),
    ] {
        let sandbox = sandbox();
        let session = with_login(&sandbox).open();
        session.reject(&session.bearer().unwrap()).unwrap();
        sandbox.fault(Fault::new(action.clone()).path(REFRESH));
        call_with_token(sandbox.fileverbs_url(), &session.bearer().unwrap(), JOB);
        assert_eq!(
            (sandbox.count("refresh"), sandbox.count("fileverbs_login")),
            (1, 2),
            "{action:?}"
        );
        assert_eq!(sandbox.count("refresh_reuse"), 0, "{action:?}");
        check_requests(&sandbox);
    }
}

#[test]
fn another_route_and_cookie_are_settings() {
    let sandbox = sandbox();
    sandbox.configure("refresh_path", json!("/api/v1/accounts/renew"));
    sandbox.configure("refresh_cookie", json!("fv_refresh"));
    for path in ["/api/v1/accounts/renew", "/accounts/renew"] {
        let session = with_login(&sandbox)
            .set("fileverbs.refresh_path", path)
            .set("fileverbs.refresh_cookie", "fv_refresh")
            .open();
        sandbox.reset_counts();
        renew(&session);
        assert_eq!(
            (sandbox.count("refresh"), sandbox.count("fileverbs_login")),
            (1, 1),
            "{path}"
        );
    }
    check_requests(&sandbox);
}

#[test]
fn wrong_keys_are_sent_once_whatever_the_status() {
    for status in [400, 401, 403] {
        let sandbox = sandbox();
        sandbox.configure("fileverbs_refusal_status", json!(status));
        let session = config_for(&sandbox)
            .set("fileverbs.secret_key", "not-the-one-1")
            .set("fileverbs.api_key", "not-the-one-2")
            .open();
        for _ in 0..20 {
            let error = failure(session.bearer(), k::KEYFERRY_E_BAD_CREDENTIALS);
            assert!(
                error.message.contains("fileverbs.secret_key")
                    && error.message.contains("fileverbs.api_key"),
                "{error:?}"
            );
            assert!(
                error.http_status == status && !error.message.contains("not-the-one"),
                "{error:?}"
            );
        }
        assert_eq!(sandbox.count("fileverbs_login"), 1);
    }
}

#[test]
fn the_secret_key_is_a_header_and_the_bearer_goes_before_it_where_both_keys_are_set() {
    let sandbox = sandbox();
    let url = format!("{}/api/v1/fileuploads", sandbox.fileverbs_url());
    let both = with_login(&sandbox).open();
    let token = both.secret_key().unwrap();
    assert_eq!(
        (token.kind(), token.header()),
        (KEYFERRY_TOKEN_KIND_KEY, ("SecretKey", c::SECRET_KEY))
    );
    call_with_token(sandbox.fileverbs_url(), &token, JOB);
    assert_eq!(both.token(&url).unwrap().header().0, "Authorization");
    let one = config_for(&sandbox)
        .set("fileverbs.secret_key", c::SECRET_KEY)
        .open();
    let token = one.token(&url).unwrap();
    assert_eq!(token.header().0, "SecretKey");
    call_with_token(
        sandbox.fileverbs_url(),
        &token,
        ("GET", "/api/v1/fileuploads", ""),
    );
    let error = failure(one.bearer(), k::KEYFERRY_E_NOT_CONFIGURED);
    assert!(error.message.contains("fileverbs.api_key"), "{error:?}");
    let none = config_for(&sandbox).open();
    let error = failure(none.secret_key(), k::KEYFERRY_E_NOT_CONFIGURED);
    assert!(error.message.contains("fileverbs.secret_key"), "{error:?}");
    one.reject(&one.secret_key().unwrap()).unwrap();
    assert!(failure(one.secret_key(), k::KEYFERRY_E_BAD_CREDENTIALS).retry_after_ms > 0);
    failure(
        both.token("fileverbs:/api/v1/accounts/access-token"),
        k::KEYFERRY_E_NO_HEADER,
    );
    check_requests(&sandbox);
}

#[test]
fn masv_being_down_is_nothing_to_fileverbs() {
    let sandbox = sandbox();
    sandbox.fault(Fault::status(503).service(Service::Masv).forever());
    let session = with_login(&sandbox).open();
    session.token("user").unwrap_err();
    session.bearer().unwrap();
}
