//! The rows of FileVerbs: the key, the bearer token, and a bearer token that expires, with and
//! without a refresh route.

use serde_json::json;

use crate::demo::demo_run::{DemoRun, RowSpec, ServiceCall};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry_sandbox::credentials as c;

const BEARER: &str = "fileverbs:bearer";
/// The lifetime of the sandbox's bearer tokens.
const BEARER_LIFE_S: i64 = 900;

pub(super) fn add_rows(demo: &mut DemoRun) {
    demo.begin_service("FileVerbs");
    let base = format!("{}/api/v1", demo.sandbox.fileverbs_url());
    let uploads = format!("{base}/fileuploads");
    let key = RowSpec {
        request: Request::new("fileverbs:secret-key"),
        header: "SecretKey",
        access: Access::Full,
        source: "settings",
        requests: &[],
        call: ServiceCall::get(&uploads),
        note: "the SecretKey from the settings, without a login",
    };
    demo.add_row(key);
    let first = demo.add_row(bearer_row(
        BEARER,
        "login",
        &[("fileverbs_login", 1)],
        ServiceCall::get(uploads),
        "keyferry logs in with SecretKey and APIKey and gets a bearer token",
    ));
    let outputs = format!("{base}/jobrequests/{}/outputs", c::JOB_ID);
    demo.add_row(bearer_row(
        &outputs,
        "memory",
        &[],
        ServiceCall::get(&outputs),
        "the cached bearer token works for every URL of the service",
    ));
    let call = || ServiceCall::get(outputs.clone());
    let note = "15 minutes later the token has expired: keyferry refreshes it with the cookie from the login, without the keys";
    let second = renewed_row(
        demo,
        first,
        bearer_row(BEARER, "renewal", &[("refresh", 1)], call(), note),
        &call(),
    );
    let note =
        "15 minutes later, again: each refresh replaces the cookie, and keyferry uses the new one";
    let third = renewed_row(
        demo,
        second,
        bearer_row(BEARER, "renewal", &[("refresh", 1)], call(), note),
        &call(),
    );
    demo.sandbox.configure("no_refresh_route", json!(true));
    let note = "the service no longer has a refresh route: keyferry notices this and logs in with the keys";
    let fourth = renewed_row(
        demo,
        third,
        bearer_row(
            BEARER,
            "login",
            &[("refresh", 1), ("fileverbs_login", 1)],
            call(),
            note,
        ),
        &call(),
    );
    let note = "15 minutes later keyferry logs in at once, without trying the refresh route";
    renewed_row(
        demo,
        fourth,
        bearer_row(BEARER, "login", &[("fileverbs_login", 1)], call(), note),
        &call(),
    );
}

fn bearer_row<'a>(
    resource: &str,
    source: &'static str,
    requests: &'a [(&'static str, u64)],
    call: ServiceCall,
    note: &'static str,
) -> RowSpec<'a> {
    RowSpec {
        request: Request::new(resource),
        header: "Authorization",
        access: Access::Full,
        source,
        requests,
        call,
        note,
    }
}

/// Adds a row after the bearer token has expired: the service rejects the old token, and keyferry
/// gets a new one.
fn renewed_row(
    demo: &mut DemoRun,
    old: Option<Token>,
    spec: RowSpec<'_>,
    call: &ServiceCall,
) -> Option<Token> {
    demo.advance_clock(BEARER_LIFE_S);
    let was_refused = old.is_some_and(|old| demo.has_status(&old, call, 401));
    let next = demo.add_row(spec);
    if !was_refused {
        demo.fail_last_row("the previous bearer token did not expire");
    }
    next
}
