//! The port for a service: classifies the service's URLs, and acquires and refreshes its tokens.
//!
//! A service MUST
//! - classify paths without I/O, locks or allocations, and always return the same result for the
//!   same path;
//! - if it has short forms, accept exactly those: a misspelt short form must not get a token;
//! - send every request through the [`Context`]: a request with a secret of the user (a password,
//!   an API key) with [`Context::login`], a request that uses up a token with
//!   [`Context::send_no_retry`], and any other request with [`Context::send`];
//! - use exactly one credential header per request;
//! - put no secret, header, body or query into an error;
//! - use the claims in a token only for its expiry and for display.
//!
//! A service SHOULD accept unknown fields in responses, and ignore the case of field names.

use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, Fingerprint, RequiredAccess, ResourceKind};
use crate::model::token::{NewToken, Token};
use crate::ports::http::{Request, Response};
use crate::secret::Secret;

/// The resource that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource, borrowed from the path. It is empty if the service has only one
    /// resource of this kind.
    pub id: &'a str,
    /// The access that the caller's request needs.
    pub required: RequiredAccess,
    /// The id of the containing resource, if the path names one, such as the package of a transfer.
    /// It is not part of the key.
    pub parent: Option<&'a str>,
}

/// The description of a token to acquire.
pub struct TokenSpec<'a> {
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource. For a link, this is the id in the URL, without the fingerprint that
    /// the link's `TokenKey` adds to it.
    pub id: &'a str,
    /// The access that the token must allow. It is always a single access, never a choice.
    pub access: Access,
    /// The [`Target::parent`] of the resource.
    pub parent: Option<&'a str>,
    /// The secret of a link.
    pub link_secret: Option<&'a Secret>,
    /// The password of a link.
    pub link_password: Option<&'a Secret>,
}

/// A token that a service returned, and the parts of its key.
pub struct FoundToken {
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource.
    pub id: String,
    /// The access that the token allows.
    pub access: Access,
    /// The token.
    pub new_token: NewToken,
}

/// The result of acquiring or refreshing a token.
pub struct Acquired {
    /// The requested token. For a link, this is the token of its package, with the package's id.
    pub found: FoundToken,
    /// The renewal secret, if the service returned one.
    pub renewal: Option<Secret>,
    /// Other tokens from the service's responses. The engine caches them.
    pub others: Vec<FoundToken>,
}

impl Acquired {
    /// Creates a result with the requested token only, under the id of `spec`.
    pub fn only(spec: &TokenSpec<'_>, new_token: NewToken) -> Self {
        let found = FoundToken {
            resource_kind: spec.resource_kind,
            id: spec.id.into(),
            access: spec.access,
            new_token,
        };
        Self {
            found,
            renewal: None,
            others: Vec::new(),
        }
    }
}

/// A service, as used by one account.
pub trait Service: Send + Sync {
    /// Returns the name, as in `NAME:PATH`.
    fn name(&self) -> &str;

    /// Returns the name used in messages.
    fn title(&self) -> &str {
        self.name()
    }

    /// Returns the base URL: the origin, and the path before the version prefix.
    fn base(&self) -> &BaseUrl;

    /// Returns the version prefixes. Each begins and ends with a slash.
    fn prefixes(&self) -> &[&str];

    /// Returns the settings that identify the user of a token. The engine uses the first of these
    /// that has a value. An empty list means that the token does not depend on the user.
    fn owner_settings(&self, _resource_kind: ResourceKind, _access: Access) -> Vec<&str> {
        Vec::new()
    }

    /// Returns the settings of a plugin that have no default value. The plugin may need them.
    fn settings_without_default(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns a path of a plugin's service, for a forecast of its next token. It names a resource that
    /// need not exist. `None` for a built-in service.
    fn sample_path(&self) -> Option<String> {
        None
    }

    /// Returns the resource that a path names. `path` is the part after the version prefix, without
    /// a leading slash.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownService`] if the service has no such resource; [`ErrorKind::NoHeader`]
    /// if the resource needs no credential header.
    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>>;

    /// Returns the short forms of the service as the documentation writes them, such as
    /// `packages/ID`. An empty list means that any path of the service may follow `NAME:`.
    fn short_forms(&self) -> &[&str] {
        &[]
    }

    /// Returns the resource that a short form names. `path` is the part after `NAME:`, without its
    /// query. Returns `None` if it is not exactly one of [`Service::short_forms`].
    fn classify_short_form<'a>(&self, path: &'a str, _query: Option<&str>) -> Option<Target<'a>> {
        self.classify(path).ok()
    }

    /// Returns the resource that a URL of the service's web site names, if any. Users may paste
    /// such URLs. Their host differs from the base URL's.
    fn classify_page<'a>(&self, _url: &'a url::Url) -> Option<Target<'a>> {
        None
    }

    /// Acquires a token with the user's secrets or with other tokens.
    ///
    /// # Errors
    /// Any error that prevents acquiring the token. Its message names the affected item and the
    /// remedy.
    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired>;

    /// Refreshes a token with its renewal secret. If this fails with one of the first two errors
    /// below, the engine calls [`Service::acquire`] next.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if the renewal secret is no longer valid;
    /// [`ErrorKind::Unsupported`] if the service cannot refresh the token; otherwise returns the
    /// errors of [`Service::acquire`].
    fn renew(
        &self,
        spec: &TokenSpec<'_>,
        _renewal: &Secret,
        context: &dyn Context,
    ) -> Result<Acquired> {
        self.acquire(spec, context)
    }

    /// Creates a token from a value that the caller obtained without keyferry.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the service cannot use such a value.
    fn adopt(&self, target: &Target<'_>, _value: Secret) -> Result<FoundToken> {
        let what = format!(
            "{} cannot adopt a {} token; let keyferry fetch the token instead",
            self.name(),
            target.resource_kind.name()
        );
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    /// Logs in with an e-mail address and a password from the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the service has no such login; otherwise returns the errors of
    /// [`Service::acquire`].
    fn login(
        &self,
        _email: &Secret,
        _password: &Secret,
        _context: &dyn Context,
    ) -> Result<Acquired> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{} has no login with e-mail and password", self.name()),
        ))
    }

    /// Returns a secret that another service needs, if this service is a secret source.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if this service is not a secret source; otherwise the error that
    /// prevents reading the secret.
    fn secret(&self, _what: &str, _context: &dyn Context) -> Result<Secret> {
        Err(Error::new(
            ErrorKind::SecretSource,
            format!("{} is not a secret source; use another plugin", self.name()),
        ))
    }

    /// Returns the name of the header of all tokens of a kind, if it is known before a token is.
    fn header_name(&self, _resource_kind: ResourceKind) -> Option<&'static str> {
        None
    }

    /// Returns whether code outside keyferry, such as a plugin, provides the tokens. The engine
    /// then acquires a token in a separate thread with a time limit, even if the token is a
    /// configured secret.
    fn is_foreign(&self) -> bool {
        false
    }

    /// Returns the reason for a long wait, if known: a plugin call that has not returned yet.
    fn stalled(&self) -> Option<String> {
        None
    }

    /// Returns a GET request that every valid token of this class may make, with the headers of the
    /// token. After a caller has rejected the token, the response tells whether the token is still
    /// valid: 2xx means that it is, and 401 that it is not. Returns `None` if the service has no such
    /// route, or if it is not sure that every token of the class may use it.
    fn probe(&self, _token: &Token) -> Option<Result<Request>> {
        None
    }

    /// Returns this service as an [`Agent`], if it is one.
    fn agent(&self) -> Option<&dyn Agent> {
        None
    }
}

/// The user who is signed in to the MASV Agent, and the user's teams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentSession {
    /// The user: a JSON object as the agent sent it, with fields such as `email` and `name`.
    pub user: Value,
    /// The teams, each as the agent sent it, with fields such as `id` and `name`.
    pub teams: Vec<Value>,
}

/// A program on this machine that keeps its own session. The program holds the session as internal
/// state, so there is no header for it.
pub trait Agent {
    /// Returns the signed-in user.
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] if no user is signed in; [`ErrorKind::Unreachable`] if the
    /// agent is not running.
    fn session(&self, context: &dyn Context) -> Result<AgentSession>;

    /// Signs in with e-mail address and password. Returns the user.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if the agent rejects e-mail address or password;
    /// [`ErrorKind::Unsupported`] if this agent does not have the endpoint.
    fn sign_in(
        &self,
        email: &Secret,
        password: &Secret,
        context: &dyn Context,
    ) -> Result<AgentSession>;

    /// Creates an account and signs in with it. Only old agents support this. Returns the user.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if the agent rejects the new account;
    /// [`ErrorKind::Unsupported`] if this agent does not have the endpoint.
    fn sign_up(
        &self,
        email: &Secret,
        password: &Secret,
        name: &str,
        context: &dyn Context,
    ) -> Result<AgentSession>;
}

/// The engine's functions that a service may call while it acquires a token.
pub trait Context {
    /// Returns the value of a setting of this account, such as `masv.password`. References are
    /// resolved. Returns `None` if the setting is not set.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] or [`ErrorKind::UnsafeFile`] if the setting is set but its value
    /// cannot be read.
    fn setting(&self, name: &str) -> Result<Option<Secret>>;

    /// Returns another token of this service and account, resolved in the same way as a caller's
    /// request.
    ///
    /// # Errors
    /// The error of acquiring that token.
    fn token(&self, resource_kind: ResourceKind, id: &str, access: Access) -> Result<Token>;

    /// Rejects a token that the service did not accept. The next call of [`Context::token`] returns
    /// another token, or the error that says why there is none.
    fn reject(&self, token: &Token);

    /// Sends a request that may be retried, such as a read. Responses with status 429 or 5xx are
    /// returned as errors.
    ///
    /// # Errors
    /// A network error if there is no response; [`ErrorKind::Throttled`] for status 429;
    /// [`ErrorKind::Unavailable`] for 5xx; [`ErrorKind::Redirected`] for a redirect.
    fn send(&self, request: &Request) -> Result<Response>;

    /// Says that the response of the last [`Context::send`] is beyond doubt the response to its
    /// request, for example because it contains the ID that was asked for. The reads of other
    /// flights may then use the same connection. Without this call, it is closed.
    fn keep_connection(&self) {}

    /// Sends a request that must not be retried because it uses up a secret, such as a refresh with
    /// a rotating renewal secret.
    ///
    /// # Errors
    /// Returns the errors of [`Context::send`].
    fn send_no_retry(&self, request: &Request) -> Result<Response>;

    /// Sends a request that contains the user's secrets: a login, or a read with an API key. A
    /// login is retried only if it was not sent, or if the service asked for a retry with status
    /// 429. `refused` returns an error for a response that means "these secrets are wrong". That
    /// error is recorded for these secrets.
    ///
    /// # Errors
    /// Returns the errors of [`Context::send`]; [`ErrorKind::BadCredentials`] if the service
    /// rejects the secrets, or a recorded rejection of them still applies.
    fn login(
        &self,
        secrets: &[&Secret],
        request: &Request,
        refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response>;

    /// Records that the service rejected these secrets, if [`Context::login`] could not detect the
    /// rejection. Sets the `retry_after_ms` of the error as [`Context::login`] does.
    fn record_refusal(&self, secrets: &[&Secret], error: &mut Error);

    /// Runs `job` once for all concurrent flights of this account that pass the same `name`. The
    /// other flights wait for it. The engine caches the tokens of `job`, and returns them to all of
    /// these flights.
    ///
    /// # Errors
    /// Returns the error of `job`.
    fn coalesce(
        &self,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>>;

    /// Returns the keyed fingerprint of these parts.
    fn fingerprint(&self, parts: &[&str]) -> Fingerprint;

    /// Returns the seconds since 1970 by the service's clock.
    fn now_unix_s(&self) -> i64;

    /// Returns whether the session is closing, which ends all waits.
    fn is_closing(&self) -> bool;
}
