//! MASV cloud: logging in, and every route that takes user credentials or none.
//!
//! It never looks into a package token.

pub(crate) mod api_keys;
pub(crate) mod data;
pub(crate) mod listings;
pub(crate) mod packages;

use serde_json::{Map, Value, json};

use crate::checks::{self, Presented};
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::settings::Shape;
use crate::state::SandboxState;
use crate::tokens::{GrantKind, Rejection};

/// The counter that a request goes under as it arrives, whatever becomes of it.
pub(crate) fn counter(call: &SandboxRequest) -> Option<&'static str> {
    let parts = call.parts();
    match (call.method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "auth"]) => Some("login"),
        ("GET", ["v1", "teams"]) => Some("teams"),
        ("GET", ["v1.1", "teams", _, "packages", _]) => Some("lookup"),
        ("GET", ["v1.1", "teams", _, "packages"]) => Some("list_page"),
        ("GET", ["v1", "teams", _, "packages"]) => Some("list_all"),
        ("GET", ["v1.1", "teams", _, "inbox"]) => Some("inbox"),
        ("GET", ["v1", "links", _]) => Some("link"),
        ("GET", ["v1", "packages", _, "transfer"]) => Some("transfer_list"),
        ("POST", ["v1", "packages", _, "transfer"]) => Some("transfer_start"),
        ("POST", ["v1", "teams", _, "packages"]) => Some("package_create"),
        ("POST", ["v1", "portals", _, "packages"]) => Some("portal_create"),
        ("POST", ["v1", "teams", _, "api_keys"]) => Some("api_key_create"),
        (_, ["v1", "packages", ..]) => Some("package_call"),
        (_, ["v1", "transfers", ..]) => Some("transfer_call"),
        _ => None,
    }
}

pub(crate) fn handle(state: &mut SandboxState, call: &SandboxRequest) -> Response {
    answer(state, call).unwrap_or_else(|refusal| refusal)
}

fn answer(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let presented = checks::credential(state, call)?;
    checks::content_type(state, call)?;
    let parts = call.parts();
    match (call.method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "auth"]) => {
            checks::none(state, call, &presented)?;
            log_in(state, call)
        }
        ("GET", ["v1", "teams"]) => {
            let user = user(state, call, &presented)?;
            Ok(Response::ok(team_list(state, user.account)))
        }
        ("POST", ["v1", "teams", team, "api_keys"]) => api_keys::create(state, call, &presented, team),
        ("PUT", ["v1", "api_keys", id]) => api_keys::change(state, call, &presented, id),
        ("PUT", ["v1", "users", id]) => api_keys::change_profile(state, call, &presented, id),
        ("POST", ["v1", "teams", team, "packages"]) => listings::create(state, call, &presented, team),
        ("GET", ["v1", "teams", team, "packages"]) => listings::all(state, call, &presented, team),
        ("GET", ["v1.1", "teams", team, "packages"]) => listings::page(state, call, &presented, team),
        ("GET", ["v1.1", "teams", team, "packages", id]) => listings::one(state, call, &presented, team, id),
        ("GET", ["v1.1", "teams", team, "inbox"]) => listings::inbox(state, call, &presented, team),
        ("POST", ["v1", "portals", portal, "packages"]) => listings::create_by_portal(state, call, &presented, portal),
        ("GET", ["v1", "subdomains", "portals", name]) => listings::portal(state, call, &presented, name),
        ("GET", ["v1", "links", id]) => listings::link(state, call, &presented, id),
        (_, ["v1", "packages", id, rest @ ..]) => packages::under_package(state, call, &presented, id, rest),
        (_, ["v1", "transfers", id, rest @ ..]) => packages::under_transfer(state, call, &presented, id, rest),
        (_, path) if is_known(path) => Err(checks::wrong_method(state, call)),
        _ => Err(checks::unknown(state, call)),
    }
}

fn is_known(path: &[&str]) -> bool {
    matches!(
        path,
        ["v1", "auth" | "teams"]
            | ["v1", "teams", _, "api_keys" | "packages"]
            | ["v1", "api_keys" | "users" | "links", _]
            | ["v1.1", "teams", _, "packages" | "inbox"]
            | ["v1.1", "teams", _, "packages", _]
            | ["v1", "portals", _, "packages"]
            | ["v1", "subdomains", "portals", _]
    )
}

/// Who calls a user route.
pub(crate) struct User {
    pub(crate) account: usize,
    /// The team of an API key; a user token has none.
    key_team: Option<String>,
}

/// The caller of a route that takes an API key or a user token.
pub(crate) fn user(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<User, Response> {
    match presented {
        Some(("X-API-KEY", value)) => by_key(state, call, value),
        Some(("X-User-Token", value)) => by_token(state, call, value),
        _ => Err(unauthorized(state, "missing_credential", "X-User-Token or X-API-KEY is required")),
    }
}

/// The caller of a route that takes a user token and no API key.
pub(crate) fn user_by_token(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<User, Response> {
    match presented {
        Some(("X-User-Token", value)) => by_token(state, call, value),
        Some(("X-API-KEY", _)) => {
            state.count("key_refused");
            Err(Response::masv_error(403, "an API key may not do this: X-User-Token is required"))
        }
        _ => Err(unauthorized(state, "missing_credential", "X-User-Token is required")),
    }
}

/// The caller of a team's route.
pub(crate) fn member(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented, team: &str) -> Result<User, Response> {
    let user = user(state, call, presented)?;
    member_of(state, &user, team)?;
    Ok(user)
}

pub(crate) fn member_of(state: &mut SandboxState, user: &User, team: &str) -> Result<(), Response> {
    let in_team = state.masv.teams(user.account, state.settings.teams).iter().any(|own| own.id == team);
    let key_fits = user.key_team.as_ref().is_none_or(|own| own == team);
    match (in_team, key_fits) {
        (true, true) => Ok(()),
        (true, false) => {
            state.count("foreign_team");
            Err(Response::masv_error(403, "this API key belongs to another team"))
        }
        (false, _) => {
            state.count("foreign_team");
            Err(Response::masv_error(404, "team not found"))
        }
    }
}

fn by_key(state: &mut SandboxState, call: &SandboxRequest, value: &str) -> Result<User, Response> {
    let found = state.masv.keys.iter().find(|key| key.value == value);
    let live = found.filter(|key| key.active && key.expires_ms.is_none_or(|at| call.now_ms < at));
    match live {
        Some(key) if !state.tokens.is_rejected(value) => Ok(User { account: key.account, key_team: Some(key.team.clone()) }),
        _ => Err(unauthorized(state, "bad_api_key", "invalid API key")),
    }
}

fn by_token(state: &mut SandboxState, call: &SandboxRequest, value: &str) -> Result<User, Response> {
    let claims = check(state, call, GrantKind::User, value)?;
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let account = state.masv.accounts.iter().position(|account| account.subject == subject);
    let account = account.ok_or_else(|| Response::masv_error(401, "invalid token"))?;
    Ok(User { account, key_team: None })
}

/// The claims of a token of this kind, or the 401 for it.
pub(crate) fn check(state: &mut SandboxState, call: &SandboxRequest, kind: GrantKind, value: &str) -> Result<Value, Response> {
    state.tokens.check(kind, value, call.now_ms).map_err(|refusal| {
        let message = match refusal {
            Rejection::Unknown => "invalid token",
            Rejection::Expired => "token is expired",
            Rejection::Rejected => "token was revoked",
        };
        unauthorized(state, refusal.counter(), message)
    })
}

pub(crate) fn unauthorized(state: &mut SandboxState, counter: &str, message: &str) -> Response {
    state.count(counter);
    Response::masv_error(401, message)
}

pub(crate) fn claims(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn team_array(state: &SandboxState, account: usize) -> Value {
    let teams = state.masv.teams(account, state.settings.teams);
    let teams = teams.iter().map(|team| json!({"id": team.id, "name": team.name, "subdomain": team.subdomain}));
    Value::Array(teams.collect())
}

fn team_list(state: &SandboxState, account: usize) -> Value {
    match state.settings.teams_shape {
        Shape::Array => team_array(state, account),
        Shape::Object => json!({"teams": team_array(state, account)}),
    }
}

fn log_in(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::object(state, call)?;
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
        Some(account) => Ok(logged_in(state, call, account)),
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

fn logged_in(state: &mut SandboxState, call: &SandboxRequest, account: usize) -> Response {
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
    let fields = claims(json!({"ext": {}, "imp": false, "sub": one.subject}));
    let token = state.tokens.issue(GrantKind::User, fields, call.now_ms);
    Response::ok(json!({"token": token, "teams": teams, "user": user}))
}

/// Refuses where a behaviour switched the route off.
pub(crate) fn switched(route: Option<u16>) -> Result<(), Response> {
    checks::route(Service::Masv, route)
}
