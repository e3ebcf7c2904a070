//! Every kind of fault, as a client meets it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use keyferry_sandbox::{BodyKind, Fault, FaultAction, Sandbox, Service, credentials as c};
use serde_json::{Value, json};

use crate::tokens::*;

fn teams(sandbox: &Sandbox) -> HttpResponse {
    get(
        sandbox.masv_url(),
        "/v1/teams",
        &[("X-API-KEY", c::API_KEY)],
    )
}

fn log_in_with_fault(sandbox: &Sandbox, fault: Value) -> HttpResponse {
    sandbox.clear_faults();
    assert_eq!(
        post(sandbox.agent_url(), "/sandbox/fault", &[], &fault).status,
        200,
        "{fault}"
    );
    log_in(sandbox)
}

#[test]
fn a_fault_hits_what_it_names_and_as_often_as_it_says() {
    let sandbox = sandbox();
    sandbox.fault(
        Fault::status(503)
            .service(Service::Masv)
            .method("GET")
            .path("/v1/teams")
            .skip(1)
            .times(2),
    );
    assert_eq!(log_in(&sandbox).status, 200);
    let seen: Vec<u16> = (0..5).map(|_| teams(&sandbox).status).collect();
    assert_eq!(seen, [200, 503, 503, 200, 200]);
    sandbox.fault(
        Fault::status(500)
            .path("/v1.1/teams/x/packages?page=2")
            .forever(),
    );
    let page = |page: u8| {
        get(
            sandbox.masv_url(),
            &format!("/v1.1/teams/x/packages?page={page}"),
            &[],
        )
        .status
    };
    assert_eq!((page(1), page(2), page(2)), (401, 500, 500));
    sandbox.clear_faults();
    assert_eq!(page(2), 401);
    assert_eq!(
        (sandbox.count("faults_hit"), sandbox.count("list_page")),
        (4, 4)
    );
}

#[test]
fn a_fault_hits_every_nth_request() {
    let sandbox = sandbox();
    let fault = json!({"path": "/v1/teams", "status": 503, "skip": 1, "every": 3, "times": 2});
    assert_eq!(
        post(sandbox.masv_url(), "/sandbox/fault", &[], &fault).status,
        200
    );
    let seen: Vec<u16> = (0..11).map(|_| teams(&sandbox).status).collect();
    assert_eq!(
        seen,
        [200, 200, 200, 503, 200, 200, 503, 200, 200, 200, 200]
    );
}

#[test]
fn statuses_come_with_their_bodies_and_retry_after() {
    let sandbox = sandbox();
    for value in [
        "120",
        "Wed, 01 Jul 2026 00:02:00 GMT",
        "-5",
        "99999999999999999999",
        "soon",
    ] {
        let response = log_in_with_fault(&sandbox, json!({"status": 429, "retry_after": value}));
        assert_eq!(
            (response.status, response.header("retry-after").as_deref()),
            (429, Some(value))
        );
        assert!(response.json()["errors"].is_array());
    }
    assert!(
        log_in_with_fault(&sandbox, json!({"status": 502, "body": "html"}))
            .body
            .starts_with(b"<html>")
    );
    assert_eq!(
        log_in_with_fault(&sandbox, json!({"status": 500, "body": "empty"}))
            .body
            .len(),
        0
    );
    sandbox.fault(
        Fault::new(FaultAction::Status {
            status: 503,
            body: BodyKind::Json,
        })
        .service(Service::FileVerbs),
    );
    assert_eq!(
        get(sandbox.fileverbs_url(), "/api/v1/fileuploads", &[]).json(),
        json!({"message": "fault injected by the sandbox"})
    );
    assert_eq!(
        (sandbox.count("login"), sandbox.issued("user")),
        (7, 0),
        "they arrived and were not carried out"
    );
}

#[test]
fn documents_are_spoiled_as_asked() {
    let sandbox = sandbox();
    let response = log_in_with_fault(&sandbox, json!({"kind": "empty"}));
    assert_eq!(
        (response.status, response.body.len(), sandbox.issued("user")),
        (200, 0, 1)
    );
    assert_eq!(
        log_in_with_fault(&sandbox, json!({"kind": "null"})).body,
        b"null"
    );
    let uppercase = log_in_with_fault(&sandbox, json!({"kind": "wrong_case"})).json();
    assert!(uppercase["TOKEN"].is_string() && uppercase["TEAMS"][0]["ID"].is_string());
    let mistyped = log_in_with_fault(&sandbox, json!({"kind": "wrong_types"})).json();
    assert_eq!(mistyped, json!({"token": 17, "teams": "17", "user": []}));
    assert_eq!(
        log_in_with_fault(&sandbox, json!({"kind": "token", "token": "a\r\nb"})).text("token"),
        "a\r\nb"
    );
    assert_eq!(
        log_in_with_fault(
            &sandbox,
            json!({"kind": "literal", "body": "{\"token\":\"x"})
        )
        .body,
        b"{\"token\":\"x"
    );
    let deep = log_in_with_fault(&sandbox, json!({"kind": "deep", "levels": 100_000}));
    assert_eq!(
        deep.body.iter().filter(|byte| **byte == b'[').count(),
        100_000
    );
    sandbox.fault(Fault::new(FaultAction::Token("t".to_owned())).service(Service::Masv));
    let list = get(
        sandbox.masv_url(),
        &format!("/v1/teams/{}/packages", c::TEAM_ID),
        &[("X-API-KEY", c::API_KEY)],
    );
    assert!(
        list.json()
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["access_token"] == "t")
    );
}

#[test]
fn bodies_break_and_swell_as_asked() {
    let sandbox = sandbox();
    let half = log_in_with_fault(&sandbox, json!({"kind": "half"}));
    let content_length: usize = half.header("content-length").unwrap().parse().unwrap();
    assert_eq!(half.body.len(), content_length / 2);
    let huge = log_in_with_fault(&sandbox, json!({"kind": "huge", "bytes": 64 << 20}));
    assert_eq!((huge.status, huge.body.len()), (200, 64 << 20));
    assert!(huge.body.starts_with(b"{\"token\":\"aaa") && huge.body.ends_with(b"\"}"));
    let drip = log_in_with_fault(&sandbox, json!({"kind": "drip", "interval_ms": 0}));
    assert!(drip.json()["token"].is_string());
    sandbox.fault(Fault::new(FaultAction::Endless));
    let mut stream = connect(sandbox.masv_url());
    stream
        .write_all(request("GET", "/v1/teams", &[], "").as_bytes())
        .unwrap();
    let mut head = vec![0; 1 << 20];
    stream.read_exact(&mut head).unwrap();
    assert!(String::from_utf8_lossy(&head[..500]).contains("transfer-encoding: chunked"));
}

#[test]
fn connections_end_without_an_answer() {
    let sandbox = sandbox();
    let response = log_in_with_fault(&sandbox, json!({"kind": "close"}));
    assert_eq!(
        (response.status, response.body.len(), sandbox.issued("user")),
        (0, 0, 0)
    );
    let response = log_in_with_fault(&sandbox, json!({"kind": "lost"}));
    assert_eq!(
        (response.status, response.body.len(), sandbox.issued("user")),
        (0, 0, 1)
    );
    sandbox.fault(Fault::new(FaultAction::Reset));
    let mut stream = connect(sandbox.masv_url());
    stream
        .write_all(request("GET", "/v1/teams", &[], "").as_bytes())
        .unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let raw = log_in_with_fault(
        &sandbox,
        json!({"kind": "raw", "body": "HTTP/1.1 200 OK\r\nX: \u{1}\r\nContent-Length: 3\r\n\r\nabcdef"}),
    );
    assert_eq!(
        (raw.status, raw.body.as_slice()),
        (200, b"abcdef".as_slice())
    );
    assert!(raw.head.contains("X: \u{1}"));
}

#[test]
fn dates_are_skewed_and_redirects_counted_where_they_lead() {
    let sandbox = sandbox();
    let response = log_in_with_fault(&sandbox, json!({"date_skew_s": -3600}));
    assert_eq!(
        (response.status, response.header("date").as_deref()),
        (200, Some("Tue, 30 Jun 2026 23:00:00 GMT"))
    );
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/redirect-target/x", sandbox.agent_url());
        let response = log_in_with_fault(
            &sandbox,
            json!({"kind": "redirect", "status": status, "to": to}),
        );
        assert_eq!(
            (response.status, response.header("location")),
            (status, Some(to))
        );
    }
    assert_eq!(sandbox.count("redirect_target"), 0);
    get(sandbox.agent_url(), "/redirect-target/x", &[]);
    assert_eq!(sandbox.count("redirect_target"), 1);
}

#[test]
fn latency_and_hanging_delay_nobody_else_and_end_with_the_sandbox() {
    let sandbox = sandbox();
    sandbox.fault(Fault::new(FaultAction::Hang).path("/v1/auth").forever());
    sandbox.fault(Fault::slow(Duration::from_millis(300)).path("/v1/teams"));
    let hung: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(sandbox.masv_url());
            stream
                .write_all(request("POST", "/v1/auth", &[], "{}").as_bytes())
                .unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    let mut slow = connect(sandbox.masv_url());
    slow.write_all(request("GET", "/v1/teams", &[], "").as_bytes())
        .unwrap();
    assert!(sandbox.wait_for("login", 20, Duration::from_secs(5)));
    assert!(sandbox.wait_for("teams", 1, Duration::from_secs(5)));
    assert_eq!(teams(&sandbox).status, 200);
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "the second request didn't wait for the first"
    );
    slow.read_to_end(&mut Vec::new()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    let start = Instant::now();
    drop(sandbox);
    assert!(start.elapsed() < Duration::from_secs(1));
    for mut stream in hung {
        assert!(!matches!(stream.read(&mut [0; 8]), Ok(1..)));
    }
}
