//! The quick reader of resources and the long one: wherever the quick one answers, the long one
//! says the same.

use keyferry::config::Config;
use keyferry::engine::accounts::{Accounts, ResolvedResource};
use keyferry::model::key::{RequiredAccess, ResourceKind};
use keyferry::secret::Secret;
use proptest::prelude::*;

/// What a resource was found to be, owned.
type OwnedResolution = (
    usize,
    usize,
    ResourceKind,
    String,
    RequiredAccess,
    Option<String>,
    Option<String>,
);

fn owned(resolved: &ResolvedResource<'_>) -> OwnedResolution {
    let target = &resolved.target;
    let own = str::to_owned;
    (
        resolved.account,
        resolved.service,
        target.resource_kind,
        own(target.id),
        target.required,
        target.parent.map(own),
        resolved.query.map(own),
    )
}

/// Bases that are alike, nested, and one for all.
const BASE_URLS: [[&str; 3]; 5] = [
    [
        "https://api.massive.app",
        "http://localhost:8080",
        "https://api.fileverbs.com",
    ],
    [
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080",
    ],
    [
        "https://gate.example",
        "http://localhost:8080",
        "https://gate.example/fv",
    ],
    [
        "https://gate.example/masv",
        "http://localhost:8080",
        "https://gate.example",
    ],
    [
        "https://gate.example:8443/a/b",
        "http://[::1]:8080/agent",
        "https://gate.example:8443/a",
    ],
];

fn accounts(urls: [&str; 3]) -> Accounts {
    let mut config = Config::new();
    for (key, url) in ["masv.url", "agent.url", "fileverbs.url"].iter().zip(urls) {
        config.set(key, Secret::from(url)).unwrap();
    }
    config.set("masv.api_key", Secret::from("key")).unwrap();
    Accounts::open(&config, &keyferry::plugin::Plugins::default()).unwrap()
}

/// Pieces that resources are made of, with odd ones among them.
fn fragment() -> impl Strategy<Value = String> {
    let common = prop::sample::select(vec![
        "packages",
        "packages/",
        "/",
        "01J0SANDB0XPACKAGE00000001",
        "P",
        "files",
        "download",
        "transfers",
        "links",
        "teams",
        "user",
        "auth",
        "api_keys",
        "users",
        "inbox",
        "portals",
        "subdomains",
        "v1/",
        "/v1/",
        "/v1.1/",
        "/api/v1/",
        "accounts/access-token",
        "fileuploads",
        "bearer",
        "secret-key",
        "session",
        "?",
        "?secret=s",
        "&x=y",
        "=",
        ":",
        "masv:",
        "fileverbs:",
        "agent:",
        "http",
        "https://",
        "@",
    ]);
    let odd = prop::sample::select(vec![
        ".", "..", "/../", "/./", "//", "\\", "#", "%2e", "%2E%2e", "%41", "%", "%0a", "%2f", "é",
        "\u{3002}", "\t", " ", "\n", "\0", "'", "\"", "<", "[", "]", "{", "|", "^", "`", ";", ",",
        "+", "*", "~", "!", "$", "(", ")", "_", "-", ".x", "x.", "?a?b", "??", ":443", ":0",
        "\u{7f}",
    ]);
    prop_oneof![16 => common.prop_map(str::to_owned), 1 => odd.prop_map(str::to_owned), 1 => "[ -~]{0,4}", 1 => "[a-zA-Z0-9]{0,10}"]
}

fn resource() -> impl Strategy<Value = String> {
    let bases: Vec<&str> = BASE_URLS
        .iter()
        .flatten()
        .copied()
        .chain([
            "",
            "",
            "masv:",
            "masv:/v1/",
            "masv:/v1.1/",
            "fileverbs:/api/v1/",
            "HTTPS://API.massive.app",
            "https://api.massive.app:443",
        ])
        .collect();
    let middle = prop::sample::select(vec![
        "/v1/",
        "/v1.1/",
        "/api/v1/",
        "/fv/api/v1/",
        "/masv/v1/",
        "/",
        "",
        ".",
    ]);
    (
        prop::sample::select(bases),
        middle,
        prop::collection::vec(fragment(), 0..7),
    )
        .prop_map(|(base, middle, rest)| {
            let middle = if base.is_empty() || base.ends_with([':', '/']) {
                ""
            } else {
                middle
            };
            format!("{base}{middle}{}", rest.concat())
        })
}

/// Whether the quick way answered; if so, the long way has to say the same.
fn fast_path_agrees(accounts: &Accounts, text: &str) -> std::result::Result<bool, String> {
    let Some(quick) = accounts
        .resolve_fast(0, text)
        .map(|resolved| owned(&resolved))
    else {
        return Ok(false);
    };
    match accounts.resolve_slow(0, text, |resolved| Ok(owned(&resolved))) {
        Ok(long) if long == quick => Ok(true),
        long => Err(format!("{text:?}: {quick:?} and {long:?}")),
    }
}

#[test]
fn both_ways_to_read_a_resource_agree() {
    let all: Vec<_> = BASE_URLS.iter().map(|urls| accounts(*urls)).collect();
    let answered = std::cell::Cell::new(0_u32);
    let config = ProptestConfig {
        cases: 50_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(text in resource())| {
        for accounts in &all {
            match fast_path_agrees(accounts, &text) {
                Ok(quick) => answered.set(answered.get() + u32::from(quick)),
                Err(why) => return Err(TestCaseError::fail(why)),
            }
        }
    });
    assert!(
        answered.get() > 10_000,
        "only {} were read the quick way",
        answered.get()
    );
}

#[test]
fn services_that_share_an_origin_are_told_apart_by_their_paths() {
    let all: Vec<_> = BASE_URLS.iter().map(|urls| accounts(*urls)).collect();
    for (index, text, service) in [
        (1, "http://127.0.0.1:8080/v1/teams", "masv"),
        (1, "http://127.0.0.1:8080/api/v1/fileuploads", "agent"),
        (2, "https://gate.example/fv/api/v1/fileuploads", "fileverbs"),
        (
            2,
            "https://gate.example/fv/api/v1/file%75ploads",
            "fileverbs",
        ),
        (3, "https://gate.example/masv/v1/teams", "masv"),
        (3, "https://gate.example/api/v1/x%2fy", "fileverbs"),
        (4, "https://gate.example:8443/a/b/v1/teams", "masv"),
        (
            4,
            "https://gate.example:8443/a/api/v1/fileuploads",
            "fileverbs",
        ),
    ] {
        let find = |resolved: ResolvedResource<'_>| {
            Ok(all[index]
                .bound(0, resolved.service)
                .service
                .name()
                .to_owned())
        };
        assert_eq!(
            all[index].resolve(0, text, find).unwrap(),
            service,
            "{text}"
        );
        assert_eq!(
            all[index].resolve_slow(0, text, find).unwrap(),
            service,
            "{text}"
        );
    }
}
