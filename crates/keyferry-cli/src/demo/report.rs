//! The report of a demo run: rows and counters, for the table and as JSON.
//!
//! It contains no header values.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use keyferry::error::Result;
use keyferry::ffi::json;
use keyferry::session::inspect::SessionStats;

/// Counters of the sandbox that stay at 0 if the client is correct.
const MISTAKE_COUNTERS: [&str; 13] = [
    "two_credentials",
    "foreign_credential",
    "needless_credential",
    "missing_credential",
    "agent_credential_header",
    "stray_cookie",
    "stray_link_password",
    "wrong_content_type",
    "bad_token",
    "foreign_token",
    "login_refused",
    "refresh_reuse",
    "unknown_route",
];

/// The outcome of a row: one token and one call.
pub(super) struct Row {
    pub(super) service: &'static str,
    /// The requested resource without its query.
    pub(super) resource: String,
    /// The names of the headers.
    pub(super) header: Option<String>,
    pub(super) access: Option<&'static str>,
    /// None if the token doesn't expire or there is no token.
    pub(super) life_left_s: Option<i64>,
    pub(super) source: &'static str,
    /// The number of requests that keyferry sent for the token.
    pub(super) requests: u64,
    /// How long keyferry took to return the token.
    pub(super) time: Duration,
    /// The application's call to the service.
    pub(super) call: String,
    pub(super) status: Option<u16>,
    pub(super) ok: bool,
    pub(super) note: Option<String>,
}

impl Row {
    /// Marks the row as failed. The first reason is kept.
    pub(super) fn fail(&mut self, why: &str) {
        if self.ok {
            self.note = Some(why.to_owned());
        }
        self.ok = false;
    }

    /// Records the status of the call. The row fails unless it is `expected`.
    pub(super) fn record_call(&mut self, status: Result<u16>, expected: u16) {
        match status {
            Ok(status) => {
                self.status = Some(status);
                if status != expected {
                    self.fail(&format!(
                        "{} got status {status} instead of {expected}",
                        self.call.clone()
                    ));
                }
            }
            Err(error) => self.fail(error.message()),
        }
    }

    /// Checks that keyferry sent exactly these requests.
    pub(super) fn check_requests(
        &mut self,
        expected: &[(&str, u64)],
        before: &BTreeMap<String, u64>,
        after: &BTreeMap<String, u64>,
    ) {
        let wrong = expected
            .iter()
            .find(|(name, count)| counter_increase(before, after, name) != *count);
        if let Some((name, count)) = wrong {
            self.fail(&format!(
                "the counter {name} increased by {} instead of {count}",
                counter_increase(before, after, name)
            ));
        }
        let (total, expected_total) = (
            counter_increase(before, after, "requests"),
            expected.iter().map(|(_, count)| count).sum::<u64>(),
        );
        if total != expected_total {
            self.fail(&format!(
                "keyferry sent {total} requests instead of {expected_total}"
            ));
        }
    }

    /// Whether keyferry returned a token.
    pub(super) fn has_token(&self) -> bool {
        self.header.is_some()
    }

    fn to_json(&self) -> Value {
        let Self {
            service,
            resource,
            header,
            access,
            life_left_s,
            source,
            requests,
            time,
            call,
            status,
            ok,
            note,
        } = self;
        json!({
            "service": service, "resource": resource, "header": header, "access": access, "life_left_s": life_left_s, "from": source,
            "requests": requests, "time_us": time.as_micros(), "call": call, "status": status, "ok": ok, "note": note,
        })
    }
}

/// All rows, and the counters of the services and the engine.
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    /// The number of calls of the demo's application.
    pub(super) calls: u64,
    /// The sandbox's counters.
    pub(super) counts: BTreeMap<String, u64>,
    /// The engine's counters.
    pub(super) stats: SessionStats,
    pub(super) elapsed: Duration,
}

impl Report {
    /// Whether every row succeeded, no request contained a wrong header, and every request is
    /// accounted for.
    pub(super) fn all_ok(&self) -> bool {
        let accounted = self.requests() == self.exchanges() + self.calls;
        accounted
            && self.mistakes() == 0
            && !self.rows.is_empty()
            && self.rows.iter().all(|row| row.ok)
    }

    /// Returns the number of requests that the services received.
    pub(super) fn requests(&self) -> u64 {
        self.counter("requests")
    }

    /// Returns the number of requests that the engine sent.
    pub(super) fn exchanges(&self) -> u64 {
        self.stats.exchanges
    }

    /// Returns the number of logins to all services.
    pub(super) fn logins(&self) -> u64 {
        ["login", "agent_login", "fileverbs_login"]
            .iter()
            .map(|name| self.counter(name))
            .sum()
    }

    /// Returns the number of requests that contained a wrong header.
    pub(super) fn mistakes(&self) -> u64 {
        MISTAKE_COUNTERS.iter().map(|name| self.counter(name)).sum()
    }

    fn counter(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Returns the report for `--json`.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "rows": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(), "ok": self.all_ok(),
            "elapsed_ms": self.elapsed.as_micros() as f64 / 1000.0,
            "counters": {
                "requests": self.requests(), "requests_by_keyferry": self.exchanges(), "protected_calls": self.calls,
                "logins": self.logins(), "mistakes": self.mistakes(), "engine": json::stats(&self.stats), "services": self.counts,
            },
        })
    }
}

/// Returns the increase of a counter.
pub(super) fn counter_increase(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    name: &str,
) -> u64 {
    let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
    count(after).saturating_sub(count(before))
}
