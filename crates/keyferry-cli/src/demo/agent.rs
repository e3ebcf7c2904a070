//! The rows of the MASV Agent. The agent keeps its session itself, so there is no header to return.

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
            .map(|user| format!("keyferry signs in as {user}; the agent keeps the session, so calls need no header"))
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
            .map(|user| format!("keyferry asks the agent who is signed in: {user}"))
    };
    demo.add_session_row(
        (RESOURCE, "agent"),
        &[("agent_session", 1)],
        ServiceCall::get(format!("{agent}/api/v1/login")),
        session,
    );
}

/// Returns the message of the expected error: nobody is signed in.
fn expect_login_required(session: &Session) -> Result<String> {
    match session.agent_session() {
        Err(error) if error.kind == ErrorKind::LoginRequired => Ok(format!(
            "the agent has no session yet, so keyferry returns an error: \"{}\"",
            error.message()
        )),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(ErrorKind::Panic, "a user is already signed in")),
    }
}

/// Returns the name of the user and the team in a response.
fn describe_user(response: &str) -> Result<String> {
    let response: Value = serde_json::from_str(response).unwrap_or_default();
    match (
        response["user"]["name"].as_str(),
        response["teams"][0]["name"].as_str(),
    ) {
        (Some(user), Some(team)) => Ok(format!("{user}, team {team}")),
        _ => Err(Error::new(
            ErrorKind::BadResponse,
            "the agent's response contains no user or no team",
        )),
    }
}
