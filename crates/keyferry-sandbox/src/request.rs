//! A request as the services see it: read completely, with its credential headers identified.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use serde_json::Value;

use crate::budget::Reservation;
use crate::receive::ReceivedBody;
use crate::service::Service;

/// A request that arrived, recorded with the names of its headers but not their values.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The service that received it.
    pub service: Service,
    /// Its method, such as `GET`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names of all its headers, in lower case.
    pub headers: Vec<String>,
    /// Names of the credential headers among them, spelled as the services document them.
    pub credentials: Vec<String>,
}

/// The headers that carry a credential. A request may carry at most one of them.
pub(crate) const CREDENTIAL_HEADERS: [&str; 6] = [
    "X-API-KEY",
    "X-User-Token",
    "X-Package-Token",
    "X-Transfer-Token",
    "SecretKey",
    "Authorization",
];

/// A request to one of the services.
pub(crate) struct SandboxRequest {
    pub(crate) service: Service,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// The body. Empty if the body is too large.
    pub(crate) body: Bytes,
    /// The part of the storage's budget that the body uses.
    pub(crate) reservation: Arc<Reservation>,
    pub(crate) is_too_large: bool,
    /// The virtual time at which the service handles the request, after any latency.
    pub(crate) now_ms: i64,
}

impl SandboxRequest {
    pub(crate) fn new(service: Service, head: Parts, body: ReceivedBody) -> SandboxRequest {
        let ReceivedBody {
            bytes,
            reservation,
            is_too_large,
        } = body;
        SandboxRequest {
            service,
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body: bytes,
            reservation,
            is_too_large,
            now_ms: 0,
        }
    }

    /// Returns the segments of the path.
    pub(crate) fn path_segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// Returns the decoded value of a query field.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns path and query, as sent.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// Returns the value of a header. If the header is repeated, returns the first value.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Returns all credential headers, each repetition included.
    pub(crate) fn credential_headers(&self) -> Vec<(&'static str, String)> {
        let headers_named = |name: &'static str| {
            let values = self.headers.get_all(name).iter();
            values.map(move |value| (name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        };
        CREDENTIAL_HEADERS
            .into_iter()
            .flat_map(headers_named)
            .collect()
    }

    /// Parses the body as JSON. Returns `Null` if that fails.
    pub(crate) fn json_body(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the record of this request that tests can read.
    pub(crate) fn recorded(&self) -> RecordedRequest {
        RecordedRequest {
            service: self.service,
            method: self.method.clone(),
            path: self.target(),
            headers: self
                .headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect(),
            credentials: self
                .credential_headers()
                .into_iter()
                .map(|(name, _)| name.to_owned())
                .collect(),
        }
    }
}

/// Returns a string field of a document, ignoring the case of the field's name.
pub(crate) fn text_field<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    let fields = document.as_object()?;
    let field = fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name));
    field.and_then(|(_, value)| value.as_str())
}
