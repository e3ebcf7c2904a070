//! MASV's login and the list of an account's teams.

use serde_json::{Value, json};

use crate::checks;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::settings::ListShape;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

fn team_array(state: &SandboxState, account: usize) -> Value {
    let teams = state.masv.teams(account, state.settings.teams);
    let teams = teams.iter().map(|team| json!({"id": team.id, "name": team.name, "subdomain": team.subdomain}));
    Value::Array(teams.collect())
}

pub(crate) fn team_list(state: &SandboxState, account: usize) -> Value {
    match state.settings.teams_shape {
        ListShape::Array => team_array(state, account),
        ListShape::Object => json!({"teams": team_array(state, account)}),
    }
}

pub(crate) fn log_in(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let field = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(email), Some(password)) = (field("email"), field("password")) else {
        state.count("bad_document");
        return Err(Response::masv_error(400, "email and password are required"));
    };
    if email.starts_with("mfa@") {
        return Err(refused_login(state, "multi-factor authentication is enabled for this account"));
    }
    if email.starts_with("sso@") {
        return Err(refused_login(state, "this account signs in with SSO"));
    }
    let found = state.masv.accounts.iter().position(|one| one.email == email && one.password == password);
    match found {
        Some(account) => Ok(logged_in(state, request, account)),
        None => Err(refused_login(state, "invalid email or password")),
    }
}

fn refused_login(state: &mut SandboxState, message: &str) -> Response {
    state.count("login_refused");
    match (state.settings.auth_refusal_status, state.settings.auth_refusal_json) {
        (status, true) => Response::masv_error(status, message),
        (status, false) => Response::html(status),
    }
}

fn logged_in(state: &mut SandboxState, request: &SandboxRequest, account: usize) -> Response {
    let teams = team_array(state, account);
    let first = teams.get(0).and_then(|team| team.get("id")).cloned().unwrap_or(Value::Null);
    let one = &state.masv.accounts[account];
    let mut user = json!({
        "id": one.id, "email": one.email, "name": one.name, "level": "user", "time_zone": "America/Toronto",
    });
    if state.settings.preferred_team && !first.is_null() {
        user["preferred_team_id"] = first.clone();
        user["primary_team_id"] = first;
    }
    let fields = json!({"ext": {}, "imp": false, "sub": one.subject});
    let token = state.tokens.issue(GrantKind::User, fields, request.now_ms);
    Response::ok(json!({"token": token, "teams": teams, "user": user}))
}
