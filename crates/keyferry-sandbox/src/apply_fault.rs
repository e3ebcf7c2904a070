//! Applies a fault to a request and turns the service's response into the one that is sent.
//!
//! `faults` chooses the fault.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::body::Body;
use crate::faults::{BodyKind, FaultAction};
use crate::response::{Content, Response};
use crate::service::Service;

/// The media type of a file.
const OBJECT_TYPE: &str = "application/octet-stream";

/// How the server ends a request.
pub(crate) enum Outcome {
    Response(WireResponse),
    Raw(Vec<u8>),
    Close,
    Reset,
    Hang,
}

/// A response with an encoded body, ready to be sent.
pub(crate) struct WireResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// Calls `handle` to carry the request out, unless the fault prevents that, and applies the fault
/// to the response.
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

/// Returns the response of a fault that replaces the service's response. The request isn't carried
/// out then.
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
            "fault injected by the sandbox",
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

/// Returns the service's response with the fault applied.
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
        _ => whole_response(response),
    }
}

/// Returns the complete response. A file is not copied.
fn whole_response(response: Response) -> WireResponse {
    match response.content {
        Content::Object(pieces) => {
            let mut headers = response.headers;
            headers.push(("content-type", OBJECT_TYPE.to_owned()));
            WireResponse {
                status: response.status,
                headers,
                body: Body::Pieces(pieces.into()),
            }
        }
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
        Content::Object(pieces) => (OBJECT_TYPE, pieces.concat()),
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
        Content::Empty | Content::Text { .. } | Content::Object(_) => Value::Null,
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

/// Gives each field another type. Strings become numbers; numbers, booleans and arrays become
/// strings; objects become arrays; nulls become objects.
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
    // The body is built in memory. The limit keeps a typo in a test from using all of the memory.
    let levels = usize::try_from(levels.min(10_000_000)).unwrap_or(0);
    let text = format!("{{\"token\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    Bytes::from(text)
}

/// Returns the time for the `Date` header: `now_ms` moved by `skew_s`, saturating at the limits of
/// the type.
pub(crate) fn skew_date_ms(now_ms: i64, skew_s: i64) -> i64 {
    now_ms.saturating_add(skew_s.saturating_mul(1000))
}

/// Limits a fault's latency to 1 hour, so that a typo in a test doesn't look like a hang.
pub(crate) fn cap_latency(latency: Duration) -> Duration {
    latency.min(Duration::from_secs(3600))
}
