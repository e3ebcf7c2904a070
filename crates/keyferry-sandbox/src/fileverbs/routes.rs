//! FileVerbs' routes, and the two credentials that uploads and job requests accept.

use super::{accounts, jobs};
use crate::checks::{self, CredentialHeader};
use crate::credentials as c;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::settings::Settings;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

const TOKEN_PATH: &str = "/api/v1/accounts/access-token";
const REVOKE_PATH: &str = "/api/v1/accounts/revoke-token";

/// Returns the name of the counter that a request increases when it arrives.
pub(crate) fn counter(request: &SandboxRequest, settings: &Settings) -> Option<&'static str> {
    let path = request.path.as_str();
    match (request.method.as_str(), path) {
        ("POST", TOKEN_PATH) => Some("fileverbs_login"),
        ("POST", REVOKE_PATH) => Some("revoke"),
        ("POST", _) if path == settings.refresh_path => Some("refresh"),
        _ if path.starts_with("/api/v1/") => Some("fileverbs_call"),
        _ => None,
    }
}

/// Handles a request. Returns the response, which has an error status if the request is refused.
pub(crate) fn handle(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    route(state, request).unwrap_or_else(|refusal| refusal)
}

fn route(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let credential = checks::credential_header(state, request)?;
    checks::require_small_body(state, request)?;
    checks::require_content_type(state, request)?;
    if request.path == state.settings.refresh_path && request.method == "POST" {
        checks::require_route(Service::FileVerbs, state.settings.refresh_route)?;
        checks::require_no_credential(state, request, &credential)?;
        return accounts::refresh(state, request);
    }
    let segments = request.path_segments();
    let ["api", "v1", rest @ ..] = segments.as_slice() else {
        return Err(checks::unknown_route(state, request));
    };
    match (request.method.as_str(), rest) {
        ("POST", ["accounts", "access-token"]) => {
            checks::require_no_credential(state, request, &credential)?;
            accounts::log_in(state, request)
        }
        ("POST", ["accounts", "revoke-token"]) => {
            require_credential(state, request, &credential)?;
            accounts::revoke(state, request)
        }
        (_, ["accounts", "access-token" | "revoke-token"]) => {
            Err(checks::wrong_method(state, request))
        }
        (_, ["fileuploads" | "jobrequests", ..]) => {
            require_credential(state, request, &credential)?;
            jobs::handle(state, request, rest)
        }
        _ => Err(checks::unknown_route(state, request)),
    }
}

/// Requires a valid SecretKey header or bearer token.
fn require_credential(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
) -> Result<(), Response> {
    let refuse = |state: &mut SandboxState, counter: &str| {
        state.count(counter);
        Err(Response::fileverbs_message(401, "Unauthorized"))
    };
    match credential {
        Some(("SecretKey", value))
            if value == c::SECRET_KEY && !state.tokens.is_rejected(value) =>
        {
            Ok(())
        }
        Some(("SecretKey", _)) => refuse(state, "bad_secret_key"),
        Some(("Authorization", value)) => {
            let Some(token) = value.strip_prefix("Bearer ") else {
                return refuse(state, "bad_token");
            };
            match state
                .tokens
                .verify(GrantKind::Bearer, token, request.now_ms)
            {
                Ok(_) => Ok(()),
                Err(error) => refuse(state, error.counter()),
            }
        }
        _ => refuse(state, "missing_credential"),
    }
}
