//! The MASV Agent: who is signed in, signing in and up, and what to do where it does not run.

use std::net::TcpListener;

use keyferry::ffi::status as k;
use keyferry_sandbox::{Fault, FaultAction, Service, credentials as c};
use serde_json::{Value, json};

use crate::checks::{check_requests, config_for, failure, sandbox, with_login};

fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn who_is_signed_in_is_told_by_any_name_of_this_machine() {
    let sandbox = sandbox();
    sandbox.configure("agent_signed_in", json!(true));
    let port = sandbox.agent_url().rsplit_once(':').unwrap().1;
    for url in [
        "http://127.0.0.1:",
        "http://localhost:",
        "http://LOCALHOST:",
    ] {
        for end in ["", "/", "/api/v1", "/api/v1/"] {
            let session = config_for(&sandbox)
                .set("agent.url", &format!("{url}{port}{end}"))
                .open();
            let session_json = parse_json(&session.agent().unwrap());
            assert_eq!(
                (
                    &session_json["user"]["email"],
                    &session_json["teams"][0]["id"]
                ),
                (&json!(c::EMAIL), &json!(c::TEAM_ID))
            );
            assert_eq!(
                session_json["teams"][0]["max_email_recipients"], 50,
                "as the agent sent it"
            );
        }
    }
    check_requests(&sandbox);
}

#[test]
fn an_agent_elsewhere_or_by_a_name_that_only_looks_local_is_refused() {
    for url in [
        "http://192.0.2.1:8080",
        "http://localhost.example.com:8080",
        "http://agent:8080",
        "http://user@localhost:8080",
    ] {
        let error = keyferry_testing::c_api::Config::new()
            .try_set("agent.url", url)
            .unwrap_err();
        assert!(
            error.status == k::KEYFERRY_E_INVALID_VALUE && error.message.contains("agent.url"),
            "{error:?}"
        );
    }
}

#[test]
fn without_a_session_the_number_and_the_remedy_are_told() {
    let sandbox = sandbox();
    let error = failure(
        config_for(&sandbox).open().agent(),
        k::KEYFERRY_E_LOGIN_REQUIRED,
    );
    assert_eq!((error.service_code, error.http_status), (262_146, 401));
    assert!(
        error.message.contains("auth.api_key")
            && error.message.contains("never on its command line"),
        "{error:?}"
    );
    assert!(!error.message.contains("-api-key"), "{error:?}");
}

#[test]
fn signing_in_takes_what_is_given_else_what_is_configured() {
    let sandbox = sandbox();
    let given = config_for(&sandbox).open();
    assert_eq!(
        parse_json(
            &given
                .agent_sign_in(Some(c::EMAIL), Some(c::PASSWORD))
                .unwrap()
        )["user"]["id"],
        c::USER_ID
    );
    assert_eq!(
        parse_json(&given.agent().unwrap())["user"]["id"],
        c::USER_ID
    );
    with_login(&sandbox)
        .open()
        .agent_sign_in(None, None)
        .unwrap();
    with_login(&sandbox)
        .open()
        .agent_sign_in(Some(c::EMAIL), None)
        .unwrap();
    for (email, password) in [
        (None, None),
        (Some(c::EMAIL), None),
        (None, Some(c::PASSWORD)),
    ] {
        let error = failure(
            given.agent_sign_in(email, password),
            k::KEYFERRY_E_NOT_CONFIGURED,
        );
        assert!(error.message.contains("masv."), "{error:?}");
    }
    assert_eq!(sandbox.count("agent_login"), 3);
    check_requests(&sandbox);
}

#[test]
fn what_no_login_can_be_is_refused_before_anybody_is_asked() {
    let sandbox = sandbox();
    sandbox.configure("legacy", json!(true));
    let session = with_login(&sandbox).open();
    for (email, password) in [
        (c::EMAIL, "a\nb"),
        ("a\r@example.com", c::PASSWORD),
        (c::EMAIL, ""),
        ("", c::PASSWORD),
    ] {
        failure(
            session.login(Some(email), Some(password)).map(drop),
            k::KEYFERRY_E_INVALID_VALUE,
        );
        failure(
            session.agent_sign_in(Some(email), Some(password)),
            k::KEYFERRY_E_INVALID_VALUE,
        );
        failure(
            session.agent_sign_up(email, password, "New"),
            k::KEYFERRY_E_INVALID_VALUE,
        );
    }
    failure(
        session.agent_sign_in(None, Some("a\nb")),
        k::KEYFERRY_E_INVALID_VALUE,
    );
    assert_eq!(sandbox.count("requests"), 0);
}

#[test]
fn a_wrong_password_is_refused_and_a_right_one_taken_at_once() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    for _ in 0..2 {
        let error = failure(
            session.agent_sign_in(Some(c::EMAIL), Some("not-the-one")),
            k::KEYFERRY_E_BAD_CREDENTIALS,
        );
        assert_eq!((error.http_status, error.service_code), (401, 262_145));
        assert!(!error.message.contains("not-the-one"), "{error:?}");
    }
    assert_eq!(
        sandbox.count("agent_login"),
        2,
        "each was asked for by somebody"
    );
    session
        .agent_sign_in(Some(c::EMAIL), Some(c::PASSWORD))
        .unwrap();
}

#[test]
fn signing_up_works_with_an_old_agent_and_is_unsupported_by_a_new_one() {
    let sandbox = sandbox();
    let session = config_for(&sandbox).open();
    let error = failure(
        session.agent_sign_up("new@example.com", "a-new-password", "New"),
        k::KEYFERRY_E_UNSUPPORTED,
    );
    assert!(
        error.message.contains("auth.api_key") && !error.message.contains("a-new-password"),
        "{error:?}"
    );
    sandbox.configure("legacy", json!(true));
    let made = parse_json(
        &session
            .agent_sign_up("new@example.com", "a-new-password", "New")
            .unwrap(),
    );
    assert_eq!(
        (&made["user"]["email"], &made["user"]["name"]),
        (&json!("new@example.com"), &json!("New"))
    );
    assert_eq!(
        parse_json(&session.agent().unwrap())["user"]["email"],
        "new@example.com"
    );
    session
        .agent_sign_in(Some("new@example.com"), Some("a-new-password"))
        .unwrap();
    failure(
        session.agent_sign_up("new@example.com", "a-new-password", "New"),
        k::KEYFERRY_E_BAD_CREDENTIALS,
    );
    check_requests(&sandbox);
}

#[test]
fn an_agent_that_takes_no_password_is_told_from_one_that_refuses_it() {
    let sandbox = sandbox();
    for status in [404, 405, 501] {
        sandbox.fault(Fault::status(status).service(Service::Agent).method("POST"));
        let error = failure(
            with_login(&sandbox).open().agent_sign_in(None, None),
            k::KEYFERRY_E_UNSUPPORTED,
        );
        assert!(error.message.contains("auth.api_key"), "{error:?}");
    }
}

#[test]
fn teams_that_the_answer_leaves_out_are_asked_for() {
    let sandbox = sandbox();
    sandbox.configure("agent_signed_in", json!(true));
    for shape in ["array", "object"] {
        sandbox.configure("agent_teams_shape", json!(shape));
        for body in [
            json!({"user": {"id": "U"}}),
            json!({"USER": {"id": "U"}, "teams": null}),
            json!({"user": {"id": "U"}, "teams": {}}),
        ] {
            let literal = FaultAction::Literal {
                status: 200,
                media_type: "application/json".into(),
                body: body.to_string(),
            };
            sandbox.fault(Fault::new(literal).path("/api/v1/login"));
            let session_json = parse_json(&config_for(&sandbox).open().agent().unwrap());
            assert_eq!(
                (&session_json["user"]["id"], &session_json["teams"][0]["id"]),
                (&json!("U"), &json!(c::TEAM_ID))
            );
        }
    }
    assert_eq!(sandbox.count("agent_teams"), 6);
    check_requests(&sandbox);
}

#[test]
fn where_no_agent_runs_the_message_says_how_to_start_one() {
    let sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let session = with_login(&sandbox).set("agent.url", &url).open();
    let outcomes = [
        session.agent(),
        session.agent_sign_in(None, None),
        session.agent_sign_up("a@example.com", "a-new-password", "A"),
    ];
    for outcome in outcomes {
        let error = failure(outcome, k::KEYFERRY_E_UNREACHABLE);
        assert!(
            error.message.contains("masv server start") && error.message.contains("agent.url"),
            "{error:?}"
        );
    }
    let error = failure(session.token("agent:session"), k::KEYFERRY_E_NO_HEADER);
    assert!(error.message.contains("keeps the session"), "{error:?}");
}
