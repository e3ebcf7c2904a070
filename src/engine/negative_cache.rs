//! Negative cache: rejected secrets, logins without a response, and throttles. Processes share it
//! through the store, so that 50 scripts with a wrong password send one request.

use crate::error::{Error, ErrorKind};
use crate::model::key::Fingerprint;
use crate::ports::store::{FailureRecord, Reach, Store};

const SECOND_US: i64 = 1_000_000;
/// The longest `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER_US: i64 = 15 * 60 * SECOND_US;

/// Returns the error that is recorded for a secret, until the recorded end of its backoff.
pub fn lookup(store: &dyn Store, secret: &Fingerprint, now_us: i64) -> Option<Error> {
    lookup_within(store, Reach::Everywhere, secret, now_us)
}

/// Returns the error that [`record_within`] recorded with this reach, until the recorded end of its
/// backoff. Its `retry_after_ms` is the time that is left, and its `since_unix_s` the time of the
/// failure.
pub fn lookup_within(
    store: &dyn Store,
    reach: Reach,
    secret: &Fingerprint,
    now_us: i64,
) -> Option<Error> {
    let refusal = store
        .failure(secret, reach)
        .filter(|refusal| is_running(refusal, now_us))?;
    let left_us = refusal.until_us - now_us;
    let error = refusal
        .error
        .with_retry_after_ms(u64::try_from(left_us / 1000).ok())
        .with_since_unix_s(Some(refusal.since_us.div_euclid(SECOND_US)));
    Some(error)
}

/// Returns whether the backoff after a recorded failure has not ended yet. If the start time of the
/// record is in the future, the clock was set back after the failure. Such a record is ignored,
/// because it would block the secret for too long.
fn is_running(refusal: &FailureRecord, now_us: i64) -> bool {
    (refusal.since_us..refusal.until_us).contains(&now_us)
}

/// Records a failure, unless another thread or process has recorded one meanwhile that lasts
/// longer.
fn remember(store: &dyn Store, reach: Reach, whose: &Fingerprint, refusal: FailureRecord) {
    let (now_us, until_us) = (refusal.since_us, refusal.until_us);
    store.set_failure(whose, Some(refusal), reach, &|present| {
        is_running(present, now_us) && present.until_us > until_us
    });
}

/// Records the outcome of a login or a refresh. Sets the `retry_after_ms` of an error to the time for
/// which the secret is not sent again.
pub fn record(store: &dyn Store, secret: &Fingerprint, outcome: Option<&mut Error>, now_us: i64) {
    record_within(store, Reach::Everywhere, secret, outcome, now_us);
}

/// Records an outcome as [`record`] does. With [`Reach::Here`], no other machine reads the record.
pub fn record_within(
    store: &dyn Store,
    reach: Reach,
    secret: &Fingerprint,
    outcome: Option<&mut Error>,
    now_us: i64,
) {
    let Some(error) = outcome else {
        if store.failure(secret, reach).is_some() {
            store.set_failure(secret, None, reach, &|_| false);
        }
        return;
    };
    let step = store
        .failure(secret, reach)
        .map_or(0, |refusal| refusal.step.saturating_add(1));
    let Some(pause_us) = pause(error, step) else {
        return;
    };
    remember(
        store,
        reach,
        secret,
        FailureRecord {
            since_us: now_us,
            until_us: now_us + pause_us,
            step,
            error: error.clone(),
        },
    );
    error.retry_after_ms = u64::try_from(pause_us / 1000).ok();
}

/// Records that a service throttles an account: with a 429, or with a 5xx that has a `Retry-After`.
/// Returns whether the error is one of these, and sets its `retry_after_ms` as [`record`] does.
pub fn record_throttle(
    store: &dyn Store,
    whose: &Fingerprint,
    error: &mut Error,
    now_us: i64,
) -> bool {
    let wants = error.kind == ErrorKind::Throttled
        || error.kind == ErrorKind::Unavailable && asked_us(error).is_some();
    if !wants {
        return false;
    }
    let before = store.failure(whose, Reach::Everywhere);
    let running = before.as_ref().filter(|before| is_running(before, now_us));
    // Responses to requests that ran at the same time are treated as one throttle.
    let step = before.as_ref().map_or(0, |before| {
        before.step.saturating_add(u32::from(running.is_none()))
    });
    let pause_us = asked_us(error).unwrap_or_else(|| doubled_us(5, 300, step));
    remember(
        store,
        Reach::Everywhere,
        whose,
        FailureRecord {
            since_us: now_us,
            until_us: now_us + pause_us,
            step,
            error: error.clone(),
        },
    );
    error.retry_after_ms = u64::try_from(pause_us / 1000).ok();
    true
}

/// Removes the recorded failure of an account after a successful read. A rejection is always
/// removed. A throttle or another failure stays until its backoff ends, because the read may have
/// been sent before that failure.
pub fn clear_throttle(store: &dyn Store, whose: &Fingerprint, now_us: i64) {
    let goes_on = |before: &FailureRecord| {
        before.error.kind != ErrorKind::BadCredentials && is_running(before, now_us)
    };
    if store
        .failure(whose, Reach::Everywhere)
        .is_some_and(|before| !goes_on(&before))
    {
        store.set_failure(whose, None, Reach::Everywhere, &goes_on);
    }
}

/// Returns the `Retry-After` of an error, limited to between 1 s and 15 min. A `Retry-After` of 0
/// is ignored.
fn asked_us(error: &Error) -> Option<i64> {
    let asked = error
        .retry_after_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .filter(|ms| *ms > 0);
    asked.map(|ms| ms.saturating_mul(1000).clamp(SECOND_US, MAX_RETRY_AFTER_US))
}

fn doubled_us(first: i64, most: i64, step: u32) -> i64 {
    (first << step.min(12)).min(most) * SECOND_US
}

/// Returns how long a secret is not sent again:
///
/// - after a rejection: 1 min, doubling to 1 h
/// - after a 5xx, a redirect, or a lost or malformed response: 5 s, doubling to 5 min, or a longer
///   `Retry-After` (services have been seen to answer a wrong password with 500)
/// - after a 429: its `Retry-After`, else 5 s, doubling to 5 min
///
/// Returns `None` for an error that says nothing about the secret, because the request was never
/// sent.
fn pause(error: &Error, step: u32) -> Option<i64> {
    match error.kind {
        ErrorKind::BadCredentials => Some(doubled_us(60, 3600, step)),
        ErrorKind::Unavailable
        | ErrorKind::NoResponse
        | ErrorKind::BadResponse
        | ErrorKind::Redirected => Some(doubled_us(5, 300, step).max(asked_us(error).unwrap_or(0))),
        ErrorKind::Throttled => Some(asked_us(error).unwrap_or_else(|| doubled_us(5, 300, step))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::Fingerprinter;
    use crate::stores::memory::MemoryStore;

    #[test]
    fn pauses_double_and_end_with_success() {
        let (store, secret) = (
            MemoryStore::default(),
            Fingerprinter::new(&[1; 32]).of(&["s"]),
        );
        let mut error = Error::new(ErrorKind::BadCredentials, "wrong");
        let mut now = 0;
        for pause in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            record(&store, &secret, Some(&mut error), now);
            let until_s = error.retry_after_s();
            assert_eq!(
                until_s,
                u64::try_from(pause).ok(),
                "the first error has the pause too"
            );
            assert!(
                lookup(&store, &secret, now + (pause * SECOND_US) - 1).is_some(),
                "{pause}"
            );
            now += pause * SECOND_US;
            assert!(lookup(&store, &secret, now).is_none(), "{pause}");
        }
        record(&store, &secret, None, now);
        record(&store, &secret, Some(&mut error), now);
        assert!(lookup(&store, &secret, now + 60 * SECOND_US).is_none());
    }

    #[test]
    fn a_lost_answer_is_remembered_briefly_and_a_failed_connection_not_at_all() {
        let (store, secret) = (
            MemoryStore::default(),
            Fingerprinter::new(&[1; 32]).of(&["s"]),
        );
        record(
            &store,
            &secret,
            Some(&mut Error::new(ErrorKind::Unreachable, "no")),
            0,
        );
        assert!(lookup(&store, &secret, 0).is_none());
        record(
            &store,
            &secret,
            Some(&mut Error::new(ErrorKind::Unavailable, "500")),
            0,
        );
        assert!(lookup(&store, &secret, 5 * SECOND_US - 1).is_some());
        assert!(lookup(&store, &secret, 5 * SECOND_US).is_none());
        let mut asked = Error::new(ErrorKind::Throttled, "429").with_retry_after_ms(Some(u64::MAX));
        record(&store, &secret, Some(&mut asked), 0);
        assert!(lookup(&store, &secret, MAX_RETRY_AFTER_US).is_none());
    }

    #[test]
    fn a_pause_of_an_account_grows_by_occasions_and_ends_with_an_answer_after_it() {
        let (store, whose) = (
            MemoryStore::default(),
            Fingerprinter::new(&[1; 32]).of(&["s"]),
        );
        let (bare, down) = (
            Error::new(ErrorKind::Throttled, "429"),
            Error::new(ErrorKind::Unavailable, "503"),
        );
        assert!(
            !record_throttle(&store, &whose, &mut down.clone(), 0)
                && !record_throttle(
                    &store,
                    &whose,
                    &mut Error::new(ErrorKind::BadCredentials, "no"),
                    0
                )
        );
        let left_s = |now_us| {
            lookup(&store, &whose, now_us)
                .and_then(|error| error.retry_after_ms)
                .map_or(0, |ms| ms / 1000)
        };
        let mut now_us = 0;
        for pause in [5, 10, 20, 40] {
            // Two throttles at the same time, then a successful read that was under way with them.
            assert!(
                record_throttle(&store, &whose, &mut bare.clone(), now_us)
                    && record_throttle(&store, &whose, &mut bare.clone(), now_us)
            );
            clear_throttle(&store, &whose, now_us + 1);
            assert_eq!(left_s(now_us), pause);
            now_us += i64::try_from(pause).unwrap_or(0) * SECOND_US;
            assert_eq!(left_s(now_us), 0);
        }
        clear_throttle(&store, &whose, now_us);
        assert!(record_throttle(
            &store,
            &whose,
            &mut down.clone().with_retry_after_ms(Some(60_000)),
            now_us
        ));
        assert_eq!(left_s(now_us), 60);
        assert!(
            record_throttle(&store, &whose, &mut bare.clone(), now_us),
            "a shorter pause does not shorten the running one"
        );
        assert_eq!(left_s(now_us), 60);
        assert!(record_throttle(
            &store,
            &whose,
            &mut bare.clone().with_retry_after_ms(Some(0)),
            now_us + 60 * SECOND_US
        ));
        assert_eq!(
            left_s(now_us + 60 * SECOND_US),
            10,
            "a `Retry-After` of 0 gives the default pause"
        );
    }

    #[test]
    fn a_successful_read_ends_a_refusal_and_not_a_pause_that_runs() {
        let store = MemoryStore::default();
        let whose = Fingerprinter::new(&[1; 32]).of(&["s"]);
        for (kind, ends) in [
            (ErrorKind::BadCredentials, true),
            (ErrorKind::Throttled, false),
        ] {
            record(&store, &whose, Some(&mut Error::new(kind, "no")), 0);
            clear_throttle(&store, &whose, 1);
            assert_eq!(lookup(&store, &whose, 1).is_none(), ends, "{kind:?}");
        }
    }
}
