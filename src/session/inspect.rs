//! What a session shows of itself: its services, what would happen for a resource, the tokens in
//! memory and in the store.

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
    /// How far its clock is ahead of this machine's, if it said what time it is. Whole seconds, two
    /// of them either way are none.
    pub ahead_s: Option<i64>,
}

/// The account that calls without a name use, as it can be shown to a person. It contains no
/// secret.
pub struct Inspect<'a> {
    pub(super) broker: &'a Broker,
    pub(super) account: usize,
}

impl<'a> Inspect<'a> {
    /// The services of the account that calls without a name are about.
    pub fn services(&self) -> impl Iterator<Item = ServiceInfo<'a>> + use<'a> {
        let services = &self.broker.state.accounts.account(self.account).services;
        // A plugin that is a source of secrets alone is at no URL.
        let served = services
            .iter()
            .filter(|bound| !bound.service.prefixes().is_empty());
        served.map(|bound| ServiceInfo {
            service: bound.service.name(),
            base: bound.service.base(),
        })
    }

    /// Why plugins are left out of that account.
    pub fn plugin_faults(&self) -> &'a [UnusablePlugin] {
        &self.broker.state.accounts.account(self.account).faults
    }

    /// The name of that account.
    pub fn account_name(&self) -> &'a str {
        self.broker
            .state
            .accounts
            .account(self.account)
            .profile
            .account()
    }

    /// The name of the store.
    pub fn store_name(&self) -> &'static str {
        self.broker.state.store.name()
    }

    /// How well the store keeps what it keeps.
    pub fn protection(&self) -> &'static str {
        self.broker.state.store.protection()
    }

    /// When a token ends by the clock of this machine, which is what other programs compare it
    /// with.
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

    /// What would happen for a resource, and why: JSON without secrets.
    ///
    /// # Errors
    /// Those of reading the resource.
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
                Some(hit) if now_us < hit.times.advisory_us => "the token in memory is fresh and is handed out",
                Some(hit) if now_us < hit.times.mandatory_us => "the token in memory is handed out, and refreshed beside",
                Some(_) => "callers wait for a refresh; the token in memory serves if that fails",
                None if pause.is_some() => "the last failure is answered until the pause is over",
                None => "store, then service, are asked",
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

    /// The tokens in memory and in the store: JSON without secrets.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store can't be read.
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
            // What they know of the services' clocks is what an end by this machine's is told with.
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

    /// What the session did: JSON of numbers.
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

    /// Asks for the base URL of a service, without any header: any answer at all shows that it is
    /// there.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Tls`], [`ErrorKind::NoResponse`];
    /// [`ErrorKind::NotConfigured`] if there is no such service.
    pub fn probe(&self, service: &str, limit: Duration) -> Result<Probe> {
        let place = self.services().find(|place| place.service == service);
        let base = place.ok_or_else(|| no_service(service))?.base;
        let url = Url::parse(base.as_str()).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("the base URL of {service} can't be read: set `{service}.url` anew"),
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

/// A token for people: everything but its headers' values.
pub fn describe(token: &Token) -> Value {
    let meta = token.meta();
    let expires = (meta.expires_us != NO_EXPIRY).then(|| meta.expires_us.div_euclid(1_000_000));
    json!({
        "service": token.service(), "kind": meta.kind.name(), "id": token.id(), "access": meta.access.name(),
        "generation": meta.generation, "expires_unix_s": expires, "acquired_unix_s": meta.acquired_us.div_euclid(1_000_000),
        "headers": token.headers().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}
