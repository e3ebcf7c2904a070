//! Look-alike origins: nothing but the exact configured one gets a token, and none of them is asked
//! anything.
//!
//! The services are configured at their true addresses here. No request leaves: what is handed out
//! is configured or adopted.

use keyferry::ffi::status as k;
use keyferry_sandbox::credentials as c;

use crate::checks::check_message;
use crate::secret_leaks;
use keyferry_testing::c_api::{Config, Request, Session};

const HOST: &str = "api.massive.app";

pub(crate) fn session(masv: &str) -> Session {
    secret_leaks::watch_log();
    let config = Config::new()
        .set("masv.url", masv)
        .set("masv.api_key", c::API_KEY)
        .set("fileverbs.secret_key", c::SECRET_KEY);
    let session = config.set("http.timeout_ms", "1").open();
    session.adopt("packages/P", "adopted-token-of-P").unwrap();
    session
}

/// URLs that are the configured origin, in other words or not.
const OWN_URLS: &[&str] = &[
    "https://api.massive.app/v1/teams",
    "https://api.massive.app/v1.1/teams/T/packages",
    "https://api.massive.app/v1/packages/P/files",
    "https://api.massive.app/v1/packages/P/files?page=1&limit=2",
    "https://api.massive.app:443/v1/teams",
    "https://api.massive.app:/v1/teams",
    "https://API.MASSIVE.APP/v1/teams",
    "HTTPS://api.massive.app/v1/teams",
    "hTTps://Api.Massive.App:443/v1/packages/P",
    "https://api.massive.app/v1/packages/P#files",
    "https://api.massive.app/v1/packages/P/x@y",
];

/// Authorities that are not this one, or are it in a spelling that other readers of URLs take for
/// another.
const AUTHORITIES: &[&str] = &[
    // Suffixes and prefixes.
    "api.massive.app.evil.example",
    "api.massive.app.",
    "api.massive.app..",
    "api.massive.appx",
    "api.massive.app-evil.example",
    "xapi.massive.app",
    "x.api.massive.app",
    "api.massive.app.massive.app",
    "evil-api.massive.app",
    "massive.app",
    "www.massive.app",
    "app",
    "api.massive",
    "api.massive.io",
    "api.massive.com",
    "api.massive.ap",
    "api.massive.apps",
    "apimassive.app",
    "api-massive.app",
    "api.massiveapp",
    ".api.massive.app",
    "api..massive.app",
    "localhost",
    "127.0.0.1",
    // User-info.
    "api.massive.app@evil.example",
    "api.massive.app:443@evil.example",
    "api.massive.app:x@evil.example",
    "user@api.massive.app",
    "user:s3cr3t-pass@api.massive.app",
    ":@api.massive.app",
    "@api.massive.app",
    "evil.example@api.massive.app",
    "evil.example:443@api.massive.app",
    "api.massive.app%40evil.example",
    "api.massive.app%2540evil.example",
    "a@b@api.massive.app",
    // Ports.
    "api.massive.app:444",
    "api.massive.app:80",
    "api.massive.app:4430",
    "api.massive.app:8443",
    "api.massive.app:0",
    "api.massive.app:65536",
    "api.massive.app:-443",
    "api.massive.app:+443",
    "api.massive.app:443x",
    "api.massive.app:x",
    "api.massive.app:443:443",
    "api.massive.app%3A443",
    // Percent-encoding.
    "api%2emassive%2eapp",
    "api%2Emassive.app",
    "%61pi.massive.app",
    "api.massive.app%2eevil.example",
    "api.massive.app%2fevil.example",
    "api.massive.app%00evil.example",
    "api.massive.app%00.evil.example",
    "api.massive.app%0a",
    "api.massive.app%0d%0aevil.example",
    "api.massive.app%250aevil.example",
    "api.massive.app%09",
    "api.massive.app%20",
    "api.massive.app%23.evil.example",
    "api.massive.app%3f.evil.example",
    "api.massive.app%5c.evil.example",
    // Backslashes.
    "api.massive.app\\evil.example",
    "api.massive.app\\.evil.example",
    "api.massive.app\\@evil.example",
    "evil.example\\api.massive.app",
    "evil.example\\@api.massive.app",
    "\\api.massive.app",
    // Fragments and queries.
    "evil.example#@api.massive.app",
    "evil.example#.api.massive.app",
    "evil.example?@api.massive.app",
    "evil.example?.api.massive.app",
    "evil.example/api.massive.app",
    "evil.example/@api.massive.app",
    "evil.example;api.massive.app",
    "api.massive.app#@evil.example",
    "api.massive.app?@evil.example",
    "api.massive.app;@evil.example",
    "api.massive.app&@evil.example",
    // Punycode, and letters that look alike or are mapped.
    "xn--api-massive-app.example",
    "xn--pi-7kc.massive.app",
    "xn--mssive-cya.app",
    "xn--api.massive.app",
    "\u{430}pi.massive.app",
    "api.m\u{e4}ssive.app",
    "api.mass\u{131}ve.app",
    "\u{ff41}\u{ff50}\u{ff49}.massive.app",
    "api\u{3002}massive\u{3002}app",
    "api.massive\u{ff0e}app",
    "api.ma\u{17f}sive.app",
    "api.ma\u{df}ive.app",
    "api.massive\u{ad}.app",
    "api.massive.app\u{200b}",
    "api\u{200d}.massive.app",
    "api.massive.\u{1d41}pp",
    "api.massive.app\u{2024}evil.example",
    "api.massive.app\u{ff0f}evil.example",
    "api.massive.app\u{2100}evil.example",
    "api.massive.app\u{ff03}evil.example",
    // Addresses.
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[api.massive.app]",
    "[::1%25api.massive.app]",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "127.1",
    "0",
    // Spaces, tabs and other odd bytes.
    "api.massive.app evil.example",
    " api.massive.app",
    "api.massive.app ",
    "api.mas\tsive.app",
    "api.mas\nsive.app",
    "api.mas\rsive.app",
    "api.massive.app\t",
    "api.massive.app\n.evil.example",
    "api.massive.app\r\n",
    "api.massive.app\u{b}",
    "api.massive.app\u{7f}",
    "api.massive.app\u{85}",
    "api.massive.app\u{2028}",
    "api_massive_app",
    "api.massive.app|evil.example",
    "api.massive.app^",
    "api.massive.app<evil.example",
    "api.massive.app\"",
    "api.massive.app'",
    "api.massive.app`",
    "api.massive.app,evil.example",
    "api.massive.app!",
    "api.massive.app*",
    "*.massive.app",
    "*",
    "api.massive.app$",
    "api.massive.app(evil)",
    "{api.massive.app}",
    "api.massive.app=evil.example",
    "api.massive.app+evil.example",
    "~api.massive.app",
    "",
    ":",
    ":443",
    "@",
    "//api.massive.app",
    "/api.massive.app",
    "///api.massive.app",
];

/// Whole resources that look like the configured service.
const OTHER_URLS: &[&str] = &[
    "http://api.massive.app/v1/teams",
    "http://api.massive.app:443/v1/teams",
    "ftp://api.massive.app/v1/teams",
    "ws://api.massive.app/v1/teams",
    "wss://api.massive.app/v1/teams",
    "file:///v1/teams",
    "file://api.massive.app/v1/teams",
    "//api.massive.app/v1/teams",
    "///api.massive.app/v1/teams",
    "https:api.massive.app/v1/teams",
    "https:/api.massive.app/v1/teams",
    "https:\\\\api.massive.app\\v1\\teams",
    "https:/\\api.massive.app/v1/teams",
    "https:///api.massive.app/v1/teams",
    "https:////api.massive.app/v1/teams",
    "https//api.massive.app/v1/teams",
    "https://https://api.massive.app/v1/teams",
    "https://https:api.massive.app/v1/teams",
    "https://http:@api.massive.app/v1/teams",
    "http:https://api.massive.app/v1/teams",
    "blob:https://api.massive.app/v1/teams",
    "view-source:https://api.massive.app/v1/teams",
    "javascript://api.massive.app/v1/teams",
    "data:text/plain,https://api.massive.app/v1/teams",
    "url:https://api.massive.app/v1/teams",
    " https://api.massive.app/v1/teams",
    "https://api.massive.app/v1/teams ",
    "\thttps://api.massive.app/v1/teams",
    "ht\ttps://api.massive.app/v1/teams",
    "\u{feff}https://api.massive.app/v1/teams",
    "https\u{ff1a}//api.massive.app/v1/teams",
    "https://api.massive.app/v1\\@evil.example/",
    "https://api.massive.app/v1/teams\\@evil.example/",
    "https://api.massive.app\\v1\\teams",
    "https://api.massive.app\\v1/@evil.example/",
    "https://api.massive.app/v1/teams%0d%0aHost:evil.example",
    "https://api.massive.app/v1/packages/P%00/files",
    "https://api.massive.app/",
    "https://api.massive.app",
    "https://api.massive.app/v2/teams",
    "https://api.massive.app/v1",
    "https://api.massive.app/v10/teams",
    "https://api.massive.app/V1/teams",
    "https://api.massive.app/x/v1/teams",
    "https://api.massive.app//v1/teams",
    "https://api.massive.app/v1/../x",
    "https://api.massive.app/v1/packages/A/../P/files",
    "https://api.massive.app/v1/packages/P/%2e%2e/%2e%2e/user",
    "https://api.massive.app/v1/./user",
    "https://api.massive.app/v1/%2e%2e/x",
    "https://api.massive.app/v1/..%2f..%2fx\\y",
    "https://get.massive.io.evil.example/L?secret=s3cr3t-of-L",
    "https://get.massive.io@evil.example/L?secret=s3cr3t-of-L",
    "https://get.massive.io:444/L?secret=s3cr3t-of-L",
    "http://get.massive.io/L?secret=s3cr3t-of-L",
    "https://get.massive.com/L?secret=s3cr3t-of-L",
    "https://get.massive.io./L?secret=s3cr3t-of-L",
    "https://get.massive.io\\@evil.example/L?secret=s3cr3t-of-L",
    "https://sandbox.portal.massive.io/L?secret=s3cr3t-of-L",
    "evil:https://api.massive.app/v1/teams",
    "evil:user",
    "MASV:user",
    "masv :user",
    "masv:",
    ":user",
    "masv:/user",
    "masv://user",
    "masv:https://evil.example/v1/user\\",
    "packages/../user",
    "packages/P/../../user",
    "/v1/user",
    "../user",
];

#[test]
fn the_exact_origin_gets_its_token_however_it_is_written() {
    let session = session("https://api.massive.app");
    for url in OWN_URLS {
        let token = session
            .token(url)
            .unwrap_or_else(|error| panic!("{url}: {error:?}"));
        let expected = if url.contains("/P") {
            "adopted-token-of-P"
        } else {
            c::API_KEY
        };
        assert_eq!(token.value(), expected, "{url}");
    }
}

/// Nothing is handed out for a resource, by any of the doors.
pub(crate) fn assert_refused(session: &Session, resource: &str) {
    let Err(error) = session.token(resource) else {
        panic!("a token for {resource:?}")
    };
    let refusals = [
        k::KEYFERRY_E_UNKNOWN_SERVICE,
        k::KEYFERRY_E_INVALID_RESOURCE,
    ];
    assert!(refusals.contains(&error.status), "{resource:?}: {error:?}");
    check_message(&error, &["s3cr3t-of-L", "s3cr3t-pass"]);
    assert_eq!(session.peek(resource), Err(error.status), "{resource:?}");
    assert_eq!(
        session.explain(resource).map_err(|error| error.status),
        Err(error.status),
        "{resource:?}"
    );
    assert_eq!(
        session
            .adopt(resource, "adopted")
            .map_err(|error| error.status),
        Err(error.status),
        "{resource:?}"
    );
    assert_eq!(
        session.forget(Some(resource)).map_err(|error| error.status),
        Err(error.status),
        "{resource:?}"
    );
    assert_eq!(
        session
            .reject_value(resource, c::API_KEY)
            .map_err(|error| error.status),
        Err(error.status),
        "{resource:?}"
    );
    match Request::read(resource) {
        Err(read) => assert_eq!(read.status, k::KEYFERRY_E_INVALID_RESOURCE, "{resource:?}"),
        Ok(request) => {
            for outcome in [session.cached(&request), session.token_for(&request)] {
                let Err(other) = outcome else {
                    panic!("a token for {resource:?}")
                };
                assert_eq!(other.status, error.status, "{resource:?}");
            }
        }
    }
}

#[test]
fn a_look_alike_gets_nothing() {
    let session = session("https://api.massive.app");
    assert!(
        AUTHORITIES.len() + OTHER_URLS.len() >= 200,
        "{}",
        AUTHORITIES.len() + OTHER_URLS.len()
    );
    for authority in AUTHORITIES {
        for path in ["/v1/teams", "/v1/packages/P/files", "/v1/"] {
            assert_refused(&session, &format!("https://{authority}{path}"));
        }
    }
    OTHER_URLS
        .iter()
        .for_each(|resource| assert_refused(&session, resource));
    secret_leaks::check_log();
}

#[test]
fn a_look_alike_of_a_base_with_a_path_gets_nothing() {
    let session = session("https://gate.example/masv");
    session.token("https://gate.example/masv/v1/teams").unwrap();
    let other = [
        "https://gate.example/v1/teams",
        "https://gate.example/masv2/v1/teams",
        "https://gate.example/masv/../v1/teams",
        "https://gate.example/x/../masv/v1/teams",
        "https://gate.example/masv/%2e%2e/evil/v1/teams",
        "https://gate.example/MASV/v1/teams",
        "https://gate.example//masv/v1/teams",
        "https://gate.example/masv//v1/teams",
        "https://gate.example/masv%2fv1/teams",
        "https://gate.example.evil.example/masv/v1/teams",
    ];
    other
        .iter()
        .for_each(|resource| assert_refused(&session, resource));
}

#[test]
fn a_base_that_would_send_secrets_elsewhere_is_refused() {
    let bad = [
        "http://api.massive.app",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://user@api.massive.app",
        "https://api.massive.app?x",
        "https://api.massive.app#x",
        "ftp://api.massive.app",
        "api.massive.app",
        "https://",
    ];
    for url in bad {
        let error = Config::new().try_set("masv.url", url).unwrap_err();
        assert_eq!(error.status, k::KEYFERRY_E_INVALID_VALUE, "{url}");
        assert!(
            error.message.contains("masv.url") && !error.message.contains(HOST),
            "{error:?}"
        );
    }
}
