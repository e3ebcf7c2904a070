//! What is kept, brought by callers, forgotten and told.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{
    KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_FOUND, KEYFERRY_E_UNKNOWN_SERVICE,
    KEYFERRY_E_UNSUPPORTED,
};
use keyferry::ffi::token::KEYFERRY_NO_EXPIRY;
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, Sandbox, credentials as made};
use keyferry_testing::http::{self, claims};
use serde_json::{Value, json};

use crate::c;
use crate::harness::{self, World, package};

fn from_portal(sandbox: &Sandbox) -> (String, String) {
    let path = format!("/v1/portals/{}/packages", made::PORTAL_ID);
    let made = http::post(sandbox.masv_url(), &path, &[], &json!({"name": "n"})).json();
    (
        format!("packages/{}", made["id"].as_str().unwrap()),
        made["access_token"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_adopted_write_token_is_handed_out_without_a_request() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let (resource, value) = from_portal(&sandbox);
    session
        .adopt(&resource, &value, KEYFERRY_NO_EXPIRY)
        .unwrap();
    sandbox.reset_counts();
    let token = session.token_for(&resource).unwrap();
    assert_eq!(
        (token.header(), token.access()),
        (("X-Package-Token", value.as_str()), 3)
    );
    assert_eq!(
        token.expires_unix_s(),
        claims(&value)["exp"].as_i64().unwrap(),
        "read from the token"
    );
    let url = format!("{}/v1/{resource}/files", sandbox.masv_url());
    assert_eq!(
        session.peek(&url, 4096).2,
        format!("X-Package-Token: {value}")
    );
    assert_eq!(sandbox.count("requests"), 0);
    session.reject(&token).unwrap();
    let managed = session.token_for(&resource).unwrap();
    assert_ne!(managed.value(), value, "the inbox lists it for its owner");
    assert_eq!(managed.access(), 4);
}

#[test]
fn an_adopted_transfer_token_is_found_by_its_id() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let transfer = format!("transfers/{}", made::TRANSFER_ID);
    assert_eq!(
        session.token_for(&transfer).map(drop).unwrap_err().status,
        KEYFERRY_E_NOT_FOUND
    );
    let listed = session
        .token_for(&format!("{}/{transfer}", package(1)))
        .unwrap();
    let value = listed.value().to_owned();
    session.forget(None).unwrap();
    session
        .adopt(&transfer, &value, claims(&value)["exp"].as_i64().unwrap())
        .unwrap();
    sandbox.reset_counts();
    assert_eq!(session.token_for(&transfer).unwrap().value(), value);
    assert_eq!(
        session
            .token_for(&format!("{}/{transfer}", package(1)))
            .unwrap()
            .value(),
        value,
        "with its package too"
    );
    assert_eq!(sandbox.count("requests"), 0);
}

#[test]
fn what_can_not_be_a_token_is_not_adopted() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let (resource, value) = from_portal(&sandbox);
    let long = "x".repeat(20_000);
    for bad in [
        "",
        "undefined",
        "null",
        "None",
        "a\r\nX-Evil: b",
        "a\nb",
        "a\rb",
        "tok en",
        " token",
        "tü",
        &long,
    ] {
        let failure = session
            .adopt(&resource, bad, KEYFERRY_NO_EXPIRY)
            .unwrap_err();
        assert_eq!(failure.status, KEYFERRY_E_INVALID_VALUE, "{bad:?}");
        assert!(!failure.message().contains("Evil"));
    }
    for ended in [
        0,
        1,
        -1,
        i64::MIN,
        claims(&value)["exp"].as_i64().unwrap() - 2 * 86_400,
    ] {
        assert_eq!(
            session.adopt(&resource, &value, ended).unwrap_err().status,
            KEYFERRY_E_INVALID_VALUE,
            "{ended}"
        );
    }
    let link = format!("links/{}?secret=s", made::LINK_ID);
    assert_eq!(
        session
            .adopt(&link, &value, KEYFERRY_NO_EXPIRY)
            .unwrap_err()
            .status,
        KEYFERRY_E_UNSUPPORTED
    );
    assert_eq!(
        session
            .adopt("user", &value, KEYFERRY_NO_EXPIRY)
            .unwrap_err()
            .status,
        KEYFERRY_E_UNSUPPORTED
    );
    assert_eq!(
        session
            .adopt("fileverbs:bearer", &value, KEYFERRY_NO_EXPIRY)
            .unwrap_err()
            .status,
        KEYFERRY_E_UNSUPPORTED
    );
    let elsewhere = format!("https://elsewhere.example/v1/{resource}");
    assert_eq!(
        session
            .adopt(&elsewhere, &value, KEYFERRY_NO_EXPIRY)
            .unwrap_err()
            .status,
        KEYFERRY_E_UNKNOWN_SERVICE
    );
    assert_eq!(session.list(), "[]");
}

#[test]
fn an_adopted_token_that_ends_is_handed_out_no_more() {
    let world = World::but(&[("masv.email", ""), ("masv.password", "")]);
    let adopt = |end| {
        world
            .session
            .adopt(&package(1), Secret::from("opaque"), Some(end))
    };
    adopt(world.now_s() + 100).unwrap();
    for _ in 0..100 {
        assert_eq!(world.token(&package(1)).unwrap().value(), "opaque");
        world.pass_s(1);
    }
    assert_eq!(
        world.token(&package(1)).unwrap_err(),
        ErrorKind::NotConfigured
    );
    assert_eq!(
        adopt(world.now_s()).map_err(|error| error.kind),
        Err(ErrorKind::InvalidValue)
    );
    for end in [i64::MAX, i64::MAX / 1_000_000, i64::MAX / 1_000_000 + 1] {
        adopt(end).unwrap();
        assert_eq!(world.token(&package(1)).unwrap().value(), "opaque", "{end}");
    }
    assert_eq!(world.sandbox.count("requests"), 0);
}

#[test]
fn fileverbs_renews_by_cookie_and_logs_in_again_after_forget() {
    for forgotten in [Some("fileverbs:bearer"), None] {
        let world = World::new();
        world.token("fileverbs:bearer").unwrap();
        world.pass_s(890);
        world.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                world.sandbox.count("fileverbs_login"),
                world.sandbox.count("refresh")
            ),
            (1, 1)
        );
        world.pass_s(901);
        world.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                world.sandbox.count("fileverbs_login"),
                world.sandbox.count("refresh")
            ),
            (1, 2),
            "renewed after its end too"
        );
        world.session.forget(forgotten).unwrap();
        world.token("fileverbs:bearer").unwrap();
        assert_eq!(
            (
                world.sandbox.count("fileverbs_login"),
                world.sandbox.count("refresh")
            ),
            (2, 2)
        );
        assert_eq!(
            (
                world.sandbox.count("refresh_reuse"),
                world.sandbox.count("refresh_refused")
            ),
            (0, 0)
        );
    }
}

#[test]
fn a_renewal_that_is_refused_is_followed_by_one_login() {
    let world = World::new();
    world.token("fileverbs:bearer").unwrap();
    world.sandbox.set_life("refresh", 1);
    world.session.forget(None).unwrap();
    world.token("fileverbs:bearer").unwrap();
    world.pass_s(890);
    harness::together(16, |_| assert!(world.token("fileverbs:bearer").is_ok()));
    assert_eq!(
        (
            world.sandbox.count("refresh"),
            world.sandbox.count("fileverbs_login")
        ),
        (1, 3)
    );
    // A renewal whose answer is lost has used the cookie up: the next try ends in a login, not in a
    // loop.
    world.sandbox.set_life("refresh", 10_000);
    world.session.forget(None).unwrap();
    world.token("fileverbs:bearer").unwrap();
    world.sandbox.reset_counts();
    world.sandbox.fault(
        Fault::new(keyferry_sandbox::FaultAction::Lost).path("/api/v1/accounts/refresh-token"),
    );
    world.pass_s(890);
    for _ in 0..20 {
        assert!(world.token("fileverbs:bearer").is_ok() || world.clock.now_us() > 0);
        world.pass_s(1);
    }
    assert!(world.token("fileverbs:bearer").is_ok());
    assert_eq!(
        (
            world.sandbox.count("refresh"),
            world.sandbox.count("fileverbs_login")
        ),
        (1, 1)
    );
}

#[test]
fn forgetting_drops_the_token_and_the_refusal() {
    let world = World::but(&[("masv.password", "wrong")]);
    for forgotten in [Some("user"), None, Some("user")] {
        let before = world.sandbox.count("login");
        assert_eq!(world.token("user").unwrap_err(), ErrorKind::BadCredentials);
        assert_eq!(world.token("user").unwrap_err(), ErrorKind::BadCredentials);
        assert_eq!(world.sandbox.count("login"), before + 1);
        world.session.forget(forgotten).unwrap();
    }
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let (user, one) = (
        session.token_for("user").unwrap(),
        session.token_for(&package(1)).unwrap(),
    );
    session.forget(Some(&package(1))).unwrap();
    assert_eq!(session.peek(&package(1), 4096).1, usize::MAX);
    assert_eq!(
        session.token_for("user").unwrap().generation(),
        user.generation()
    );
    assert_ne!(session.token_for(&package(1)).unwrap().value(), one.value());
}

#[test]
fn a_link_with_a_password_is_forgotten_and_rejected_as_one_without() {
    let world = World::new();
    let link = format!(
        "links/{}?secret={}",
        made::PROTECTED_LINK_ID,
        made::PROTECTED_LINK_SECRET
    );
    let mut request = keyferry::model::request::Request::new(link.as_str());
    request.link_password = Some(Secret::from(made::LINK_PASSWORD));
    let first = world.session.token_for(&request).unwrap();
    world.session.reject(&first).unwrap();
    let second = world.session.token_for(&request).unwrap();
    assert!(second.meta().generation > first.meta().generation);
    world.session.forget(Some(&link)).unwrap();
    assert!(
        world.session.token_for(&request).unwrap().meta().generation > second.meta().generation
    );
    assert_eq!(world.sandbox.count("link"), 3);
}

#[test]
fn explain_list_and_stats_are_json_without_any_secret() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    let transfer = format!("{}/transfers/{}", package(1), made::TRANSFER_ID);
    let resources = [
        "user",
        "fileverbs:bearer",
        &package(1),
        &transfer,
        &link,
        "fileverbs:secret-key",
        "packages/none",
    ];
    let mut secrets = vec![
        made::PASSWORD,
        made::SECRET_KEY,
        made::FV_API_KEY,
        made::LINK_SECRET,
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    let tell = |secrets: &Vec<String>| {
        let explained = resources.map(|resource| session.explain(resource));
        for text in explained.iter().chain([&session.list(), &session.stats()]) {
            let _: Value = serde_json::from_str(text).unwrap();
            secrets
                .iter()
                .for_each(|secret| assert!(!text.contains(secret), "{text}"));
            assert!(!text.contains("eyJ"), "{text}");
        }
    };
    tell(&secrets);
    let gotten: Vec<_> = resources
        .iter()
        .filter_map(|resource| session.ask(&c::request(resource)).ok())
        .collect();
    assert_eq!(gotten.len(), 6);
    Vec::extend(
        &mut secrets,
        gotten.iter().map(|token| token.value().to_owned()),
    );
    tell(&secrets);
    let listed: Value = serde_json::from_str(&session.list()).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["kind"] == "user" && row["account"] == "default"),
        "{listed}"
    );
    let explained: Value = serde_json::from_str(&session.explain(&package(1))).unwrap();
    assert_eq!(
        explained["token"]["generation"].as_u64().unwrap(),
        session.token_for(&package(1)).unwrap().generation()
    );
    let stats: Value = serde_json::from_str(&session.stats()).unwrap();
    assert_eq!(
        (
            stats["logins"].as_u64(),
            stats["flights_under_way"].as_u64()
        ),
        (Some(3), Some(0)),
        "{stats}"
    );
}
