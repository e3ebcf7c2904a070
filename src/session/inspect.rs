//! The parts of a session that can be shown to a person: its services, the token that a resource
//! gets, and the cached and stored tokens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::clock::Clock;
use crate::engine::broker::Broker;
use crate::engine::persistence::Persistence;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::request::Request;
use crate::model::token::{NO_EXPIRY, Token};
use crate::plugin::UnusablePlugin;
use crate::ports::http::Request as HttpRequest;
use crate::session::lookup::{Lookup, no_service, not_cached};

/// A service and its base URL.
#[derive(Clone, Copy)]
pub struct ServiceInfo<'a> {
    /// Its name.
    pub service: &'a str,
    /// Its base URL.
    pub base: &'a BaseUrl,
}

/// The response of a service to a request without any header.
pub struct Probe {
    /// The HTTP status.
    pub status: u16,
    /// How long the exchange took.
    pub time: Duration,
    /// How far the service's clock is ahead of this machine's, in whole seconds, if the response
    /// had a `Date` header. A value from -2 to 2 means no measurable difference.
    pub ahead_s: Option<i64>,
}

/// The account for calls that name no account, in a form that can be shown to a person. It contains
/// no secret.
pub struct Inspect<'a> {
    pub(super) broker: &'a Broker,
    pub(super) account: usize,
}

impl<'a> Inspect<'a> {
    /// Returns the services of the account.
    pub fn services(&self) -> impl Iterator<Item = ServiceInfo<'a>> + use<'a> {
        let services = &self.broker.state.accounts.account(self.account).services;
        // A plugin that only provides secrets has no URL.
        let served = services
            .iter()
            .filter(|bound| !bound.service.prefixes().is_empty());
        served.map(|bound| ServiceInfo {
            service: bound.service.name(),
            base: bound.service.base(),
        })
    }

    /// Returns the plugins that the account cannot use, and why.
    pub fn plugin_faults(&self) -> &'a [UnusablePlugin] {
        &self.broker.state.accounts.account(self.account).faults
    }

    /// Returns the name of the account.
    pub fn account_name(&self) -> &'a str {
        self.broker
            .state
            .accounts
            .account(self.account)
            .profile
            .account()
    }

    /// Returns the name of the store.
    pub fn store_name(&self) -> &'static str {
        self.broker.state.store.name()
    }

    /// Returns how the store protects its records.
    pub fn protection(&self) -> &'static str {
        self.broker.state.store.protection()
    }

    /// Returns when a token expires by the clock of this machine. Other programs compare the expiry
    /// with that clock.
    pub fn ends_here_unix_s(&self, token: &Token) -> Option<i64> {
        let meta = token.meta();
        let bound = self.broker.state.accounts.at_scope(meta.scope);
        let ahead_us = bound.map_or(0, |bound| bound.skew_us());
        (meta.expires_us != NO_EXPIRY).then(|| {
            meta.expires_us
                .saturating_sub(ahead_us)
                .div_euclid(1_000_000)
        })
    }

    /// Explains which token a resource gets, and why: JSON without secrets.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    pub fn explain(&self, resource: &str) -> Result<String> {
        let state = &self.broker.state;
        let lookup = Lookup {
            state,
            account: self.account,
        };
        lookup.at(resource, |resolved, bound| {
            let now_us = state.now_us(bound);
            let request = Request::default();
            let hit = Persistence::new(state, bound).cached_for(resolved, &request, now_us)?;
            let key = lookup.keys(resolved, bound)?.into_iter().next().ok_or_else(not_cached)?;
            let pause = state.backoff.remaining(&key, state.clock.now_us());
            let next = match &hit {
                Some(hit) if now_us < hit.times.advisory_us => "the cached token is fresh and is returned",
                Some(hit) if now_us < hit.times.mandatory_us => "the cached token is returned, and refreshed in the background",
                Some(_) => "callers wait for a refresh; if it fails, the cached token is returned",
                None if pause.is_some() => "the last error is returned until the pause ends",
                None => "the store is checked, then the service is contacted",
            };
            let seconds = |us: i64| if us == NO_EXPIRY { Value::Null } else { json!(us.div_euclid(1_000_000)) };
            let mut token = hit.as_ref().map_or(Value::Null, |hit| describe(&hit.token));
            if let Some(hit) = &hit {
                token["refresh_from_unix_s"] = seconds(hit.times.advisory_us);
                token["callers_wait_from_unix_s"] = seconds(hit.times.mandatory_us);
            }
            let explained = json!({
                "service": bound.service.name(), "base": bound.service.base().as_str(), "account": bound.scope.account,
                "class": resolved.target.resource_kind.name(), "id": resolved.target.id, "access": key.access.name(),
                "key": key.to_string(), "store": state.store.name(), "clock_skew_s": bound.skew_us() / 1_000_000,
                "token": token, "next": next,
                "pause": pause.map(|error| json!({"error": error.message(), "retry_after_ms": error.retry_after_ms})),
            });
            Ok(explained.to_string())
        })
    }

    /// Lists the cached and stored tokens: JSON without secrets.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be read.
    pub fn list(&self) -> Result<String> {
        let accounts = &self.broker.state.accounts;
        let row = |token: &Token, account: Option<&str>| {
            let mut row = describe(token);
            row["account"] = json!(account);
            row["expires_here_unix_s"] = json!(self.ends_here_unix_s(token));
            row
        };
        let records = self.broker.state.store.list()?;
        for (key, record) in &records {
            // Apply the clock skew in the records: the expiry by this machine's clock depends on
            // it.
            accounts
                .at_scope(key.scope.fingerprint())
                .into_iter()
                .for_each(|bound| {
                    Persistence::new(&self.broker.state, bound).apply_stored_skew(record)
                });
        }
        let account = |token: &Token| {
            accounts
                .at_scope(token.meta().scope)
                .map(|bound| bound.scope.account.as_str())
        };
        let rows = self
            .broker
            .state
            .cache
            .all()
            .into_iter()
            .map(|hit| row(&hit.token, account(&hit.token)));
        let is_later = |token: &Token| {
            self.broker
                .state
                .cache
                .get(&token.key())
                .is_none_or(|hit| hit.token.meta().generation < token.meta().generation)
        };
        let stored = records.into_iter().filter_map(|(key, record)| {
            Some(row(
                &record.token.filter(is_later)?,
                Some(&key.scope.account),
            ))
        });
        Ok(Value::Array(rows.chain(stored).collect()).to_string())
    }

    /// Returns counters of the session's work: JSON of numbers.
    pub fn stats(&self) -> String {
        let (stats, read) = (&self.broker.state.stats, |count: &AtomicU64| {
            count.load(Ordering::Relaxed)
        });
        json!({
            "flights": read(&stats.flights), "waits": read(&stats.waits), "exchanges": read(&stats.exchanges),
            "logins": read(&stats.logins), "renewals": read(&stats.renewals), "refreshes_beside": read(&stats.background),
            "refused_from_memory": read(&stats.refused_from_memory), "rejected": read(&stats.rejected),
            "flights_under_way": self.broker.flights_under_way(),
        })
        .to_string()
    }

    /// Requests the base URL of a service, without any header. Any response shows that the service
    /// is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Tls`] or [`ErrorKind::NoResponse`] if the service
    /// does not respond; [`ErrorKind::NotConfigured`] if there is no such service.
    pub fn probe(&self, service: &str, limit: Duration) -> Result<Probe> {
        let found = self.services().find(|info| info.service == service);
        let base = found.ok_or_else(|| no_service(service))?.base;
        let url = Url::parse(base.as_str()).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("the base URL of {service} is malformed; correct `{service}.url`"),
            )
        })?;
        let (began, clock) = (Instant::now(), Clock::system());
        let response = self
            .broker
            .state
            .http
            .exchange(&HttpRequest::get(url), began + limit)
            .map_err(|failure| failure.error)?;
        let now_s = clock.now_us().div_euclid(1_000_000);
        Ok(Probe {
            status: response.status,
            time: began.elapsed(),
            ahead_s: response.date_unix_s.map(|date| date - now_s),
        })
    }
}

/// Describes a token for people: everything except the values of its headers.
pub fn describe(token: &Token) -> Value {
    let meta = token.meta();
    let expires = (meta.expires_us != NO_EXPIRY).then(|| meta.expires_us.div_euclid(1_000_000));
    json!({
        "service": token.service(), "kind": meta.kind.name(), "id": token.id(), "access": meta.access.name(),
        "generation": meta.generation, "expires_unix_s": expires, "acquired_unix_s": meta.acquired_us.div_euclid(1_000_000),
        "headers": token.headers().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}
