//! The control routes, `/sandbox/…` on every listener, for tests in other languages than Rust.
//!
//! They take no credential and are neither counted nor remembered; the JSON stands in the
//! documentation of the module.

use serde_json::{Value, json};

use crate::faults::Fault;
use crate::request::{RecordedRequest, SandboxRequest};
use crate::response::Response;
use crate::state::{SandboxState, Shared};
use crate::tokens::GrantKind;

/// Where redirects of a test may lead: counted as `redirect_target`, answered with a token that nobody should use.
const TARGET: &str = "/redirect-target";

/// Answers what isn't a service's own business; `None` for all the rest.
pub(crate) fn handle(shared: &Shared, request: &SandboxRequest) -> Option<Response> {
    if request.path.starts_with(TARGET) {
        return Some(shared.with(|state| {
            state.count("redirect_target");
            state.record_request(request);
            Response::ok(json!({"token": "stolen", "access_token": "stolen", "JwtToken": "stolen"}))
        }));
    }
    let route = request.path.strip_prefix("/sandbox/")?;
    Some(control_route(shared, request, route).unwrap_or_else(|reason| Response::json(400, json!({"error": reason}))))
}

fn control_route(shared: &Shared, request: &SandboxRequest, route: &str) -> Result<Response, String> {
    let document = request.json_body();
    let now_ms = shared.clock.now_unix_ms();
    match (request.method.as_str(), route) {
        ("GET", "counts") => Ok(Response::ok(json!(shared.with(|state| state.counts.clone())))),
        ("GET", "requests") => {
            let seen = shared.with(|state| state.requests.iter().map(described).collect::<Value>());
            Ok(Response::ok(seen))
        }
        ("POST", "reset") => reset(shared, &document, now_ms),
        ("POST", "clock") => clock(shared, &document),
        ("GET", "clock") => Ok(Response::ok(json!({"now_unix_ms": now_ms}))),
        ("POST", "fault") => {
            let faults = one_or_many(&document, Fault::from_json)?;
            shared.with(|state| state.faults.extend(faults));
            Ok(done())
        }
        ("DELETE", "faults") => {
            shared.with(|state| state.faults.clear());
            Ok(done())
        }
        ("POST", "life") => shared.with(|state| lives(state, &document)),
        ("POST", "configure") => shared.with(|state| {
            for (key, value) in fields(&document)? {
                state.configure(key, value, now_ms)?;
            }
            Ok(done())
        }),
        ("POST", "reject") => shared.with(|state| reject(state, &document)),
        _ => Ok(Response::json(404, json!({"error": "no such control route"}))),
    }
}

fn done() -> Response {
    Response::ok(json!({"ok": true}))
}

fn described(seen: &RecordedRequest) -> Value {
    json!({
        "service": seen.service.name(), "method": seen.method, "path": seen.path,
        "headers": seen.headers, "credentials": seen.credentials,
    })
}

fn fields(document: &Value) -> Result<&serde_json::Map<String, Value>, String> {
    document.as_object().ok_or_else(|| "the body is no JSON object".to_owned())
}

fn one_or_many<T>(document: &Value, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    match document {
        Value::Array(all) => all.iter().map(read).collect(),
        one => Ok(vec![read(one)?]),
    }
}

fn reset(shared: &Shared, document: &Value, now_ms: i64) -> Result<Response, String> {
    if document.get("all") != Some(&Value::Bool(true)) {
        shared.with(SandboxState::reset_counts);
        return Ok(done());
    }
    shared.with(|state| state.reset_all(now_ms))?;
    Ok(done())
}

fn clock(shared: &Shared, document: &Value) -> Result<Response, String> {
    let number = |name: &str| match document.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("'{name}' wants a whole number")),
    };
    if let Some(offset_ms) = number("offset_ms")? {
        shared.clock.set_offset_ms(offset_ms);
    }
    if let Some(seconds) = number("advance_s")? {
        shared.clock.advance_ms(seconds.saturating_mul(1000));
    }
    Ok(Response::ok(json!({"now_unix_ms": shared.clock.now_unix_ms()})))
}

fn lives(state: &mut SandboxState, document: &Value) -> Result<Response, String> {
    for (name, value) in fields(document)? {
        let seconds = value.as_i64().ok_or_else(|| format!("'{name}' wants seconds"))?;
        state.tokens.set_lifetime_s(GrantKind::from_name(name)?, seconds);
    }
    Ok(done())
}

fn reject(state: &mut SandboxState, document: &Value) -> Result<Response, String> {
    if let Some(token) = document.get("token").and_then(Value::as_str) {
        state.tokens.reject(token);
        return Ok(done());
    }
    let number = |name: &str| document.get(name).and_then(Value::as_u64);
    let kind = document.get("kind").and_then(Value::as_str).ok_or("wants 'token', or 'kind' and 'generation' or 'next'")?;
    let kind = GrantKind::from_name(kind)?;
    if let Some(generation) = number("generation") {
        state.tokens.reject_generation(kind, generation);
    } else {
        let issued = state.tokens.issued(kind);
        let next = number("next").ok_or("wants 'generation' or 'next'")?.min(1000);
        (1..=next).for_each(|step| state.tokens.reject_generation(kind, issued + step));
    }
    Ok(done())
}
