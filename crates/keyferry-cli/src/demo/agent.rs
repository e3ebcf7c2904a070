//! The rows of the MASV Agent: its session is state inside it, so there is no header to hand out.

use serde_json::Value;

use crate::demo::demo_run::{DemoRun, ServiceCall};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::session::Session;

const RESOURCE: &str = "agent:session";

pub(super) fn add_rows(demo: &mut DemoRun) {
    demo.begin_service("MASV Agent");
    let agent = demo.sandbox.agent_url().to_owned();
    let teams = || ServiceCall::get(format!("{agent}/api/v1/teams"));
    demo.add_session_row((RESOURCE, "refused"), &[("agent_session", 1)], teams().expecting(401), expect_login_required);
    let sign_in = |session: &Session| session.agent_sign_in(None, None).and_then(|told| describe_user(&told));
    demo.add_session_row((RESOURCE, "sign-in"), &[("agent_login", 1)], teams(), sign_in);
    let session = |session: &Session| session.agent_session().and_then(|told| describe_user(&told));
    demo.add_session_row((RESOURCE, "agent"), &[("agent_session", 1)], ServiceCall::get(format!("{agent}/api/v1/login")), session);
}

/// The error, which is right.
fn expect_login_required(session: &Session) -> Result<String> {
    match session.agent_session() {
        Err(error) if error.kind == ErrorKind::LoginRequired => Ok(error.message().to_owned()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(ErrorKind::Panic, "somebody is signed in already")),
    }
}

/// A sentence of who is signed in.
fn describe_user(told: &str) -> Result<String> {
    let told: Value = serde_json::from_str(told).unwrap_or_default();
    match (told["user"]["name"].as_str(), told["teams"][0]["name"].as_str()) {
        (Some(user), Some(team)) => Ok(format!("{user} is signed in, for the team {team}")),
        _ => Err(Error::new(ErrorKind::BadResponse, "the agent does not say who is signed in")),
    }
}
