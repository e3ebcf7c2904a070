//! FileVerbs: the token call, the rotating cookie, and the working calls.

use std::time::Duration;

use keyferry_sandbox::{Sandbox, credentials as c};
use serde_json::json;

use crate::tokens::*;

const TOKEN: &str = "/api/v1/accounts/access-token";
const REFRESH: &str = "/api/v1/accounts/refresh-token";

fn log_in(sandbox: &Sandbox) -> HttpResponse {
    post(
        sandbox.fileverbs_url(),
        TOKEN,
        &[],
        &json!({"SecretKey": c::SECRET_KEY, "APIKey": c::FV_API_KEY}),
    )
}

fn refresh(sandbox: &Sandbox, token: &str) -> HttpResponse {
    send(
        sandbox.fileverbs_url(),
        "POST",
        REFRESH,
        &[("Cookie", &format!("other=1; refreshToken={token}"))],
        "",
    )
}

fn bearer_status(sandbox: &Sandbox, token: &str) -> u16 {
    get(
        sandbox.fileverbs_url(),
        "/api/v1/fileuploads",
        &[("Authorization", &format!("Bearer {token}"))],
    )
    .status
}

#[test]
fn the_token_call_answers_in_pascal_case_with_a_cookie() {
    let sandbox = sandbox();
    let response = log_in(&sandbox);
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.starts_with(&format!("refreshToken={};", response.text("RefreshToken"))));
    assert!(
        cookie.ends_with("httponly") && cookie.contains("expires=Wed, 08 Jul 2026 00:00:00 GMT")
    );
    assert_eq!(
        claims(&response.text("JwtToken"))["exp"],
        START_MS / 1000 + 900
    );
    assert_eq!(bearer_status(&sandbox, &response.text("JwtToken")), 200);
    sandbox.configure("camel_case", json!(true));
    assert!(log_in(&sandbox).json()["jwtToken"].is_string());
    assert_eq!(
        (
            sandbox.count("fileverbs_login"),
            sandbox.count("fileverbs_call")
        ),
        (2, 1)
    );
}

#[test]
fn wrong_keys_are_refused_with_the_chosen_status() {
    let sandbox = sandbox();
    for status in [400, 401, 403] {
        sandbox.configure("fileverbs_refusal_status", json!(status));
        let response = post(
            sandbox.fileverbs_url(),
            TOKEN,
            &[],
            &json!({"SecretKey": c::SECRET_KEY, "APIKey": "wrong"}),
        );
        assert_eq!(
            (response.status, response.json()["message"].is_string()),
            (status, true)
        );
    }
    let body = json!({"SecretKey": c::SECRET_KEY, "APIKey": c::FV_API_KEY});
    assert_eq!(
        post(
            sandbox.fileverbs_url(),
            TOKEN,
            &[("SecretKey", c::SECRET_KEY)],
            &body
        )
        .status,
        400
    );
    assert_eq!(
        post(
            sandbox.fileverbs_url(),
            TOKEN,
            &[("Content-Type", "text/plain")],
            &body
        )
        .status,
        415
    );
    assert_eq!(sandbox.count("fileverbs_login_refused"), 3);
}

#[test]
fn a_refresh_rotates_and_a_second_use_revokes_the_family() {
    let sandbox = sandbox();
    let first = log_in(&sandbox).text("RefreshToken");
    let second = refresh(&sandbox, &first);
    assert_eq!(second.status, 200);
    assert_eq!(bearer_status(&sandbox, &second.text("JwtToken")), 200);
    let second = second.text("RefreshToken");
    assert_ne!(first, second);
    let other = log_in(&sandbox).text("RefreshToken");
    let reused = refresh(&sandbox, &first);
    assert_eq!(
        (reused.status, reused.json()),
        (400, json!({"message": "Invalid token"}))
    );
    assert_eq!(sandbox.count("refresh_reuse"), 1);
    assert_eq!(
        refresh(&sandbox, &second).status,
        400,
        "the family is revoked"
    );
    assert_eq!(
        refresh(&sandbox, &other).status,
        200,
        "another family isn't"
    );
    assert_eq!(
        (sandbox.count("refresh"), sandbox.count("refresh_refused")),
        (4, 2)
    );
}

#[test]
fn refresh_tokens_expire_are_revoked_and_need_not_rotate() {
    let sandbox = sandbox();
    sandbox.set_life("refresh", 60);
    let token = log_in(&sandbox).text("RefreshToken");
    sandbox.clock().advance(Duration::from_secs(60));
    assert_eq!(refresh(&sandbox, &token).status, 400);
    let response = log_in(&sandbox);
    let authorization = format!("Bearer {}", response.text("JwtToken"));
    let body = json!({"Token": response.text("RefreshToken")});
    let path = "/api/v1/accounts/revoke-token";
    assert_eq!(post(sandbox.fileverbs_url(), path, &[], &body).status, 401);
    assert_eq!(
        post(
            sandbox.fileverbs_url(),
            path,
            &[("Authorization", &authorization)],
            &body
        )
        .status,
        200
    );
    assert_eq!(
        refresh(&sandbox, &response.text("RefreshToken")).status,
        400
    );
    sandbox.configure("refresh_rotates", json!(false));
    let token = log_in(&sandbox).text("RefreshToken");
    assert_eq!(refresh(&sandbox, &token).text("RefreshToken"), token);
    assert_eq!(refresh(&sandbox, &token).status, 200);
    sandbox.reject_generation("refresh", sandbox.issued("refresh") + 1);
    assert_eq!(
        refresh(&sandbox, &log_in(&sandbox).text("RefreshToken")).status,
        400
    );
}

#[test]
fn the_refresh_route_can_be_absent_or_elsewhere() {
    let sandbox = sandbox();
    let token = log_in(&sandbox).text("RefreshToken");
    for status in [404, 405] {
        sandbox.configure("no_refresh_route", json!(status));
        assert_eq!(refresh(&sandbox, &token).status, status);
    }
    sandbox.configure("no_refresh_route", json!(false));
    sandbox.configure("refresh_path", json!("/api/v1/token/renew"));
    sandbox.configure("refresh_cookie", json!("fv"));
    assert_eq!(refresh(&sandbox, &token).status, 404);
    let moved = send(
        sandbox.fileverbs_url(),
        "POST",
        "/api/v1/token/renew",
        &[("Cookie", &format!("fv={token}"))],
        "",
    );
    assert_eq!(moved.status, 200);
}

#[test]
fn working_calls_take_either_credential_and_only_one() {
    let sandbox = sandbox();
    let url = sandbox.fileverbs_url();
    let token = log_in(&sandbox).text("JwtToken");
    let authorization = format!("Bearer {token}");
    let key = ("SecretKey", c::SECRET_KEY);
    assert_eq!(get(url, "/api/v1/fileuploads", &[key]).status, 200);
    assert_eq!(
        get(
            url,
            "/api/v1/fileuploads",
            &[key, ("Authorization", &authorization)]
        )
        .status,
        400
    );
    assert_eq!(get(url, "/api/v1/fileuploads", &[]).status, 401);
    assert_eq!(
        get(url, "/api/v1/fileuploads", &[("SecretKey", "wrong")]).status,
        401
    );
    assert_eq!(
        get(url, "/api/v1/fileuploads", &[("Authorization", &token)]).status,
        401,
        "no scheme"
    );
    assert_eq!(
        get(url, "/api/v1/fileuploads", &[("X-API-KEY", c::API_KEY)]).status,
        400
    );
    assert_eq!(
        post(url, "/api/v1/fileuploads/upload", &[key], &json!({})).status,
        200
    );
    let job = post(url, "/api/v1/jobrequests", &[key], &json!({})).text("Id");
    assert_eq!(
        get(url, &format!("/api/v1/jobrequests/{job}"), &[key]).status,
        200
    );
    assert_eq!(
        get(
            url,
            &format!("/api/v1/jobrequests/{}/outputs", c::JOB_ID),
            &[key]
        )
        .status,
        200
    );
    assert_eq!(
        get(
            url,
            &format!("/api/v1/jobrequests/{}/outputs", c::FOREIGN_JOB_ID),
            &[key]
        )
        .status,
        404
    );
    assert_eq!(
        bearer_status(&sandbox, &user_token(&sandbox)),
        401,
        "a token of MASV has a good signature and the wrong kind"
    );
    sandbox.clock().advance(Duration::from_secs(900));
    assert_eq!(bearer_status(&sandbox, &token), 401);
    assert_eq!(
        (
            sandbox.count("expired_token"),
            sandbox.count("two_credentials"),
            sandbox.count("foreign_job")
        ),
        (1, 1, 1)
    );
}

#[test]
fn an_uploaded_document_is_kept_listed_and_served() {
    let sandbox = sandbox();
    let url = sandbox.fileverbs_url();
    let key = ("SecretKey", c::SECRET_KEY);
    let upload = |content_type: &str, body: &str| {
        let headers = [key, ("Content-Type", content_type)];
        send(url, "POST", "/api/v1/fileuploads/upload", &headers, body)
    };
    let part = |head: &str, content: &str| {
        format!("--b=1\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let content = "first\r\n--b\r\n\r\nlast\u{fc}";
    let note = part("name=\"note\"", "a note");
    let file = part(
        "name=\"file\"; filename=\"a b.docx\"\r\nContent-Type: text/plain",
        content,
    );
    let created = upload(
        "multipart/form-data; boundary=\"b=1\"",
        &format!("{note}{file}--b=1--\r\n"),
    );
    let expected = json!({"Id": 2, "FileName": "a b.docx", "Size": content.len()});
    assert_eq!((created.status, created.json()), (200, expected.clone()));
    let files = get(url, "/api/v1/fileuploads", &[key]).json();
    assert_eq!(
        (&files[0]["FileName"], &files[1]),
        (&json!("contract.docx"), &expected)
    );
    let served = get(url, "/api/v1/fileuploads/2", &[key]);
    assert_eq!((served.status, &served.body[..]), (200, content.as_bytes()));
    for id in ["0", "1", "3", "-1", "x"] {
        assert_eq!(
            get(url, &format!("/api/v1/fileuploads/{id}"), &[key]).status,
            404
        );
    }
    assert_eq!(get(url, "/api/v1/fileuploads/2", &[]).status, 401);
    for (content_type, body) in [
        ("multipart/form-data", file.as_str()),
        ("multipart/form-data; boundary=c", file.as_str()),
        ("multipart/form-data; boundary=b=1", file.as_str()),
        ("multipart/form-data; boundary=b=1", note.as_str()),
        ("multipart/form-data; boundary=b=1", ""),
    ] {
        let refused = upload(content_type, body);
        assert_eq!(refused.status, 400, "{content_type} {body}");
        assert!(refused.text("message").contains("the form has no file"));
    }
    sandbox.configure("storage_limit_bytes", json!(content.len()));
    let refused = upload(
        "multipart/form-data; boundary=b=1",
        &format!("{file}--b=1--"),
    );
    assert_eq!(refused.status, 413);
    assert!(refused.text("message").contains("no room"));
}
