//! MASV's routes below one package, each with the rights of its token's variant.
//!
//! User credentials open nothing here, whoever owns them.

use serde_json::{Value, json};

use super::auth::{check, unauthorized};
use super::data::{Link, MANAGE, READ, WRITE};
use super::transfers;
use crate::checks::{self, CredentialHeader};
use crate::clock::rfc3339_ms;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

/// What a route does once its token is checked.
#[derive(Clone, Copy)]
enum Deed {
    Show,
    Rename,
    Delete,
    SetExpiry,
    AddFile,
    ListFiles,
    UploadFile,
    FinalizeFile,
    Download,
    Finalize,
    MakeLink,
    ListTransfers,
    StartTransfer,
}

/// The deed of a route and the variants that may do it.
fn deed(method: &str, rest: &[&str]) -> Option<(Deed, &'static [&'static str])> {
    const MANAGEMENT: &[&str] = &[MANAGE];
    const READING: &[&str] = &[READ, MANAGE];
    const WRITING: &[&str] = &[WRITE, MANAGE];
    Some(match (method, rest) {
        ("GET", []) => (Deed::Show, READING),
        ("PUT", []) => (Deed::Rename, MANAGEMENT),
        ("DELETE", []) => (Deed::Delete, MANAGEMENT),
        ("PUT", ["expiry"]) => (Deed::SetExpiry, MANAGEMENT),
        ("POST", ["files"]) => (Deed::AddFile, WRITING),
        ("GET", ["files"]) => (Deed::ListFiles, READING),
        ("POST", ["files", _]) => (Deed::UploadFile, WRITING),
        ("POST", ["files", _, "finalize"]) => (Deed::FinalizeFile, WRITING),
        ("GET", ["files", _, "download"]) => (Deed::Download, &[READ]),
        ("POST", ["finalize"]) => (Deed::Finalize, WRITING),
        ("POST", ["links"]) => (Deed::MakeLink, MANAGEMENT),
        ("GET", ["transfer"]) => (Deed::ListTransfers, READING),
        ("POST", ["transfer"]) => (Deed::StartTransfer, READING),
        _ => return None,
    })
}

pub(crate) fn under_package(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
    rest: &[&str],
) -> Result<Response, Response> {
    let Some((deed, variants)) = deed(&request.method, rest) else {
        let known = ["GET", "POST", "PUT", "DELETE"].iter().any(|method| self::deed(method, rest).is_some());
        return Err(if known { checks::wrong_method(state, request) } else { checks::unknown_route(state, request) });
    };
    let variant = package_token(state, request, credential, id)?;
    let mut may = variants.contains(&variant.as_str());
    if matches!(deed, Deed::ListTransfers) && variant == READ {
        may = state.settings.read_lists_transfers;
    }
    if !may {
        state.count("wrong_variant");
        return Err(Response::masv_error(403, "this package token may not do that"));
    }
    if !state.masv.packages.contains_key(id) {
        return Err(Response::masv_error(404, "package not found"));
    }
    state.count("package_call_ok");
    act(state, request, deed, id, rest)
}

/// The `lvl` of the token, which has to be of exactly this package.
fn package_token(state: &mut SandboxState, request: &SandboxRequest, credential: &CredentialHeader, id: &str) -> Result<String, Response> {
    let Some(("X-Package-Token", value)) = credential else {
        return Err(unauthorized(state, "missing_credential", "X-Package-Token is required"));
    };
    let claims = check(state, request, GrantKind::Package, value)?;
    let field = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("sub") != id {
        return Err(unauthorized(state, "foreign_token", "this token is for another package"));
    }
    Ok(field("lvl").to_owned())
}

fn act(state: &mut SandboxState, request: &SandboxRequest, deed: Deed, id: &str, rest: &[&str]) -> Result<Response, Response> {
    match deed {
        Deed::Show => Ok(Response::ok(shown(state, id))),
        Deed::Rename | Deed::SetExpiry | Deed::Finalize => change(state, request, deed, id),
        Deed::Delete => {
            state.masv.packages.remove(id);
            Ok(Response::empty(204))
        }
        Deed::AddFile => add_file(state, request, id),
        Deed::ListFiles => Ok(Response::ok(files(state, id))),
        Deed::UploadFile | Deed::FinalizeFile | Deed::Download => with_file(state, deed, id, rest),
        Deed::MakeLink => make_link(state, request, id),
        Deed::ListTransfers => transfers::list_transfers(state, request, id),
        Deed::StartTransfer => transfers::start_transfer(state, request, id),
    }
}

fn shown(state: &SandboxState, id: &str) -> Value {
    let package = state.masv.packages.get(id);
    package.map_or(Value::Null, |one| json!({"id": id, "name": one.name, "state": one.state, "expiry": one.expiry}))
}

fn change(state: &mut SandboxState, request: &SandboxRequest, deed: Deed, id: &str) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(package) = state.masv.packages.get_mut(id) {
        match deed {
            Deed::SetExpiry => package.expiry = text("expiry").unwrap_or_default(),
            Deed::Finalize => package.state = "finalized",
            _ => package.name = text("name").unwrap_or_default(),
        }
    }
    Ok(Response::ok(shown(state, id)))
}

fn add_file(state: &mut SandboxState, request: &SandboxRequest, id: &str) -> Result<Response, Response> {
    checks::json_object(state, request)?;
    let file = state.masv.new_id("F1LE");
    if let Some(package) = state.masv.packages.get_mut(id) {
        package.files.push(file.clone());
    }
    Ok(Response::json(201, json!({"file": {"id": file}})))
}

fn files(state: &SandboxState, id: &str) -> Value {
    let files = state.masv.packages.get(id).map(|package| package.files.as_slice()).unwrap_or_default();
    files.iter().map(|file| json!({"id": file, "name": format!("{file}.mov"), "size": 4096})).collect()
}

fn with_file(state: &SandboxState, deed: Deed, id: &str, rest: &[&str]) -> Result<Response, Response> {
    let file = rest.get(1).copied().unwrap_or_default();
    let package = state.masv.packages.get(id).filter(|package| package.files.iter().any(|own| own == file));
    let package = package.ok_or_else(|| Response::masv_error(404, "file not found"))?;
    match deed {
        Deed::Download if package.state != "finalized" => Err(Response::masv_error(410, "package is not available")),
        Deed::Download => Ok(Response::ok(json!({"url": format!("https://storage.invalid/{id}/{file}")}))),
        _ => Ok(Response::ok(json!({"id": file}))),
    }
}

fn make_link(state: &mut SandboxState, request: &SandboxRequest, package: &str) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let password = document.get("password").and_then(Value::as_str).map(str::to_owned);
    let id = state.masv.new_id("11NK");
    let secret = format!("made+{id}/=");
    let expiry = rfc3339_ms(request.now_ms.saturating_add(432_000_000));
    let link = Link { package: package.to_owned(), secret, password, archived: false, expiry };
    let mut made = json!({"id": id, "package_id": package, "expiry": link.expiry});
    if state.settings.download_secret {
        made["download_secret"] = json!(link.secret);
    }
    state.masv.links.insert(id, link);
    Ok(Response::json(201, made))
}
