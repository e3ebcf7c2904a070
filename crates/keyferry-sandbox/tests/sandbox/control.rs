//! The control routes: what a test in another language can do.

use keyferry_sandbox::credentials as c;
use serde_json::json;

use crate::tokens::*;

#[test]
fn counts_clock_lives_and_rejections_go_over_http_on_every_listener() {
    let sandbox = sandbox();
    let (masv, agent, fileverbs) = (
        sandbox.masv_url(),
        sandbox.agent_url(),
        sandbox.fileverbs_url(),
    );
    assert_eq!(
        post(agent, "/sandbox/life", &[], &json!({"user": 10})).status,
        200
    );
    let token = user_token(&sandbox);
    assert_eq!(claims(&token)["exp"], START_MS / 1000 + 10);
    assert_eq!(
        get(fileverbs, "/sandbox/counts", &[]).json(),
        json!({
            "connections": 3, "login": 1, "requests": 1, "requests_masv": 1, "status_200": 1,
        })
    );
    let teams = |token: &str| get(masv, "/v1/teams", &[("X-User-Token", token)]).status;
    assert_eq!(teams(&token), 200);
    assert_eq!(
        post(masv, "/sandbox/clock", &[], &json!({"advance_s": 10})).json()["now_unix_ms"],
        START_MS + 10_000
    );
    assert_eq!(teams(&token), 401);
    post(
        masv,
        "/sandbox/reject",
        &[],
        &json!({"kind": "user", "next": 1}),
    );
    assert_eq!(teams(&user_token(&sandbox)), 401);
    assert_eq!(teams(&user_token(&sandbox)), 200);
    post(masv, "/sandbox/reject", &[], &json!({"token": c::API_KEY}));
    assert_eq!(
        get(masv, "/v1/teams", &[("X-API-KEY", c::API_KEY)]).status,
        401
    );
    post(
        masv,
        "/sandbox/configure",
        &[],
        &json!({"packages": 1, "agent_signed_in": true}),
    );
    assert_eq!(get(agent, "/api/v1/login", &[]).status, 200);
    post(masv, "/sandbox/reset", &[], &json!({"all": true}));
    assert_eq!(sandbox.count("requests"), 0);
    assert_eq!(get(agent, "/api/v1/login", &[]).status, 401);
    assert_eq!(
        get(masv, "/v1/teams", &[("X-API-KEY", c::API_KEY)]).status,
        200
    );
}

#[test]
fn mistakes_in_control_documents_are_told() {
    let sandbox = sandbox();
    for (path, body) in [
        ("/sandbox/fault", json!({"kind": "nonsense"})),
        ("/sandbox/fault", json!({"pfad": "/v1"})),
        ("/sandbox/fault", json!({"service": "other"})),
        ("/sandbox/fault", json!({"kind": "huge"})),
        ("/sandbox/fault", json!(17)),
        ("/sandbox/life", json!({"usr": 10})),
        ("/sandbox/configure", json!({"nonsense": 1})),
        ("/sandbox/configure", json!({"legacy": "yes"})),
        ("/sandbox/reject", json!({})),
        ("/sandbox/clock", json!({"advance_s": "1"})),
    ] {
        let response = post(sandbox.masv_url(), path, &[], &body);
        assert_eq!(
            (response.status, response.json()["error"].is_string()),
            (400, true),
            "{path} {body}"
        );
    }
    assert_eq!(get(sandbox.masv_url(), "/sandbox/nothing", &[]).status, 404);
}

#[test]
fn requests_are_remembered_by_header_names_only() {
    let sandbox = sandbox();
    get(
        sandbox.masv_url(),
        "/v1/teams?a=b",
        &[("X-API-KEY", c::API_KEY)],
    );
    let text = get(sandbox.masv_url(), "/sandbox/requests", &[]);
    let one = &text.json()[0];
    assert_eq!(
        (&one["path"], &one["credentials"]),
        (&json!("/v1/teams?a=b"), &json!(["X-API-KEY"]))
    );
    assert!(!String::from_utf8_lossy(&text.body).contains("kF$1"));
    assert_eq!(sandbox.requests().len(), 1);
    sandbox.reset_counts();
    assert!(sandbox.requests().is_empty() && sandbox.counts().is_empty());
}

#[test]
#[should_panic(expected = "no behaviour 'packges'")]
fn a_slip_in_a_rust_test_is_not_passed_over() {
    sandbox().configure("packges", json!(1));
}
