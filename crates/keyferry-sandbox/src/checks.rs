//! Checks that run before any route: the credential header, other headers with secrets, and the
//! content type.
//!
//! They check which headers are present. The routes verify the values.

use serde_json::json;

use crate::receive::BODY_LIMIT_BYTES;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::settings::RouteOverride;
use crate::state::SandboxState;

/// The name and value of a request's credential header, or `None` if it has none.
pub(crate) type CredentialHeader = Option<(&'static str, String)>;

/// Refuses a body that is larger than the limit.
pub(crate) fn require_small_body(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<(), Response> {
    if !request.is_too_large {
        return Ok(());
    }
    state.count("body_too_large");
    let message = format!("the body is larger than {} MiB", BODY_LIMIT_BYTES >> 20);
    Err(Response::service_error(request.service, 413, &message))
}

/// Returns the credential header of a request. Refuses a request that has
/// - more than one credential header, or one that the service doesn't accept;
/// - a cookie, if the service never sets cookies;
/// - a link password, if the route is not a link's route.
pub(crate) fn credential_header(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<CredentialHeader, Response> {
    let mut credentials = request.credential_headers();
    if credentials.len() > 1 {
        state.count("two_credentials");
        return Err(Response::service_error(
            request.service,
            400,
            "more than one credential header",
        ));
    }
    let credential = credentials.pop();
    if request.service == Service::Agent && credential.is_some() {
        state.count("agent_credential_header");
        return Err(Response::service_error(
            request.service,
            400,
            "the agent accepts no credential header",
        ));
    }
    let is_foreign = credential.as_ref().is_some_and(|(name, _)| {
        let is_of_fileverbs = matches!(*name, "SecretKey" | "Authorization");
        is_of_fileverbs != (request.service == Service::FileVerbs)
    });
    if is_foreign {
        state.count("foreign_credential");
        let status = if request.service == Service::FileVerbs {
            400
        } else {
            401
        };
        return Err(Response::service_error(
            request.service,
            status,
            "this service does not accept this credential header",
        ));
    }
    if request.service != Service::FileVerbs && request.headers.contains_key("cookie") {
        state.count("stray_cookie");
        return Err(Response::service_error(
            request.service,
            400,
            "this service does not accept cookies",
        ));
    }
    let is_link = request.service == Service::Masv && request.path.starts_with("/v1/links/");
    if !is_link && request.headers.contains_key("x-link-password") {
        state.count("stray_link_password");
        return Err(Response::service_error(
            request.service,
            400,
            "X-Link-Password is accepted for links only",
        ));
    }
    Ok(credential)
}

/// Refuses a credential header on a route that needs none.
pub(crate) fn require_no_credential(
    state: &mut SandboxState,
    request: &SandboxRequest,
    credential: &CredentialHeader,
) -> Result<(), Response> {
    if credential.is_none() {
        return Ok(());
    }
    state.count("needless_credential");
    Err(Response::service_error(
        request.service,
        400,
        "this route accepts no credential header",
    ))
}

/// Refuses a POST or PUT whose body isn't declared as JSON. FileVerbs also accepts forms, and an
/// empty body without a content type.
pub(crate) fn require_content_type(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<(), Response> {
    let may_lack_type = request.service == Service::FileVerbs && request.body.is_empty();
    if !matches!(request.method.as_str(), "POST" | "PUT") || may_lack_type {
        return Ok(());
    }
    let content_type = request
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_form = request.service == Service::FileVerbs && media_type == "multipart/form-data";
    if media_type == "application/json" || is_form {
        return Ok(());
    }
    state.count("wrong_content_type");
    Err(Response::service_error(
        request.service,
        415,
        "Content-Type: application/json is required",
    ))
}

/// Returns the body as a JSON object. An empty body is an empty object. Refuses any other body.
pub(crate) fn json_object(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<serde_json::Value, Response> {
    let document = if request.body.is_empty() {
        json!({})
    } else {
        request.json_body()
    };
    if document.is_object() {
        return Ok(document);
    }
    state.count("bad_document");
    Err(Response::service_error(
        request.service,
        400,
        "the body is not a JSON object",
    ))
}

/// Returns an error response with the status in `replacement`, if a test has switched the route off.
pub(crate) fn require_route(service: Service, replacement: RouteOverride) -> Result<(), Response> {
    match replacement {
        None => Ok(()),
        Some(status) => Err(Response::service_error(service, status, "no such route")),
    }
}

/// Counts a request to an unknown path and returns a 404 response.
pub(crate) fn unknown_route(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    state.count("unknown_route");
    Response::service_error(request.service, 404, "no such route")
}

/// Counts a request with a method that the path doesn't support and returns a 405 response.
pub(crate) fn wrong_method(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    state.count("wrong_method");
    Response::service_error(request.service, 405, "method not allowed")
}
