//! MASV cloud: users, keys, teams, lists of packages, inbox, transfers.

use keyferry::ffi::request::{KEYFERRY_ACCESS_MANAGE, KEYFERRY_ACCESS_WRITE};
use keyferry::ffi::status as k;
use keyferry::ffi::token::{KEYFERRY_NO_EXPIRY, KEYFERRY_TOKEN_KIND_KEY, KEYFERRY_TOKEN_KIND_USER};
use keyferry_sandbox::{Fault, FaultAction, credentials as c};
use keyferry_testing::http;
use serde_json::json;

use crate::checks::{
    self, call_with_token, check_requests, config_for, failure, package, sandbox, with_key,
    with_login,
};
use keyferry_testing::c_api::Request;

fn package_id(number: usize) -> String {
    format!("01J0SANDB0XPACKAGE{number:08}")
}

#[test]
fn a_login_tells_user_and_teams_and_keeps_its_token() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let token = session.login(Some(c::EMAIL), Some(c::PASSWORD)).unwrap();
    assert_eq!(
        (token.kind(), token.header().0),
        (KEYFERRY_TOKEN_KIND_USER, "X-User-Token")
    );
    assert_eq!(token.details()["user"]["email"], c::EMAIL);
    assert_eq!(token.details()["teams"][0]["id"], c::TEAM_ID);
    assert!(!keyferry_testing::secrets::leaks(
        &token.details().to_string(),
        &[]
    ));
    assert_eq!(session.token("user").unwrap().value(), token.value());
    let again = session.login(Some(c::EMAIL), Some(c::PASSWORD)).unwrap();
    assert!(again.generation() > token.generation() && sandbox.count("login") == 2);
    session.token(&package(c::PACKAGE_ID)).unwrap();
    check_requests(&sandbox);
}

#[test]
fn a_login_that_ended_wants_a_person_where_no_password_is_configured() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let error = failure(session.token("user"), k::KEYFERRY_E_NOT_CONFIGURED);
    assert!(
        error.message.contains("masv.api_key") && error.message.contains("masv_login"),
        "{error:?}"
    );
    let token = session.login(Some(c::EMAIL), Some(c::PASSWORD)).unwrap();
    sandbox.reject_token(token.value());
    session.reject(&token).unwrap();
    let error = failure(session.token("user"), k::KEYFERRY_E_LOGIN_REQUIRED);
    assert!(
        error.message.contains("masv_login") && error.message.contains("masv.password"),
        "{error:?}"
    );
    failure(session.login(None, None), k::KEYFERRY_E_NOT_CONFIGURED);
    failure(
        session.login(Some(c::EMAIL), None),
        k::KEYFERRY_E_NOT_CONFIGURED,
    );
}

#[test]
fn accounts_with_a_second_factor_or_single_sign_on_are_told_to_use_a_key() {
    let sandbox = sandbox();
    for status in [400, 401, 403, 422] {
        sandbox.configure("auth_refusal_status", json!(status));
        for json in [true, false] {
            sandbox.configure("auth_refusal_json", json!(json));
            for email in [c::MFA_EMAIL, c::SSO_EMAIL, c::EMAIL] {
                let error = failure(
                    config_for(&sandbox)
                        .open()
                        .login(Some(email), Some("not-the-one")),
                    k::KEYFERRY_E_BAD_CREDENTIALS,
                );
                let said = &error.message;
                assert!(
                    said.contains("MFA") && said.contains("SSO") && said.contains("masv.api_key"),
                    "{error:?}"
                );
                assert!(
                    error.http_status == status && !said.contains("not-the-one"),
                    "{error:?}"
                );
            }
        }
    }
}

#[test]
fn a_login_that_answers_a_wrong_password_with_500_is_asked_once() {
    let sandbox = sandbox();
    sandbox.configure("auth_refusal_status", json!(500));
    let session = config_for(&sandbox)
        .set("masv.email", c::EMAIL)
        .set("masv.password", "not-the-one")
        .open();
    for _ in 0..20 {
        failure(session.token("user"), k::KEYFERRY_E_UNAVAILABLE);
    }
    assert_eq!(sandbox.count("login"), 1);
}

#[test]
fn user_routes_take_the_key_and_the_routes_that_refuse_it_the_login() {
    let sandbox = sandbox();
    let session = with_key(&sandbox)
        .set("masv.email", c::EMAIL)
        .set("masv.password", c::PASSWORD)
        .open();
    let at = |path: &str| format!("{}{path}", sandbox.masv_url());
    let team = c::TEAM_ID;
    for path in [
        "/v1/teams",
        &format!("/v1/teams/{team}/packages"),
        &format!("/v1.1/teams/{team}/packages?page=1"),
        "/v1/user",
    ] {
        let token = session.token(&at(path)).unwrap();
        assert_eq!(
            (token.kind(), token.expires_unix_s()),
            (KEYFERRY_TOKEN_KIND_KEY, KEYFERRY_NO_EXPIRY),
            "{path}"
        );
        assert_eq!(token.header(), ("X-API-KEY", c::API_KEY));
        if path != "/v1/user" {
            call_with_token(sandbox.masv_url(), &token, ("GET", path, ""));
        }
    }
    assert_eq!(sandbox.count("login"), 0);
    let calls = [
        (
            "POST",
            format!("/v1/teams/{team}/api_keys"),
            r#"{"state":"active"}"#,
        ),
        (
            "PUT",
            "/v1/api_keys/01J0SANDB0XKEY000000000001".to_owned(),
            r#"{"name":"a"}"#,
        ),
        (
            "PUT",
            format!("/v1/users/{}", c::USER_ID),
            r#"{"name":"Fer Ry"}"#,
        ),
    ];
    for (method, path, body) in &calls {
        let token = session.token(&at(path)).unwrap();
        assert_eq!(token.header().0, "X-User-Token", "{path}");
        call_with_token(sandbox.masv_url(), &token, (method, path, body));
    }
    for path in [
        "/v1/auth",
        "/v1/subdomains/portals/x",
        "/v1/portals/O/packages",
    ] {
        failure(session.token(&at(path)), k::KEYFERRY_E_NO_HEADER);
    }
    let keyed = with_key(&sandbox).open();
    let error = failure(
        keyed.token("masv:/v1/users/U"),
        k::KEYFERRY_E_LOGIN_REQUIRED,
    );
    assert!(error.message.contains("masv_login"), "{error:?}");
    assert_eq!(sandbox.count("key_refused"), 0);
    check_requests(&sandbox);
}

#[test]
fn a_key_that_is_rejected_is_not_handed_out_for_a_while() {
    let sandbox = sandbox();
    let session = with_key(&sandbox).open();
    let token = session.token("user").unwrap();
    sandbox.reject_token(token.value());
    session.reject(&token).unwrap();
    let error = failure(session.token("user"), k::KEYFERRY_E_BAD_CREDENTIALS);
    assert!(
        error.message.contains("check") && error.retry_after_ms > 0,
        "{error:?}"
    );
    failure(
        session.token(&package(c::PACKAGE_ID)),
        k::KEYFERRY_E_BAD_CREDENTIALS,
    );
    assert_eq!((sandbox.count("requests"), sandbox.count("teams")), (1, 1));
    session.forget(Some("user")).unwrap();
    session.token("user").unwrap();
}

#[test]
fn a_list_of_four_pages_fills_memory_by_one_flight() {
    let sandbox = sandbox();
    sandbox.configure("packages", json!(200));
    sandbox.configure("single_lookup", json!(false));
    for session in [with_key(&sandbox).open(), with_login(&sandbox).open()] {
        sandbox.reset_counts();
        std::thread::scope(|scope| {
            for number in 1..=16 {
                let session = &session;
                scope.spawn(move || session.token(&package(&package_id(number * 12))).unwrap());
            }
        });
        assert_eq!(sandbox.count("list_page"), 4, "pages");
        for number in 1..=200 {
            let token = session.token(&package(&package_id(number))).unwrap();
            assert_eq!(token.access(), KEYFERRY_ACCESS_MANAGE);
        }
        assert_eq!(
            (sandbox.count("list_page"), sandbox.count("list_all")),
            (4, 0)
        );
        assert!(
            sandbox.count("login") <= 1 && sandbox.count("lookup") <= 16,
            "{:?}",
            sandbox.counts()
        );
        let (method, path) = ("PUT", format!("/v1/packages/{}", package_id(200)));
        call_with_token(
            sandbox.masv_url(),
            &session.token(&package(&package_id(200))).unwrap(),
            (method, &path, "{}"),
        );
    }
    check_requests(&sandbox);
}

#[test]
fn a_package_that_is_nowhere_is_looked_for_everywhere_and_not_found() {
    let sandbox = sandbox();
    let session = with_key(&sandbox).open();
    let error = failure(
        session.token("packages/01J0NOSUCHPACKAGE"),
        k::KEYFERRY_E_NOT_FOUND,
    );
    assert!(
        error.message.contains("01J0NOSUCHPACKAGE") && error.message.contains("masv.team"),
        "{error:?}"
    );
    assert_eq!(
        (
            sandbox.count("lookup"),
            sandbox.count("list_page"),
            sandbox.count("inbox")
        ),
        (1, 5, 1)
    );
    let found = session.token(&package(c::INBOX_PACKAGE_ID)).unwrap();
    let path = format!("/v1/packages/{}/files", c::INBOX_PACKAGE_ID);
    call_with_token(sandbox.masv_url(), &found, ("GET", &path, ""));
    check_requests(&sandbox);
}

#[test]
fn the_team_is_the_configured_one_else_what_the_login_says_else_the_only_one() {
    let sandbox = sandbox();
    let wanted = package(c::PACKAGE_ID);
    for team in [c::TEAM_ID, c::TEAM_SUBDOMAIN, "Sandbox Pictures", "SANDBOX"] {
        with_login(&sandbox)
            .set("masv.team", team)
            .open()
            .token(&wanted)
            .unwrap();
        config_for(&sandbox)
            .set("masv.api_key", c::API_KEY)
            .set("masv.team", team)
            .open()
            .token(&wanted)
            .unwrap();
    }
    with_login(&sandbox).open().token(&wanted).unwrap();
    for shape in ["array", "object"] {
        sandbox.configure("teams_shape", json!(shape));
        config_for(&sandbox)
            .set("masv.api_key", c::API_KEY)
            .open()
            .token(&wanted)
            .unwrap();
    }
    sandbox.configure("preferred_team", json!(false));
    with_login(&sandbox).open().token(&wanted).unwrap();
    sandbox.configure("teams", json!(3));
    for config in [
        with_login(&sandbox),
        config_for(&sandbox).set("masv.api_key", c::API_KEY),
    ] {
        let error = failure(config.open().token(&wanted), k::KEYFERRY_E_NOT_CONFIGURED);
        assert!(
            error.message.contains("masv.team") && error.message.contains("sandbox, team2, team3"),
            "{error:?}"
        );
    }
    with_login(&sandbox)
        .set("masv.team", "sandbox")
        .open()
        .token(&wanted)
        .unwrap();
    sandbox.configure("preferred_team", json!(true));
    with_login(&sandbox).open().token(&wanted).unwrap();
    check_requests(&sandbox);
}

#[test]
fn a_team_that_is_none_is_told_with_those_there_are() {
    let sandbox = sandbox();
    let wanted = package(c::PACKAGE_ID);
    for config in [
        with_login(&sandbox),
        config_for(&sandbox).set("masv.api_key", c::API_KEY),
    ] {
        let error = failure(
            config.set("masv.team", "nosuch").open().token(&wanted),
            k::KEYFERRY_E_NOT_CONFIGURED,
        );
        assert!(
            error.message.contains("masv.team") && error.message.contains("sandbox"),
            "{error:?}"
        );
    }
    let teamless = config_for(&sandbox)
        .set("masv.email", c::TEAMLESS_EMAIL)
        .set("masv.password", c::PASSWORD)
        .open();
    let error = failure(teamless.token(&wanted), k::KEYFERRY_E_NOT_CONFIGURED);
    assert!(error.message.contains("no team"), "{error:?}");
    let foreign = with_key(&sandbox)
        .set("masv.team", c::SECOND_TEAM_ID)
        .open();
    let error = failure(foreign.token(&wanted), k::KEYFERRY_E_NOT_FOUND);
    assert!(error.message.contains("masv.team"), "{error:?}");
}

#[test]
fn a_transfer_is_found_in_its_package_and_again_by_its_id() {
    let sandbox = sandbox();
    for shape in ["array", "object"] {
        sandbox.configure("transfers_shape", json!(shape));
        let session = with_key(&sandbox).open();
        let error = failure(
            session.token(&format!("transfers/{}", c::TRANSFER_ID)),
            k::KEYFERRY_E_NOT_FOUND,
        );
        assert!(
            error.message.contains("packages/PACKAGE/transfers/"),
            "{error:?}"
        );
        let token = session
            .token(&format!(
                "packages/{}/transfers/{}",
                c::PACKAGE_ID,
                c::TRANSFER_ID
            ))
            .unwrap();
        assert_eq!(token.header().0, "X-Transfer-Token");
        let path = format!("/v1/transfers/{}", c::TRANSFER_ID);
        call_with_token(sandbox.masv_url(), &token, ("GET", &path, ""));
        for resource in [
            format!("transfers/{}", c::TRANSFER_ID),
            format!("{}{path}/retry", sandbox.masv_url()),
        ] {
            assert_eq!(session.token(&resource).unwrap().value(), token.value());
        }
        let error = failure(
            session.token(&format!("packages/{}/transfers/NONE", c::PACKAGE_ID)),
            k::KEYFERRY_E_NOT_FOUND,
        );
        assert!(error.message.contains("NONE"), "{error:?}");
    }
    let reader = config_for(&sandbox).open();
    reader
        .token(&checks::link(c::LINK_ID, c::LINK_SECRET))
        .unwrap();
    reader
        .token(&format!(
            "packages/{}/transfers/{}",
            c::PACKAGE_ID,
            c::TRANSFER_ID
        ))
        .unwrap();
    check_requests(&sandbox);
}

#[test]
fn a_write_token_is_adopted_and_serves_until_there_is_a_better_one() {
    let sandbox = sandbox();
    let path = format!("/v1/portals/{}/packages", c::PORTAL_ID);
    let response = http::post(sandbox.masv_url(), &path, &[], &json!({"name": "In"}));
    assert_eq!(response.status, 201);
    let made = response.json();
    let (id, value) = (
        made["id"].as_str().unwrap(),
        made["access_token"].as_str().unwrap(),
    );
    let session = config_for(&sandbox).open();
    session.adopt(&package(id), value).unwrap();
    let token = session
        .token(&format!("{}/v1/packages/{id}/files", sandbox.masv_url()))
        .unwrap();
    assert_eq!(
        (token.value(), token.access()),
        (value, KEYFERRY_ACCESS_WRITE)
    );
    assert!(
        token.expires_unix_s() < KEYFERRY_NO_EXPIRY,
        "read from the token itself"
    );
    call_with_token(
        sandbox.masv_url(),
        &token,
        ("POST", &format!("/v1/packages/{id}/files"), "{}"),
    );
    call_with_token(
        sandbox.masv_url(),
        &token,
        ("POST", &format!("/v1/packages/{id}/finalize"), "{}"),
    );
    for bad in ["undefined", "null", "", "a\r\nb"] {
        failure(
            session.adopt(&package(id), bad),
            k::KEYFERRY_E_INVALID_VALUE,
        );
    }
    check_requests(&sandbox);
}

#[test]
fn an_expired_token_is_a_bad_answer_that_names_the_clock() {
    let sandbox = sandbox();
    for (kind, life) in [
        ("user", -10),
        ("package", 0),
        ("transfer", -1),
        ("bearer", -100),
    ] {
        sandbox.set_life(kind, life);
    }
    let session = with_login(&sandbox).open();
    for resource in [
        "user",
        &checks::link(c::LINK_ID, c::LINK_SECRET),
        "fileverbs:bearer",
    ] {
        let error = failure(session.token(resource), k::KEYFERRY_E_BAD_RESPONSE);
        assert!(error.message.contains("clock"), "{error:?}");
    }
}

#[test]
fn a_token_that_ends_is_replaced_and_never_handed_out() {
    let sandbox = sandbox();
    let session = with_login(&sandbox).open();
    sandbox.set_life("package", 3600);
    let first = session.token(&package(c::PACKAGE_ID)).unwrap();
    // The service's clock goes on, and its next answer says so.
    sandbox
        .clock()
        .advance(std::time::Duration::from_secs(3601));
    session
        .token(&checks::link(c::LINK_ID, c::LINK_SECRET))
        .unwrap();
    assert!(
        session.peek(&package(c::PACKAGE_ID)).is_err()
            && session
                .cached(&Request::new(&package(c::PACKAGE_ID)))
                .is_err()
    );
    let second = session.token(&package(c::PACKAGE_ID)).unwrap();
    assert!(second.value() != first.value() && second.generation() > first.generation());
    call_with_token(
        sandbox.masv_url(),
        &second,
        ("GET", &format!("/v1/packages/{}/files", c::PACKAGE_ID), ""),
    );
    assert_eq!(sandbox.count("expired_token"), 0);
    // With the service down, the dead one is not served either.
    sandbox
        .clock()
        .advance(std::time::Duration::from_secs(3601));
    session
        .token(&checks::link(c::PROTECTED_LINK_ID, "x"))
        .unwrap_err();
    sandbox.fault(Fault::new(FaultAction::Close).forever());
    failure(
        session.token(&package(c::PACKAGE_ID)),
        k::KEYFERRY_E_NO_RESPONSE,
    );
    check_requests(&sandbox);
}

#[test]
fn a_token_without_an_expiry_lasts_until_it_is_rejected() {
    let sandbox = sandbox();
    sandbox.configure("opaque", json!(["user"]));
    sandbox.configure("no_exp", json!(["package", "bearer"]));
    let session = with_login(&sandbox).open();
    for resource in ["user", &package(c::PACKAGE_ID), "fileverbs:bearer"] {
        let first = session.token(resource).unwrap();
        assert_eq!(first.expires_unix_s(), KEYFERRY_NO_EXPIRY, "{resource}");
        sandbox.reject_token(first.value());
        session.reject(&first).unwrap();
        assert!(
            session.token(resource).unwrap().generation() > first.generation(),
            "{resource}"
        );
    }
    check_requests(&sandbox);
}

#[test]
fn a_date_that_is_wrong_by_minutes_or_years_harms_nobody() {
    let sandbox = sandbox();
    for skew in [-600, 600, -86_400 * 4000, -86_400] {
        let session = with_login(&sandbox).open();
        sandbox.fault(Fault::new(FaultAction::Nothing).date_skew_s(skew).forever());
        session
            .token("user")
            .unwrap_or_else(|error| panic!("{skew}: {error:?}"));
        session
            .token("fileverbs:bearer")
            .unwrap_or_else(|error| panic!("{skew}: {error:?}"));
        sandbox.clear_faults();
    }
}
