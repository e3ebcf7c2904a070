//! The port to HTTP: one exchange, under the rules of trust.
//!
//! Traits and values only.
//!
//! A provider MUST
//! - send to the origin of the request's URL and nowhere else: no redirect is followed, no proxy
//!   used for loopback;
//! - resolve `localhost` to loopback addresses itself;
//! - refuse http to anything but loopback, and a peer whose certificate does not verify;
//! - read at most [`MAX_BODY_BYTES`] of the response body and end by the deadline, whatever the
//!   peer does;
//! - end every exchange at once when it is closed;
//! - say truthfully in [`Failure::sent`] whether the peer may have seen the request;
//! - put no URL, header, body or text of a library into an error.
//!
//! A provider SHOULD start no thread before its first exchange, and keep no connection open after
//! it.

use std::time::Instant;

use url::Url;

use crate::error::Error;
use crate::secret::Secret;

/// The largest response body that is read.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST, with `Content-Type: application/json` even where the body is empty.
    Post,
    /// PUT, likewise.
    Put,
    /// DELETE.
    Delete,
}

/// An HTTP request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// Names and values of the headers beside the usual ones.
    pub headers: Vec<(String, Secret)>,
    /// A JSON document.
    pub body: Option<Secret>,
}

impl Request {
    /// A GET without headers.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    /// A POST of a JSON document.
    pub fn post(url: Url, body: Option<Secret>) -> Self {
        Self {
            method: Method::Post,
            url,
            headers: Vec::new(),
            body,
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Secret) -> Self {
        self.headers.push((name.into(), value));
        self
    }
}

/// An HTTP response.
#[derive(Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `Date` header, in seconds since 1970, if there is one that can be read.
    pub date_unix_s: Option<i64>,
    /// The `Retry-After` header as it came.
    pub retry_after: Option<String>,
    /// The `Set-Cookie` headers.
    pub cookies: Vec<Secret>,
    /// The body.
    pub body: Secret,
}

/// A failed exchange.
#[derive(Debug)]
pub struct Failure {
    /// The error for the caller.
    pub error: Error,
    /// Whether the peer may have seen any of the request.
    pub sent: bool,
}

/// Sends requests.
pub trait Http: Send + Sync {
    /// Sends a request and reads its response, at most until the deadline.
    ///
    /// # Errors
    /// [`Failure`] where there is no complete response.
    fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure>;

    /// Ends all exchanges and refuses new ones: the session closes.
    fn close(&self);
}
