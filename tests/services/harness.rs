//! The harness of these tests: a sandbox, configurations for it, and a plain socket for the calls
//! that tokens are for.

use std::time::{Duration, Instant};

use keyferry_sandbox::{Options, Sandbox, Service, credentials as c};

use crate::secret_leaks;
use keyferry_testing::c_api::{Config, Error, Result, Session, Token};
use keyferry_testing::http;

/// What each request may take where a test doesn't say; far more than anything needs here.
pub(crate) const AMPLE_TIMEOUT_MS: u32 = 20_000;
/// How much later than its deadline a call may return.
pub(crate) const TIMEOUT_GRACE: Duration = Duration::from_millis(500);

pub(crate) fn sandbox() -> Sandbox {
    secret_leaks::watch_log();
    Sandbox::start(Options::default()).unwrap()
}

/// The base URLs of the three services.
pub(crate) trait ServiceUrls {
    fn url_of(&self, service: Service) -> &str;
}

impl ServiceUrls for Sandbox {
    fn url_of(&self, service: Service) -> &str {
        match service {
            Service::Masv => self.masv_url(),
            Service::Agent => self.agent_url(),
            Service::FileVerbs => self.fileverbs_url(),
        }
    }
}

/// A configuration with the services' URLs and nothing else.
pub(crate) fn config_for(urls: &dyn ServiceUrls) -> Config {
    Config::new()
        .set("masv.url", urls.url_of(Service::Masv))
        .set("agent.url", urls.url_of(Service::Agent))
        .set("fileverbs.url", urls.url_of(Service::FileVerbs))
        .set("http.timeout_ms", &AMPLE_TIMEOUT_MS.to_string())
}

/// E-mail and password for MASV and its agent, both keys for FileVerbs.
pub(crate) fn with_login(at: &dyn ServiceUrls) -> Config {
    config_for(at)
        .set("masv.email", c::EMAIL)
        .set("masv.password", c::PASSWORD)
        .set("fileverbs.secret_key", c::SECRET_KEY)
        .set("fileverbs.api_key", c::FV_API_KEY)
}

/// An API key for MASV, and its team.
pub(crate) fn with_key(at: &dyn ServiceUrls) -> Config {
    config_for(at)
        .set("masv.api_key", c::API_KEY)
        .set("masv.team", c::TEAM_ID)
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
    let status = http::send(base, method, path, &[(&name, &value)], body).status;
    assert!(
        (200..300).contains(&status),
        "{method} {path} with {name}: {status}"
    );
}

/// Fails unless a message can be shown to a stranger: one sentence of a sensible length with a
/// remedy, and no secret in it.
pub(crate) fn check_message(error: &Error, secrets: &[&str]) {
    let said = &error.message;
    assert!(!secret_leaks::leaks(said, secrets), "a secret in: {said}");
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
        "127.0.0.1",
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
