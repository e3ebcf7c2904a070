//! Turns a service's response into the bytes for the wire, altered by the fault that hit the
//! request, if any did.
//!
//! It doesn't choose the fault: `faults` does.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::body::Body;
use crate::faults::{BodyKind, FaultAction};
use crate::response::{Content, Response};
use crate::service::Service;

/// How a request ends.
pub(crate) enum Outcome {
    Response(WireResponse),
    Raw(Vec<u8>),
    Close,
    Reset,
    Hang,
}

/// A response, ready for the wire.
pub(crate) struct WireResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// Carries the request out with `handle`, unless the fault prevents it, and alters the response.
pub(crate) fn apply(
    service: Service,
    action: &FaultAction,
    handle: impl FnOnce() -> Response,
) -> Outcome {
    match action {
        FaultAction::Hang => return Outcome::Hang,
        FaultAction::Close => return Outcome::Close,
        FaultAction::Reset => return Outcome::Reset,
        FaultAction::Raw(bytes) => return Outcome::Raw(bytes.clone()),
        FaultAction::Lost => {
            handle();
            return Outcome::Close;
        }
        _ => {}
    }
    Outcome::Response(replacement(service, action).map_or_else(
        || alter(action, handle()),
        |response| wire_response(response, Body::whole),
    ))
}

/// The response of a fault that replaces the service's own; the request isn't carried out.
fn replacement(service: Service, action: &FaultAction) -> Option<Response> {
    match action {
        FaultAction::Status {
            status,
            body: BodyKind::Html,
        } => Some(Response::html(*status)),
        FaultAction::Status {
            status,
            body: BodyKind::Empty,
        } => Some(Response::empty(*status)),
        FaultAction::Status {
            status,
            body: BodyKind::Json,
        } => Some(Response::service_error(
            service,
            *status,
            "scripted by the sandbox",
        )),
        FaultAction::Literal {
            status,
            media_type,
            body,
        } => {
            let mut response = Response::text(*status, "", body.clone());
            response.headers.push(("content-type", media_type.clone()));
            Some(response)
        }
        FaultAction::Redirect { status, to } => {
            Some(Response::html(*status).with_header("location", to.clone()))
        }
        _ => None,
    }
}

/// The service's response, altered by the fault.
fn alter(action: &FaultAction, response: Response) -> WireResponse {
    match action {
        FaultAction::Empty => WireResponse {
            status: 200,
            headers: response.headers,
            body: Body::Whole(None),
        },
        FaultAction::Half => wire_response(response, |bytes| Body::half(bytes.into())),
        FaultAction::Drip(interval) => {
            wire_response(response, |bytes| Body::drip(bytes.into(), *interval))
        }
        FaultAction::Huge(total) => wire_response(response, |_| Body::huge(*total)),
        FaultAction::Endless => wire_response(response, |_| Body::endless()),
        FaultAction::Deep(levels) => {
            wire_response(response, |_| Body::whole(nested_arrays(*levels)))
        }
        FaultAction::Null => wire_response(map_document(response, |_| Value::Null), Body::whole),
        FaultAction::WrongCase => {
            wire_response(map_document(response, uppercase_keys), Body::whole)
        }
        FaultAction::WrongTypes => wire_response(map_document(response, swap_types), Body::whole),
        FaultAction::Token(value) => wire_response(
            map_document(response, |document| replace_tokens(document, value)),
            Body::whole,
        ),
        _ => wire_response(response, Body::whole),
    }
}

fn wire_response(response: Response, make_body: impl FnOnce(Vec<u8>) -> Body) -> WireResponse {
    let Response {
        status,
        mut headers,
        content,
    } = response;
    let (media_type, bytes) = match content {
        Content::Empty => ("", Vec::new()),
        Content::Json(document) => (
            "application/json; charset=utf-8",
            document.to_string().into_bytes(),
        ),
        Content::Text { media_type, text } => (media_type, text.into_bytes()),
    };
    if !media_type.is_empty() {
        headers.push(("content-type", media_type.to_owned()));
    }
    WireResponse {
        status,
        headers,
        body: make_body(bytes),
    }
}

fn map_document(mut response: Response, change: impl FnOnce(Value) -> Value) -> Response {
    let document = match response.content {
        Content::Json(document) => document,
        Content::Empty | Content::Text { .. } => Value::Null,
    };
    response.content = Content::Json(change(document));
    response
}

fn uppercase_keys(document: Value) -> Value {
    match document {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.to_uppercase(), uppercase_keys(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(uppercase_keys).collect(),
        other => other,
    }
}

/// Gives each field another type: texts become numbers; numbers, lists and booleans texts; objects
/// lists; nulls objects.
fn swap_types(document: Value) -> Value {
    let other_type = |value: &Value| match value {
        Value::String(_) => json!(17),
        Value::Object(_) => json!([]),
        Value::Array(_) | Value::Number(_) | Value::Bool(_) => json!("17"),
        Value::Null => json!({}),
    };
    match document {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, other_type(&value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(swap_types).collect(),
        other => other_type(&other),
    }
}

fn replace_tokens(document: Value, token: &str) -> Value {
    const FIELDS: [&str; 4] = ["token", "access_token", "package_token", "jwttoken"];
    match document {
        Value::Object(fields) => {
            let change = |(name, value): (String, Value)| {
                let is_token = FIELDS.contains(&name.to_lowercase().as_str());
                (
                    name,
                    if is_token {
                        json!(token)
                    } else {
                        replace_tokens(value, token)
                    },
                )
            };
            fields.into_iter().map(change).collect()
        }
        Value::Array(values) => values
            .into_iter()
            .map(|value| replace_tokens(value, token))
            .collect(),
        other => other,
    }
}

fn nested_arrays(levels: u32) -> Bytes {
    // This body is built in memory: the limit keeps a typo in a script from filling it.
    let levels = usize::try_from(levels.min(10_000_000)).unwrap_or(0);
    let text = format!("{{\"token\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    Bytes::from(text)
}

/// The time of the `Date` header, moved by `skew_s`, at most to the ends of the range.
pub(crate) fn skew_date_ms(now_ms: i64, skew_s: i64) -> i64 {
    now_ms.saturating_add(skew_s.saturating_mul(1000))
}

/// The latency of a fault, at most an hour, so that a typo in a script doesn't look like a hang.
pub(crate) fn cap_latency(latency: Duration) -> Duration {
    latency.min(Duration::from_secs(3600))
}
