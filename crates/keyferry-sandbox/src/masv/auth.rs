//! Authentication of MASV's routes: which user calls, and which team it may use.
//!
//! It never looks into a package token.

use serde_json::Value;

use crate::checks::CredentialHeader;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::{GrantKind, TokenError};

/// Who calls a user route.
pub(crate) struct User {
    pub(crate) account: usize,
    /// The team of an API key; a user token has none.
    key_team: Option<String>,
}

/// The caller of a route that takes an API key or a user token.
pub(crate) fn user(state: &mut SandboxState, request: &SandboxRequest, credential: &CredentialHeader) -> Result<User, Response> {
    match credential {
        Some(("X-API-KEY", value)) => by_key(state, request, value),
        Some(("X-User-Token", value)) => by_token(state, request, value),
        _ => Err(unauthorized(state, "missing_credential", "X-User-Token or X-API-KEY is required")),
    }
}

/// The caller of a route that takes a user token and no API key.
pub(crate) fn user_by_token(state: &mut SandboxState, request: &SandboxRequest, credential: &CredentialHeader) -> Result<User, Response> {
    match credential {
        Some(("X-User-Token", value)) => by_token(state, request, value),
        Some(("X-API-KEY", _)) => {
            state.count("key_refused");
            Err(Response::masv_error(403, "an API key may not do this: X-User-Token is required"))
        }
        _ => Err(unauthorized(state, "missing_credential", "X-User-Token is required")),
    }
}

/// The caller of a team's route.
pub(crate) fn member(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<User, Response> {
    let user = user(state, request, credential)?;
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

fn by_key(state: &mut SandboxState, request: &SandboxRequest, value: &str) -> Result<User, Response> {
    let found = state.masv.keys.iter().find(|key| key.value == value);
    let live = found.filter(|key| key.active && key.expires_ms.is_none_or(|at| request.now_ms < at));
    match live {
        Some(key) if !state.tokens.is_rejected(value) => Ok(User { account: key.account, key_team: Some(key.team.clone()) }),
        _ => Err(unauthorized(state, "bad_api_key", "invalid API key")),
    }
}

fn by_token(state: &mut SandboxState, request: &SandboxRequest, value: &str) -> Result<User, Response> {
    let claims = check(state, request, GrantKind::User, value)?;
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let account = state.masv.accounts.iter().position(|account| account.subject == subject);
    let account = account.ok_or_else(|| Response::masv_error(401, "invalid token"))?;
    Ok(User { account, key_team: None })
}

/// The claims of a token of this kind, or the 401 for it.
pub(crate) fn check(state: &mut SandboxState, request: &SandboxRequest, kind: GrantKind, value: &str) -> Result<Value, Response> {
    state.tokens.verify(kind, value, request.now_ms).map_err(|refusal| {
        let message = match refusal {
            TokenError::Invalid => "invalid token",
            TokenError::Expired => "token is expired",
            TokenError::Rejected => "token was revoked",
        };
        unauthorized(state, refusal.counter(), message)
    })
}

pub(crate) fn unauthorized(state: &mut SandboxState, counter: &str, message: &str) -> Response {
    state.count(counter);
    Response::masv_error(401, message)
}
