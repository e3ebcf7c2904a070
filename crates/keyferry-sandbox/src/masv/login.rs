//! MASV's login and the list of an account's teams.

use serde_json::{Value, json};

use crate::checks;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::settings::ListShape;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

fn teams_array(state: &SandboxState, account: usize) -> Value {
    let teams = state.masv.teams(account, state.settings.teams);
    let teams = teams
        .iter()
        .map(|team| json!({"id": team.id, "name": team.name, "subdomain": team.subdomain}));
    Value::Array(teams.collect())
}

/// Returns the list of an account's teams, in the configured shape.
pub(crate) fn teams_document(state: &SandboxState, account: usize) -> Value {
    match state.settings.teams_shape {
        ListShape::Array => teams_array(state, account),
        ListShape::Object => json!({"teams": teams_array(state, account)}),
    }
}

/// Logs in with an e-mail address and password.
pub(crate) fn log_in(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let field = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let (Some(email), Some(password)) = (field("email"), field("password")) else {
        state.count("bad_document");
        return Err(Response::masv_error(400, "email and password are required"));
    };
    if email.starts_with("mfa@") {
        return Err(login_refusal(
            state,
            "multi-factor authentication is enabled for this account",
        ));
    }
    if email.starts_with("sso@") {
        return Err(login_refusal(state, "this account signs in with SSO"));
    }
    let account = state
        .masv
        .accounts
        .iter()
        .position(|account| account.email == email && account.password == password);
    match account {
        Some(account) => Ok(login_response(state, request, account)),
        None => Err(login_refusal(state, "invalid email or password")),
    }
}

fn login_refusal(state: &mut SandboxState, message: &str) -> Response {
    state.count("login_refused");
    match (
        state.settings.auth_refusal_status,
        state.settings.auth_refusal_json,
    ) {
        (status, true) => Response::masv_error(status, message),
        (status, false) => Response::html(status),
    }
}

fn login_response(state: &mut SandboxState, request: &SandboxRequest, account: usize) -> Response {
    let teams = teams_array(state, account);
    let first_team_id = teams
        .get(0)
        .and_then(|team| team.get("id"))
        .cloned()
        .unwrap_or(Value::Null);
    let account = &state.masv.accounts[account];
    let mut user = json!({
        "id": account.id, "email": account.email, "name": account.name, "level": "user", "time_zone": "America/Toronto",
    });
    if state.settings.preferred_team && !first_team_id.is_null() {
        user["preferred_team_id"] = first_team_id.clone();
        user["primary_team_id"] = first_team_id;
    }
    let claims = json!({"ext": {}, "imp": false, "sub": account.subject});
    let token = state.tokens.issue(GrantKind::User, claims, request.now_ms);
    let mut document = json!({"token": token, "user": user});
    if state.settings.login_teams {
        document["teams"] = teams;
    }
    Response::ok(document)
}
