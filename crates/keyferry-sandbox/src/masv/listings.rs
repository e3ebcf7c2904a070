//! MASV's routes that issue package tokens: listings, lookups, new packages, Portals and links.
//!
//! The module `packages` decides what a package token permits.

use serde_json::{Value, json};

use super::auth::{User, authenticate_member, unauthorized};
use super::data::{MANAGE, READ, WRITE, new_package};
use crate::checks::{self, CredentialHeader};
use crate::credentials as c;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

fn management_token(
    state: &mut SandboxState,
    request: &SandboxRequest,
    account: usize,
    id: &str,
) -> String {
    let user_id = state.masv.accounts[account].id;
    let claims = json!({"imp": false, "lvl": MANAGE, "sub": id, "typ": "package", "uid": user_id});
    state
        .tokens
        .issue(GrantKind::Package, claims, request.now_ms)
}

/// Returns a package as the listings show it, with a new management token.
fn package_record(
    state: &mut SandboxState,
    request: &SandboxRequest,
    user: &User,
    id: &str,
) -> Value {
    let token = management_token(state, request, user.account, id);
    match state.masv.packages.get(id) {
        None => Value::Null,
        Some(package) => json!({
            "access_token": token, "id": id, "name": package.name, "state": package.state, "expiry": package.expiry,
            "total_files": package.files.len(), "size": package.size(),
        }),
    }
}

fn package_ids(state: &SandboxState, team: &str, inbox: bool) -> Vec<String> {
    let packages = state
        .masv
        .packages
        .iter()
        .filter(|(_, package)| package.team == team && package.inbox == inbox);
    packages.map(|(id, _)| id.clone()).collect()
}

/// `GET /v1/teams/{team}/packages`: all packages, filtered by state.
pub(crate) fn list_all(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<Response, Response> {
    let user = authenticate_member(state, request, credential, team)?;
    let mut ids = package_ids(state, team, false);
    for filter in ["expired", "finalized", "new", "archived"] {
        match request.query_value(filter).as_deref() {
            Some("true") => ids.retain(|id| {
                state
                    .masv
                    .packages
                    .get(id)
                    .is_some_and(|package| package.state == filter)
            }),
            Some("false") => ids.retain(|id| {
                state
                    .masv
                    .packages
                    .get(id)
                    .is_some_and(|package| package.state != filter)
            }),
            _ => {}
        }
    }
    Ok(Response::ok(
        ids.iter()
            .map(|id| package_record(state, request, &user, id))
            .collect(),
    ))
}

/// `GET /v1.1/teams/{team}/packages`: one page of packages.
pub(crate) fn list_page(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<Response, Response> {
    let user = authenticate_member(state, request, credential, team)?;
    checks::require_route(Service::Masv, state.settings.paged_list)?;
    let ids = package_ids(state, team, false);
    page_of(state, request, &user, &ids)
}

/// `GET /v1.1/teams/{team}/inbox`: one page of the packages that were received through a Portal.
pub(crate) fn list_inbox(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<Response, Response> {
    let user = authenticate_member(state, request, credential, team)?;
    checks::require_route(Service::Masv, state.settings.inbox_route)?;
    let ids = package_ids(state, team, true);
    page_of(state, request, &user, &ids)
}

fn page_of(
    state: &mut SandboxState,
    request: &SandboxRequest,
    user: &User,
    ids: &[String],
) -> Result<Response, Response> {
    let number_of = |name: &str, default: usize| match request.query_value(name) {
        None => Ok(default),
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Response::masv_error(400, "page and limit must be numbers")),
    };
    let (page, limit) = (number_of("page", 1)?, number_of("limit", 20)?);
    if page == 0 || !(1..=50).contains(&limit) {
        state.count("bad_page");
        return Err(Response::masv_error(
            400,
            "page must be at least 1 and limit from 1 to 50",
        ));
    }
    let page_ids = ids
        .iter()
        .skip((page - 1).saturating_mul(limit))
        .take(limit);
    let records: Vec<Value> = page_ids
        .map(|id| package_record(state, request, user, id))
        .collect();
    Ok(Response::ok(
        json!({"metadata": {"total": ids.len()}, "records": records}),
    ))
}

/// `GET /v1.1/teams/{team}/packages/{id}`: one of the team's packages, but none from the inbox.
pub(crate) fn look_up(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
    id: &str,
) -> Result<Response, Response> {
    let user = authenticate_member(state, request, credential, team)?;
    checks::require_route(Service::Masv, state.settings.single_lookup)?;
    let is_listed = state
        .masv
        .packages
        .get(id)
        .is_some_and(|package| package.team == team && !package.inbox);
    if !is_listed {
        return Err(Response::masv_error(404, "package not found"));
    }
    Ok(Response::ok(package_record(state, request, &user, id)))
}

/// `POST /v1/teams/{team}/packages`: a new package with its management token.
pub(crate) fn create_package(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    team: &str,
) -> Result<Response, Response> {
    let user = authenticate_member(state, request, credential, team)?;
    let id = insert_new_package(state, request, team, false)?;
    let record = package_record(state, request, &user, &id);
    Ok(Response::json(201, record))
}

fn insert_new_package(
    state: &mut SandboxState,
    request: &SandboxRequest,
    team: &str,
    inbox: bool,
) -> Result<String, Response> {
    let document = checks::json_object(state, request)?;
    let name = document
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("untitled")
        .to_owned();
    let id = state.masv.new_id("PACKAGE");
    let mut package = new_package(team, inbox, name, "new", request.now_ms);
    package.files.clear();
    state.masv.packages.insert(id.clone(), package);
    Ok(id)
}

/// `POST /v1/portals/{portal}/packages`: a new package in the inbox, with a token for adding files.
pub(crate) fn create_package_by_portal(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    portal: &str,
) -> Result<Response, Response> {
    checks::require_no_credential(state, request, credential)?;
    if portal != c::PORTAL_ID {
        return Err(Response::masv_error(404, "portal not found"));
    }
    let id = insert_new_package(state, request, c::TEAM_ID, true)?;
    let claims = json!({"imp": false, "lvl": WRITE, "sub": id, "typ": "package", "uid": ""});
    let token = state
        .tokens
        .issue(GrantKind::Package, claims, request.now_ms);
    Ok(Response::json(
        201,
        json!({"access_token": token, "id": id, "state": "new"}),
    ))
}

/// `GET /v1/subdomains/portals/{name}`: the Portal with this subdomain.
pub(crate) fn look_up_portal(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    name: &str,
) -> Result<Response, Response> {
    checks::require_no_credential(state, request, credential)?;
    if name != c::PORTAL_SUBDOMAIN {
        return Err(Response::masv_error(404, "portal not found"));
    }
    Ok(Response::ok(
        json!({"id": c::PORTAL_ID, "name": "Sandbox Portal", "subdomain": name}),
    ))
}

/// `GET /v1/links/{id}`: a read token for the link's package, in exchange for the link's secret.
pub(crate) fn open_link(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
) -> Result<Response, Response> {
    checks::require_no_credential(state, request, credential)?;
    let secret = request.query_value("secret").unwrap_or_default();
    let password = request.header("x-link-password");
    let (secret_status, password_status) = (
        state.settings.link_secret_status,
        state.settings.link_password_status,
    );
    let Some(link) = state.masv.links.get(id) else {
        return Err(Response::masv_error(404, "link not found"));
    };
    if link.secret != secret {
        return Err(link_refusal(
            state,
            "bad_link_secret",
            secret_status,
            "wrong secret",
        ));
    }
    if link.archived {
        return Err(Response::masv_error(410, "link is no longer available"));
    }
    // A link without a password ignores a password that the client sends.
    if link.password.is_some() && link.password != password {
        return Err(link_refusal(
            state,
            "bad_link_password",
            password_status,
            "wrong or missing password",
        ));
    }
    let (package_id, expiry) = (link.package.clone(), link.expiry.clone());
    let Some((name, size)) = state
        .masv
        .packages
        .get(&package_id)
        .map(|package| (package.name.clone(), package.size()))
    else {
        return Err(Response::masv_error(410, "the package was deleted"));
    };
    let claims = json!({"imp": false, "lid": id, "lvl": READ, "sub": package_id, "typ": "package"});
    let token = state
        .tokens
        .issue(GrantKind::Package, claims, request.now_ms);
    Ok(Response::ok(json!({
        "package_token": token, "package_id": package_id, "expiry": expiry, "name": name, "package_size": size,
    })))
}

fn link_refusal(state: &mut SandboxState, counter: &str, status: u16, message: &str) -> Response {
    let mut response = unauthorized(state, counter, message);
    if status != 401 {
        response = Response::masv_error(status, message);
    }
    response
}
