//! What is remembered of secrets that a service refused, and of services that did not answer a login, so that fifty
//! scripts with a wrong password make one request.
//!
//! Imports the port to the store, where it is kept.

use crate::error::{Error, Kind};
use crate::key::Fingerprint;
use crate::store::{Refusal, Store};

const SECOND_US: i64 = 1_000_000;
/// The longest `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER_US: i64 = 15 * 60 * SECOND_US;

/// The error that is remembered for a secret, while it is.
pub fn remembered(store: &dyn Store, secret: &Fingerprint, now_us: i64) -> Option<Error> {
    let refusal = store.refusal(secret)?;
    let left_us = refusal.until_us - now_us;
    // A clock that was set back must not lock anybody out for long.
    let sane = left_us <= 3600 * SECOND_US;
    (left_us > 0 && sane).then(|| refusal.error.with_retry_after_ms(u64::try_from(left_us / 1000).ok()))
}

/// Notes how a login with a secret ended.
pub fn note(store: &dyn Store, secret: &Fingerprint, outcome: Option<&Error>, now_us: i64) {
    let Some(error) = outcome else {
        if store.refusal(secret).is_some() {
            store.set_refusal(secret, None);
        }
        return;
    };
    let step = store.refusal(secret).map_or(0, |refusal| refusal.step.saturating_add(1));
    let Some(pause_us) = pause(error, step) else {
        return;
    };
    store.set_refusal(secret, Some(Refusal { until_us: now_us + pause_us, step, error: error.clone() }));
}

/// How long a secret is not sent again: one minute doubling to an hour after a refusal, five seconds doubling to five minutes
/// after a 5xx or a lost answer (services have been seen to answer a wrong password with 500), and what a 429 says.
/// None for what says nothing of the secret: the request never left.
fn pause(error: &Error, step: u32) -> Option<i64> {
    let doubled = |first: i64, most: i64| Some((first << step.min(12)).min(most) * SECOND_US);
    match error.kind {
        Kind::Refused => doubled(60, 3600),
        Kind::Unavailable | Kind::Silent | Kind::BadAnswer | Kind::Redirected => doubled(5, 300),
        Kind::Throttled => {
            let asked = error.retry_after_ms.and_then(|ms| i64::try_from(ms).ok()).map(|ms| ms.saturating_mul(1000));
            asked.map_or_else(|| doubled(5, 300), |asked| Some(asked.clamp(SECOND_US, MAX_RETRY_AFTER_US)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Fingerprinter;
    use crate::stores::memory::Memory;

    #[test]
    fn pauses_double_and_end_with_success() {
        let (store, secret) = (Memory::default(), Fingerprinter::new(&[1; 32]).of(&["s"]));
        let error = Error::new(Kind::Refused, "wrong");
        let mut now = 0;
        for pause in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            note(&store, &secret, Some(&error), now);
            assert!(remembered(&store, &secret, now + (pause * SECOND_US) - 1).is_some(), "{pause}");
            now += pause * SECOND_US;
            assert!(remembered(&store, &secret, now).is_none(), "{pause}");
        }
        note(&store, &secret, None, now);
        note(&store, &secret, Some(&error), now);
        assert!(remembered(&store, &secret, now + 60 * SECOND_US).is_none());
    }

    #[test]
    fn a_lost_answer_is_remembered_briefly_and_a_failed_connection_not_at_all() {
        let (store, secret) = (Memory::default(), Fingerprinter::new(&[1; 32]).of(&["s"]));
        note(&store, &secret, Some(&Error::new(Kind::Unreachable, "no")), 0);
        assert!(remembered(&store, &secret, 0).is_none());
        note(&store, &secret, Some(&Error::new(Kind::Unavailable, "500")), 0);
        assert!(remembered(&store, &secret, 5 * SECOND_US - 1).is_some());
        assert!(remembered(&store, &secret, 5 * SECOND_US).is_none());
        let asked = Error::new(Kind::Throttled, "429").with_retry_after_ms(Some(u64::MAX));
        note(&store, &secret, Some(&asked), 0);
        assert!(remembered(&store, &secret, MAX_RETRY_AFTER_US).is_none());
    }
}
