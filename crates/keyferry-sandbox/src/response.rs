//! A service's response before a fault is applied: status, headers, and a body that is JSON, text or
//! a file.
//!
//! Error bodies have the format that each service documents.

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::service::Service;

/// The agent's code for errors that have no code of their own: 0x40000.
const AGENT_ERROR: u32 = 262_144;

/// The response of a service.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
}

/// The body of a response, not yet encoded.
pub(crate) enum Content {
    Empty,
    Json(Value),
    Text {
        media_type: &'static str,
        text: String,
    },
    /// A file, in several pieces.
    Object(Vec<Bytes>),
}

impl Response {
    pub(crate) fn json(status: u16, document: Value) -> Response {
        Response {
            status,
            headers: Vec::new(),
            content: Content::Json(document),
        }
    }

    pub(crate) fn ok(document: Value) -> Response {
        Response::json(200, document)
    }

    pub(crate) fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            content: Content::Empty,
        }
    }

    pub(crate) fn text(status: u16, media_type: &'static str, text: String) -> Response {
        Response {
            status,
            headers: Vec::new(),
            content: Content::Text { media_type, text },
        }
    }

    /// Returns a file of the storage.
    pub(crate) fn object(status: u16, pieces: Vec<Bytes>) -> Response {
        Response {
            status,
            headers: Vec::new(),
            content: Content::Object(pieces),
        }
    }

    /// Returns the error page that a proxy sends when the service behind it is down.
    pub(crate) fn html(status: u16) -> Response {
        let text = format!(
            "<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>proxy</body></html>\n"
        );
        Response::text(status, "text/html", text)
    }

    /// Returns an error in MASV's format: an integer `code`, and `errors` with `code`, `msg` and
    /// `type`.
    pub(crate) fn masv_error(status: u16, message: &str) -> Response {
        let code = u32::from(status) * 1000 + 1;
        let errors = json!([{"code": code, "msg": message, "type": "error"}]);
        Response::json(
            status,
            json!({"code": code, "errors": errors, "message": message}),
        )
    }

    /// Returns an error in the agent's format.
    pub(crate) fn agent_error(status: u16, code: u32, message: &str) -> Response {
        Response::json(status, json!({"code": code, "message": message}))
    }

    /// Returns a message in FileVerbs' format, which it also uses for errors.
    pub(crate) fn fileverbs_message(status: u16, message: &str) -> Response {
        Response::json(status, json!({"message": message}))
    }

    /// Returns an error in S3's format. `message` must not contain markup.
    pub(crate) fn storage_error(status: u16, code: &str, message: &str) -> Response {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Response::text(status, "application/xml", document)
    }

    /// Returns an error in a service's own format. For the agent it has the code [`AGENT_ERROR`].
    pub(crate) fn service_error(service: Service, status: u16, message: &str) -> Response {
        match service {
            Service::Masv => Response::masv_error(status, message),
            Service::Agent => Response::agent_error(status, AGENT_ERROR, message),
            Service::FileVerbs => Response::fileverbs_message(status, message),
            Service::Storage => Response::storage_error(status, "InvalidRequest", message),
        }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, value));
        self
    }
}
