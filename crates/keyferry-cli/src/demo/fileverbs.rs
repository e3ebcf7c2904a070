//! The rows of FileVerbs: the key, the bearer, and a bearer that ends, with and without a route that renews it.

use serde_json::json;

use crate::demo::demo_run::{DemoRun, Plan, ServiceCall};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry_sandbox::credentials as c;

const BEARER: &str = "fileverbs:bearer";
/// Life of the sandbox's bearers.
const BEARER_S: i64 = 900;

pub(super) fn play(demo: &mut DemoRun) {
    demo.service("FileVerbs");
    let base = format!("{}/api/v1", demo.sandbox.fileverbs_url());
    let uploads = format!("{base}/fileuploads");
    let key = Plan {
        ask: Request::new("fileverbs:secret-key"),
        header: "SecretKey",
        access: Access::Full,
        from: "settings",
        took: &[],
        call: ServiceCall::get(&uploads),
        note: "",
    };
    demo.get(key);
    let first = demo.get(bearer(BEARER, "login", &[("fileverbs_login", 1)], ServiceCall::get(uploads), ""));
    let outputs = format!("{base}/jobrequests/{}/outputs", c::JOB_ID);
    demo.get(bearer(&outputs, "memory", &[], ServiceCall::get(&outputs), ""));
    let call = || ServiceCall::get(outputs.clone());
    let note = "a quarter of an hour later: renewed by cookie, without the keys";
    let second = ended(demo, first, bearer(BEARER, "renewal", &[("refresh", 1)], call(), note), &call());
    let note = "and again: the cookie was changed for another each time";
    let third = ended(demo, second, bearer(BEARER, "renewal", &[("refresh", 1)], call(), note), &call());
    demo.sandbox.configure("no_refresh_route", json!(true));
    let note = "no route that renews any more: the token call instead";
    let fourth = ended(demo, third, bearer(BEARER, "login", &[("refresh", 1), ("fileverbs_login", 1)], call(), note), &call());
    let note = "and that route is asked no second time";
    ended(demo, fourth, bearer(BEARER, "login", &[("fileverbs_login", 1)], call(), note), &call());
}

fn bearer<'a>(ask: &str, from: &'static str, took: &'a [(&'static str, u64)], call: ServiceCall, note: &'static str) -> Plan<'a> {
    Plan { ask: Request::new(ask), header: "Authorization", access: Access::Full, from, took, call, note }
}

/// The bearer ends, the service refuses it, and keyferry has another.
fn ended(demo: &mut DemoRun, old: Option<Token>, plan: Plan<'_>, call: &ServiceCall) -> Option<Token> {
    demo.pass(BEARER_S);
    let was_refused = old.is_some_and(|old| demo.gets(&old, call, 401));
    let next = demo.get(plan);
    if !was_refused {
        demo.doubt("the bearer before did not end");
    }
    next
}
