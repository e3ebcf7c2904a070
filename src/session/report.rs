//! What a session tells of itself: JSON without secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::error::Result;
use crate::model::request::Request;
use crate::model::token::{NO_EXPIRY, Token};
use crate::session::{Session, not_cached};

impl Session {
    /// What would happen for a resource, and why: JSON without secrets.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn explain(&self, resource: &str) -> Result<String> {
        let engine = &*self.engine;
        self.at(resource, |resolved, bound| {
            let now_us = engine.now_us(bound);
            let request = Request::default();
            let hit = engine.in_memory(bound, resolved, &request, now_us)?;
            let key = self.keys(resolved, bound)?.into_iter().next().ok_or_else(not_cached)?;
            let pause = engine.backoff.remaining(&key, engine.clock.now_us());
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
                "key": key.to_string(), "store": engine.store.name(), "clock_skew_s": bound.skew_us() / 1_000_000,
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
        let accounts = &self.engine.accounts;
        let row = |token: &Token, account: Option<&str>| {
            let mut row = describe(token);
            row["account"] = json!(account);
            row["expires_here_unix_s"] = json!(self.ends_here_unix_s(token));
            row
        };
        let records = self.engine.store.list()?;
        for (key, record) in &records {
            // What they know of the services' clocks is what an end by this machine's is told with.
            accounts.at_scope(key.scope.fingerprint()).into_iter().for_each(|bound| self.engine.apply_stored_skew(bound, record));
        }
        let account = |token: &Token| accounts.at_scope(token.meta().scope).map(|bound| bound.scope.account.as_str());
        let rows = self.engine.cache.all().into_iter().map(|hit| row(&hit.token, account(&hit.token)));
        let is_later =
            |token: &Token| self.engine.cache.get(&token.key()).is_none_or(|hit| hit.token.meta().generation < token.meta().generation);
        let stored = records.into_iter().filter_map(|(key, record)| Some(row(&record.token.filter(is_later)?, Some(&key.scope.account))));
        Ok(Value::Array(rows.chain(stored).collect()).to_string())
    }

    /// What the session did: JSON of numbers.
    pub fn stats(&self) -> String {
        let (stats, read) = (&self.engine.stats, |count: &AtomicU64| count.load(Ordering::Relaxed));
        json!({
            "flights": read(&stats.flights), "waits": read(&stats.waits), "exchanges": read(&stats.exchanges),
            "logins": read(&stats.logins), "renewals": read(&stats.renewals), "refreshes_beside": read(&stats.background),
            "refused_from_memory": read(&stats.refused_from_memory), "rejected": read(&stats.rejected),
            "flights_under_way": self.engine.flights.count(),
        })
        .to_string()
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
