//! The trait for HTTP clients: sends one request and returns the response, under strict security
//! rules.
//!
//! An implementation MUST
//! - send the request only to the origin of its URL, follow no redirect, and use no proxy for
//!   loopback hosts;
//! - resolve `localhost` to loopback addresses itself;
//! - accept http URLs for loopback hosts only, and reject peers whose certificate cannot be
//!   verified;
//! - read at most [`MAX_BODY_BYTES`] of the response body, and return by the deadline, whatever the
//!   peer sends;
//! - return the body as UTF-8 without a byte order mark. If that is impossible, report an error if the
//!   status is a success, and else leave the body out;
//! - end all exchanges immediately when [`Http::close`] is called, except those of
//!   [`Http::exchange_to_end`] that were sent;
//! - set [`Failure::sent`] correctly: true if the peer may have received any of the request;
//! - put no URL, header, body or library message into an error.
//!
//! An implementation SHOULD start no thread before its first exchange, and close idle connections
//! after a few seconds.

use std::time::Instant;

use url::Url;

use crate::error::Error;
use crate::secret::Secret;

/// The maximum length of a response body.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The HTTP methods that services use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST, with `Content-Type: application/json` even if the body is empty.
    Post,
    /// PUT, with `Content-Type: application/json` even if the body is empty.
    Put,
    /// DELETE.
    Delete,
}

impl Method {
    /// Returns the name in a request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// An HTTP request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// Names and values of the additional headers.
    pub headers: Vec<(String, Secret)>,
    /// The body, a JSON document.
    pub body: Option<Secret>,
}

impl Request {
    /// Creates a GET request without additional headers.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Creates a POST request with a JSON document as its body.
    pub fn post(url: Url, body: Option<Secret>) -> Self {
        Self {
            method: Method::Post,
            url,
            headers: Vec::new(),
            body,
        }
    }

    /// Adds a header.
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
    /// The `Date` header in seconds since 1970, if the response has a valid one.
    pub date_unix_s: Option<i64>,
    /// The unparsed `Retry-After` header.
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
    /// Whether the peer may have received any of the request.
    pub sent: bool,
}

/// An HTTP client.
///
/// Each request is made for an account, which is named by its number. Accounts share no connections.
pub trait Http: Send + Sync {
    /// Sends a request on a new connection, and closes the connection after the response. Returns the
    /// response, at the latest by the deadline. Sends the request at most once.
    ///
    /// # Errors
    /// A [`Failure`] if there is no complete response.
    fn exchange(
        &self,
        account: usize,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Failure>;

    /// Does what [`Http::exchange`] does, for a request with a secret that the service may use up. If
    /// the peer may have received any of the request, the exchange goes on after [`Http::close`].
    ///
    /// # Errors
    /// Returns the errors of [`Http::exchange`].
    fn exchange_to_end(
        &self,
        account: usize,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Failure>;

    /// Returns a reader for reads of an account.
    fn reader(&self, account: usize) -> Box<dyn Reader + '_>;

    /// Closes the idle connections, and keeps no connection that is in use now. Then no buffer of a
    /// connection contains a token.
    fn close_idle(&self);

    /// Ends all exchanges and rejects new ones. An exchange that goes on ends at the latest at the
    /// deadline. Does not wait for it. The session calls this when it closes.
    fn close(&self, deadline: Instant);
}

/// Sends reads one after the other, on a connection that stays open between them. Dropping the reader
/// closes the connection.
pub trait Reader {
    /// Begins to open a connection for reads of a URL, if the reader has none. Returns at once.
    fn open(&mut self, url: &Url);

    /// Sends a read and returns its response, at the latest by the deadline. If a connection was open
    /// already and the read fails, sends the read again, at once and on a new connection. Afterwards
    /// the reader has a connection if the response was complete and its status is below 400.
    ///
    /// # Errors
    /// A [`Failure`] if there is no complete response.
    fn read(&mut self, request: &Request, deadline: Instant) -> Result<Response, Failure>;

    /// Gives the connection to other readers of the account. Call it only if the last response is the
    /// response to the last request beyond doubt, for example because it contains the ID that was
    /// asked for.
    fn keep(&mut self);
}
