//! The error type: an [`ErrorKind`] for programs and an error message for people.
//!
//! An [`Error`] never contains the error of another library. HTTP and JSON libraries quote URLs,
//! headers and values in their messages, and those may be secret. Code that receives such an error
//! writes its own message.

use std::borrow::Cow;
use std::fmt;

/// The kind of an error. Each variant has its own status code in the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A required pointer is NULL.
    NullArgument,
    /// A string from the caller is not UTF-8.
    NotUtf8,
    /// A value contains CR, LF or NUL, or is empty, too long or out of range.
    InvalidValue,
    /// The resource is malformed, or a misspelt short form.
    InvalidResource,
    /// The resource belongs to no configured service. The caller may try another credential source.
    UnknownService,
    /// The resource needs no credential header.
    NoHeader,
    /// The token has several headers, but the call returns only one.
    MultipleHeaders,
    /// The caller's buffer is too small.
    BufferTooSmall,
    /// The caller cancelled the request.
    Cancelled,
    /// The caller's deadline passed.
    Timeout,
    /// The handle was created before a fork and used in the child process.
    Forked,
    /// keyferry was called from its own log callback or from a plugin's function.
    Reentrant,
    /// keyferry panicked. The C ABI caught the panic.
    Panic,
    /// The configuration cannot be read or is invalid.
    Config,
    /// A required setting is missing.
    NotConfigured,
    /// Other users can read or change a file that contains secrets.
    UnsafeFile,
    /// A secret source failed to provide a secret.
    SecretSource,
    /// No usable token is cached.
    NotCached,
    /// Another process took too long to fetch the same token.
    Busy,
    /// The store cannot be used.
    Store,
    /// keyferry could not connect to the service.
    Unreachable,
    /// The TLS handshake with the service failed.
    Tls,
    /// The service did not respond in time, or closed the connection early.
    NoResponse,
    /// The service rejected the credential.
    BadCredentials,
    /// The login expired and cannot be refreshed without the user.
    LoginRequired,
    /// The service does not have the resource. The caller may try another credential source.
    NotFound,
    /// The credential does not allow this access.
    InsufficientAccess,
    /// The service throttled the request (HTTP status 429).
    Throttled,
    /// The service returned a 5xx status.
    Unavailable,
    /// The response differs from the service's documentation.
    BadResponse,
    /// The service redirected the request. keyferry follows no redirects.
    Redirected,
    /// The service does not support this operation.
    Unsupported,
    /// A plugin violated its contract or failed.
    Plugin,
}

impl From<Error> for ErrorKind {
    fn from(error: Error) -> Self {
        error.kind
    }
}

/// A mistake in a plugin, for the plugin's author to fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginFault {
    /// The plugin violated its contract.
    Misbehaved,
    /// The plugin returned a failure without an error message.
    SaidNothing,
}

/// An error: its kind for programs, its message for people, and details from the service. An error
/// never contains a secret, header, body or query.
///
/// ```
/// use keyferry::{Config, ErrorKind, Session};
///
/// # fn main() -> Result<(), keyferry::Error> {
/// let session = Session::open(Config::new())?;
/// let error = session.token("https://example.com/").unwrap_err();
/// assert_eq!(error.kind, ErrorKind::UnknownService);
/// assert!(error.message().starts_with("the URL belongs to no configured service"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    /// The kind of the error.
    pub kind: ErrorKind,
    message: Cow<'static, str>,
    /// The HTTP status of the response that caused the error, if any.
    pub http_status: Option<u16>,
    /// The service's error code, if the service sent one.
    pub service_code: Option<i64>,
    /// Milliseconds to wait before the next retry, if known.
    pub retry_after_ms: Option<u64>,
    /// When the failure happened, in seconds since 1970 by this machine's clock, if keyferry returned
    /// a recorded failure and sent no request.
    pub since_unix_s: Option<i64>,
    /// The plugin's mistake, if a plugin caused the error.
    #[doc(hidden)]
    pub plugin_fault: Option<PluginFault>,
    /// Whether the same request may succeed later, although the kind does not say so.
    is_temporary: bool,
    service: Option<Box<str>>,
    /// Whether the message names the sources of the rejected secrets.
    names_sources: bool,
}

/// A result whose error is [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error. `message` is lower case, has no full stop, and names the affected item and
    /// the remedy.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            http_status: None,
            service_code: None,
            retry_after_ms: None,
            since_unix_s: None,
            plugin_fault: None,
            is_temporary: false,
            service: None,
            names_sources: false,
        }
    }

    /// Sets the HTTP status of the response that caused the error.
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// Sets the service's error code.
    #[must_use]
    pub fn with_service_code(mut self, code: Option<i64>) -> Self {
        self.service_code = code;
        self
    }

    /// Sets the number of milliseconds to wait before the next retry.
    #[must_use]
    pub fn with_retry_after_ms(mut self, after_ms: Option<u64>) -> Self {
        self.retry_after_ms = after_ms;
        self
    }

    /// Sets when the recorded failure happened.
    #[must_use]
    pub fn with_since_unix_s(mut self, since_unix_s: Option<i64>) -> Self {
        self.since_unix_s = since_unix_s;
        self
    }

    /// Marks the error as a plugin's mistake.
    #[must_use]
    pub fn with_plugin_fault(mut self, plugin_fault: PluginFault) -> Self {
        self.plugin_fault = Some(plugin_fault);
        self
    }

    /// Marks the error as one that may end by itself, although its kind does not say so.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.is_temporary = true;
        self
    }

    /// Sets the name of the service that the request was for, unless it is already set.
    #[must_use]
    pub fn with_service(mut self, name: &str) -> Self {
        self.service.get_or_insert_with(|| name.into());
        self
    }

    /// Returns the name of the service that the failed request was for, if it is known.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Returns the seconds to wait before the next retry, rounded up. `None` if they are 0 or not known.
    pub fn retry_after_s(&self) -> Option<u64> {
        let ms = self.retry_after_ms.filter(|ms| *ms > 0)?;
        Some(ms.div_ceil(1000))
    }

    /// Adds the sources of the rejected secrets to the message, unless it has them already.
    #[must_use]
    pub fn with_sources(mut self, sources: &str) -> Self {
        if !self.names_sources && !sources.is_empty() {
            self.message = format!("{}; keyferry read {sources}", self.message).into();
            self.names_sources = true;
        }
        self
    }

    /// Returns the error message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether the same request may succeed if it is retried later.
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{Busy, NoResponse, Throttled, Timeout, Unavailable, Unreachable};
        self.is_temporary
            || matches!(
                self.kind,
                Unreachable | NoResponse | Throttled | Unavailable | Busy | Timeout
            )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
