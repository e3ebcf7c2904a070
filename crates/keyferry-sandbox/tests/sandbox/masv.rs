//! MASV cloud with user credentials: logging in, keys, listings, links.

use std::time::Duration;

use keyferry_sandbox::credentials as c;
use serde_json::{Value, json};

use crate::tokens::*;

fn team_path(version: &str, rest: &str) -> String {
    format!("/{version}/teams/{}/{rest}", c::TEAM_ID)
}

#[test]
fn a_login_answers_as_documented_and_its_token_works() {
    let sandbox = sandbox();
    let response = log_in(&sandbox);
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("date").unwrap(),
        "Wed, 01 Jul 2026 00:00:00 GMT"
    );
    let document = response.json();
    assert_eq!(document["teams"][0]["id"], c::TEAM_ID);
    assert_eq!(document["user"]["id"], c::USER_ID);
    assert_eq!(document["user"]["preferred_team_id"], c::TEAM_ID);
    let token = response.text("token");
    let exp = START_MS / 1000 + 3 * 86_400;
    assert_eq!(
        claims(&token),
        json!({"exp": exp, "ext": {}, "imp": false, "sub": c::USER_SUBJECT})
    );
    assert_eq!(
        get(sandbox.masv_url(), "/v1/teams", &[("X-User-Token", &token)]).status,
        200
    );
    assert_eq!(
        (
            sandbox.count("login"),
            sandbox.count("teams"),
            sandbox.count("status_200")
        ),
        (1, 1, 2)
    );
    assert_ne!(user_token(&sandbox), token, "two generations are two texts");
}

#[test]
fn a_login_response_may_leave_the_teams_out() {
    let sandbox = sandbox();
    sandbox.configure("preferred_team", json!(false));
    sandbox.configure("login_teams", json!(false));
    let document = log_in(&sandbox).json();
    assert_eq!(document.get("teams"), None);
    assert_eq!(document["user"].get("preferred_team_id"), None);
    let token = document["token"].as_str().unwrap();
    let teams = get(sandbox.masv_url(), "/v1/teams", &[("X-User-Token", token)]).json();
    assert_eq!(teams[0]["id"], c::TEAM_ID);
}

#[test]
fn a_refused_login_has_the_chosen_status_and_an_error_body() {
    let sandbox = sandbox();
    for (status, email) in [
        (400, c::EMAIL),
        (401, c::MFA_EMAIL),
        (403, c::SSO_EMAIL),
        (500, c::EMAIL),
    ] {
        sandbox.configure("auth_refusal_status", json!(status));
        let response = post(
            sandbox.masv_url(),
            "/v1/auth",
            &[],
            &json!({"email": email, "password": "wrong"}),
        );
        assert_eq!(response.status, status);
        assert!(
            response.json()["code"].is_i64() && response.json()["errors"][0]["msg"].is_string()
        );
    }
    sandbox.configure("auth_refusal_json", json!(false));
    assert!(
        post(
            sandbox.masv_url(),
            "/v1/auth",
            &[],
            &json!({"email": c::EMAIL, "password": "x"})
        )
        .body
        .starts_with(b"<html>")
    );
    assert_eq!(
        (sandbox.count("login"), sandbox.count("login_refused")),
        (5, 5)
    );
}

#[test]
fn documents_content_types_and_paths_are_checked() {
    let sandbox = sandbox();
    let url = sandbox.masv_url();
    assert_eq!(
        post(url, "/v1/auth", &[], &json!({"email": c::EMAIL})).status,
        400
    );
    assert_eq!(send(url, "POST", "/v1/auth", &[], "[1,2").status, 400);
    assert_eq!(
        send(
            url,
            "POST",
            "/v1/auth",
            &[("Content-Type", "application/json")],
            ""
        )
        .status,
        400
    );
    assert_eq!(
        post(
            url,
            "/v1/auth",
            &[("Content-Type", "text/plain")],
            &json!({})
        )
        .status,
        415
    );
    assert_eq!(send(url, "PUT", "/v1/packages/x", &[], "").status, 415);
    assert_eq!(get(url, "/v1/auth", &[]).status, 405);
    assert_eq!(get(url, "/v2/teams", &[]).status, 404);
    assert_eq!(
        (
            sandbox.count("wrong_content_type"),
            sandbox.count("bad_document")
        ),
        (2, 3)
    );
}

#[test]
fn exactly_one_credential_header_of_the_right_kind_is_taken() {
    let sandbox = sandbox();
    let (url, token) = (sandbox.masv_url(), user_token(&sandbox));
    let teams = |headers: &[(&str, &str)]| get(url, "/v1/teams", headers).status;
    assert_eq!(
        teams(&[("X-API-KEY", c::API_KEY), ("X-User-Token", &token)]),
        400
    );
    assert_eq!(
        teams(&[("X-User-Token", &token), ("X-User-Token", &token)]),
        400
    );
    assert_eq!(sandbox.count("two_credentials"), 2);
    assert_eq!(teams(&[]), 401);
    assert_eq!(teams(&[("X-User-Token", c::API_KEY)]), 401);
    assert_eq!(teams(&[("X-User-Token", "undefined")]), 401);
    assert_eq!(teams(&[("X-API-KEY", &token)]), 401);
    assert_eq!(teams(&[("X-Package-Token", &token)]), 401);
    assert_eq!(teams(&[("Authorization", &format!("Bearer {token}"))]), 401);
    assert_eq!(teams(&[("SecretKey", c::SECRET_KEY)]), 401);
    assert_eq!(sandbox.count("foreign_credential"), 2);
    assert_eq!(teams(&[("X-API-KEY", c::API_KEY)]), 200);
    let body = json!({"email": c::EMAIL, "password": c::PASSWORD});
    assert_eq!(
        post(url, "/v1/auth", &[("X-API-KEY", c::API_KEY)], &body).status,
        400
    );
    assert_eq!(sandbox.count("needless_credential"), 1);
}

#[test]
fn expired_rejected_and_foreign_tokens_are_refused() {
    let sandbox = sandbox();
    sandbox.set_life("user", 100);
    sandbox.reject_generation("user", 2);
    let teams =
        |token: &str| get(sandbox.masv_url(), "/v1/teams", &[("X-User-Token", token)]).status;
    let (first, second, third) = (
        user_token(&sandbox),
        user_token(&sandbox),
        user_token(&sandbox),
    );
    assert_eq!(
        (teams(&first), teams(&second), teams(&third)),
        (200, 401, 200)
    );
    sandbox.reject_token(&third);
    assert_eq!(teams(&third), 401);
    sandbox.clock().advance(Duration::from_secs(99));
    assert_eq!(teams(&first), 200);
    sandbox.clock().advance(Duration::from_secs(1));
    assert_eq!(teams(&first), 401);
    assert_eq!(
        teams(&user_token(&crate::tokens::sandbox())),
        401,
        "another sandbox signs with another key"
    );
    assert_eq!(
        (
            sandbox.count("expired_token"),
            sandbox.count("rejected_token"),
            sandbox.count("bad_token")
        ),
        (1, 2, 1)
    );
}

#[test]
fn keys_are_made_with_a_user_token_only() {
    let sandbox = sandbox();
    let (url, token) = (sandbox.masv_url(), user_token(&sandbox));
    let (path, body) = (
        team_path("v1", "api_keys"),
        json!({"state": "active", "name": "render farm"}),
    );
    assert_eq!(
        post(url, &path, &[("X-API-KEY", c::API_KEY)], &body).status,
        403
    );
    assert_eq!(
        post(url, &path, &[("X-User-Token", &token)], &json!({})).status,
        400
    );
    let created = post(url, &path, &[("X-User-Token", &token)], &body);
    assert_eq!(
        (created.status, created.text("expiry").as_str()),
        (201, "0001-01-01T00:00:00.000Z")
    );
    let key = created.text("key");
    assert_eq!(key.len(), 64);
    assert_eq!(get(url, "/v1/teams", &[("X-API-KEY", &key)]).status, 200);
    let change = format!("/v1/api_keys/{}", created.text("id"));
    let off = json!({"state": "inactive"}).to_string();
    assert_eq!(
        send(url, "PUT", &change, &[("X-API-KEY", c::API_KEY)], &off).status,
        403
    );
    let changed = send(url, "PUT", &change, &[("X-User-Token", &token)], &off);
    assert_eq!(
        (changed.status, changed.json().get("key")),
        (200, None),
        "the value is shown once"
    );
    assert_eq!(get(url, "/v1/teams", &[("X-API-KEY", &key)]).status, 401);
}

#[test]
fn a_profile_is_changed_by_its_user_alone() {
    let sandbox = sandbox();
    let (url, token) = (sandbox.masv_url(), user_token(&sandbox));
    let put = |id: &str, header: (&str, &str)| {
        send(
            url,
            "PUT",
            &format!("/v1/users/{id}"),
            &[header],
            "{\"name\":\"New\"}",
        )
    };
    assert_eq!(put(c::USER_ID, ("X-API-KEY", c::API_KEY)).status, 403);
    assert_eq!(put(c::SECOND_USER_ID, ("X-User-Token", &token)).status, 403);
    assert_eq!(
        put(c::USER_ID, ("X-User-Token", &token)).text("name"),
        "New"
    );
}

#[test]
fn packages_are_listed_over_pages_with_fresh_tokens() {
    let sandbox = sandbox();
    let page = |page: usize| {
        let path = team_path("v1.1", &format!("packages?page={page}&limit=50"));
        get(sandbox.masv_url(), &path, &[("X-API-KEY", c::API_KEY)]).json()
    };
    let pages: Vec<Value> = (1..=6).map(page).collect();
    let sizes: Vec<usize> = pages
        .iter()
        .map(|page| page["records"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [50, 50, 50, 50, 5, 0]);
    assert_eq!(pages[0]["metadata"]["total"], 205);
    assert_eq!(pages[0]["records"][0]["id"], c::PACKAGE_ID);
    assert_ne!(
        page(1)["records"][0]["access_token"],
        pages[0]["records"][0]["access_token"]
    );
    for bad in ["page=1&limit=51", "page=0&limit=50", "page=x", "limit=0"] {
        let path = team_path("v1.1", &format!("packages?{bad}"));
        assert_eq!(
            get(sandbox.masv_url(), &path, &[("X-API-KEY", c::API_KEY)]).status,
            400
        );
    }
    sandbox.configure("packages", json!(7));
    assert_eq!(page(1)["metadata"]["total"], 7);
    let all = |query: &str| {
        get(
            sandbox.masv_url(),
            &team_path("v1", query),
            &[("X-API-KEY", c::API_KEY)],
        )
        .json()
    };
    assert_eq!(all("packages").as_array().unwrap().len(), 7);
    assert_eq!(all("packages?archived=true").as_array().unwrap().len(), 1);
    assert_eq!(sandbox.count("list_page"), 12);
}

#[test]
fn a_look_up_knows_the_teams_packages_and_the_inbox_the_rest() {
    let sandbox = sandbox();
    let look_up = |rest: &str| {
        get(
            sandbox.masv_url(),
            &team_path("v1.1", rest),
            &[("X-API-KEY", c::API_KEY)],
        )
    };
    let one = look_up(&format!("packages/{}", c::PACKAGE_ID));
    let token = claims(&one.text("access_token"));
    let exp = START_MS / 1000 + 86_400;
    let expected = json!({"exp": exp, "imp": false, "lvl": "f", "sub": c::PACKAGE_ID, "typ": "package", "uid": c::USER_ID});
    assert_eq!(token, expected);
    assert_eq!(
        look_up(&format!("packages/{}", c::INBOX_PACKAGE_ID)).status,
        404
    );
    assert_eq!(
        look_up("inbox").json()["records"][0]["id"],
        c::INBOX_PACKAGE_ID
    );
    sandbox.configure("single_lookup", json!(405));
    assert_eq!(look_up(&format!("packages/{}", c::PACKAGE_ID)).status, 405);
    assert_eq!((sandbox.count("lookup"), sandbox.count("inbox")), (3, 1));
}

#[test]
fn teams_are_closed_to_strangers() {
    let sandbox = sandbox();
    let url = sandbox.masv_url();
    let list_status = |team: &str, key: &str| {
        get(
            url,
            &format!("/v1/teams/{team}/packages"),
            &[("X-API-KEY", key)],
        )
        .status
    };
    assert_eq!(list_status(c::SECOND_TEAM_ID, c::API_KEY), 404);
    assert_eq!(
        list_status(c::TEAM_NAME.split(' ').next().unwrap(), c::API_KEY),
        404
    );
    assert_eq!(list_status(c::SECOND_TEAM_ID, c::SECOND_API_KEY), 200);
    sandbox.configure("teams", json!(3));
    let teams = get(url, "/v1/teams", &[("X-API-KEY", c::API_KEY)]).json();
    assert_eq!(
        list_status(teams[2]["id"].as_str().unwrap(), c::API_KEY),
        403,
        "a key belongs to one team"
    );
    sandbox.configure("teams_shape", json!("object"));
    assert!(get(url, "/v1/teams", &[("X-API-KEY", c::API_KEY)]).json()["teams"].is_array());
}

#[test]
fn links_want_their_secret_and_password() {
    let sandbox = sandbox();
    let link = |id: &str, query: &str, headers: &[(&str, &str)]| {
        get(
            sandbox.masv_url(),
            &format!("/v1/links/{id}{query}"),
            headers,
        )
    };
    let plain = format!("?secret={}", c::LINK_SECRET);
    let response = link(c::LINK_ID, &plain, &[]);
    assert_eq!(response.text("package_id"), c::PACKAGE_ID);
    assert_eq!(
        (
            response.json()["package_size"].is_i64(),
            response.json().get("access_token")
        ),
        (true, None)
    );
    let token = claims(&response.text("package_token"));
    assert_eq!(
        (&token["lvl"], &token["lid"], token.get("uid")),
        (&json!("d"), &json!(c::LINK_ID), None)
    );
    assert_eq!(link(c::LINK_ID, "?secret=wrong", &[]).status, 401);
    assert_eq!(link(c::LINK_ID, "", &[]).status, 401);
    assert_eq!(link("nowhere", &plain, &[]).status, 404);
    assert_eq!(
        link(c::LINK_ID, &plain, &[("X-API-KEY", c::API_KEY)]).status,
        400
    );
    let protected = format!("?secret={}", c::PROTECTED_LINK_SECRET);
    assert_eq!(link(c::PROTECTED_LINK_ID, &protected, &[]).status, 401);
    sandbox.configure("link_password_status", json!(403));
    assert_eq!(
        link(
            c::PROTECTED_LINK_ID,
            &protected,
            &[("X-Link-Password", "wrong")]
        )
        .status,
        403
    );
    assert_eq!(
        link(
            c::PROTECTED_LINK_ID,
            &protected,
            &[("X-Link-Password", c::LINK_PASSWORD)]
        )
        .status,
        200
    );
    assert_eq!(
        get(
            sandbox.masv_url(),
            "/v1/teams",
            &[("X-API-KEY", c::API_KEY), ("X-Link-Password", "p")]
        )
        .status,
        400
    );
    assert_eq!(
        (
            sandbox.count("stray_link_password"),
            sandbox.count("bad_link_password")
        ),
        (1, 2)
    );
    let encoded = format!("?secret={}", c::ENCODED_LINK_SECRET_IN_URL);
    assert_eq!(link(c::ENCODED_LINK_ID, &encoded, &[]).status, 200);
    assert_eq!(
        link(c::ENCODED_LINK_ID, &encoded.replace('%', "%25"), &[]).status,
        401
    );
    assert_eq!(
        link(
            c::ARCHIVED_LINK_ID,
            &format!("?secret={}", c::ARCHIVED_LINK_SECRET),
            &[]
        )
        .status,
        410
    );
}
