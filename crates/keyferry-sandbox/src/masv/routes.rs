//! MASV's routes: the counter and the handler of each.

use super::{api_keys, auth, listings, login, packages, transfers};
use crate::checks;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;

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
            login::log_in(state, call)
        }
        ("GET", ["v1", "teams"]) => {
            let user = auth::user(state, call, &presented)?;
            Ok(Response::ok(login::team_list(state, user.account)))
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
        (_, ["v1", "transfers", id, rest @ ..]) => transfers::under_transfer(state, call, &presented, id, rest),
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
