//! The resources of the soak, and how a token shows for which of them the sandbox issued it.

use keyferry::clock::Clock;
use keyferry_sandbox::credentials as c;
use keyferry_testing::http;
use serde_json::{Value, json};

/// A resource of one account.
pub(crate) struct Target {
    pub(crate) account: Option<&'static str>,
    pub(crate) resource: String,
    header: &'static str,
    /// A claim that only tokens of this resource and account have.
    claim: (&'static str, Value),
}

/// The profile of the second account.
pub(crate) const SECOND: &str = "second";

/// Returns resources of both MASV accounts and of FileVerbs.
pub(crate) fn all() -> Vec<Target> {
    let target = |account, resource: String, header, claim: (&'static str, &str)| Target {
        account,
        resource,
        header,
        claim: (claim.0, json!(claim.1)),
    };
    let package = |account, id| {
        let resource = format!("packages/{id}");
        target(account, resource, "X-Package-Token", ("sub", id))
    };
    let link = format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    vec![
        target(
            None,
            "user".into(),
            "X-User-Token",
            ("sub", c::USER_SUBJECT),
        ),
        target(
            Some(SECOND),
            "user".into(),
            "X-User-Token",
            ("sub", c::SECOND_SUBJECT),
        ),
        package(None, c::PACKAGE_ID),
        package(None, c::OTHER_PACKAGE_ID),
        package(Some(SECOND), c::SECOND_PACKAGE_ID),
        target(None, link, "X-Package-Token", ("lid", c::LINK_ID)),
        target(None, "fileverbs:bearer".into(), "Authorization", ("id", "")),
    ]
}

/// Returns the time by the clock that the library uses. That is the coarse wall clock: it may lag by
/// a few milliseconds, and a token may be used until this clock shows its expiry.
pub(crate) fn now_us() -> i64 {
    Clock::system().now_us()
}

impl Target {
    /// Returns what is wrong with a token. `asked_us` is the time before the call: a token that
    /// expired earlier must not be returned.
    pub(crate) fn fault(&self, header: &str, value: &str, asked_us: i64) -> Option<String> {
        let claims = http::claims(value);
        let (name, expected) = &self.claim;
        let is_right = match expected.as_str() {
            Some("") => claims[name].is_string(),
            _ => claims[name] == *expected,
        };
        if header != self.header || !is_right {
            let account = self.account.unwrap_or("default");
            return Some(format!(
                "wrong: {header} with {claims} for {} of {account}",
                self.resource
            ));
        }
        let expires_us = claims["exp"].as_i64().unwrap() * 1_000_000;
        (expires_us <= asked_us).then(|| {
            format!(
                "expired {} us before it was asked for: {}",
                asked_us - expires_us,
                self.resource
            )
        })
    }
}
