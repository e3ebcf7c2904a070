//! Authentication for MASV's routes: which user sends the request, and which teams that user may
//! use.
//!
//! For package and transfer tokens, this module checks only whether the token is valid. The modules
//! `packages` and `transfers` decide what a valid token permits.

use serde_json::Value;

use crate::checks::CredentialHeader;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::{GrantKind, TokenError};

/// The user who sends a request.
pub(crate) struct User {
    /// Index of the account.
    pub(crate) account: usize,
    /// The team of the API key, or `None` for a user token.
    key_team: Option<String>,
}

/// Returns the user, on a route that accepts an API key or a user token.
pub(crate) fn authenticate(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
) -> Result<User, Response> {
    match credential {
        Some(("X-API-KEY", value)) => user_of_key(state, request, value),
        Some(("X-User-Token", value)) => user_of_token(state, request, value),
        _ => Err(unauthorized(
            state,
            "missing_credential",
            "X-User-Token or X-API-KEY is required",
        )),
    }
}

/// Returns the user, on a route that accepts a user token but no API key.
pub(crate) fn authenticate_by_token(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
) -> Result<User, Response> {
    match credential {
        Some(("X-User-Token", value)) => user_of_token(state, request, value),
        Some(("X-API-KEY", _)) => {
            state.count("key_refused");
            Err(Response::masv_error(
                403,
                "an API key is not accepted here: X-User-Token is required",
            ))
        }
        _ => Err(unauthorized(
            state,
            "missing_credential",
            "X-User-Token is required",
        )),
    }
}

/// Returns the user, on a route of a team. Refuses users who aren't members of the team.
pub(crate) fn authenticate_member(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<User, Response> {
    let user = authenticate(state, request, credential)?;
    require_team(state, &user, team)?;
    Ok(user)
}

/// Refuses a user who isn't a member of the team, and an API key of another team.
pub(crate) fn require_team(
    state: &mut SandboxState,
    user: &User,
    team: &str,
) -> Result<(), Response> {
    let is_in_team = state
        .masv
        .teams(user.account, state.settings.teams)
        .iter()
        .any(|member_team| member_team.id == team);
    let key_fits = user
        .key_team
        .as_ref()
        .is_none_or(|key_team| key_team == team);
    match (is_in_team, key_fits) {
        (true, true) => Ok(()),
        (true, false) => {
            state.count("foreign_team");
            Err(Response::masv_error(
                403,
                "this API key belongs to another team",
            ))
        }
        (false, _) => {
            state.count("foreign_team");
            Err(Response::masv_error(404, "team not found"))
        }
    }
}

fn user_of_key(
    state: &mut SandboxState,
    request: &SandboxRequest,
    value: &str,
) -> Result<User, Response> {
    let key = state.masv.api_keys.iter().find(|key| key.value == value);
    let usable = key.filter(|key| {
        key.active
            && key
                .expires_ms
                .is_none_or(|expires_ms| request.now_ms < expires_ms)
    });
    match usable {
        Some(key) if !state.tokens.is_rejected(value) => Ok(User {
            account: key.account,
            key_team: Some(key.team.clone()),
        }),
        _ => Err(unauthorized(state, "bad_api_key", "invalid API key")),
    }
}

fn user_of_token(
    state: &mut SandboxState,
    request: &SandboxRequest,
    value: &str,
) -> Result<User, Response> {
    let claims = verify_token(state, request, GrantKind::User, value)?;
    let subject = claims
        .get("sub")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let account = state
        .masv
        .accounts
        .iter()
        .position(|account| account.subject == subject);
    let account = account.ok_or_else(|| Response::masv_error(401, "invalid token"))?;
    Ok(User {
        account,
        key_team: None,
    })
}

/// Returns the claims of a valid token of this kind, or a 401 response for any other token.
pub(crate) fn verify_token(
    state: &mut SandboxState,
    request: &SandboxRequest,
    kind: GrantKind,
    value: &str,
) -> Result<Value, Response> {
    state
        .tokens
        .verify(kind, value, request.now_ms)
        .map_err(|error| {
            let message = match error {
                TokenError::Invalid => "invalid token",
                TokenError::Expired => "token is expired",
                TokenError::Rejected => "token was revoked",
            };
            unauthorized(state, error.counter(), message)
        })
}

/// Counts a refusal and returns a 401 response.
pub(crate) fn unauthorized(state: &mut SandboxState, counter: &str, message: &str) -> Response {
    state.count(counter);
    Response::masv_error(401, message)
}
