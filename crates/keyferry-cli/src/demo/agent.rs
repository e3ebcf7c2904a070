//! The rows of the MASV Agent: its session is state inside it, so there is no header to hand out.

use serde_json::Value;

use crate::demo::demo_run::{DemoRun, ServiceCall};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::session::Session;

const RESOURCE: &str = "agent:session";

pub(super) fn add_rows(demo: &mut DemoRun) {
    demo.begin_service("MASV Agent");
    let agent = demo.sandbox.agent_url().to_owned();
    let teams_call = || ServiceCall::get(format!("{agent}/api/v1/teams"));
    demo.add_session_row(
        (RESOURCE, "refused"),
        &[("agent_session", 1)],
        teams_call().expecting(401),
        expect_login_required,
    );
    let sign_in = |session: &Session| {
        session
            .agent_sign_in(None, None)
            .and_then(|response| describe_user(&response))
    };
    demo.add_session_row(
        (RESOURCE, "sign-in"),
        &[("agent_login", 1)],
        teams_call(),
        sign_in,
    );
    let session = |session: &Session| {
        session
            .agent_session()
            .and_then(|response| describe_user(&response))
    };
    demo.add_session_row(
        (RESOURCE, "agent"),
        &[("agent_session", 1)],
        ServiceCall::get(format!("{agent}/api/v1/login")),
        session,
    );
}

/// The message of the expected error: nobody is signed in.
fn expect_login_required(session: &Session) -> Result<String> {
    match session.agent_session() {
        Err(error) if error.kind == ErrorKind::LoginRequired => Ok(error.message().to_owned()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(
            ErrorKind::Panic,
            "somebody is signed in already",
        )),
    }
}

/// A sentence that names the user and the team.
fn describe_user(response: &str) -> Result<String> {
    let response: Value = serde_json::from_str(response).unwrap_or_default();
    match (
        response["user"]["name"].as_str(),
        response["teams"][0]["name"].as_str(),
    ) {
        (Some(user), Some(team)) => Ok(format!("{user} is signed in, for the team {team}")),
        _ => Err(Error::new(
            ErrorKind::BadResponse,
            "the agent does not say who is signed in",
        )),
    }
}
