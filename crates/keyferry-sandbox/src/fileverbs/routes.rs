//! FileVerbs' routes, and the two credentials that open its working calls.

use super::{accounts, jobs};
use crate::checks::{self, Presented};
use crate::credentials as c;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::settings::Settings;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

const TOKEN_PATH: &str = "/api/v1/accounts/access-token";
const REVOKE_PATH: &str = "/api/v1/accounts/revoke-token";

pub(crate) fn counter(call: &SandboxRequest, settings: &Settings) -> Option<&'static str> {
    let path = call.path.as_str();
    match (call.method.as_str(), path) {
        ("POST", TOKEN_PATH) => Some("fileverbs_login"),
        ("POST", REVOKE_PATH) => Some("revoke"),
        ("POST", _) if path == settings.refresh_path => Some("refresh"),
        _ if path.starts_with("/api/v1/") => Some("fileverbs_call"),
        _ => None,
    }
}

pub(crate) fn handle(state: &mut SandboxState, call: &SandboxRequest) -> Response {
    answer(state, call).unwrap_or_else(|refusal| refusal)
}

fn answer(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let presented = checks::credential(state, call)?;
    checks::content_type(state, call)?;
    if call.path == state.settings.refresh_path && call.method == "POST" {
        checks::route(Service::FileVerbs, state.settings.refresh_route)?;
        checks::none(state, call, &presented)?;
        return accounts::refresh(state, call);
    }
    let parts = call.parts();
    let ["api", "v1", rest @ ..] = parts.as_slice() else {
        return Err(checks::unknown(state, call));
    };
    match (call.method.as_str(), rest) {
        ("POST", ["accounts", "access-token"]) => {
            checks::none(state, call, &presented)?;
            accounts::log_in(state, call)
        }
        ("POST", ["accounts", "revoke-token"]) => {
            authorized(state, call, &presented)?;
            accounts::revoke(state, call)
        }
        (_, ["accounts", "access-token" | "revoke-token"]) => Err(checks::wrong_method(state, call)),
        (_, ["fileuploads" | "jobrequests", ..]) => {
            authorized(state, call, &presented)?;
            jobs::working(state, call, rest)
        }
        _ => Err(checks::unknown(state, call)),
    }
}

/// The SecretKey header or a bearer; either will do for every working call.
fn authorized(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<(), Response> {
    let refused = |state: &mut SandboxState, counter: &str| {
        state.count(counter);
        Err(Response::message(401, "Unauthorized"))
    };
    match presented {
        Some(("SecretKey", value)) if value == c::SECRET_KEY && !state.tokens.is_rejected(value) => Ok(()),
        Some(("SecretKey", _)) => refused(state, "bad_secret_key"),
        Some(("Authorization", value)) => {
            let Some(token) = value.strip_prefix("Bearer ") else {
                return refused(state, "bad_token");
            };
            match state.tokens.check(GrantKind::Bearer, token, call.now_ms) {
                Ok(_) => Ok(()),
                Err(refusal) => refused(state, refusal.counter()),
            }
        }
        _ => refused(state, "missing_credential"),
    }
}
