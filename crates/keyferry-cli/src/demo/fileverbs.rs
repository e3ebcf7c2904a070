//! The rows of FileVerbs: the key, the bearer, and a bearer that ends, with and without a route that renews it.

use serde_json::json;

use crate::demo::stage::{Call, Plan, Stage};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry_sandbox::credentials as c;

const BEARER: &str = "fileverbs:bearer";
/// Life of the sandbox's bearers.
const BEARER_S: i64 = 900;

pub(super) fn play(stage: &mut Stage) {
    stage.service("FileVerbs");
    let base = format!("{}/api/v1", stage.sandbox.fileverbs_url());
    let uploads = format!("{base}/fileuploads");
    let key = Plan {
        ask: Request::new("fileverbs:secret-key"),
        header: "SecretKey",
        access: Access::Full,
        from: "settings",
        took: &[],
        call: Call::get(&uploads),
        note: "",
    };
    stage.get(key);
    let first = stage.get(bearer(BEARER, "login", &[("fileverbs_login", 1)], Call::get(uploads), ""));
    let outputs = format!("{base}/jobrequests/{}/outputs", c::JOB_ID);
    stage.get(bearer(&outputs, "memory", &[], Call::get(&outputs), ""));
    let call = || Call::get(outputs.clone());
    let note = "a quarter of an hour later: renewed by cookie, without the keys";
    let second = ended(stage, first, bearer(BEARER, "renewal", &[("refresh", 1)], call(), note), &call());
    let note = "and again: the cookie was changed for another each time";
    let third = ended(stage, second, bearer(BEARER, "renewal", &[("refresh", 1)], call(), note), &call());
    stage.sandbox.configure("no_refresh_route", json!(true));
    let note = "no route that renews any more: the token call instead";
    let fourth = ended(stage, third, bearer(BEARER, "login", &[("refresh", 1), ("fileverbs_login", 1)], call(), note), &call());
    let note = "and that route is asked no second time";
    ended(stage, fourth, bearer(BEARER, "login", &[("fileverbs_login", 1)], call(), note), &call());
}

fn bearer<'a>(ask: &str, from: &'static str, took: &'a [(&'static str, u64)], call: Call, note: &'static str) -> Plan<'a> {
    Plan { ask: Request::new(ask), header: "Authorization", access: Access::Full, from, took, call, note }
}

/// The bearer ends, the service refuses it, and keyferry has another.
fn ended(stage: &mut Stage, old: Option<Token>, plan: Plan<'_>, call: &Call) -> Option<Token> {
    stage.pass(BEARER_S);
    let was_refused = old.is_some_and(|old| stage.gets(&old, call, 401));
    let next = stage.get(plan);
    if !was_refused {
        stage.doubt("the bearer before did not end");
    }
    next
}
