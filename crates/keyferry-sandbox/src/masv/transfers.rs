//! MASV's transfers. The routes of a package list its transfers and start new ones. A request to
//! show, retry or cancel a transfer needs that transfer's own token.
//!
//! None of these routes accepts a user credential, not even the owner's.

use serde_json::{Value, json};

use super::auth::{unauthorized, verify_token};
use super::data::Transfer;
use crate::checks::{self, CredentialHeader};
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::settings::ListShape;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

/// Returns a transfer as JSON, with a new token.
fn transfer_json(state: &mut SandboxState, request: &SandboxRequest, id: &str) -> Value {
    let claims = json!({"sub": id, "typ": "transfer"});
    let token = state
        .tokens
        .issue(GrantKind::Transfer, claims, request.now_ms);
    let transfer_state = state
        .masv
        .transfers
        .get(id)
        .map_or("gone", |transfer| transfer.state);
    json!({"id": id, "state": transfer_state, "access_token": token})
}

/// Lists a package's transfers, each with a new token.
pub(crate) fn list_transfers(
    state: &mut SandboxState,
    request: &SandboxRequest,
    id: &str,
) -> Result<Response, Response> {
    let ids = state
        .masv
        .packages
        .get(id)
        .map(|package| package.transfers.clone())
        .unwrap_or_default();
    let all: Value = ids
        .iter()
        .map(|transfer| transfer_json(state, request, transfer))
        .collect();
    Ok(Response::ok(match state.settings.transfers_shape {
        ListShape::Array => all,
        ListShape::Object => json!({"transfers": all}),
    }))
}

/// Starts a transfer of a package.
pub(crate) fn start_transfer(
    state: &mut SandboxState,
    request: &SandboxRequest,
    id: &str,
) -> Result<Response, Response> {
    checks::json_object(state, request)?;
    let transfer = state.masv.new_id("TRANSFER");
    state.masv.transfers.insert(
        transfer.clone(),
        Transfer {
            package: id.to_owned(),
            state: "running",
        },
    );
    if let Some(package) = state.masv.packages.get_mut(id) {
        package.transfers.push(transfer.clone());
    }
    let created = transfer_json(state, request, &transfer);
    Ok(Response::json(201, created))
}

/// Carries out a request below `/v1/transfers/{id}`: status, retry or cancel. It needs that
/// transfer's own token.
pub(crate) fn handle(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
    rest: &[&str],
) -> Result<Response, Response> {
    let next_state = match (request.method.as_str(), rest) {
        ("GET", []) => None,
        ("PUT", []) | ("POST", ["retry"]) => Some("running"),
        ("DELETE", []) => Some("cancelled"),
        (_, [] | ["retry"]) => return Err(checks::wrong_method(state, request)),
        _ => return Err(checks::unknown_route(state, request)),
    };
    let Some(("X-Transfer-Token", value)) = credential else {
        return Err(unauthorized(
            state,
            "missing_credential",
            "X-Transfer-Token is required",
        ));
    };
    let claims = verify_token(state, request, GrantKind::Transfer, value)?;
    if claims.get("sub").and_then(Value::as_str) != Some(id) {
        return Err(unauthorized(
            state,
            "foreign_token",
            "this token is for another transfer",
        ));
    }
    let Some(transfer) = state.masv.transfers.get_mut(id) else {
        return Err(Response::masv_error(404, "transfer not found"));
    };
    transfer.state = next_state.unwrap_or(transfer.state);
    let (package, transfer_state) = (transfer.package.clone(), transfer.state);
    state.count("transfer_call_ok");
    match request.method.as_str() {
        "DELETE" => Ok(Response::empty(204)),
        _ => Ok(Response::ok(
            json!({"id": id, "package_id": package, "state": transfer_state}),
        )),
    }
}
