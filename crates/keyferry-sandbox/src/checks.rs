//! The checks that come before any route: one credential header, of this service, and the content type.
//!
//! It doesn't look at a credential's value; the routes do.

use serde_json::json;

use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::state::SandboxState;

/// A credential header and its value.
pub(crate) type Presented = Option<(&'static str, String)>;

fn refusal(service: Service, status: u16, message: &str) -> Response {
    match service {
        Service::Masv => Response::masv_error(status, message),
        Service::Agent => Response::agent_error(status, 262_144, message),
        Service::FileVerbs => Response::message(status, message),
    }
}

/// The one credential of a request, if it has one, and if it is of a kind that the service knows.
pub(crate) fn credential(state: &mut SandboxState, call: &SandboxRequest) -> Result<Presented, Response> {
    let mut all = call.credentials();
    if all.len() > 1 {
        state.count("two_credentials");
        return Err(refusal(call.service, 400, "more than one credential header"));
    }
    let presented = all.pop();
    if call.service == Service::Agent && presented.is_some() {
        state.count("agent_credential_header");
        return Err(refusal(call.service, 400, "the agent takes no credential header"));
    }
    let foreign = presented.as_ref().is_some_and(|(name, _)| {
        let of_fileverbs = matches!(*name, "SecretKey" | "Authorization");
        of_fileverbs != (call.service == Service::FileVerbs)
    });
    if foreign {
        state.count("foreign_credential");
        let status = if call.service == Service::FileVerbs { 400 } else { 401 };
        return Err(refusal(call.service, status, "this service knows no such credential header"));
    }
    if call.service != Service::FileVerbs && call.headers.contains_key("cookie") {
        state.count("stray_cookie");
        return Err(refusal(call.service, 400, "this service sets no cookie"));
    }
    let link_call = call.service == Service::Masv && call.path.starts_with("/v1/links/");
    if !link_call && call.headers.contains_key("x-link-password") {
        state.count("stray_link_password");
        return Err(refusal(call.service, 400, "X-Link-Password is for links only"));
    }
    Ok(presented)
}

/// Refuses a credential where none is wanted: it has no business there.
pub(crate) fn none(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<(), Response> {
    if presented.is_none() {
        return Ok(());
    }
    state.count("needless_credential");
    Err(refusal(call.service, 400, "this route takes no credential header"))
}

/// Every POST and PUT says what it carries. FileVerbs' calls without a body needn't, and its uploads are forms.
pub(crate) fn content_type(state: &mut SandboxState, call: &SandboxRequest) -> Result<(), Response> {
    let lenient = call.service == Service::FileVerbs && call.body.is_empty();
    if !matches!(call.method.as_str(), "POST" | "PUT") || lenient {
        return Ok(());
    }
    let given = call.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    let is_form = call.service == Service::FileVerbs && media_type == "multipart/form-data";
    if media_type == "application/json" || is_form {
        return Ok(());
    }
    state.count("wrong_content_type");
    Err(refusal(call.service, 415, "Content-Type: application/json is required"))
}

/// The body of a POST or PUT is an object, or empty where no field is wanted; a broken one is refused before its fields
/// are looked for.
pub(crate) fn object(state: &mut SandboxState, call: &SandboxRequest) -> Result<serde_json::Value, Response> {
    let document = if call.body.is_empty() { json!({}) } else { call.document() };
    if document.is_object() {
        return Ok(document);
    }
    state.count("bad_document");
    Err(refusal(call.service, 400, "the body is no JSON object"))
}

/// A route that was switched off answers this.
pub(crate) fn route(service: Service, switched: Option<u16>) -> Result<(), Response> {
    match switched {
        None => Ok(()),
        Some(status) => Err(refusal(service, status, "no such route")),
    }
}

/// A path that the service doesn't have.
pub(crate) fn unknown(state: &mut SandboxState, call: &SandboxRequest) -> Response {
    state.count("unknown_route");
    refusal(call.service, 404, "no such route")
}

/// A path that it has, with another method.
pub(crate) fn wrong_method(state: &mut SandboxState, call: &SandboxRequest) -> Response {
    state.count("wrong_method");
    refusal(call.service, 405, "method not allowed")
}
