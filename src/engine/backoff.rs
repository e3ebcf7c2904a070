//! Decides when this process may fetch a key again after a failure or a rejection. Failures of a
//! secret are recorded in [`crate::engine::negative_cache`].

use std::collections::HashMap;

use crate::sys::sync::Mutex;

use crate::engine::negative_cache::MAX_RETRY_AFTER_US;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::TokenKey;

const SECOND_US: i64 = 1_000_000;
/// The minimum interval between fetches if the caller rejects every token.
const MIN_REPLACE_INTERVAL_US: i64 = 10 * SECOND_US;

/// The keys that must wait before their next fetch.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<TokenKey, KeyState>>);

#[derive(Default)]
struct KeyState {
    /// The time until which the key must wait, and the error that callers get until then.
    waits_until: Option<(i64, Error)>,
    /// The number of consecutive failures, without those that had a `Retry-After`.
    step: u32,
    /// Whether a token of the key was rejected and no new fetch has started since.
    rejected: bool,
    /// The generation of the last token that was rejected. A second report of the same generation
    /// is ignored, even if the report comes from the store.
    last_rejected_generation: u64,
    /// When the last fetch that replaces a rejected token started.
    replaced_us: Option<i64>,
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

    /// Checks whether a flight of a key may start.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if two tokens of the key were rejected within 10 s; the error
    /// of [`Backoff::remaining`] if the key must wait.
    pub fn check(&self, key: &TokenKey, now_us: i64) -> Result<()> {
        if let Some(error) = self.remaining(key, now_us) {
            return Err(error);
        }
        let mut states = self.0.lock();
        let Some(state) = states.get_mut(key).filter(|state| state.rejected) else {
            return Ok(());
        };
        let since_us = state
            .replaced_us
            .map_or(i64::MAX, |at| now_us.saturating_sub(at));
        if (0..MIN_REPLACE_INTERVAL_US).contains(&since_us) {
            let what = format!(
                "the service rejected the token for {key} less than 10 s after a refresh; check the account's permissions"
            );
            return Err(
                Error::new(ErrorKind::BadCredentials, what).with_retry_after_ms(
                    u64::try_from((MIN_REPLACE_INTERVAL_US - since_us) / 1000).ok(),
                ),
            );
        }
        state.rejected = false;
        state.replaced_us = Some(now_us);
        Ok(())
    }

    /// Records the outcome of a flight of a key.
    pub fn record_outcome(&self, key: &TokenKey, error: Option<&Error>, now_us: i64) {
        let mut states = self.0.lock();
        let Some(error) = error else {
            if let Some(state) = states.get_mut(key) {
                (state.waits_until, state.step) = (None, 0);
                if state.replaced_us.is_none() {
                    states.remove(key);
                }
            }
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

    /// Records that a token of a key was rejected, here or in another process.
    pub fn rejected(&self, key: &TokenKey, generation: u64) {
        let mut states = self.0.lock();
        let state = states.entry(key.clone()).or_default();
        if generation > state.last_rejected_generation {
            (state.last_rejected_generation, state.rejected) = (generation, true);
        }
    }

    /// Returns whether a token of a key was rejected that is of this generation or a later one.
    pub fn is_rejected(&self, key: &TokenKey, generation: u64) -> bool {
        let states = self.0.lock();
        states
            .get(key)
            .is_some_and(|state| state.last_rejected_generation >= generation)
    }

    /// Records when another process fetched a token of a key in place of a rejected one.
    pub fn replaced(&self, key: &TokenKey, at_us: i64) {
        let mut states = self.0.lock();
        let state = states.entry(key.clone()).or_default();
        state.replaced_us = state.replaced_us.max(Some(at_us));
    }

    /// Returns when a token of a key was last fetched in place of a rejected one.
    pub fn replaced_us(&self, key: &TokenKey) -> Option<i64> {
        self.0.lock().get(key)?.replaced_us
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
            assert!(backoff.check(&key, now).is_ok(), "{pause}");
        }
        backoff.record_outcome(&key, None, now);
        backoff.record_outcome(&key, Some(&down), now);
        assert!(backoff.remaining(&key, now + SECOND_US).is_none());
    }

    #[test]
    fn a_second_rejection_in_ten_seconds_is_a_refusal() {
        let (backoff, key) = (Backoff::default(), key());
        backoff.rejected(&key, 1);
        assert!(backoff.check(&key, 0).is_ok());
        backoff.record_outcome(&key, None, 0);
        backoff.rejected(&key, 1);
        assert!(backoff.check(&key, SECOND_US).is_ok(), "the same one again");
        backoff.rejected(&key, 2);
        assert_eq!(
            backoff
                .check(&key, 9 * SECOND_US)
                .map_err(|error| error.kind),
            Err(ErrorKind::BadCredentials)
        );
        assert!(backoff.check(&key, 10 * SECOND_US).is_ok());
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
