//! The port to a service: which URLs are its own, what they name, how a token is acquired and
//! renewed.
//!
//! Traits and values only.
//!
//! A service MUST
//! - classify without I/O, lock or allocation, the same way for the same path every time;
//! - send every request through the [`Context`]: whatever carries a secret of the user's (a
//!   password, an API key) through [`Context::login`], what uses a token up through
//!   [`Context::send_no_retry`], all else through [`Context::send`];
//! - use exactly one credential header a request;
//! - put no secret, header, body or query into an error;
//! - parse claims for nothing but expiry and display.
//!
//! A service SHOULD accept unknown fields, and names of fields in any case.

use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, Fingerprint, ResourceKind};
use crate::model::token::{NewToken, Token};
use crate::ports::http::{Request, Response};
use crate::secret::Secret;

/// The resource that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The sort of thing.
    pub resource_kind: ResourceKind,
    /// Which one, borrowed from the path; empty where there is only one.
    pub id: &'a str,
    /// What the caller's route needs.
    pub required: RequiredAccess,
    /// The resource that contains it, where the path names one: the package of a transfer. Not part
    /// of its key.
    pub parent: Option<&'a str>,
}

/// The access that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    /// Exactly this access.
    Only(Access),
    /// Management, else a write token that is cached or stored.
    ManageElseWrite,
}

/// The token to acquire. `access` is one, never a choice.
pub struct TokenSpec<'a> {
    /// The sort of thing.
    pub resource_kind: ResourceKind,
    /// Which one; of a link without its fingerprint.
    pub id: &'a str,
    /// What the token shall allow.
    pub access: Access,
    /// [`Target::parent`], passed on.
    pub parent: Option<&'a str>,
    /// The secret of a link.
    pub link_secret: Option<&'a Secret>,
    /// The password of a link.
    pub link_password: Option<&'a Secret>,
}

/// A token that a service returned, and the parts of its key.
pub struct FoundToken {
    /// The sort of thing.
    pub resource_kind: ResourceKind,
    /// Which one.
    pub id: String,
    /// What the token allows.
    pub access: Access,
    /// The token.
    pub new_token: NewToken,
}

/// The result of acquiring or renewing.
pub struct Acquired {
    /// The requested token. A link's has the id of its package.
    pub found: FoundToken,
    /// The secret that renews it.
    pub renewal: Option<Secret>,
    /// Other tokens of the responses, which are cached.
    pub others: Vec<FoundToken>,
}

impl Acquired {
    /// The requested token under its own id, and nothing else.
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

/// A remote system. One value serves one account.
pub trait Service: Send + Sync {
    /// Its name, as in `NAME:PATH`.
    fn name(&self) -> &str;

    /// Its name in sentences.
    fn title(&self) -> &str {
        self.name()
    }

    /// Its base URL: origin, and the path before the version prefixes.
    fn base(&self) -> &BaseUrl;

    /// Its version prefixes, each with a slash at both ends.
    fn prefixes(&self) -> &[&str];

    /// The settings that identify a token's user: the first of them that is set. None where any
    /// user's token will do.
    fn owner_settings(&self, _resource_kind: ResourceKind, _access: Access) -> Vec<&str> {
        Vec::new()
    }

    /// The resource that a path names. `path` is the part behind the version prefix, without a
    /// slash before it.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownService`] if the service has no such thing, [`ErrorKind::NoHeader`] if
    /// it is reached without any.
    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>>;

    /// The same for a pasted URL of the service's web site, where that names something; its host is
    /// not the base's.
    fn classify_page<'a>(&self, _url: &'a url::Url) -> Option<Target<'a>> {
        None
    }

    /// Acquires a token with the user's secrets, or with other tokens.
    ///
    /// # Errors
    /// Whatever stands in the way, in a sentence that names thing and remedy.
    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired>;

    /// Renews a token. [`ErrorKind::BadCredentials`] means that the renewal secret is dead,
    /// [`ErrorKind::Unsupported`] that there is no way to renew; after both the engine goes on with
    /// [`Service::acquire`].
    ///
    /// # Errors
    /// Those of [`Service::acquire`].
    fn renew(
        &self,
        spec: &TokenSpec<'_>,
        _renewal: &Secret,
        context: &dyn Context,
    ) -> Result<Acquired> {
        self.acquire(spec, context)
    }

    /// Makes a token of a value that the caller obtained itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the service has no use for such a value.
    fn adopt(&self, target: &Target<'_>, _value: Secret) -> Result<FoundToken> {
        let what = format!(
            "{} has no {} token that can be adopted",
            self.name(),
            target.resource_kind.name()
        );
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    /// Logs in with the caller's e-mail and password, where the service takes them.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if it doesn't.
    fn login(
        &self,
        _email: &Secret,
        _password: &Secret,
        _context: &dyn Context,
    ) -> Result<Acquired> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{} takes no e-mail and password", self.name()),
        ))
    }

    /// A secret of another service, where this is a source of secrets.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if it is none; whatever stands in the way.
    fn secret(&self, _what: &str, _context: &dyn Context) -> Result<Secret> {
        Err(Error::new(
            ErrorKind::SecretSource,
            format!("{} is no source of secrets", self.name()),
        ))
    }

    /// Whether getting a token leaves this library even for a configured secret: then it needs a
    /// thread, and a clock.
    fn is_foreign(&self) -> bool {
        false
    }

    /// The reason for a long wait, if one is known: a plugin call that has not returned.
    fn stalled(&self) -> Option<String> {
        None
    }

    /// The service as a program on this machine that keeps a session of its own, if it is one.
    fn agent(&self) -> Option<&dyn Agent> {
        None
    }
}

/// A program on this machine that signs in by itself: its session is state in it, and no header.
pub trait Agent {
    /// The user who is signed in: an object of `user` and `teams`, as the agent sent them.
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] if nobody is, [`ErrorKind::Unreachable`] if it doesn't run.
    fn session(&self, context: &dyn Context) -> Result<Value>;

    /// Signs in with e-mail and password. Answers as [`Agent::session`].
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`], and [`ErrorKind::Unsupported`] if this agent has no such
    /// route.
    fn sign_in(&self, email: &Secret, password: &Secret, context: &dyn Context) -> Result<Value>;

    /// Makes an account and signs in with it, where an old agent can. Answers as
    /// [`Agent::session`].
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`], and [`ErrorKind::Unsupported`] if this agent has no such
    /// route.
    fn sign_up(
        &self,
        email: &Secret,
        password: &Secret,
        name: &str,
        context: &dyn Context,
    ) -> Result<Value>;
}

/// The engine's functions for a service during one flight.
pub trait Context {
    /// A setting of this account, resolved: `masv.password`. None where it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] or [`ErrorKind::UnsafeFile`] if it is set and can't be had.
    fn setting(&self, name: &str) -> Result<Option<Secret>>;

    /// Another token of this service and account, resolved as a caller's request is.
    ///
    /// # Errors
    /// Those of acquiring it.
    fn token(&self, resource_kind: ResourceKind, id: &str, access: Access) -> Result<Token>;

    /// Rejects a token that the service refused: the next [`Context::token`] returns another.
    fn reject(&self, token: &Token);

    /// Sends a request that may be retried: a read. 429 and 5xx are returned as errors.
    ///
    /// # Errors
    /// Network, [`ErrorKind::Throttled`], [`ErrorKind::Unavailable`], [`ErrorKind::Redirected`].
    fn send(&self, request: &Request) -> Result<Response>;

    /// The same, but never retried: for a request that uses a secret up, as a renewal with a
    /// rotating secret does.
    ///
    /// # Errors
    /// Those of [`Context::send`].
    fn send_no_retry(&self, request: &Request) -> Result<Response>;

    /// Sends a request that carries the user's secrets: a login, which is retried only if it was
    /// not sent or the service asked for it with a 429, or a read with an API key. `refused`
    /// returns an error for a response that means "these secrets are wrong"; such a refusal is
    /// recorded for these secrets.
    ///
    /// # Errors
    /// Those of [`Context::send`], and [`ErrorKind::BadCredentials`], also a recorded one.
    fn login(
        &self,
        secrets: &[&Secret],
        request: &Request,
        refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response>;

    /// Records that the service refused these secrets in a way that [`Context::login`] could not
    /// see.
    fn record_refusal(&self, secrets: &[&Secret], error: &Error);

    /// Runs `job` once for all flights of this account that ask for `name` at the same time; the
    /// others wait for it. Its tokens are cached, and returned to all of them.
    ///
    /// # Errors
    /// Those of the job.
    fn coalesce(
        &self,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>>;

    /// A keyed fingerprint.
    fn fingerprint(&self, parts: &[&str]) -> Fingerprint;

    /// Seconds since 1970 by the service's clock.
    fn now_unix_s(&self) -> i64;

    /// Whether the session is closing, which ends all waits.
    fn is_closing(&self) -> bool;
}
