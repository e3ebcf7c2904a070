//! Every documented route: its URL gets a header that opens it, and exactly that one.

use keyferry_sandbox::credentials as c;
use keyferry_testing::http;
use serde_json::json;

use crate::checks::{
    self, call_with_token, check_requests, config_for, sandbox, with_key, with_login,
};

/// Method, path, body, and the header that it takes.
type Route = (&'static str, String, &'static str, &'static str);

fn package_routes() -> Vec<Route> {
    let (p, f) = (format!("/v1/packages/{}", c::PACKAGE_ID), c::FILE_ID);
    let token = "X-Package-Token";
    vec![
        ("GET", p.clone(), "", token),
        ("PUT", p.clone(), r#"{"name":"Reel 1"}"#, token),
        (
            "PUT",
            format!("{p}/expiry"),
            r#"{"expiry":"2038-01-01T00:00:00.000Z"}"#,
            token,
        ),
        ("POST", format!("{p}/files"), "{}", token),
        ("GET", format!("{p}/files"), "", token),
        ("POST", format!("{p}/files/{f}"), "{}", token),
        ("POST", format!("{p}/files/{f}/finalize"), "{}", token),
        ("POST", format!("{p}/finalize"), "{}", token),
        ("POST", format!("{p}/links"), "{}", token),
        ("GET", format!("{p}/transfer"), "", token),
        ("POST", format!("{p}/transfer"), "{}", token),
        (
            "DELETE",
            format!("/v1/packages/{}", c::OTHER_PACKAGE_ID),
            "",
            token,
        ),
    ]
}

fn team_routes(user: &'static str) -> Vec<Route> {
    let t = c::TEAM_ID;
    vec![
        ("GET", "/v1/teams".into(), "", user),
        (
            "POST",
            format!("/v1/teams/{t}/packages"),
            r#"{"name":"made"}"#,
            user,
        ),
        ("GET", format!("/v1/teams/{t}/packages"), "", user),
        (
            "GET",
            format!("/v1.1/teams/{t}/packages?page=2&limit=50"),
            "",
            user,
        ),
        (
            "GET",
            format!("/v1.1/teams/{t}/packages/{}", c::PACKAGE_ID),
            "",
            user,
        ),
        ("GET", format!("/v1.1/teams/{t}/inbox?page=1"), "", user),
    ]
}

fn login_routes() -> Vec<Route> {
    vec![
        (
            "POST",
            format!("/v1/teams/{}/api_keys", c::TEAM_ID),
            r#"{"state":"active","name":"n"}"#,
            "X-User-Token",
        ),
        (
            "PUT",
            "/v1/api_keys/01J0SANDB0XKEY000000000001".into(),
            r#"{"name":"n"}"#,
            "X-User-Token",
        ),
        (
            "PUT",
            format!("/v1/users/{}", c::USER_ID),
            r#"{"name":"Fer Ry"}"#,
            "X-User-Token",
        ),
    ]
}

fn transfer_routes() -> Vec<Route> {
    let t = format!("/v1/transfers/{}", c::TRANSFER_ID);
    let token = "X-Transfer-Token";
    vec![
        ("GET", t.clone(), "", token),
        ("POST", format!("{t}/retry"), "{}", token),
        ("PUT", t.clone(), "{}", token),
        ("DELETE", t, "", token),
    ]
}

#[test]
fn every_route_of_masv_is_opened_by_the_header_that_its_url_gets() {
    for with_api_key in [true, false] {
        let sandbox = sandbox();
        let config = if with_api_key {
            with_key(&sandbox)
        } else {
            with_login(&sandbox)
        };
        let session = config
            .set("masv.email", c::EMAIL)
            .set("masv.password", c::PASSWORD)
            .open();
        session
            .token(&format!(
                "packages/{}/transfers/{}",
                c::PACKAGE_ID,
                c::TRANSFER_ID
            ))
            .unwrap();
        let user = if with_api_key {
            "X-API-KEY"
        } else {
            "X-User-Token"
        };
        for (method, path, body, header) in team_routes(user)
            .into_iter()
            .chain(login_routes())
            .chain(transfer_routes())
            .chain(package_routes())
        {
            let token = session
                .token(&format!("{}{path}", sandbox.masv_url()))
                .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
            assert_eq!(token.header().0, header, "{method} {path}");
            call_with_token(sandbox.masv_url(), &token, (method, &path, body));
        }
        check_requests(&sandbox);
    }
}

#[test]
fn a_transfer_that_the_caller_started_is_adopted() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let read = session
        .token(&checks::link(c::LINK_ID, c::LINK_SECRET))
        .unwrap();
    let (name, value) = read.header();
    let path = format!("/v1/packages/{}/transfer", c::PACKAGE_ID);
    let response = http::send(sandbox.masv_url(), "POST", &path, &[(name, value)], "{}");
    assert_eq!(response.status, 201);
    let made = response.json();
    let resource = format!("transfers/{}", made["id"].as_str().unwrap());
    session
        .adopt(&resource, made["access_token"].as_str().unwrap())
        .unwrap();
    call_with_token(
        sandbox.masv_url(),
        &session.token(&resource).unwrap(),
        ("GET", &format!("/v1/{resource}"), ""),
    );
    check_requests(&sandbox);
}

#[test]
fn every_route_of_fileverbs_is_opened_by_either_credential() {
    let sandbox = sandbox();
    let secret_key = config_for(&sandbox)
        .set("fileverbs.secret_key", c::SECRET_KEY)
        .open();
    for (session, header) in [
        (with_login(&sandbox).open(), "Authorization"),
        (secret_key, "SecretKey"),
    ] {
        let job = format!("/api/v1/jobrequests/{}", c::JOB_ID);
        let routes = [
            ("POST", "/api/v1/fileuploads/upload".to_owned(), "{}"),
            ("GET", "/api/v1/fileuploads".to_owned(), ""),
            ("POST", "/api/v1/jobrequests".to_owned(), "{}"),
            ("GET", job.clone(), ""),
            ("GET", format!("{job}/outputs"), ""),
        ];
        for (method, path, body) in &routes {
            let token = session
                .token(&format!("{}{path}", sandbox.fileverbs_url()))
                .unwrap();
            assert_eq!(token.header().0, header, "{path}");
            call_with_token(sandbox.fileverbs_url(), &token, (method, path, body));
        }
    }
    check_requests(&sandbox);
}

#[test]
fn a_token_that_a_call_refused_is_replaced_once_and_a_newer_one_is_kept() {
    let sandbox = sandbox();
    let session = with_login(&sandbox).open();
    sandbox.configure("single_lookup", json!(true));
    for resource in [
        "user",
        "packages/01J0SANDB0XPACKAGE00000001",
        "fileverbs:bearer",
    ] {
        let old = session.token(resource).unwrap();
        sandbox.reject_token(old.value());
        session.reject(&old).unwrap();
        let new = session.token(resource).unwrap();
        session.reject(&old).unwrap();
        assert_eq!(
            session.token(resource).unwrap().value(),
            new.value(),
            "{resource}"
        );
        assert!(new.generation() > old.generation());
    }
    assert_eq!(sandbox.count("login"), 2);
    check_requests(&sandbox);
}
