//! The rule for rejected tokens.
//!
//! A rejection removes nothing from the cache or the store: all other callers go on using the
//! token until a newer one is stored. Only the caller that rejected a token for a resource does not
//! get that token for that resource again. When it asks, one flight decides for all processes
//! whether the token is dead:
//!
//! - If the service names a request that every valid token may make, the flight sends it. A 2xx
//!   response means that the token is alive, and a 401 that it is dead.
//! - In all other cases the token counts as dead, but only after a pause since the last login that
//!   a rejection caused. The pause grows from 10 s to 1 h.
//!
//! A dead token is replaced at once.

use std::sync::atomic::Ordering;

use crate::engine::accounts::BoundService;
use crate::engine::negative_cache;
use crate::engine::rejections::{self, ALIVE_US, Asker};
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Fingerprint, TokenKey, TokenKeyRef};
use crate::model::token::{Token, TokenKind};
use crate::ports::service::Context;
use crate::ports::store::{MAX_REJECTIONS, Record, RecordLock, RejectLogin};

const SECOND_US: i64 = 1_000_000;
/// The minimum interval between two logins that rejections cause: after the first one, the second
/// one, and so on.
const INTERVALS_US: [i64; 4] = [
    10 * SECOND_US,
    60 * SECOND_US,
    600 * SECOND_US,
    3600 * SECOND_US,
];
/// How many tokens in a row are replaced at once if the service does not accept them. Each further one
/// is replaced at least the first interval after the one before.
const MAX_AT_ONCE: u32 = 2;
/// After this time without a rejection, the intervals begin anew.
const RESET_US: i64 = 3600 * SECOND_US;
/// How exactly the time of the last rejection is stored. It saves writes.
const REJECTED_PRECISION_US: i64 = 60 * SECOND_US;

/// Returns the fingerprint under which the rejections of a resource are recorded. `resource` is its
/// path below the version prefix.
pub fn fingerprint(state: &EngineState, resource: &str) -> Fingerprint {
    state.fingerprints().of(&["rejected", resource])
}

/// Returns whether the asker must not get a token, because it rejected the token. Callers ask only
/// about a token that some caller rejected.
#[cold]
#[inline(never)]
pub fn forbids(
    state: &EngineState,
    key: &TokenKeyRef<'_>,
    generation: u64,
    asker: Asker<'_>,
) -> bool {
    let now_us = state.clock.now_us();
    let resource = || fingerprint(state, asker.resource());
    state
        .rejections
        .forbids(key, generation, asker, now_us, resource)
}

/// Records that the service rejected a token.
///
/// # Errors
/// [`ErrorKind::Store`] if the store cannot be read or written.
pub fn reject(state: &EngineState, token: &Token, asker: Asker<'_>) -> Result<()> {
    state.stats.rejected.fetch_add(1, Ordering::Relaxed);
    state.http.close_idle();
    let meta = token.meta();
    let Some(bound) = state.accounts.at_scope(meta.scope) else {
        return Ok(());
    };
    let key = bound.key_of(token);
    let resource = fingerprint(state, asker.resource());
    // The token may come from another session. The token that replaces it must count as newer.
    state.observe_generation(meta.generation);
    state.rejections.add(&key, meta.generation, asker, resource);
    state.cache.mark_rejected(&token.key(), meta.generation);
    // Each process reads a configured secret by itself, so its generations differ between
    // processes.
    let is_shared = matches!(asker, Asker::Resource(_)) && meta.kind != TokenKind::Key;
    store_rejection(state, &key, meta.generation, is_shared.then_some(resource))
}

/// Adds a rejection to the stored record, and the time of it.
fn store_rejection(
    state: &EngineState,
    key: &TokenKey,
    generation: u64,
    resource: Option<Fingerprint>,
) -> Result<()> {
    let now_us = state.clock.now_us();
    let is_new = |record: &Record| {
        resource.filter(|resource| {
            record.generation == generation && !record.rejections.contains(resource)
        })
    };
    let Some(record) = state.store.load(key)?.filter(|record| {
        is_new(record).is_some()
            || !record
                .reject_login
                .is_none_or(|login| is_recent(login, now_us))
    }) else {
        return Ok(());
    };
    state.store.update(key, record.generation, &|record| {
        if let Some(resource) = is_new(record) {
            rejections::push(&mut record.rejections, resource, MAX_REJECTIONS);
        }
        record.reject_login = record
            .reject_login
            .filter(|login| now_us.saturating_sub(login.rejected_us) < RESET_US)
            .map(|login| RejectLogin {
                rejected_us: now_us,
                ..login
            });
    })
}

/// Whether the service still accepts a token.
enum Health {
    /// The service accepted the token, at this time.
    Alive(i64),
    /// The service does not accept the token.
    Dead,
    /// There is no request that every valid token may make, or its response says nothing.
    Unknown,
}

/// A flight that decides whether a rejected token is dead. It holds the lock of the key.
pub struct Decision<'a> {
    /// The engine's shared state.
    pub state: &'a EngineState,
    /// The service.
    pub bound: &'a BoundService,
    /// The record that was read when the lock was granted.
    pub record: Option<&'a Record>,
    /// The lock.
    pub lock: &'a dyn RecordLock,
    /// Sends the request.
    pub context: &'a dyn Context,
}

impl Decision<'_> {
    /// Decides whether a rejected token may be replaced now. Returns the login that the record of
    /// the new token notes.
    ///
    /// # Errors
    /// [`ErrorKind::InsufficientAccess`] if the token is alive; [`ErrorKind::BadCredentials`], with
    /// the time to wait, if a rejection caused a login a short time ago.
    pub fn replace(&self, token: &Token) -> Result<Option<RejectLogin>> {
        let meta = token.meta();
        let key = self.bound.key_of(token);
        let health = self.health(&key, token);
        let is_key = meta.kind == TokenKind::Key;
        let last = self.record.and_then(|record| record.reject_login);
        let pause_us = match health {
            Health::Alive(at_us) => {
                self.state
                    .rejections
                    .note_alive(&key, meta.generation, at_us);
                return Err(alive(&key));
            }
            Health::Dead if is_key => {
                self.refuse_secret(&key, token);
                return Ok(None);
            }
            // Rationale: a service that accepts none of its own tokens would otherwise get one login
            // for each call.
            Health::Dead if last.is_some_and(|last| last.step >= MAX_AT_ONCE) => INTERVALS_US[0],
            Health::Dead => 0,
            Health::Unknown => interval_us(last),
        };
        let now_us = self.state.clock.now_us();
        let next = RejectLogin {
            step: last.map_or(0, |last| last.step).saturating_add(1),
            at_us: now_us,
            rejected_us: now_us,
        };
        let since_us = last.map(|last| now_us.saturating_sub(last.at_us));
        let waits_us = match since_us.filter(|since_us| (0..pause_us).contains(since_us)) {
            Some(since_us) => pause_us - since_us,
            // Nothing replaces a configured secret. So the first rejection starts a pause.
            None if is_key && last.is_none() => {
                self.note(&key, token, &|record| record.reject_login = Some(next));
                INTERVALS_US[0]
            }
            None if is_key => {
                self.note(&key, token, &|record| record.reject_login = Some(next));
                return Ok(None);
            }
            None => return Ok(Some(next)),
        };
        self.note_asked(&key, token, now_us);
        Err(undecided(&key, waits_us))
    }

    /// Notes that a caller still asks for the resource of its rejection. Otherwise the intervals would
    /// begin anew after each hour.
    fn note_asked(&self, key: &TokenKey, token: &Token, now_us: i64) {
        let last = self.record.and_then(|record| record.reject_login);
        if last.is_some_and(|last| !is_recent(last, now_us)) {
            self.note(key, token, &|record| {
                record.reject_login = record.reject_login.map(|login| RejectLogin {
                    rejected_us: now_us,
                    ..login
                });
            });
        }
    }

    /// Asks the service whether a token is alive, unless that is known.
    fn health(&self, key: &TokenKey, token: &Token) -> Health {
        let now_us = self.state.clock.now_us();
        let generation = token.meta().generation;
        let stored = self
            .record
            .filter(|record| self.is_of(record, token))
            .and_then(|record| record.alive_us);
        let known = stored.max(self.state.rejections.alive_us(key, generation));
        if let Some(at_us) = known.filter(|at_us| (0..ALIVE_US).contains(&(now_us - at_us))) {
            return Health::Alive(at_us);
        }
        let Some(request) = self.bound.service.probe(token) else {
            return Health::Unknown;
        };
        let outcome = request.and_then(|request| self.context.send(&request));
        match outcome.map(|response| response.status) {
            Ok(200..=299) => {
                let now_us = self.state.clock.now_us();
                self.note(key, token, &|record| record.alive_us = Some(now_us));
                Health::Alive(now_us)
            }
            Ok(401) => Health::Dead,
            Ok(_) => Health::Unknown,
            Err(error) => {
                log::write(
                    Level::Info,
                    format_args!(
                        "cannot check whether the token for {key} is still valid: {error}"
                    ),
                );
                Health::Unknown
            }
        }
    }

    /// Returns whether a record says something about a token.
    fn is_of(&self, record: &Record, token: &Token) -> bool {
        token.meta().kind == TokenKind::Key || record.generation == token.meta().generation
    }

    /// Notes something in the token's record. A configured secret has no record of its own, so this
    /// creates one without a token.
    fn note(&self, key: &TokenKey, token: &Token, change: &dyn Fn(&mut Record)) {
        let outcome = match self.record {
            Some(record) if self.is_of(record, token) => {
                self.state.store.update(key, record.generation, change)
            }
            None if token.meta().kind == TokenKind::Key => {
                let mut record = Record {
                    generation: self.state.next_generation(),
                    ..Record::default()
                };
                change(&mut record);
                self.lock.save(&record).map(drop)
            }
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            log::write(
                Level::Warn,
                format_args!("cannot store what is known of the token for {key}: {error}"),
            );
        }
    }

    /// Records that the service does not accept a configured secret, for all processes. The secret
    /// is then not handed out for a while.
    fn refuse_secret(&self, key: &TokenKey, token: &Token) {
        let (store, now_us) = (&*self.state.store, self.state.clock.now_us());
        let secret = self.state.fingerprint(self.bound, &[token.value()]);
        self.state
            .cache
            .remove(&token.key(), token.meta().generation);
        if negative_cache::lookup(store, &secret, now_us).is_none() {
            let what = format!(
                "{} rejected the configured secret; check that it is complete and active, and correct its setting",
                key.scope.service
            );
            let mut error = Error::new(ErrorKind::BadCredentials, what);
            negative_cache::record(store, &secret, Some(&mut error), now_us);
        }
        self.state.note_refusal(key, secret);
    }
}

/// Returns whether the stored time of the last rejection is exact enough.
fn is_recent(login: RejectLogin, now_us: i64) -> bool {
    (0..REJECTED_PRECISION_US).contains(&now_us.saturating_sub(login.rejected_us))
}

/// Returns how long after the last login that a rejection caused the next one may follow.
fn interval_us(last: Option<RejectLogin>) -> i64 {
    let step = last.map_or(0, |last| last.step.saturating_sub(1)) as usize;
    INTERVALS_US[step.min(INTERVALS_US.len() - 1)]
}

/// Builds the error for a resource that a valid token does not open.
fn alive(key: &TokenKey) -> Error {
    let what = format!(
        "the service rejects the token for {key} at this resource, but the token is valid; check the account's permissions there"
    );
    Error::new(ErrorKind::InsufficientAccess, what)
}

/// Builds the error for a token that may be dead, but that must not be replaced yet.
fn undecided(key: &TokenKey, waits_us: i64) -> Error {
    let what = format!(
        "the service rejected the token for {key} at this resource, and it rejected an earlier token a short time ago; \
         check the account's permissions there, or retry later"
    );
    Error::new(ErrorKind::BadCredentials, what)
        .with_retry_after_ms(u64::try_from(waits_us / 1000).ok())
        .temporary()
}
