//! What the doors ask a session beyond tokens: where its services are, whose clock an end is by, what it
//! holds already; and what they give it.

use std::time::{Duration, Instant};

use url::Url;

use crate::clock::Clock;
use crate::engine::acquisition::Acquisition;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Fingerprint, TokenKey};
use crate::model::token::{NO_EXPIRY, Token};
use crate::ports::http::Request as Exchange;
use crate::ports::service::Acquired;
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::session::{Session, no_service};

/// A service, and where it is.
#[derive(Clone, Copy)]
pub struct ServiceInfo<'a> {
    /// Its name.
    pub service: &'a str,
    /// Its base URL.
    pub base: &'a BaseUrl,
}

/// What a service answered to a request without any header.
pub struct Probe {
    /// The HTTP status.
    pub status: u16,
    /// How long it took.
    pub time: Duration,
    /// How far its clock is ahead of this machine's, if it said what time it is. Whole seconds, two of them either way are none.
    pub ahead_s: Option<i64>,
}

impl Session {
    /// The services of the account that calls without a name are about.
    pub fn services(&self) -> impl Iterator<Item = ServiceInfo<'_>> {
        let services = &self.engine.accounts.account(self.default_account).services;
        // A plugin that is a source of secrets alone is at no URL.
        let served = services.iter().filter(|bound| !bound.service.prefixes().is_empty());
        served.map(|bound| ServiceInfo { service: bound.service.name(), base: bound.service.base() })
    }

    /// Why plugins are left out of that account.
    pub fn plugin_faults(&self) -> &[Error] {
        &self.engine.accounts.account(self.default_account).faults
    }

    /// A setting of that account, from wherever it is, plugins too; none where it is not set.
    ///
    /// # Errors
    /// Those of its source.
    pub fn secret(&self, key: &str) -> Result<Option<Secret>> {
        self.service_context(0, false).setting(key)
    }

    /// The name of that account.
    pub fn account_name(&self) -> &str {
        self.engine.accounts.account(self.default_account).profile.account()
    }

    /// The name of the store.
    pub fn store_name(&self) -> &'static str {
        self.engine.store.name()
    }

    /// How well the store keeps what it keeps.
    pub fn protection(&self) -> &'static str {
        self.engine.store.protection()
    }

    /// When a token ends by the clock of this machine, which is what other programs compare it with.
    pub fn ends_here_unix_s(&self, token: &Token) -> Option<i64> {
        let meta = token.meta();
        let bound = self.engine.accounts.at_scope(meta.scope);
        let ahead_us = bound.map_or(0, |bound| bound.skew_us());
        (meta.expires_us != NO_EXPIRY).then(|| meta.expires_us.saturating_sub(ahead_us).div_euclid(1_000_000))
    }

    /// Keeps a token that the caller got itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`], [`ErrorKind::Unsupported`], and those of reading the resource.
    pub fn adopt(&self, resource: &str, value: Secret, expires_unix_s: Option<i64>) -> Result<()> {
        self.at(resource, |resolved, bound| {
            let mut found = bound.service.adopt(&resolved.target, value)?;
            found.new_token.expires_unix_s = expires_unix_s.or(found.new_token.expires_unix_s);
            let now_s = self.engine.now_us(bound).div_euclid(1_000_000);
            if found.new_token.expires_unix_s.is_some_and(|expires| expires <= now_s) {
                return Err(Error::new(ErrorKind::InvalidValue, "the token has ended already: get another"));
            }
            let key = bound.key(found.resource_kind, &found.id, found.access);
            let acquired = Acquired { found, renewal: None, others: Vec::new() };
            self.engine.store_acquired(bound, &Acquisition::new(resolved.account, resolved.service, key), acquired).map(drop)
        })
    }

    /// Whether a value is that of a token which is kept for this resource.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn is_known_value(&self, resource: &str, value: &Secret) -> Result<bool> {
        self.stored_key(resource, value).map(|token| token.is_some())
    }

    /// The service refused this value, which was got for this resource.
    ///
    /// # Errors
    /// Those of reading the resource; [`ErrorKind::Store`].
    pub fn reject_value(&self, resource: &str, value: &Secret) -> Result<()> {
        self.stored_key(resource, value)?.map_or(Ok(()), |token| self.reject(&token))
    }

    /// The token of this value that is kept for a resource. A value may stand behind its scheme, as in the header.
    fn stored_key(&self, resource: &str, value: &Secret) -> Result<Option<Token>> {
        // By digests: comparing them tells nothing of the values by the time it takes.
        let fingerprint = |text: &str| Fingerprint::unkeyed(&[text.strip_prefix("Bearer ").unwrap_or(text)]);
        let wanted = fingerprint(value.expose());
        self.at(resource, |resolved, bound| {
            let kept = |key: TokenKey| {
                let cached = self.engine.cache.get(&key.borrow()).map(|hit| hit.token);
                let stored = || self.engine.store.load(&key).ok().flatten().and_then(|record| record.token);
                cached.or_else(stored).filter(|token| fingerprint(token.value()) == wanted)
            };
            Ok(self.keys(resolved, bound)?.into_iter().find_map(kept))
        })
    }

    /// Asks for the base URL of a service, without any header: any answer at all shows that it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Tls`], [`ErrorKind::NoResponse`]; [`ErrorKind::NotConfigured`] if there is no such service.
    pub fn probe(&self, service: &str, limit: Duration) -> Result<Probe> {
        let place = self.services().find(|place| place.service == service);
        let base = place.ok_or_else(|| no_service(service))?.base;
        let url = Url::parse(base.as_str())
            .map_err(|_| Error::new(ErrorKind::Config, format!("the base URL of {service} can't be read: set `{service}.url` anew")))?;
        let (began, clock) = (Instant::now(), Clock::system());
        let response = self.engine.http.exchange(&Exchange::get(url), began + limit).map_err(|failure| failure.error)?;
        let now_s = clock.now_us().div_euclid(1_000_000);
        Ok(Probe { status: response.status, time: began.elapsed(), ahead_s: response.date_unix_s.map(|date| date - now_s) })
    }
}
