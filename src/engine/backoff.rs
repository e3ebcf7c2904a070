//! Decides when this process may fetch a key again after a failure. Failures of a secret are
//! recorded in [`crate::engine::negative_cache`].

use std::collections::HashMap;

use crate::sys::sync::Mutex;

use crate::engine::negative_cache::MAX_RETRY_AFTER_US;
use crate::error::{Error, ErrorKind};
use crate::model::key::TokenKey;

const SECOND_US: i64 = 1_000_000;

/// The keys that must wait before their next fetch.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<TokenKey, KeyState>>);

#[derive(Default)]
struct KeyState {
    /// The time until which the key must wait, and the error that callers get until then.
    waits_until: Option<(i64, Error)>,
    /// The number of consecutive failures, without those that had a `Retry-After`.
    step: u32,
}

impl Backoff {
    /// Returns the error of the last failure while the key must wait.
    pub fn remaining(&self, key: &TokenKey, now_us: i64) -> Option<Error> {
        let states = self.0.lock();
        let (until_us, error) = states.get(key)?.waits_until.as_ref()?;
        let left_us = until_us - now_us;
        // If the clock was set back, the wait looks too long. Ignore a wait that exceeds the
        // maximum.
        let waits = left_us > 0 && left_us <= MAX_RETRY_AFTER_US;
        waits.then(|| {
            error
                .clone()
                .with_retry_after_ms(u64::try_from(left_us / 1000).ok())
        })
    }

    /// Records the outcome of a flight of a key.
    pub fn record_outcome(&self, key: &TokenKey, error: Option<&Error>, now_us: i64) {
        let mut states = self.0.lock();
        let Some(error) = error else {
            states.remove(key);
            return;
        };
        if !error.is_transient()
            && !matches!(error.kind, ErrorKind::BadResponse | ErrorKind::Redirected)
        {
            return;
        }
        let state = states.entry(key.clone()).or_default();
        // A `Retry-After`, or the remaining time of a stored pause, overrides the exponential
        // backoff.
        let asked = error
            .retry_after_ms
            .and_then(|ms| i64::try_from(ms).ok())
            .filter(|ms| *ms > 0);
        let pause_us = asked.map_or_else(
            || (SECOND_US << state.step.min(6)).min(60 * SECOND_US),
            |ms| ms.saturating_mul(1000).min(MAX_RETRY_AFTER_US),
        );
        state.step = state.step.saturating_add(u32::from(asked.is_none()));
        state.waits_until = Some((now_us + pause_us, error.clone()));
    }

    /// Forgets the keys for which `which` returns true.
    pub fn forget(&self, which: impl Fn(&TokenKey) -> bool) {
        self.0.lock().retain(|key, _| !which(key));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::key::{Access, ResourceKind, Scope};

    fn key() -> TokenKey {
        Arc::new(Scope::new("masv", "https://a.example", "default")).key(
            ResourceKind::User,
            "",
            Access::Full,
        )
    }

    #[test]
    fn failures_pause_longer_each_time_and_success_ends_that() {
        let (backoff, key, down) = (
            Backoff::default(),
            key(),
            Error::new(ErrorKind::Unavailable, "down"),
        );
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.record_outcome(&key, Some(&down), now);
            assert!(
                backoff
                    .remaining(&key, now + pause * SECOND_US - 1)
                    .is_some(),
                "{pause}"
            );
            now += pause * SECOND_US;
            assert!(backoff.remaining(&key, now).is_none(), "{pause}");
        }
        backoff.record_outcome(&key, None, now);
        backoff.record_outcome(&key, Some(&down), now);
        assert!(backoff.remaining(&key, now + SECOND_US).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_by_more_than_the_longest_pause_ends_it() {
        let (backoff, key) = (Backoff::default(), key());
        let (down, now_us) = (Error::new(ErrorKind::Unavailable, "down"), 3600 * SECOND_US);
        backoff.record_outcome(&key, Some(&down), now_us);
        assert!(backoff.remaining(&key, now_us).is_some());
        assert!(backoff.remaining(&key, 0).is_none());
    }
}
