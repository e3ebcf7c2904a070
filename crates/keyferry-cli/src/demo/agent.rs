//! The rows of the MASV Agent. The agent keeps its session itself, so there is no header to return.

use crate::demo::demo_run::{DemoRun, ServiceCall};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::ports::service::AgentSession;
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
            .and_then(|session| describe_user(&session))
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
            .and_then(|session| describe_user(&session))
            .map(|user| format!("keyferry asks the agent who is signed in: {user}"))
    };
    demo.add_session_row(
        (RESOURCE, "agent"),
        &[("agent_session", 1)],
        ServiceCall::get(format!("{agent}/api/v1/login")),
        session,
    );
}

/// Returns the message of the expected error: no user is signed in.
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

/// Returns the names of the signed-in user and the first team.
fn describe_user(session: &AgentSession) -> Result<String> {
    let team = session.teams.first();
    match (
        session.user["name"].as_str(),
        team.and_then(|team| team["name"].as_str()),
    ) {
        (Some(user), Some(team)) => Ok(format!("{user}, team {team}")),
        _ => Err(Error::new(
            ErrorKind::BadResponse,
            "the agent's response contains no user or no team",
        )),
    }
}
