//! A sandbox at a fixed time, and tokens from it.

use keyferry_sandbox::{Clock, Options, Sandbox, credentials as c};
pub(crate) use keyferry_testing::http::*;
use serde_json::json;

/// 2026-07-01T00:00:00Z, where the virtual clock of these tests stands.
pub(crate) const START_MS: i64 = 1_782_864_000_000;

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start(Options {
        clock: Clock::manual(START_MS),
        ..Options::default()
    })
    .unwrap()
}

pub(crate) fn log_in(sandbox: &Sandbox) -> HttpResponse {
    post(
        sandbox.masv_url(),
        "/v1/auth",
        &[],
        &json!({"email": c::EMAIL, "password": c::PASSWORD}),
    )
}

/// A user token of the first account.
pub(crate) fn user_token(sandbox: &Sandbox) -> String {
    log_in(sandbox).text("token")
}

/// A management token of a package.
pub(crate) fn management_token(sandbox: &Sandbox, package: &str) -> String {
    let path = format!("/v1.1/teams/{}/packages/{package}", c::TEAM_ID);
    get(sandbox.masv_url(), &path, &[("X-API-KEY", c::API_KEY)]).text("access_token")
}

/// A read token of the first package.
pub(crate) fn read_token(sandbox: &Sandbox) -> String {
    let path = format!("/v1/links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    get(sandbox.masv_url(), &path, &[]).text("package_token")
}
