//! One request as the services see it: read whole, with its credential headers sorted out.
//!
//! It decides nothing: `guard` and the services do.

use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use serde_json::Value;

use crate::service::Service;

/// A request that arrived. It names headers and holds no value of any.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Which listener took it.
    pub service: Service,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names of all headers, in lower case.
    pub headers: Vec<String>,
    /// The credential headers among them, written as the services document them.
    pub credentials: Vec<String>,
}

/// The headers that carry a credential. One request carries one of them at most.
pub(crate) const CREDENTIAL_HEADERS: [&str; 6] =
    ["X-API-KEY", "X-User-Token", "X-Package-Token", "X-Transfer-Token", "SecretKey", "Authorization"];

/// An upload to the sandbox has no use for more.
const BODY_LIMIT_BYTES: usize = 16 << 20;

pub(crate) struct SandboxRequest {
    pub(crate) service: Service,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Set when the service gets to it: latency comes first.
    pub(crate) now_ms: i64,
}

impl SandboxRequest {
    /// Reads the body too. `None` where the client breaks off or sends more than anybody needs.
    pub(crate) async fn read(service: Service, request: Request<Incoming>) -> Option<SandboxRequest> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_LIMIT_BYTES).collect().await.ok()?.to_bytes();
        Some(SandboxRequest {
            service,
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
            now_ms: 0,
        })
    }

    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// A query field, decoded.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
    }

    /// Path and query, as sent.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// One header's value; where it stands twice, the first.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Every credential header, a repeated one as often as it stands there.
    pub(crate) fn credentials(&self) -> Vec<(&'static str, String)> {
        let values = |name: &'static str| {
            let all = self.headers.get_all(name).iter();
            all.map(move |value| (name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        };
        CREDENTIAL_HEADERS.into_iter().flat_map(values).collect()
    }

    /// The JSON document of the body; `Null` where there is none.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn seen(&self) -> SeenRequest {
        SeenRequest {
            service: self.service,
            method: self.method.clone(),
            path: self.target(),
            headers: self.headers.keys().map(|name| name.as_str().to_owned()).collect(),
            credentials: self.credentials().into_iter().map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

/// A text field of a document, without regard to case where the service has none.
pub(crate) fn text<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    let fields = document.as_object()?;
    let found = fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str())
}
