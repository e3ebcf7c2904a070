//! The routes of the MASV Agent. They accept no credential header: the agent keeps one session for
//! the whole machine.
//!
//! There is no route to sign out, because the real agent has none. A test signs the user out with
//! `Sandbox::configure`, by setting `agent_signed_in` to false.

use serde_json::{Value, json};

use super::data::{AgentUser, sandbox_user};
use crate::checks;
use crate::credentials as c;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::settings::ListShape;
use crate::state::SandboxState;

/// The agent's code for "session is nil": 0x40002.
const NO_SESSION: u32 = 262_146;

/// Returns the name of the counter that a request increases when it arrives.
pub(crate) fn counter(request: &SandboxRequest) -> Option<&'static str> {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/login") => Some("agent_login"),
        ("GET", "/api/v1/login") => Some("agent_session"),
        ("GET", "/api/v1/teams") => Some("agent_teams"),
        ("POST", "/api/v1/signup") => Some("agent_signup"),
        _ => None,
    }
}

/// Handles a request. Returns the response, which has an error status if the request is refused.
pub(crate) fn handle(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    route(state, request).unwrap_or_else(|refusal| refusal)
}

fn route(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    require_loopback_host(state, request)?;
    checks::credential_header(state, request)?;
    checks::require_small_body(state, request)?;
    checks::require_content_type(state, request)?;
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v1/login") => session_response(state),
        ("GET", "/api/v1/teams") => {
            session_response(state)?;
            Ok(Response::ok(match state.settings.agent_teams_shape {
                ListShape::Array => teams(),
                ListShape::Object => json!({"teams": teams()}),
            }))
        }
        ("POST", "/api/v1/login") => log_in(state, request),
        ("POST", "/api/v1/signup") if state.settings.legacy => sign_up(state, request),
        ("POST" | "GET", "/api/v1/signup") => Err(checks::unknown_route(state, request)),
        (_, "/api/v1/login" | "/api/v1/teams") => Err(checks::wrong_method(state, request)),
        _ => Err(checks::unknown_route(state, request)),
    }
}

/// Refuses a request whose `Host` is not a loopback name. This stops DNS rebinding: a web page
/// makes its own domain name resolve to a loopback address, so that the browser sends requests
/// here. The `Host` of those requests is the page's domain name.
fn require_loopback_host(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<(), Response> {
    let host = request.header("host").unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host.as_str(),
    };
    if ["localhost", "127.0.0.1", "[::1]"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    state.count("agent_foreign_host");
    Err(Response::service_error(
        Service::Agent,
        403,
        "the Host header must be a loopback name",
    ))
}

fn session_response(state: &mut SandboxState) -> Result<Response, Response> {
    match &state.agent.session {
        Some(user) => Ok(user_response(user)),
        None => {
            state.count("agent_no_session");
            Err(Response::agent_error(401, NO_SESSION, "session is nil"))
        }
    }
}

fn user_response(user: &AgentUser) -> Response {
    let document = json!({"email": user.email, "id": user.id, "name": user.name});
    Response::ok(json!({"user": document, "teams": teams()}))
}

fn teams() -> Value {
    json!([{
        "id": c::TEAM_ID, "name": c::TEAM_NAME, "subdomain": c::TEAM_SUBDOMAIN,
        "custom_expiry_default": 10, "custom_expiry_enabled": true,
        "download_limit_default": 5, "download_limit_enabled": false, "max_email_recipients": 50,
    }])
}

fn log_in(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let field = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (email, password) = (field("email"), field("password"));
    let is_sandbox_user = email == c::EMAIL && password == c::PASSWORD;
    let signed_up = state
        .agent
        .signed_up
        .iter()
        .find(|(user, user_password)| user.email == email && user_password == password);
    let user = if is_sandbox_user {
        Some(sandbox_user())
    } else {
        signed_up.map(|(user, _)| user.clone())
    };
    let Some(user) = user else {
        state.count("agent_login_refused");
        return Err(Response::agent_error(
            401,
            262_145,
            "invalid email or password",
        ));
    };
    let response = user_response(&user);
    state.agent.session = Some(user);
    Ok(response)
}

fn sign_up(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let field = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (email, password, name) = (field("email"), field("password"), field("name"));
    let is_taken = email == c::EMAIL
        || state
            .agent
            .signed_up
            .iter()
            .any(|(user, _)| user.email == email);
    if email.is_empty() || password.is_empty() || name.is_empty() {
        return Err(Response::agent_error(
            400,
            262_147,
            "email, password and name are required",
        ));
    }
    if is_taken {
        return Err(Response::agent_error(409, 262_148, "this email is taken"));
    }
    let id = state.masv.new_id("VSER");
    let user = AgentUser { id, email, name };
    let response = user_response(&user);
    state.agent.signed_up.push((user.clone(), password));
    state.agent.session = Some(user);
    Ok(response)
}
