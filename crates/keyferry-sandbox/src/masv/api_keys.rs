//! MASV's API keys and the user's profile. These routes need a user token and refuse an API key.
//!
//! The routes that list, read and delete keys are undocumented, so the sandbox doesn't have them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::auth::{authenticate_by_token, require_team};
use super::data::{ApiKey, NEVER, parse_expiry_ms};
use crate::checks::{self, CredentialHeader};
use crate::clock::rfc3339_ms;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;

/// Creates an API key for a team. No other response contains the key's value.
pub(crate) fn create(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<Response, Response> {
    let user = authenticate_by_token(state, request, credential)?;
    require_team(state, &user, team)?;
    let document = checks::json_object(state, request)?;
    let active =
        parse_active(&document)?.ok_or_else(|| Response::masv_error(400, "state is required"))?;
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let key = ApiKey {
        id: state.masv.new_id("KEY"),
        value: new_key_value()?,
        team: team.to_owned(),
        account: user.account,
        name: text("name"),
        active,
        expires_ms: parse_expiry_ms(&text("expiry")),
    };
    state.count("api_key_made");
    let mut created = api_key_json(&key);
    created["key"] = json!(key.value);
    state.masv.api_keys.push(key);
    Ok(Response::json(201, created))
}

/// Changes the state, name or expiry of one of the user's own API keys.
pub(crate) fn update(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
) -> Result<Response, Response> {
    let user = authenticate_by_token(state, request, credential)?;
    let document = checks::json_object(state, request)?;
    let active = parse_active(&document)?;
    let key = state
        .masv
        .api_keys
        .iter_mut()
        .find(|key| key.id == id && key.account == user.account);
    let key = key.ok_or_else(|| Response::masv_error(404, "API key not found"))?;
    key.active = active.unwrap_or(key.active);
    if let Some(name) = document.get("name").and_then(Value::as_str) {
        key.name = name.to_owned();
    }
    if let Some(expiry) = document.get("expiry").and_then(Value::as_str) {
        key.expires_ms = parse_expiry_ms(expiry);
    }
    Ok(Response::ok(api_key_json(key)))
}

/// Changes the name in the user's own profile.
pub(crate) fn update_profile(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
) -> Result<Response, Response> {
    let user = authenticate_by_token(state, request, credential)?;
    let document = checks::json_object(state, request)?;
    let account = &mut state.masv.accounts[user.account];
    if account.id != id {
        return Err(Response::masv_error(
            403,
            "this profile belongs to another user",
        ));
    }
    if let Some(name) = document.get("name").and_then(Value::as_str) {
        account.name = name.to_owned();
    }
    Ok(Response::ok(
        json!({"id": account.id, "email": account.email, "name": account.name}),
    ))
}

fn parse_active(document: &Value) -> Result<Option<bool>, Response> {
    match document.get("state").map(Value::as_str) {
        None => Ok(None),
        Some(Some("active")) => Ok(Some(true)),
        Some(Some("inactive")) => Ok(Some(false)),
        Some(_) => Err(Response::masv_error(
            400,
            "state must be active or inactive",
        )),
    }
}

fn api_key_json(key: &ApiKey) -> Value {
    let state = if key.active { "active" } else { "inactive" };
    let expiry = key.expires_ms.map_or(NEVER.to_owned(), rfc3339_ms);
    json!({"id": key.id, "name": key.name, "state": state, "expiry": expiry})
}

/// Returns a random key of 64 symbols. Some of them are characters that a shell interprets unless
/// they are quoted.
fn new_key_value() -> Result<String, Response> {
    let mut bytes = [0_u8; 36];
    getrandom::fill(&mut bytes).map_err(|_| Response::masv_error(500, "no random bytes"))?;
    Ok(format!("$!(){{}}[]=:@/<,.{}~", STANDARD.encode(bytes)))
}
