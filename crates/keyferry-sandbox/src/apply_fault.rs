//! Turns a service's answer into what goes over the wire, spoiled by the fault that hit the request, if any did.
//!
//! It doesn't choose the fault, and writes no log of it.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::body::Body;
use crate::faults::{BodyKind, FaultAction};
use crate::response::{Content, Response};
use crate::service::Service;

/// What becomes of a request.
pub(crate) enum Outcome {
    Reply(Reply),
    Raw(Vec<u8>),
    Close,
    Reset,
    Hang,
}

/// An answer, ready for the wire.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Body,
}

/// Carries the request out with `handle` if the act wants it carried out, and spoils the answer.
pub(crate) fn outcome(service: Service, act: &FaultAction, handle: impl FnOnce() -> Response) -> Outcome {
    match act {
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
    Outcome::Reply(instead(service, act).map_or_else(|| altered(act, handle()), |response| reply(response, Body::whole)))
}

/// The answers that don't need the request to be carried out.
fn instead(service: Service, act: &FaultAction) -> Option<Response> {
    match act {
        FaultAction::Status { status, body: BodyKind::Html } => Some(Response::html(*status)),
        FaultAction::Status { status, body: BodyKind::Empty } => Some(Response::empty(*status)),
        FaultAction::Status { status, body: BodyKind::Json } => Some(Response::service_error(service, *status, "scripted by the sandbox")),
        FaultAction::Literal { status, media_type, body } => {
            let mut response = Response::text(*status, "", body.clone());
            response.headers.push(("content-type", media_type.clone()));
            Some(response)
        }
        FaultAction::Redirect { status, to } => Some(Response::html(*status).with_header("location", to.clone())),
        _ => None,
    }
}

fn altered(act: &FaultAction, response: Response) -> Reply {
    match act {
        FaultAction::Empty => Reply { status: 200, headers: response.headers, payload: Body::Whole(None) },
        FaultAction::Half => reply(response, |bytes| Body::half(bytes.into())),
        FaultAction::Drip(interval) => reply(response, |bytes| Body::drip(bytes.into(), *interval)),
        FaultAction::Huge(total) => reply(response, |_| Body::huge(*total)),
        FaultAction::Endless => reply(response, |_| Body::endless()),
        FaultAction::Deep(levels) => reply(response, |_| Body::whole(nested(*levels))),
        FaultAction::Null => reply(with_document(response, |_| Value::Null), Body::whole),
        FaultAction::WrongCase => reply(with_document(response, uppercase_keys), Body::whole),
        FaultAction::WrongTypes => reply(with_document(response, swap_types), Body::whole),
        FaultAction::Token(value) => reply(with_document(response, |document| replace_tokens(document, value)), Body::whole),
        _ => reply(response, Body::whole),
    }
}

fn reply(response: Response, payload: impl FnOnce(Vec<u8>) -> Body) -> Reply {
    let Response { status, mut headers, content } = response;
    let (media_type, bytes) = match content {
        Content::Empty => ("", Vec::new()),
        Content::Json(document) => ("application/json; charset=utf-8", document.to_string().into_bytes()),
        Content::Text { media_type, text } => (media_type, text.into_bytes()),
    };
    if !media_type.is_empty() {
        headers.push(("content-type", media_type.to_owned()));
    }
    Reply { status, headers, payload: payload(bytes) }
}

fn with_document(mut response: Response, change: impl FnOnce(Value) -> Value) -> Response {
    let document = match response.content {
        Content::Json(document) => document,
        Content::Empty | Content::Text { .. } => Value::Null,
    };
    response.content = Content::Json(change(document));
    response
}

fn uppercase_keys(document: Value) -> Value {
    match document {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name.to_uppercase(), uppercase_keys(value))).collect(),
        Value::Array(values) => values.into_iter().map(uppercase_keys).collect(),
        other => other,
    }
}

/// Each field becomes what it isn't: texts numbers, numbers texts, lists texts, objects lists.
fn swap_types(document: Value) -> Value {
    let wrong = |value: &Value| match value {
        Value::String(_) => json!(17),
        Value::Object(_) => json!([]),
        Value::Array(_) | Value::Number(_) | Value::Bool(_) => json!("17"),
        Value::Null => json!({}),
    };
    match document {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, wrong(&value))).collect(),
        Value::Array(values) => values.into_iter().map(swap_types).collect(),
        other => wrong(&other),
    }
}

fn replace_tokens(document: Value, token: &str) -> Value {
    const FIELDS: [&str; 4] = ["token", "access_token", "package_token", "jwttoken"];
    match document {
        Value::Object(fields) => {
            let change = |(name, value): (String, Value)| {
                let is_token = FIELDS.contains(&name.to_lowercase().as_str());
                (name, if is_token { json!(token) } else { replace_tokens(value, token) })
            };
            fields.into_iter().map(change).collect()
        }
        Value::Array(values) => values.into_iter().map(|value| replace_tokens(value, token)).collect(),
        other => other,
    }
}

fn nested(levels: u32) -> Bytes {
    // The one spoiled body that stands in memory whole: a slip in a script must not fill it.
    let levels = usize::try_from(levels.min(10_000_000)).unwrap_or(0);
    let text = format!("{{\"token\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    Bytes::from(text)
}

/// `Date` may be skewed by years: beyond what a date can hold it stays where it is.
pub(crate) fn skewed(now_ms: i64, skew_s: i64) -> i64 {
    now_ms.saturating_add(skew_s.saturating_mul(1000))
}

/// Latency of a fault, bounded to an hour so that a slip in a script doesn't look like a hang for ever.
pub(crate) fn bounded(latency: Duration) -> Duration {
    latency.min(Duration::from_secs(3600))
}
