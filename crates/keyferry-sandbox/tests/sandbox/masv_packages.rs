//! MASV cloud with package and transfer tokens: what each variant may do, and nothing else.

use keyferry_sandbox::{Sandbox, credentials as c};
use serde_json::json;

use crate::tokens::*;

/// A route below a package, and the status for a management, read and write token.
const RIGHTS: [(&str, &str, [u16; 3]); 13] = [
    ("GET", "", [200, 200, 403]),
    ("PUT", "", [200, 403, 403]),
    ("PUT", "/expiry", [200, 403, 403]),
    ("POST", "/files", [201, 403, 201]),
    ("GET", "/files", [200, 200, 403]),
    ("POST", "/files/01J0SANDB0XF1LE00000000001", [200, 403, 404]),
    (
        "POST",
        "/files/01J0SANDB0XF1LE00000000001/finalize",
        [200, 403, 404],
    ),
    (
        "GET",
        "/files/01J0SANDB0XF1LE00000000001/download",
        [403, 200, 403],
    ),
    ("POST", "/finalize", [200, 403, 200]),
    ("POST", "/links", [201, 403, 403]),
    ("GET", "/transfer", [200, 200, 403]),
    ("POST", "/transfer", [201, 201, 403]),
    ("DELETE", "", [204, 403, 403]),
];

fn portal_package(sandbox: &Sandbox) -> (String, String) {
    let url = sandbox.masv_url();
    let portal = get(
        url,
        &format!("/v1/subdomains/portals/{}", c::PORTAL_SUBDOMAIN),
        &[],
    )
    .text("id");
    let created = post(
        url,
        &format!("/v1/portals/{portal}/packages"),
        &[],
        &json!({"name": "sent in"}),
    );
    assert_eq!(created.status, 201);
    (created.text("id"), created.text("access_token"))
}

fn send_with_package_token(sandbox: &Sandbox, method: &str, path: &str, token: &str) -> u16 {
    let body = if matches!(method, "POST" | "PUT") {
        "{}"
    } else {
        ""
    };
    send(
        sandbox.masv_url(),
        method,
        path,
        &[("X-Package-Token", token)],
        body,
    )
    .status
}

#[test]
fn each_variant_has_its_rights_on_each_route() {
    let sandbox = sandbox();
    let manage = management_token(&sandbox, c::PACKAGE_ID);
    let read = read_token(&sandbox);
    let (portal_id, write) = portal_package(&sandbox);
    for (method, rest, expected) in RIGHTS {
        let tokens = [
            (c::PACKAGE_ID, &manage),
            (c::PACKAGE_ID, &read),
            (portal_id.as_str(), &write),
        ];
        let order = [1, 2, 0]; // deleting comes last, with the management token
        for index in order {
            let (id, token) = tokens[index];
            let status = send_with_package_token(
                &sandbox,
                method,
                &format!("/v1/packages/{id}{rest}"),
                token,
            );
            assert_eq!(
                status, expected[index],
                "{method} {rest} with token {index}"
            );
        }
    }
    assert_eq!(
        send_with_package_token(
            &sandbox,
            "GET",
            &format!("/v1/packages/{}", c::PACKAGE_ID),
            &manage
        ),
        404,
        "it was deleted"
    );
    assert_eq!(
        send_with_package_token(
            &sandbox,
            "PATCH",
            &format!("/v1/packages/{portal_id}/files"),
            &write
        ),
        405
    );
    assert_eq!(
        send_with_package_token(
            &sandbox,
            "GET",
            &format!("/v1/packages/{portal_id}/nothing"),
            &write
        ),
        404
    );
}

#[test]
fn a_package_takes_its_own_token_and_no_other_credential() {
    let sandbox = sandbox();
    let url = sandbox.masv_url();
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    let other = management_token(&sandbox, c::OTHER_PACKAGE_ID);
    assert_eq!(send_with_package_token(&sandbox, "GET", &path, &other), 401);
    assert_eq!(sandbox.count("foreign_token"), 1);
    assert_eq!(
        send_with_package_token(&sandbox, "GET", &path, "undefined"),
        401
    );
    assert_eq!(
        send_with_package_token(&sandbox, "GET", &path, &user_token(&sandbox)),
        401
    );
    assert_eq!(get(url, &path, &[]).status, 401);
    assert_eq!(get(url, &path, &[("X-API-KEY", c::API_KEY)]).status, 401);
    let own = management_token(&sandbox, c::PACKAGE_ID);
    assert_eq!(get(url, &path, &[("X-User-Token", &own)]).status, 401);
    assert_eq!(
        get(
            url,
            &path,
            &[("X-Package-Token", &own), ("X-API-KEY", c::API_KEY)]
        )
        .status,
        400
    );
    assert_eq!(send_with_package_token(&sandbox, "GET", &path, &own), 200);
    sandbox
        .clock()
        .advance(std::time::Duration::from_secs(86_400));
    assert_eq!(send_with_package_token(&sandbox, "GET", &path, &own), 401);
}

#[test]
fn a_team_package_is_made_with_a_management_token_and_a_link_to_it_works() {
    let sandbox = sandbox();
    let url = sandbox.masv_url();
    let path = format!("/v1/teams/{}/packages", c::TEAM_ID);
    let created = post(
        url,
        &path,
        &[("X-API-KEY", c::API_KEY)],
        &json!({"name": "dailies"}),
    );
    assert_eq!(created.status, 201);
    let (id, token) = (created.text("id"), created.text("access_token"));
    assert_eq!(claims(&token)["lvl"], "f");
    let link = post(
        url,
        &format!("/v1/packages/{id}/links"),
        &[("X-Package-Token", &token)],
        &json!({"password": "p=w"}),
    );
    let secret: String =
        url::form_urlencoded::byte_serialize(link.text("download_secret").as_bytes()).collect();
    let path = format!("/v1/links/{}?secret={secret}", link.text("id"));
    assert_eq!(get(url, &path, &[]).status, 401);
    assert_eq!(
        get(url, &path, &[("X-Link-Password", "p=w")]).text("package_id"),
        id
    );
    sandbox.configure("download_secret", json!(false));
    let link = post(
        url,
        &format!("/v1/packages/{id}/links"),
        &[("X-Package-Token", &token)],
        &json!({}),
    );
    assert_eq!(link.json().get("download_secret"), None);
}

#[test]
fn a_transfer_takes_its_own_token_alone() {
    let sandbox = sandbox();
    let url = sandbox.masv_url();
    let transfers_of = |package: &str| {
        let token = management_token(&sandbox, package);
        get(
            url,
            &format!("/v1/packages/{package}/transfer"),
            &[("X-Package-Token", &token)],
        )
        .json()
    };
    let list = transfers_of(c::PACKAGE_ID);
    let own = list[0]["access_token"].as_str().unwrap().to_owned();
    let other = transfers_of(c::OTHER_PACKAGE_ID)[0]["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(list[0]["id"], c::TRANSFER_ID);
    let path = format!("/v1/transfers/{}", c::TRANSFER_ID);
    let call = |method: &str, rest: &str, header: &str, token: &str| {
        let body = if matches!(method, "POST" | "PUT") {
            "{}"
        } else {
            ""
        };
        send(
            url,
            method,
            &format!("{path}{rest}"),
            &[(header, token)],
            body,
        )
        .status
    };
    assert_eq!(call("GET", "", "X-Transfer-Token", &other), 401);
    assert_eq!(call("GET", "", "X-Package-Token", &own), 401);
    assert_eq!(
        call(
            "GET",
            "",
            "X-Transfer-Token",
            &management_token(&sandbox, c::PACKAGE_ID)
        ),
        401
    );
    assert_eq!(call("GET", "", "X-Transfer-Token", &own), 200);
    assert_eq!(call("POST", "/retry", "X-Transfer-Token", &own), 200);
    assert_eq!(call("GET", "/retry", "X-Transfer-Token", &own), 405);
    assert_eq!(call("PUT", "", "X-Transfer-Token", &own), 200);
    assert_eq!(call("DELETE", "", "X-Transfer-Token", &own), 204);
    assert_eq!(
        get(url, &path, &[("X-Transfer-Token", &own)]).text("state"),
        "cancelled"
    );
    sandbox.configure("transfers_shape", json!("object"));
    assert!(transfers_of(c::PACKAGE_ID)["transfers"].is_array());
    sandbox.configure("read_lists_transfers", json!(false));
    let list = format!("/v1/packages/{}/transfer", c::PACKAGE_ID);
    assert_eq!(
        send_with_package_token(&sandbox, "GET", &list, &read_token(&sandbox)),
        403
    );
}

#[test]
fn opaque_and_endless_tokens_work_too() {
    let sandbox = sandbox();
    sandbox.configure("opaque", json!(["user", "package"]));
    let token = user_token(&sandbox);
    assert!(!token.contains('.'));
    assert_ne!(token, user_token(&sandbox));
    let teams =
        |token: &str| get(sandbox.masv_url(), "/v1/teams", &[("X-User-Token", token)]).status;
    assert_eq!(teams(&token), 200);
    assert_eq!(teams(&management_token(&sandbox, c::PACKAGE_ID)), 401);
    sandbox.configure("opaque", json!([]));
    sandbox.configure("no_exp", json!(["user"]));
    let token = user_token(&sandbox);
    assert_eq!(claims(&token).get("exp"), None);
    assert_eq!(teams(&token), 200);
}
