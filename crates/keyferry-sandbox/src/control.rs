//! The control routes, `/sandbox/…` on every listener, for tests in languages other than Rust.
//!
//! They need no credential and are neither counted nor recorded. `docs/testing.md` describes their
//! JSON.

use serde_json::{Value, json};

use crate::faults::Fault;
use crate::request::{RecordedRequest, SandboxRequest};
use crate::response::Response;
use crate::state::{SandboxState, Shared};
use crate::tokens::GrantKind;

/// The path that tests redirect clients to. A request to it is counted as `redirect_target`, and
/// its response has a token that a client must not use.
const REDIRECT_TARGET: &str = "/redirect-target";

/// Handles the control routes and the redirect target. Returns `None` for a service's own routes.
pub(crate) fn handle(shared: &Shared, request: &SandboxRequest) -> Option<Response> {
    if request.path.starts_with(REDIRECT_TARGET) {
        return Some(shared.with(|state| {
            state.count("redirect_target");
            state.record_request(request);
            Response::ok(json!({"token": "stolen", "access_token": "stolen", "JwtToken": "stolen"}))
        }));
    }
    let route = request.path.strip_prefix("/sandbox/")?;
    Some(
        control_route(shared, request, route)
            .unwrap_or_else(|reason| Response::json(400, json!({"error": reason}))),
    )
}

fn control_route(
    shared: &Shared,
    request: &SandboxRequest,
    route: &str,
) -> Result<Response, String> {
    let document = request.json_body();
    let now_ms = shared.clock.now_unix_ms();
    match (request.method.as_str(), route) {
        ("GET", "counts") => Ok(Response::ok(json!(
            shared.with(|state| state.counts.clone())
        ))),
        ("GET", "requests") => {
            let requests =
                shared.with(|state| state.requests.iter().map(request_json).collect::<Value>());
            Ok(Response::ok(requests))
        }
        ("GET", "storage") => Ok(Response::ok(shared.with(|state| state.storage.to_json()))),
        ("POST", "reset") => reset(shared, &document, now_ms),
        ("POST", "clock") => move_clock(shared, &document),
        ("GET", "clock") => Ok(Response::ok(json!({"now_unix_ms": now_ms}))),
        ("POST", "fault") => {
            let faults = one_or_many(&document, Fault::from_json)?;
            shared.with(|state| state.faults.extend(faults));
            Ok(ok_response())
        }
        ("DELETE", "faults") => {
            shared.with(|state| state.faults.clear());
            Ok(ok_response())
        }
        ("POST", "life") => shared.with(|state| set_lifetimes(state, &document)),
        ("POST", "configure") => shared.with(|state| {
            for (key, value) in object_fields(&document)? {
                state.configure(key, value, now_ms)?;
            }
            Ok(ok_response())
        }),
        ("POST", "reject") => shared.with(|state| reject(state, &document)),
        _ => Ok(Response::json(
            404,
            json!({"error": "no such control route"}),
        )),
    }
}

fn ok_response() -> Response {
    Response::ok(json!({"ok": true}))
}

fn request_json(request: &RecordedRequest) -> Value {
    json!({
        "service": request.service.name(), "method": request.method, "path": request.path,
        "headers": request.headers, "credentials": request.credentials,
    })
}

fn object_fields(document: &Value) -> Result<&serde_json::Map<String, Value>, String> {
    document
        .as_object()
        .ok_or_else(|| "the body is not a JSON object".to_owned())
}

fn one_or_many<T>(
    document: &Value,
    parse: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match document {
        Value::Array(all) => all.iter().map(parse).collect(),
        single => Ok(vec![parse(single)?]),
    }
}

fn reset(shared: &Shared, document: &Value, now_ms: i64) -> Result<Response, String> {
    if document.get("all") != Some(&Value::Bool(true)) {
        shared.with(SandboxState::reset_counts);
        return Ok(ok_response());
    }
    shared.with(|state| state.reset_all(now_ms))?;
    Ok(ok_response())
}

fn move_clock(shared: &Shared, document: &Value) -> Result<Response, String> {
    let number = |name: &str| match document.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| format!("'{name}' must be an integer")),
    };
    if let Some(offset_ms) = number("offset_ms")? {
        shared.clock.set_offset_ms(offset_ms);
    }
    if let Some(seconds) = number("advance_s")? {
        shared.clock.advance_ms(seconds.saturating_mul(1000));
    }
    Ok(Response::ok(
        json!({"now_unix_ms": shared.clock.now_unix_ms()}),
    ))
}

fn set_lifetimes(state: &mut SandboxState, document: &Value) -> Result<Response, String> {
    for (name, value) in object_fields(document)? {
        let seconds = value
            .as_i64()
            .ok_or_else(|| format!("'{name}' must be an integer number of seconds"))?;
        state
            .tokens
            .set_lifetime_s(GrantKind::from_name(name)?, seconds);
    }
    Ok(ok_response())
}

fn reject(state: &mut SandboxState, document: &Value) -> Result<Response, String> {
    if let Some(token) = document.get("token").and_then(Value::as_str) {
        state.tokens.reject(token);
        return Ok(ok_response());
    }
    let number = |name: &str| document.get(name).and_then(Value::as_u64);
    let kind = document
        .get("kind")
        .and_then(Value::as_str)
        .ok_or("the body needs 'token', or 'kind' with 'generation' or 'next'")?;
    let kind = GrantKind::from_name(kind)?;
    if let Some(generation) = number("generation") {
        state.tokens.reject_generation(kind, generation);
    } else {
        let issued = state.tokens.issued(kind);
        let next = number("next")
            .ok_or("the body needs 'generation' or 'next'")?
            .min(1000);
        (1..=next).for_each(|offset| state.tokens.reject_generation(kind, issued + offset));
    }
    Ok(ok_response())
}
