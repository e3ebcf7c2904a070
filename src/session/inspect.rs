//! What the doors ask a session beyond tokens: where its services are, whose clock an end is by, what it
//! holds already; and what they give it.

use std::time::{Duration, Instant};

use url::Url;

use crate::clock::Clock;
use crate::engine::acquisition::Wish;
use crate::error::{Error, Kind, Result};
use crate::model::base_url::Base;
use crate::model::key::{Fingerprint, Key};
use crate::model::token::{NO_EXPIRY, Token};
use crate::ports::http::Request as Exchange;
use crate::ports::service::Acquired;
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::session::{Session, no_service};

/// A service, and where it is.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Its name.
    pub service: &'a str,
    /// Its base URL.
    pub base: &'a Base,
}

/// What a service answered to a request without any header.
pub struct Reached {
    /// The HTTP status.
    pub status: u16,
    /// How long it took.
    pub time: Duration,
    /// How far its clock is ahead of this machine's, if it said what time it is. Whole seconds, two of them either way are none.
    pub ahead_s: Option<i64>,
}

impl Session {
    /// The services of the account that calls without a name are about.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let services = &self.engine.accounts.account(self.default_account).services;
        // A plugin that is a source of secrets alone is at no URL.
        let served = services.iter().filter(|bound| !bound.service.prefixes().is_empty());
        served.map(|bound| Place { service: bound.service.name(), base: bound.service.base() })
    }

    /// Why plugins are left out of that account.
    pub fn left_out(&self) -> &[Error] {
        &self.engine.accounts.account(self.default_account).faults
    }

    /// A setting of that account, from wherever it is, plugins too; none where it is not set.
    ///
    /// # Errors
    /// Those of its source.
    pub fn secret(&self, key: &str) -> Result<Option<Secret>> {
        self.errand(0, false).setting(key)
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
        let facts = token.facts();
        let bound = self.engine.accounts.at_scope(facts.scope);
        let ahead_us = bound.map_or(0, |bound| bound.skew_us());
        (facts.expires_us != NO_EXPIRY).then(|| facts.expires_us.saturating_sub(ahead_us).div_euclid(1_000_000))
    }

    /// Keeps a token that the caller got itself.
    ///
    /// # Errors
    /// [`Kind::InvalidValue`], [`Kind::Unsupported`], and those of reading the resource.
    pub fn adopt(&self, resource: &str, value: Secret, expires_unix_s: Option<i64>) -> Result<()> {
        self.at(resource, |spot, bound| {
            let mut found = bound.service.adopt(&spot.target, value)?;
            found.draft.expires_unix_s = expires_unix_s.or(found.draft.expires_unix_s);
            let now_s = self.engine.now_us(bound).div_euclid(1_000_000);
            if found.draft.expires_unix_s.is_some_and(|expires| expires <= now_s) {
                return Err(Error::new(Kind::InvalidValue, "the token has ended already: get another"));
            }
            let key = bound.key(found.class, &found.id, found.access);
            let acquired = Acquired { found, renewal: None, others: Vec::new() };
            self.engine.keep(bound, &Wish::new(spot.account, spot.service, key), acquired).map(drop)
        })
    }

    /// Whether a value is that of a token which is kept for this resource.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn holds(&self, resource: &str, value: &Secret) -> Result<bool> {
        self.kept_as(resource, value).map(|token| token.is_some())
    }

    /// The service refused this value, which was got for this resource.
    ///
    /// # Errors
    /// Those of reading the resource; [`Kind::Store`].
    pub fn reject_value(&self, resource: &str, value: &Secret) -> Result<()> {
        self.kept_as(resource, value)?.map_or(Ok(()), |token| self.reject(&token))
    }

    /// The token of this value that is kept for a resource. A value may stand behind its scheme, as in the header.
    fn kept_as(&self, resource: &str, value: &Secret) -> Result<Option<Token>> {
        // By digests: comparing them tells nothing of the values by the time it takes.
        let print = |text: &str| Fingerprint::unkeyed(&[text.strip_prefix("Bearer ").unwrap_or(text)]);
        let wanted = print(value.expose());
        self.at(resource, |spot, bound| {
            let kept = |key: Key| {
                let held = self.engine.cache.get(&key.borrow()).map(|hit| hit.token);
                let stored = || self.engine.store.load(&key).ok().flatten().and_then(|record| record.token);
                held.or_else(stored).filter(|token| print(token.value()) == wanted)
            };
            Ok(self.keys(spot, bound)?.into_iter().find_map(kept))
        })
    }

    /// Asks for the base URL of a service, without any header: any answer at all shows that it is there.
    ///
    /// # Errors
    /// [`Kind::Unreachable`], [`Kind::Tls`], [`Kind::Silent`]; [`Kind::NotConfigured`] if there is no such service.
    pub fn reach(&self, service: &str, limit: Duration) -> Result<Reached> {
        let place = self.places().find(|place| place.service == service);
        let base = place.ok_or_else(|| no_service(service))?.base;
        let url = Url::parse(base.as_str())
            .map_err(|_| Error::new(Kind::Config, format!("the base URL of {service} can't be read: set `{service}.url` anew")))?;
        let (began, clock) = (Instant::now(), Clock::system());
        let answer = self.engine.http.exchange(&Exchange::get(url), began + limit).map_err(|failure| failure.error)?;
        let now_s = clock.now_us().div_euclid(1_000_000);
        Ok(Reached { status: answer.status, time: began.elapsed(), ahead_s: answer.date_unix_s.map(|date| date - now_s) })
    }
}
