//! FileVerbs' account routes: login, refresh with a rotating cookie, and revocation.
//!
//! A second use of a refresh token revokes its whole family, as in the ASP.NET sample that
//! FileVerbs resembles.

use serde_json::{Value, json};

use super::data::RefreshToken;
use crate::checks;
use crate::clock::http_date;
use crate::credentials as c;
use crate::request::{SandboxRequest, text_field};
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

const ACCOUNT_ID: u32 = 7001;

/// Logs in with both keys. The response has a bearer token and a refresh token.
pub(crate) fn log_in(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let is_correct = text_field(&document, "SecretKey") == Some(c::SECRET_KEY)
        && text_field(&document, "APIKey") == Some(c::FV_API_KEY);
    if !is_correct || state.tokens.is_rejected(c::SECRET_KEY) {
        state.count("fileverbs_login_refused");
        return Err(Response::fileverbs_message(
            state.settings.fileverbs_refusal_status,
            "SecretKey or APIKey is incorrect",
        ));
    }
    state.fileverbs.family_count += 1;
    let family = state.fileverbs.family_count;
    issue_tokens(state, request, family)
}

/// Issues a bearer token and a refresh token of this family.
fn issue_tokens(
    state: &mut SandboxState,
    request: &SandboxRequest,
    family: u64,
) -> Result<Response, Response> {
    let refresh_token = new_refresh_token(state, request, family)?;
    token_response(state, request, &refresh_token)
}

/// Returns a response with a new bearer token and this refresh token, which is also set as a
/// cookie.
fn token_response(
    state: &mut SandboxState,
    request: &SandboxRequest,
    refresh_token: &str,
) -> Result<Response, Response> {
    let now_s = request.now_ms.div_euclid(1000);
    let claims = json!({"id": ACCOUNT_ID.to_string(), "iat": now_s, "nbf": now_s});
    let token = state
        .tokens
        .issue(GrantKind::Bearer, claims, request.now_ms);
    let expires = http_date(
        request.now_ms.saturating_add(
            state
                .tokens
                .lifetime_s(GrantKind::Refresh)
                .saturating_mul(1000),
        ),
    );
    let cookie = format!(
        "{}={refresh_token}; expires={expires}; path=/; httponly",
        state.settings.refresh_cookie
    );
    let fields = [
        ("Id", json!(ACCOUNT_ID)),
        ("FirstName", json!("Fer")),
        ("LastName", json!("Ry")),
        ("Email", json!(c::EMAIL)),
        ("Role", json!("User")),
        ("IsVerified", json!(true)),
        ("JwtToken", json!(token)),
        ("RefreshToken", json!(refresh_token)),
    ];
    let field_name = |name: &str| {
        if state.settings.camel_case {
            lower_first(name)
        } else {
            name.to_owned()
        }
    };
    let document: Value = fields
        .into_iter()
        .map(|(name, value)| (field_name(name), value))
        .collect();
    Ok(Response::ok(document).with_header("set-cookie", cookie))
}

/// Makes the first letter lower case: `JwtToken` becomes `jwtToken`.
fn lower_first(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("{}{rest}", first.to_lowercase())
}

fn new_refresh_token(
    state: &mut SandboxState,
    request: &SandboxRequest,
    family: u64,
) -> Result<String, Response> {
    let mut bytes = [0_u8; 40];
    getrandom::fill(&mut bytes).map_err(|_| Response::fileverbs_message(500, "no random bytes"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let generation = state.tokens.next_generation(GrantKind::Refresh);
    if state
        .tokens
        .is_rejected_generation(GrantKind::Refresh, generation)
    {
        state.tokens.reject(&token);
    }
    let lifetime_ms = state
        .tokens
        .lifetime_s(GrantKind::Refresh)
        .saturating_mul(1000);
    let expires_ms = request.now_ms.saturating_add(lifetime_ms);
    if state.fileverbs.refresh_tokens.len() > 10_000 {
        // A test that runs for hours collects many. Drop the expired ones, which are refused
        // anyway.
        state
            .fileverbs
            .refresh_tokens
            .retain(|_, refresh_token| request.now_ms < refresh_token.expires_ms);
    }
    state.fileverbs.refresh_tokens.insert(
        token.clone(),
        RefreshToken {
            family,
            expires_ms,
            used: false,
        },
    );
    Ok(token)
}

/// Returns the refresh token in the request's cookies.
fn cookie_token(state: &SandboxState, request: &SandboxRequest) -> Option<String> {
    let cookies = request.header("cookie")?;
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == state.settings.refresh_cookie)
        .map(|(_, value)| value.to_owned())
}

/// Issues new tokens for the refresh token in the cookie.
pub(crate) fn refresh(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<Response, Response> {
    let Some(token) = cookie_token(state, request) else {
        return Err(refresh_refusal(state, "Token is required"));
    };
    let rotates = state.settings.refresh_rotates;
    let rejected = state.tokens.is_rejected(&token);
    let data = &mut state.fileverbs;
    let Some(refresh_token) = data.refresh_tokens.get_mut(&token) else {
        return Err(refresh_refusal(state, "Invalid token"));
    };
    let family = refresh_token.family;
    if data.revoked_families.contains(&family)
        || rejected
        || request.now_ms >= refresh_token.expires_ms
    {
        return Err(refresh_refusal(state, "Invalid token"));
    }
    if refresh_token.used {
        data.revoked_families.insert(family);
        state.count("refresh_reuse");
        return Err(refresh_refusal(state, "Invalid token"));
    }
    refresh_token.used = rotates;
    if rotates {
        issue_tokens(state, request, family)
    } else {
        token_response(state, request, &token)
    }
}

fn refresh_refusal(state: &mut SandboxState, message: &str) -> Response {
    state.count("refresh_refused");
    Response::fileverbs_message(state.settings.refresh_refusal_status, message)
}

/// Revokes the family of a refresh token.
pub(crate) fn revoke(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<Response, Response> {
    let document = request.json_body();
    let token = text_field(&document, "token")
        .map(str::to_owned)
        .or_else(|| cookie_token(state, request));
    let family = token
        .and_then(|token| state.fileverbs.refresh_tokens.get(&token))
        .map(|refresh_token| refresh_token.family);
    match family {
        None => Err(Response::fileverbs_message(400, "Token is required")),
        Some(family) => {
            state.fileverbs.revoked_families.insert(family);
            Ok(Response::fileverbs_message(200, "Token revoked"))
        }
    }
}
