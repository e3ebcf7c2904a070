//! The MASV Agent: a session and no header.

use keyferry_sandbox::credentials as c;
use serde_json::json;

use crate::tokens::*;

#[test]
fn without_a_session_it_says_that_the_session_is_nil() {
    let sandbox = sandbox();
    for path in ["/api/v1/login", "/api/v1/teams"] {
        let response = get(sandbox.agent_url(), path, &[]);
        assert_eq!(
            (response.status, response.json()),
            (401, json!({"code": 262_146, "message": "session is nil"}))
        );
    }
    sandbox.configure("agent_signed_in", json!(true));
    assert_eq!(
        get(sandbox.agent_url(), "/api/v1/login", &[]).json()["user"]["email"],
        c::EMAIL
    );
    assert_eq!(
        (sandbox.count("agent_session"), sandbox.count("agent_teams")),
        (2, 1)
    );
}

#[test]
fn signing_in_makes_the_session() {
    let sandbox = sandbox();
    let url = sandbox.agent_url();
    assert_eq!(
        post(
            url,
            "/api/v1/login",
            &[],
            &json!({"email": c::EMAIL, "password": "wrong"})
        )
        .status,
        401
    );
    let response = post(
        url,
        "/api/v1/login",
        &[],
        &json!({"email": c::EMAIL, "password": c::PASSWORD}),
    );
    assert_eq!(
        (
            response.status,
            response.json()["teams"][0]["max_email_recipients"].is_i64()
        ),
        (200, true)
    );
    assert_eq!(get(url, "/api/v1/teams", &[]).json()[0]["id"], c::TEAM_ID);
    sandbox.configure("agent_teams_shape", json!("object"));
    assert!(get(url, "/api/v1/teams", &[]).json()["teams"].is_array());
    assert_eq!(sandbox.count("agent_login"), 2);
}

#[test]
fn only_an_old_agent_signs_up() {
    let sandbox = sandbox();
    let url = sandbox.agent_url();
    let body = json!({"email": "new@example.com", "password": "p", "name": "New"});
    assert_eq!(post(url, "/api/v1/signup", &[], &body).status, 404);
    sandbox.configure("legacy", json!(true));
    assert_eq!(
        post(url, "/api/v1/signup", &[], &json!({"email": "x"})).status,
        400
    );
    assert_eq!(post(url, "/api/v1/signup", &[], &body).status, 200);
    assert_eq!(get(url, "/api/v1/login", &[]).json()["user"]["name"], "New");
    assert_eq!(post(url, "/api/v1/signup", &[], &body).status, 409);
}

#[test]
fn credential_headers_cookies_and_foreign_hosts_are_refused() {
    let sandbox = sandbox();
    let url = sandbox.agent_url();
    for name in [
        "X-API-KEY",
        "X-User-Token",
        "X-Package-Token",
        "X-Transfer-Token",
        "SecretKey",
        "Authorization",
    ] {
        assert_eq!(get(url, "/api/v1/login", &[(name, "x")]).status, 400);
    }
    assert_eq!(sandbox.count("agent_credential_header"), 6);
    assert_eq!(get(url, "/api/v1/login", &[("Cookie", "a=b")]).status, 400);
    for host in [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:1",
        "[::1]:8080",
        "[::1]",
    ] {
        assert_eq!(
            get(url, "/api/v1/login", &[("Host", host)]).status,
            401,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example:8080",
        "127.0.0.1.nip.io",
        "0.0.0.0",
    ] {
        assert_eq!(
            get(url, "/api/v1/login", &[("Host", host)]).status,
            403,
            "{host}"
        );
    }
    assert_eq!(sandbox.count("agent_foreign_host"), 4);
    assert_eq!(
        send(
            url,
            "POST",
            "/api/v1/login",
            &[("Content-Type", "text/plain")],
            "{}"
        )
        .status,
        415
    );
}
