//! The rows of the MASV Agent: its session is state inside it, so there is no header to hand out.

use serde_json::Value;

use crate::demo::demo_run::{DemoRun, ServiceCall};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::session::Session;

const RESOURCE: &str = "agent:session";

pub(super) fn play(demo: &mut DemoRun) {
    demo.service("MASV Agent");
    let agent = demo.sandbox.agent_url().to_owned();
    let teams = || ServiceCall::get(format!("{agent}/api/v1/teams"));
    demo.inside((RESOURCE, "refused"), &[("agent_session", 1)], teams().refused(401), nobody);
    let sign_in = |session: &Session| session.agent_sign_in(None, None).and_then(|told| who(&told));
    demo.inside((RESOURCE, "sign-in"), &[("agent_login", 1)], teams(), sign_in);
    let session = |session: &Session| session.agent_session().and_then(|told| who(&told));
    demo.inside((RESOURCE, "agent"), &[("agent_session", 1)], ServiceCall::get(format!("{agent}/api/v1/login")), session);
}

/// The error, which is right.
fn nobody(session: &Session) -> Result<String> {
    match session.agent_session() {
        Err(error) if error.kind == ErrorKind::LoginRequired => Ok(error.message().to_owned()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(ErrorKind::Panic, "somebody is signed in already")),
    }
}

/// A sentence of who is signed in.
fn who(told: &str) -> Result<String> {
    let told: Value = serde_json::from_str(told).unwrap_or_default();
    match (told["user"]["name"].as_str(), told["teams"][0]["name"].as_str()) {
        (Some(user), Some(team)) => Ok(format!("{user} is signed in, for the team {team}")),
        _ => Err(Error::new(ErrorKind::BadResponse, "the agent does not say who is signed in")),
    }
}
