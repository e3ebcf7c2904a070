//! The response of a service, before a fault may alter it: status, headers and a JSON body or a
//! text.
//!
//! Error bodies have the shape that each service documents.

use serde_json::{Value, json};

use crate::service::Service;

/// 0x40000, the agent's code for an error that has none of its own.
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

    /// The page that a proxy in front of a service sends when the service is down.
    pub(crate) fn html(status: u16) -> Response {
        let text = format!(
            "<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>proxy</body></html>\n"
        );
        Response::text(status, "text/html", text)
    }

    /// MASV's error body: an integer `code` and `errors` of `code`, `msg`, `type`.
    pub(crate) fn masv_error(status: u16, message: &str) -> Response {
        let code = u32::from(status) * 1000 + 1;
        let errors = json!([{"code": code, "msg": message, "type": "error"}]);
        Response::json(
            status,
            json!({"code": code, "errors": errors, "message": message}),
        )
    }

    /// The agent's error body.
    pub(crate) fn agent_error(status: u16, code: u32, message: &str) -> Response {
        Response::json(status, json!({"code": code, "message": message}))
    }

    /// FileVerbs' error body.
    pub(crate) fn fileverbs_message(status: u16, message: &str) -> Response {
        Response::json(status, json!({"message": message}))
    }

    /// The error body that a service documents, with the agent's general code.
    pub(crate) fn service_error(service: Service, status: u16, message: &str) -> Response {
        match service {
            Service::Masv => Response::masv_error(status, message),
            Service::Agent => Response::agent_error(status, AGENT_ERROR, message),
            Service::FileVerbs => Response::fileverbs_message(status, message),
        }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, value));
        self
    }
}
