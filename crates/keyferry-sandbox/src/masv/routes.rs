//! MASV's routes: the counter and the handler of each route.

use super::{api_keys, auth, listings, login, packages, transfers};
use crate::checks;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;

/// Returns the name of the counter that a request increases when it arrives.
pub(crate) fn counter(request: &SandboxRequest) -> Option<&'static str> {
    let segments = request.path_segments();
    match (request.method.as_str(), segments.as_slice()) {
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

/// Handles a request. Returns the response, which has an error status if the request is refused.
pub(crate) fn handle(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    route(state, request).unwrap_or_else(|refusal| refusal)
}

fn route(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    let credential = checks::credential_header(state, request)?;
    checks::require_small_body(state, request)?;
    checks::require_content_type(state, request)?;
    let segments = request.path_segments();
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["v1", "auth"]) => {
            checks::require_no_credential(state, request, &credential)?;
            login::log_in(state, request)
        }
        ("GET", ["v1", "teams"]) => {
            let user = auth::authenticate(state, request, &credential)?;
            Ok(Response::ok(login::teams_document(state, user.account)))
        }
        ("POST", ["v1", "teams", team, "api_keys"]) => {
            api_keys::create(state, request, &credential, team)
        }
        ("PUT", ["v1", "api_keys", id]) => api_keys::update(state, request, &credential, id),
        ("PUT", ["v1", "users", id]) => api_keys::update_profile(state, request, &credential, id),
        ("POST", ["v1", "teams", team, "packages"]) => {
            listings::create_package(state, request, &credential, team)
        }
        ("GET", ["v1", "teams", team, "packages"]) => {
            listings::list_all(state, request, &credential, team)
        }
        ("GET", ["v1.1", "teams", team, "packages"]) => {
            listings::list_page(state, request, &credential, team)
        }
        ("GET", ["v1.1", "teams", team, "packages", id]) => {
            listings::look_up(state, request, &credential, team, id)
        }
        ("GET", ["v1.1", "teams", team, "inbox"]) => {
            listings::list_inbox(state, request, &credential, team)
        }
        ("POST", ["v1", "portals", portal, "packages"]) => {
            listings::create_package_by_portal(state, request, &credential, portal)
        }
        ("GET", ["v1", "subdomains", "portals", name]) => {
            listings::look_up_portal(state, request, &credential, name)
        }
        ("GET", ["v1", "links", id]) => listings::open_link(state, request, &credential, id),
        (_, ["v1", "packages", id, rest @ ..]) => {
            packages::handle(state, request, &credential, id, rest)
        }
        (_, ["v1", "transfers", id, rest @ ..]) => {
            transfers::handle(state, request, &credential, id, rest)
        }
        (_, path) if is_known_path(path) => Err(checks::wrong_method(state, request)),
        _ => Err(checks::unknown_route(state, request)),
    }
}

fn is_known_path(path: &[&str]) -> bool {
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
