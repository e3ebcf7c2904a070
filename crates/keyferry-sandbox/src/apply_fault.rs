//! Turns a service's answer into what goes over the wire, spoiled by the fault that hit the request, if any did.
//!
//! It doesn't choose the fault, and writes no log of it.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::body::Payload;
use crate::faults::{Act, BodyKind};
use crate::request::Service;
use crate::response::{Answer, Content};

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
    pub(crate) payload: Payload,
}

/// Carries the request out with `handle` if the act wants it carried out, and spoils the answer.
pub(crate) fn outcome(service: Service, act: &Act, handle: impl FnOnce() -> Answer) -> Outcome {
    match act {
        Act::Hang => return Outcome::Hang,
        Act::Close => return Outcome::Close,
        Act::Reset => return Outcome::Reset,
        Act::Raw(bytes) => return Outcome::Raw(bytes.clone()),
        Act::Lost => {
            handle();
            return Outcome::Close;
        }
        _ => {}
    }
    Outcome::Reply(instead(service, act).map_or_else(|| altered(act, handle()), |answer| reply(answer, Payload::whole)))
}

/// The answers that don't need the request to be carried out.
fn instead(service: Service, act: &Act) -> Option<Answer> {
    match act {
        Act::Status { status, body: BodyKind::Html } => Some(Answer::html(*status)),
        Act::Status { status, body: BodyKind::Empty } => Some(Answer::empty(*status)),
        Act::Status { status, body: BodyKind::Json } => Some(match service {
            Service::Masv => Answer::masv_error(*status, "scripted by the sandbox"),
            Service::Agent => Answer::agent_error(*status, 262_144, "scripted by the sandbox"),
            Service::FileVerbs => Answer::message(*status, "scripted by the sandbox"),
        }),
        Act::Literal { status, media_type, body } => {
            let mut answer = Answer::text(*status, "", body.clone());
            answer.headers.push(("content-type", media_type.clone()));
            Some(answer)
        }
        Act::Redirect { status, to } => Some(Answer::html(*status).with("location", to.clone())),
        _ => None,
    }
}

fn altered(act: &Act, answer: Answer) -> Reply {
    match act {
        Act::Empty => Reply { status: 200, headers: answer.headers, payload: Payload::Whole(None) },
        Act::Half => reply(answer, |bytes| Payload::half(bytes.into())),
        Act::Drip(interval) => reply(answer, |bytes| Payload::drip(bytes.into(), *interval)),
        Act::Huge(total) => reply(answer, |_| Payload::huge(*total)),
        Act::Endless => reply(answer, |_| Payload::endless()),
        Act::Deep(levels) => reply(answer, |_| Payload::whole(nested(*levels))),
        Act::Null => reply(with_document(answer, |_| Value::Null), Payload::whole),
        Act::WrongCase => reply(with_document(answer, shout), Payload::whole),
        Act::WrongTypes => reply(with_document(answer, confuse), Payload::whole),
        Act::Token(value) => reply(with_document(answer, |document| retoken(document, value)), Payload::whole),
        _ => reply(answer, Payload::whole),
    }
}

fn reply(answer: Answer, payload: impl FnOnce(Vec<u8>) -> Payload) -> Reply {
    let Answer { status, mut headers, content } = answer;
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

fn with_document(mut answer: Answer, change: impl FnOnce(Value) -> Value) -> Answer {
    let document = match answer.content {
        Content::Json(document) => document,
        Content::Empty | Content::Text { .. } => Value::Null,
    };
    answer.content = Content::Json(change(document));
    answer
}

fn shout(document: Value) -> Value {
    match document {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name.to_uppercase(), shout(value))).collect(),
        Value::Array(values) => values.into_iter().map(shout).collect(),
        other => other,
    }
}

/// Each field becomes what it isn't: texts numbers, numbers texts, lists texts, objects lists.
fn confuse(document: Value) -> Value {
    let wrong = |value: &Value| match value {
        Value::String(_) => json!(17),
        Value::Object(_) => json!([]),
        Value::Array(_) | Value::Number(_) | Value::Bool(_) => json!("17"),
        Value::Null => json!({}),
    };
    match document {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, wrong(&value))).collect(),
        Value::Array(values) => values.into_iter().map(confuse).collect(),
        other => wrong(&other),
    }
}

fn retoken(document: Value, token: &str) -> Value {
    const FIELDS: [&str; 4] = ["token", "access_token", "package_token", "jwttoken"];
    match document {
        Value::Object(fields) => {
            let change = |(name, value): (String, Value)| {
                let is_token = FIELDS.contains(&name.to_lowercase().as_str());
                (name, if is_token { json!(token) } else { retoken(value, token) })
            };
            fields.into_iter().map(change).collect()
        }
        Value::Array(values) => values.into_iter().map(|value| retoken(value, token)).collect(),
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
