//! FileVerbs' account routes: the token call, refresh by a cookie that rotates, and revocation.
//!
//! A refresh token that comes a second time revokes its whole family, as the sample that FileVerbs
//! resembles does it.

use serde_json::{Value, json};

use super::data::Refresh;
use crate::checks;
use crate::clock::http_date;
use crate::credentials as c;
use crate::request::{SandboxRequest, text_field};
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

const ACCOUNT_ID: u32 = 7001;

pub(crate) fn log_in(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let good = text_field(&document, "SecretKey") == Some(c::SECRET_KEY) && text_field(&document, "APIKey") == Some(c::FV_API_KEY);
    if !good || state.tokens.is_rejected(c::SECRET_KEY) {
        state.count("fileverbs_login_refused");
        return Err(Response::fileverbs_message(state.settings.fileverbs_refusal_status, "SecretKey or APIKey is incorrect"));
    }
    state.fileverbs.families += 1;
    let family = state.fileverbs.families;
    signed_in(state, request, family)
}

/// A new bearer and a new refresh token of this family.
fn signed_in(state: &mut SandboxState, request: &SandboxRequest, family: u64) -> Result<Response, Response> {
    let refresh = new_refresh_token(state, request, family)?;
    answered(state, request, &refresh)
}

fn answered(state: &mut SandboxState, request: &SandboxRequest, refresh: &str) -> Result<Response, Response> {
    let now_s = request.now_ms.div_euclid(1000);
    let fields = json!({"id": ACCOUNT_ID.to_string(), "iat": now_s, "nbf": now_s});
    let token = state.tokens.issue(GrantKind::Bearer, fields, request.now_ms);
    let expires = http_date(request.now_ms.saturating_add(state.tokens.lifetime_s(GrantKind::Refresh).saturating_mul(1000)));
    let cookie = format!("{}={refresh}; expires={expires}; path=/; httponly", state.settings.refresh_cookie);
    let fields = [
        ("Id", json!(ACCOUNT_ID)),
        ("FirstName", json!("Fer")),
        ("LastName", json!("Ry")),
        ("Email", json!(c::EMAIL)),
        ("Role", json!("User")),
        ("IsVerified", json!(true)),
        ("JwtToken", json!(token)),
        ("RefreshToken", json!(refresh)),
    ];
    let name = |name: &str| if state.settings.camel_case { camel(name) } else { name.to_owned() };
    let document: Value = fields.into_iter().map(|(own, value)| (name(own), value)).collect();
    Ok(Response::ok(document).with_header("set-cookie", cookie))
}

fn camel(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("{}{rest}", first.to_lowercase())
}

fn new_refresh_token(state: &mut SandboxState, request: &SandboxRequest, family: u64) -> Result<String, Response> {
    let mut bytes = [0_u8; 40];
    getrandom::fill(&mut bytes).map_err(|_| Response::fileverbs_message(500, "no random bytes"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let generation = state.tokens.next_generation(GrantKind::Refresh);
    if state.tokens.is_rejected_generation(GrantKind::Refresh, generation) {
        state.tokens.reject(&token);
    }
    let life_ms = state.tokens.lifetime_s(GrantKind::Refresh).saturating_mul(1000);
    let expires_ms = request.now_ms.saturating_add(life_ms);
    if state.fileverbs.refresh_tokens.len() > 10_000 {
        // A soak gets new ones for hours. Those that expired are refused, known or not.
        state.fileverbs.refresh_tokens.retain(|_, known| request.now_ms < known.expires_ms);
    }
    state.fileverbs.refresh_tokens.insert(token.clone(), Refresh { family, expires_ms, used: false });
    Ok(token)
}

/// The refresh token of the request's cookies.
fn cookie(state: &SandboxState, request: &SandboxRequest) -> Option<String> {
    let all = request.header("cookie")?;
    let mut pairs = all.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == state.settings.refresh_cookie).map(|(_, value)| value.to_owned())
}

pub(crate) fn refresh(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let Some(token) = cookie(state, request) else {
        return Err(refused_refresh(state, "Token is required"));
    };
    let rotates = state.settings.refresh_rotates;
    let rejected = state.tokens.is_rejected(&token);
    let world = &mut state.fileverbs;
    let Some(known) = world.refresh_tokens.get_mut(&token) else {
        return Err(refused_refresh(state, "Invalid token"));
    };
    let family = known.family;
    if world.revoked_families.contains(&family) || rejected || request.now_ms >= known.expires_ms {
        return Err(refused_refresh(state, "Invalid token"));
    }
    if known.used {
        world.revoked_families.insert(family);
        state.count("refresh_reuse");
        return Err(refused_refresh(state, "Invalid token"));
    }
    known.used = rotates;
    if rotates { signed_in(state, request, family) } else { answered(state, request, &token) }
}

fn refused_refresh(state: &mut SandboxState, message: &str) -> Response {
    state.count("refresh_refused");
    Response::fileverbs_message(state.settings.refresh_refusal_status, message)
}

pub(crate) fn revoke(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let document = request.json_body();
    let token = text_field(&document, "token").map(str::to_owned).or_else(|| cookie(state, request));
    let family = token.and_then(|token| state.fileverbs.refresh_tokens.get(&token)).map(|known| known.family);
    match family {
        None => Err(Response::fileverbs_message(400, "Token is required")),
        Some(family) => {
            state.fileverbs.revoked_families.insert(family);
            Ok(Response::fileverbs_message(200, "Token revoked"))
        }
    }
}
