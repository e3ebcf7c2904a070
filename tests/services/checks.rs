//! Configurations for the sandbox, and what each test of a service checks.

use std::time::{Duration, Instant};

use keyferry_sandbox::{Options, Sandbox, credentials as c};

use crate::secret_leaks;
use keyferry_testing::c_api::{Config, Error, Result, Session, Token};
use keyferry_testing::http;
use keyferry_testing::secrets::leaks;
use keyferry_testing::settings::{LOGIN, ServiceUrls, TEAM};

/// What each request may take where a test doesn't say; far more than anything needs here.
pub(crate) const AMPLE_TIMEOUT_MS: u32 = 20_000;
/// How much later than its deadline a call may return.
pub(crate) const TIMEOUT_GRACE: Duration = Duration::from_millis(500);

pub(crate) fn sandbox() -> Sandbox {
    secret_leaks::watch_log();
    Sandbox::start(Options::default()).unwrap()
}

/// Returns a configuration with the services' URLs and no credentials.
pub(crate) fn config_for(at: &dyn ServiceUrls) -> Config {
    Config::new()
        .set_all(at.urls())
        .set("http.timeout_ms", &AMPLE_TIMEOUT_MS.to_string())
}

/// Returns a configuration with the e-mail address and password for MASV and its agent, and both
/// keys for FileVerbs.
pub(crate) fn with_login(at: &dyn ServiceUrls) -> Config {
    config_for(at).set_all(LOGIN)
}

/// Returns the URL of FileVerbs and both keys for it.
pub(crate) fn fileverbs_settings(sandbox: &Sandbox) -> [(&'static str, &str); 3] {
    [
        ("fileverbs.url", sandbox.fileverbs_url()),
        ("fileverbs.secret_key", c::SECRET_KEY),
        ("fileverbs.api_key", c::FV_API_KEY),
    ]
}

/// Returns a configuration with an API key for MASV, and its team.
pub(crate) fn with_key(at: &dyn ServiceUrls) -> Config {
    config_for(at).set_all([("masv.api_key", c::API_KEY), TEAM])
}

pub(crate) fn package(id: &str) -> String {
    format!("packages/{id}")
}

pub(crate) fn link(id: &str, secret: &str) -> String {
    format!("links/{id}?secret={secret}")
}

/// Makes the call that a token is for, with exactly its header.
pub(crate) fn call_with_token(base: &str, token: &Token, (method, path, body): (&str, &str, &str)) {
    let (name, value) = token.header();
    let status = http::send(base, method, path, &[(name, value)], body).status;
    assert!(
        (200..300).contains(&status),
        "{method} {path} with {name}: {status}"
    );
}

/// Fails unless a message can be shown to a stranger: one sentence of a sensible length with a
/// remedy, and no secret in it.
pub(crate) fn check_message(error: &Error, secrets: &[&str]) {
    let said = &error.message;
    assert!(!leaks(said, secrets), "a secret in: {said}");
    assert!(
        said.len() > 20
            && said.len() < 500
            && !said.ends_with('.')
            && !said.chars().any(char::is_control),
        "{said}"
    );
    assert!(
        said.contains(": ") || said.contains("; "),
        "no remedy in: {said}"
    );
    let things = [
        "masv",
        "agent",
        "fileverbs",
        "127.0.0.",
        "link",
        "package",
        "resource",
        "url",
        "path",
        "transfer",
        "token",
        "login",
        "portal",
        "user",
        "asset store",
        "plugin",
    ];
    assert!(
        things
            .iter()
            .any(|thing| said.to_lowercase().contains(thing)),
        "no thing in: {said}"
    );
}

/// The error of a call that must fail, its message checked.
pub(crate) fn failure<T: std::fmt::Debug>(outcome: Result<T>, status: i32) -> Error {
    let error = outcome.expect_err("it must fail");
    assert_eq!(error.status, status, "{error:?}");
    check_message(&error, &[]);
    error
}

/// Runs a call that must end in this time and the grace.
pub(crate) fn within_time<T>(time: Duration, name: &str, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = call();
    let took = start.elapsed();
    assert!(
        took < time + TIMEOUT_GRACE,
        "{name} took {took:?} of {time:?}"
    );
    outcome
}

/// Waits until nothing is under way any more: a flight goes on without the caller who gave up.
pub(crate) fn wait_until_idle(session: &Session) {
    let deadline = Instant::now() + Duration::from_millis(AMPLE_TIMEOUT_MS.into());
    while !session.stats().contains(r#""flights_under_way":0"#) {
        assert!(Instant::now() < deadline, "{}", session.stats());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Fails if a request carried what it must not, or anything logged a secret.
pub(crate) fn check_requests(sandbox: &Sandbox) {
    let forbidden = [
        "two_credentials",
        "foreign_credential",
        "needless_credential",
        "missing_credential",
        "stray_cookie",
        "stray_link_password",
        "agent_credential_header",
        "agent_foreign_host",
        "refresh_reuse",
        "wrong_content_type",
        "bad_document",
        "bad_page",
        "foreign_token",
        "bad_token",
        "wrong_variant",
        "wrong_method",
        "redirect_target",
    ];
    for counter in forbidden {
        assert_eq!(
            sandbox.count(counter),
            0,
            "{counter}: {:?}",
            sandbox.counts()
        );
    }
    secret_leaks::check_log();
}
