//! One token to acquire: its key, and the details that the service needs.

use std::time::Duration;

use crate::engine::accounts::{BoundService, ResolvedResource};
use crate::engine::cache::entry::CachedToken;
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, Fingerprint, KeyPrefix, RequiredAccess, ResourceKind, TokenKey};
use crate::model::request::Request;
use crate::model::resource::query_value;
use crate::ports::service::TokenSpec;
use crate::secret::Secret;

/// One token to acquire. It owns its data, because a flight outlives the call that started it.
#[derive(Clone)]
pub struct Acquisition {
    /// The number of the account.
    pub account: usize,
    /// The number of the service in that account.
    pub service: usize,
    /// The key of the token.
    pub key: TokenKey,
    /// The package of a transfer, if the URL names it.
    pub parent: Option<String>,
    /// The secret of a link.
    pub link_secret: Option<Secret>,
    /// The password of a link.
    pub link_password: Option<Secret>,
    /// The path of the resource that the token is for, below the version prefix.
    pub resource: Box<str>,
    /// The generation of the token that is not fresh enough or was rejected, if there is such a
    /// token.
    pub stale_generation: Option<u64>,
    /// Whether the caller rejected the token of that generation for this resource.
    pub rejected: bool,
    /// The generation of the stored record that the caller has seen, or 0. The caller cannot use its
    /// token.
    pub seen_generation: u64,
    /// The caller's timeout, if the request sets one.
    pub caller_timeout: Option<Duration>,
    /// How long the token must stay valid.
    pub min_valid: Duration,
    /// The maximum time since the token was acquired.
    pub max_age: Option<Duration>,
    /// A fingerprint that identifies the token's user, if this is not the user that the
    /// configuration names.
    pub owner: Option<Fingerprint>,
}

impl Acquisition {
    /// Returns whether a token of this generation is acceptable: it must be later than the stale
    /// one.
    pub fn accepts(&self, generation: u64) -> bool {
        self.stale_generation.is_none_or(|stale| generation > stale)
    }

    /// Returns how long the flight waits for the store's lock: as long as its caller waits, and at
    /// least as long as a request without a timeout of its own.
    pub fn lock_timeout(&self, state: &EngineState) -> Duration {
        state.timeout.max(self.caller_timeout.unwrap_or_default())
    }

    /// Notes that the caller must not get the token of this generation.
    pub fn reject(&mut self, generation: u64) {
        (self.stale_generation, self.rejected) = (Some(generation), true);
    }

    /// Returns the description of the token for the service.
    pub fn spec(&self) -> TokenSpec<'_> {
        TokenSpec {
            resource_kind: self.key.resource_kind,
            id: self.key.url_id(),
            access: self.key.access,
            parent: self.parent.as_deref(),
            link_secret: self.link_secret.as_ref(),
            link_password: self.link_password.as_ref(),
        }
    }

    /// Creates the acquisition of a key, without further details.
    pub fn new(account: usize, service: usize, key: TokenKey) -> Self {
        Self {
            account,
            service,
            key,
            parent: None,
            link_secret: None,
            link_password: None,
            resource: Box::default(),
            stale_generation: None,
            rejected: false,
            seen_generation: 0,
            caller_timeout: None,
            min_valid: Duration::ZERO,
            max_age: None,
            owner: None,
        }
    }
}

impl Acquisition {
    /// Creates the acquisition for a request. `cached` is the cached token that is not fresh
    /// enough.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if a link's secret is malformed.
    pub fn of_request(
        state: &EngineState,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        cached: Option<&CachedToken>,
    ) -> Result<Self> {
        let (key, link_secret) = match resolved.target.resource_kind {
            ResourceKind::Link => (
                link_key(state, bound, resolved, request)?,
                query_value(resolved.query, "secret")?.map(Secret::new),
            ),
            resource_kind => {
                let access = accesses(resolved.target.required, request.access)[0];
                (bound.key(resource_kind, resolved.target.id, access), None)
            }
        };
        Ok(Self {
            parent: resolved.target.parent.map(str::to_owned),
            link_secret,
            link_password: request.link_password.clone(),
            resource: resolved.path.into(),
            stale_generation: cached.map(|cached| cached.token.meta().generation),
            rejected: cached
                .is_some_and(|cached| cached.rejected && cached.token.meta().access == key.access),
            caller_timeout: request.timeout,
            min_valid: request.min_valid,
            max_age: request.max_age,
            ..Self::new(resolved.account, resolved.service, key)
        })
    }
}

/// Returns the key of a link: its id, and a fingerprint of its secret and password.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if the link's secret is malformed.
#[expect(
    clippy::disallowed_methods,
    reason = "the key of the token holds a fingerprint of the link's secret and password"
)]
pub fn link_key(
    state: &EngineState,
    bound: &BoundService,
    resolved: &ResolvedResource<'_>,
    request: &Request,
) -> Result<TokenKey> {
    let secret = query_value(resolved.query, "secret")?.map(Secret::new);
    let password = request.link_password.as_ref();
    let parts = [
        resolved.target.id,
        secret.as_ref().map_or("", Secret::expose),
        password.map_or("", Secret::expose),
    ];
    Ok(bound
        .scope
        .link(resolved.target.id, state.fingerprints().of(&parts)))
}

/// Returns the key of the package that a link opens, if this process has already opened the link. If
/// it has opened no link at all, returns `None` without computing the link's fingerprint, because
/// that would read the store's key.
///
/// # Errors
/// Returns the errors of [`link_key`].
pub fn opened_by(
    state: &EngineState,
    bound: &BoundService,
    resolved: &ResolvedResource<'_>,
    request: &Request,
) -> Result<Option<TokenKey>> {
    if state.aliases.read().is_empty() {
        return query_value(resolved.query, "secret").map(|_| None);
    }
    let link = link_key(state, bound, resolved, request)?;
    Ok(state.aliases.read().get(&link).cloned())
}

/// Builds the error for a resource that needs no header.
#[cold]
pub fn no_header(service: &str) -> Error {
    Error::new(
        ErrorKind::NoHeader,
        format!(
            "{service} needs no header, because it keeps the session itself; send the request without one"
        ),
    )
}

/// Returns the access levels that are sufficient for a resource, best first.
#[inline]
pub fn accesses(required: RequiredAccess, asked: Option<Access>) -> &'static [Access] {
    const MANAGE_ELSE_WRITE: &[Access] = &[Access::Manage, Access::Write];
    match (required, asked) {
        (RequiredAccess::Only(Access::Full), _) => &[Access::Full],
        (_, Some(Access::Manage)) => &[Access::Manage],
        (_, Some(Access::Write)) => &[Access::Write, Access::Manage],
        (_, Some(Access::Read)) | (RequiredAccess::Only(Access::Read), _) => &[Access::Read],
        (RequiredAccess::Only(Access::Manage), _) => &[Access::Manage],
        (RequiredAccess::Only(Access::Write), _) => &[Access::Write],
        (RequiredAccess::ManageElseWrite, _) => MANAGE_ELSE_WRITE,
    }
}

/// Returns the prefix of a resource's keys, for a lookup.
#[inline]
pub fn key_prefix<'a>(bound: &BoundService, resolved: &ResolvedResource<'a>) -> KeyPrefix<'a> {
    KeyPrefix {
        scope: bound.scope.fingerprint(),
        resource_kind: resolved.target.resource_kind,
        id: resolved.target.id,
    }
}
