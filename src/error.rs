//! What can go wrong: one [`ErrorKind`] for programs, one sentence for people.
//!
//! It deliberately keeps no source error: the texts of HTTP and JSON libraries quote URLs, headers
//! and values, so whoever meets such an error says in its own words what happened.

use std::borrow::Cow;
use std::fmt;

/// What a program can react to. One variant is one status number of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A pointer that must not be NULL is NULL.
    NullArgument,
    /// Text from the caller is not UTF-8.
    NotUtf8,
    /// A value holds CR, LF or NUL, is empty, too long or out of range.
    InvalidValue,
    /// A resource that can't be read.
    InvalidResource,
    /// A resource that no configured service owns: ask the next source.
    UnknownService,
    /// The resource is reached without any header.
    NoHeader,
    /// The token has several headers and the call can give one.
    MultipleHeaders,
    /// The caller's buffer is too small.
    BufferTooSmall,
    /// The caller cancelled its request.
    Cancelled,
    /// The caller's deadline passed.
    Timeout,
    /// The handle was made before a fork.
    Forked,
    /// keyferry was called from its own log callback.
    Reentrant,
    /// A fault inside keyferry, contained at the boundary.
    Panic,
    /// Configuration that can't be read or understood.
    Config,
    /// A setting that is needed is not there.
    NotConfigured,
    /// A file with secrets that others can read or change.
    UnsafeFile,
    /// A secret's source did not give it.
    SecretSource,
    /// Nothing usable in memory.
    NotCached,
    /// Another process holds the lock.
    Busy,
    /// The store can't be used.
    Store,
    /// No connection to the service.
    Unreachable,
    /// TLS refused the service.
    Tls,
    /// The service did not answer in time, or broke off.
    NoResponse,
    /// The service refused the credential.
    BadCredentials,
    /// The login ended and can't be renewed without a person.
    LoginRequired,
    /// The service does not know the thing: ask the next source.
    NotFound,
    /// The credential can't be used for this.
    InsufficientAccess,
    /// 429: too many requests.
    Throttled,
    /// A 5xx answer.
    Unavailable,
    /// An answer that is not what the service documents.
    BadResponse,
    /// A redirect, which is never followed.
    Redirected,
    /// The service has no such route.
    Unsupported,
    /// A plugin misbehaved.
    Plugin,
}

/// What a plugin did that its author has to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginFault {
    /// What the contract forbids.
    Misbehaved,
    /// It failed, and gave no sentence.
    SaidNothing,
}

/// A failure: a kind for programs, a sentence for people, and what the service said. It contains no
/// secret, header, body or query.
///
/// ```
/// use keyferry::{Config, ErrorKind, Session};
///
/// # fn main() -> Result<(), keyferry::Error> {
/// let session = Session::open(Config::new())?;
/// let error = session.token("https://example.com/").unwrap_err();
/// assert_eq!(error.kind, ErrorKind::UnknownService); // another library may know the URL
/// assert!(error.message().starts_with("the URL belongs to no configured service"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    /// What programs switch on.
    pub kind: ErrorKind,
    message: Cow<'static, str>,
    /// The HTTP status that caused it, if one did.
    pub http_status: Option<u16>,
    /// The service's own error number, if it sent one.
    pub service_code: Option<i64>,
    /// After how many milliseconds a new try makes sense.
    pub retry_after_ms: Option<u64>,
    /// What a plugin did wrong, if it is a plugin's own failure.
    #[doc(hidden)]
    pub plugin_fault: Option<PluginFault>,
}

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `what` is lower case, without a full stop, and names thing and remedy.
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: what.into(),
            http_status: None,
            service_code: None,
            retry_after_ms: None,
            plugin_fault: None,
        }
    }

    /// The same, caused by an answer with this status.
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// The same, with the service's own error number.
    #[must_use]
    pub fn with_service_code(mut self, code: Option<i64>) -> Self {
        self.service_code = code;
        self
    }

    /// The same, worth another try after so many milliseconds.
    #[must_use]
    pub fn with_retry_after_ms(mut self, after_ms: Option<u64>) -> Self {
        self.retry_after_ms = after_ms;
        self
    }

    /// The same, by a plugin's own fault.
    #[must_use]
    pub fn with_plugin_fault(mut self, plugin_fault: PluginFault) -> Self {
        self.plugin_fault = Some(plugin_fault);
        self
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{Busy, NoResponse, Throttled, Timeout, Unavailable, Unreachable};
        matches!(
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
