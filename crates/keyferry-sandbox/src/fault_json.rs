//! Parses faults from JSON. A test sends them to the sandbox in an HTTP request.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::faults::{BodyKind, Fault, FaultAction};
use crate::service::Service;

const FIELDS: [&str; 18] = [
    "service",
    "method",
    "path",
    "times",
    "skip",
    "every",
    "latency_ms",
    "retry_after",
    "date_skew_s",
    "kind",
    "status",
    "body",
    "media_type",
    "to",
    "bytes",
    "levels",
    "interval_ms",
    "token",
];

impl Fault {
    /// Parses a fault from the JSON that `docs/testing.md` describes.
    ///
    /// # Errors
    ///
    /// Returns a message that says what is wrong with the document.
    pub fn from_json(document: &Value) -> Result<Fault, String> {
        let fields = document
            .as_object()
            .ok_or("a fault must be a JSON object")?;
        if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(format!("unknown field '{unknown}' in the fault"));
        }
        let mut fault = Fault::new(parse_action(fields)?);
        if let Some(name) = text_field(fields, "service")? {
            fault = fault.service(Service::from_name(name)?);
        }
        if let Some(method) = text_field(fields, "method")? {
            fault = fault.method(method);
        }
        if let Some(path) = text_field(fields, "path")? {
            fault = fault.path(path);
        }
        if let Some(skip) = number_field(fields, "skip")? {
            fault = fault.skip(skip);
        }
        if let Some(every) = number_field(fields, "every")? {
            fault = fault.every(every);
        }
        if let Some(ms) = number_field(fields, "latency_ms")? {
            fault = fault.latency(Duration::from_millis(ms));
        }
        if let Some(value) = fields.get("retry_after") {
            // Accept a number as well as a string.
            fault = fault.retry_after(value.as_str().unwrap_or(&value.to_string()));
        }
        if let Some(value) = fields.get("date_skew_s") {
            fault = fault.date_skew_s(value.as_i64().ok_or("'date_skew_s' must be an integer")?);
        }
        match fields.get("times") {
            None => Ok(fault),
            Some(Value::String(word)) if word == "forever" => Ok(fault.forever()),
            Some(value) => Ok(fault.times(
                value
                    .as_u64()
                    .ok_or("'times' must be a number or \"forever\"")?,
            )),
        }
    }
}

fn parse_action(fields: &Map<String, Value>) -> Result<FaultAction, String> {
    let status =
        |default| Ok::<u16, String>(number_field(fields, "status")?.map_or(default, clamp_status));
    let required_text = |name: &str| {
        text_field(fields, name)?
            .map(str::to_owned)
            .ok_or_else(|| format!("this kind of fault needs '{name}'"))
    };
    let required_number = |name: &str| {
        number_field(fields, name)?.ok_or_else(|| format!("this kind of fault needs '{name}'"))
    };
    let kind = text_field(fields, "kind")?.unwrap_or(if fields.contains_key("status") {
        "status"
    } else {
        "nothing"
    });
    Ok(match kind {
        "nothing" => FaultAction::Nothing,
        "status" => FaultAction::Status {
            status: status(500)?,
            body: parse_body_kind(text_field(fields, "body")?)?,
        },
        "literal" => FaultAction::Literal {
            status: status(200)?,
            media_type: text_field(fields, "media_type")?
                .unwrap_or("application/json")
                .to_owned(),
            body: required_text("body")?,
        },
        "redirect" => FaultAction::Redirect {
            status: status(302)?,
            to: required_text("to")?,
        },
        "empty" => FaultAction::Empty,
        "half" => FaultAction::Half,
        "wrong_case" => FaultAction::WrongCase,
        "null" => FaultAction::Null,
        "wrong_types" => FaultAction::WrongTypes,
        "huge" => FaultAction::Huge(required_number("bytes")?),
        "deep" => FaultAction::Deep(
            u32::try_from(required_number("levels")?).map_err(|_| "'levels' is too large")?,
        ),
        "endless" => FaultAction::Endless,
        "drip" => FaultAction::Drip(Duration::from_millis(required_number("interval_ms")?)),
        "token" => FaultAction::Token(required_text("token")?),
        "raw" => FaultAction::Raw(required_text("body")?.into_bytes()),
        "close" => FaultAction::Close,
        "reset" => FaultAction::Reset,
        "lost" => FaultAction::Lost,
        "hang" => FaultAction::Hang,
        other => return Err(format!("unknown kind of fault '{other}'")),
    })
}

fn clamp_status(number: u64) -> u16 {
    u16::try_from(number.clamp(200, 999)).unwrap_or(500)
}

fn parse_body_kind(name: Option<&str>) -> Result<BodyKind, String> {
    match name {
        None | Some("json") => Ok(BodyKind::Json),
        Some("html") => Ok(BodyKind::Html),
        Some("empty") => Ok(BodyKind::Empty),
        Some(other) => Err(format!(
            "'body' of a status fault must be json, html or empty, not '{other}'"
        )),
    }
}

fn text_field<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or_else(|| format!("'{name}' must be a string")),
    }
}

fn number_field(fields: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("'{name}' must be a number")),
    }
}
