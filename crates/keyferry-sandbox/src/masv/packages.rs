//! MASV's routes below one package. Each accepts certain variants of the package's token.
//!
//! None of them accepts a user credential, not even the owner's.

use serde_json::{Value, json};

use super::auth::{unauthorized, verify_token};
use super::data::{Link, MANAGE, READ, WRITE};
use super::{files, transfers};
use crate::checks::{self, CredentialHeader};
use crate::clock::rfc3339_ms;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

/// What a route does once its token is verified.
#[derive(Clone, Copy)]
enum Operation {
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
    CreateLink,
    ListTransfers,
    StartTransfer,
}

/// Returns the operation of a route and the token variants that permit it.
fn operation(method: &str, rest: &[&str]) -> Option<(Operation, &'static [&'static str])> {
    const MANAGEMENT: &[&str] = &[MANAGE];
    const READING: &[&str] = &[READ, MANAGE];
    const WRITING: &[&str] = &[WRITE, MANAGE];
    Some(match (method, rest) {
        ("GET", []) => (Operation::Show, READING),
        ("PUT", []) => (Operation::Rename, MANAGEMENT),
        ("DELETE", []) => (Operation::Delete, MANAGEMENT),
        ("PUT", ["expiry"]) => (Operation::SetExpiry, MANAGEMENT),
        ("POST", ["files"]) => (Operation::AddFile, WRITING),
        ("GET", ["files"]) => (Operation::ListFiles, READING),
        ("POST", ["files", _]) => (Operation::UploadFile, WRITING),
        ("POST", ["files", _, "finalize"]) => (Operation::FinalizeFile, WRITING),
        ("GET", ["files", _, "download"]) => (Operation::Download, &[READ]),
        ("POST", ["finalize"]) => (Operation::Finalize, WRITING),
        ("POST", ["links"]) => (Operation::CreateLink, MANAGEMENT),
        ("GET", ["transfer"]) => (Operation::ListTransfers, READING),
        ("POST", ["transfer"]) => (Operation::StartTransfer, READING),
        _ => return None,
    })
}

/// Carries out a request below `/v1/packages/{id}`, which needs a token of that package.
pub(crate) fn handle(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
    rest: &[&str],
) -> Result<Response, Response> {
    let Some((operation, variants)) = operation(&request.method, rest) else {
        let is_known = ["GET", "POST", "PUT", "DELETE"]
            .iter()
            .any(|method| self::operation(method, rest).is_some());
        return Err(if is_known {
            checks::wrong_method(state, request)
        } else {
            checks::unknown_route(state, request)
        });
    };
    let variant = token_variant(state, request, credential, id)?;
    let mut is_allowed = variants.contains(&variant.as_str());
    if matches!(operation, Operation::ListTransfers) && variant == READ {
        is_allowed = state.settings.read_lists_transfers;
    }
    if !is_allowed {
        state.count("wrong_variant");
        return Err(Response::masv_error(
            403,
            "this package token does not permit this operation",
        ));
    }
    if !state.masv.packages.contains_key(id) {
        return Err(Response::masv_error(404, "package not found"));
    }
    state.count("package_call_ok");
    perform(state, request, operation, id, rest)
}

/// Returns the `lvl` claim of the request's token. Refuses a token of another package.
fn token_variant(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
    id: &str,
) -> Result<String, Response> {
    let Some(("X-Package-Token", value)) = credential else {
        return Err(unauthorized(
            state,
            "missing_credential",
            "X-Package-Token is required",
        ));
    };
    let claims = verify_token(state, request, GrantKind::Package, value)?;
    let field = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("sub") != id {
        return Err(unauthorized(
            state,
            "foreign_token",
            "this token is for another package",
        ));
    }
    Ok(field("lvl").to_owned())
}

fn perform(
    state: &mut SandboxState,
    request: &SandboxRequest,
    operation: Operation,
    id: &str,
    rest: &[&str],
) -> Result<Response, Response> {
    // Rationale: a published client sends `files/ID]/finalize`, so the sandbox ignores the bracket.
    let file = rest.get(1).copied().unwrap_or_default();
    let file = file.trim_end_matches(']').trim_end_matches("%5D");
    match operation {
        Operation::Show => Ok(Response::ok(package_json(state, id))),
        Operation::Rename | Operation::SetExpiry | Operation::Finalize => {
            update_package(state, request, operation, id)
        }
        Operation::Delete => {
            state.masv.packages.remove(id);
            state.drop_orphans();
            Ok(Response::empty(204))
        }
        Operation::AddFile => files::add(state, request, id),
        Operation::ListFiles => Ok(Response::ok(files::list(state, id))),
        Operation::UploadFile => files::sign_parts(state, request, id, file),
        Operation::FinalizeFile => files::finalize(state, request, id, file),
        Operation::Download => files::download(state, request, id, file),
        Operation::CreateLink => create_link(state, request, id),
        Operation::ListTransfers => transfers::list_transfers(state, request, id),
        Operation::StartTransfer => transfers::start_transfer(state, request, id),
    }
}

fn package_json(state: &SandboxState, id: &str) -> Value {
    let package = state.masv.packages.get(id);
    package.map_or(Value::Null, |package| json!({"id": id, "name": package.name, "state": package.state, "expiry": package.expiry}))
}

fn update_package(
    state: &mut SandboxState,
    request: &SandboxRequest,
    operation: Operation,
    id: &str,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    if matches!(operation, Operation::Finalize) {
        files::require_all_finalized(state, id)?;
    }
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if let Some(package) = state.masv.packages.get_mut(id) {
        match operation {
            Operation::SetExpiry => package.expiry = text("expiry").unwrap_or_default(),
            Operation::Finalize => package.state = "finalized",
            _ => package.name = text("name").unwrap_or_default(),
        }
    }
    Ok(Response::ok(package_json(state, id)))
}

fn create_link(
    state: &mut SandboxState,
    request: &SandboxRequest,
    package: &str,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let password = document
        .get("password")
        .and_then(Value::as_str)
        .filter(|password| !password.is_empty())
        .map(str::to_owned);
    let id = state.masv.new_id("11NK");
    // Clients put the secret into a URL without encoding it.
    let secret = format!("made-{id}");
    let expiry = rfc3339_ms(request.now_ms.saturating_add(432_000_000));
    let link = Link {
        package: package.to_owned(),
        secret,
        password,
        archived: false,
        expiry,
    };
    let mut created = json!({"id": id, "package_id": package, "expiry": link.expiry});
    if state.settings.download_secret {
        created["download_secret"] = json!(link.secret);
    }
    state.masv.links.insert(id, link);
    Ok(Response::json(201, created))
}
