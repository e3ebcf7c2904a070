//! The work of one flight: takes the store's lock, looks for a newer token, refreshes or acquires
//! the token, and stores it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::accounts::BoundService;
use crate::engine::acquisition::Acquisition;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::service_context::{Prerequisites, ServiceContext};
use crate::engine::state::{self, EngineState};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::TokenKey;
use crate::model::token::Token;
use crate::ports::service::{Acquired, TokenSpec};
use crate::ports::store::{Lock, LockResult};

/// Fetches one token.
pub struct Fetch<'a> {
    state: &'a EngineState,
    prerequisites: &'a dyn Prerequisites,
    bound: &'a BoundService,
    tokens: Persistence<'a>,
    acquisition: &'a Acquisition,
}

/// The outcome of waiting for the store's lock.
enum LockOutcome {
    /// This flight holds the lock.
    Locked(Box<dyn Lock>),
    /// The token appeared in the cache or the store while another process held the lock.
    AlreadyFetched(Token),
}

/// The source of the token.
enum Fetched {
    /// The service returned the token.
    New(Acquired),
    /// Another process stored the token.
    Adopted(Token),
}

impl<'a> Fetch<'a> {
    /// Prepares the flight of an acquisition.
    pub fn new(
        state: &'a EngineState,
        prerequisites: &'a dyn Prerequisites,
        acquisition: &'a Acquisition,
    ) -> Self {
        let bound = state
            .accounts
            .bound(acquisition.account, acquisition.service);
        Self {
            state,
            prerequisites,
            bound,
            tokens: Persistence::new(state, bound),
            acquisition,
        }
    }

    /// Fetches the token.
    ///
    /// # Errors
    /// Returns the errors of the service; [`ErrorKind::Busy`] if another process holds the lock,
    /// and either the deadline passes or the caller already has a valid token.
    pub fn run(&self) -> Result<Token> {
        let key = &self.acquisition.key;
        let began_us = self.state.clock.now_us();
        let _lock = match self.wait_for_lock()? {
            LockOutcome::Locked(lock) => lock,
            LockOutcome::AlreadyFetched(token) => return Ok(token),
        };
        if let Some(token) = self.find_newer() {
            return Ok(token);
        }
        self.tokens
            .failed_since(key, began_us)
            .map_or(Ok(()), Err)?;
        self.check_backoff()?;
        let newer = || self.tokens.newer_in_cache(self.acquisition);
        let context = ServiceContext {
            state: self.state,
            prerequisites: self.prerequisites,
            account: self.acquisition.account,
            service: self.acquisition.service,
            explicit: false,
            key: Some(key),
            newer: Some(&newer),
            deadline: None,
        };
        let outcome = self
            .renew_or_acquire(&context)
            .and_then(|fetched| match fetched {
                Fetched::New(acquired) => self.tokens.store_acquired(self.acquisition, acquired),
                Fetched::Adopted(token) => Ok(token),
            });
        // Another flight may have cached the token meanwhile, because it fetched a list with this
        // token.
        let outcome = outcome.or_else(|error| newer().ok_or(error));
        let error = outcome.as_ref().err();
        if let Some(error) = error.filter(|error| error.kind == ErrorKind::SecretSource) {
            self.tokens.note_failure(key, error);
        }
        // Don't back off after a lock timeout. The caller may retry at once.
        if error.is_none_or(|error| error.kind != ErrorKind::Busy) {
            self.state
                .backoff
                .record_outcome(key, error, self.state.clock.now_us());
        }
        outcome
    }

    /// Waits for the store's lock until the deadline, and tries again every 1 to 10 ms. Between
    /// tries it looks for a token that another process has stored. It stops waiting at once if the
    /// cache holds an unexpired token that lasts as long as the request needs.
    fn wait_for_lock(&self) -> Result<LockOutcome> {
        let deadline = Instant::now()
            + self
                .state
                .timeout
                .max(self.acquisition.caller_timeout.unwrap_or_default());
        let scope = self.bound.scope.fingerprint();
        let outcome = loop {
            let holder = match self.state.store.try_lock(&self.acquisition.key)? {
                LockResult::Locked(lock) => break Ok(LockOutcome::Locked(lock)),
                LockResult::Held(holder) => holder,
            };
            if let Some(token) = self.find_newer() {
                break Ok(LockOutcome::AlreadyFetched(token));
            }
            let error = busy(&self.acquisition.key, holder);
            self.state.blocked.lock().insert(scope, error.clone());
            let jitter = Duration::from_micros(1_000 + u64::from(state::random()) * 35);
            let now_us = self.state.now_us(self.bound);
            let cached = self.tokens.cached(&self.acquisition.key);
            let serves = cached.is_some_and(|hit| {
                freshness::lasts(hit.token.meta(), self.acquisition.min_valid, now_us)
            });
            if serves || Instant::now() >= deadline || !self.state.pause(jitter) {
                break Err(error);
            }
        };
        self.state.blocked.lock().remove(&scope);
        outcome
    }

    /// Returns a fresh token that has appeared in the cache or the store since the caller looked.
    ///
    /// Rationale: the cache is checked both before and after the store. Between those checks, a
    /// caller on another thread may copy the token from the store to the cache. The store then has
    /// no token newer than the cached one. Without the second check of the cache, the flight that
    /// held the lock then fetched another token, although this process and all waiting processes
    /// already had a fresh one.
    fn find_newer(&self) -> Option<Token> {
        let cached = || self.tokens.newer_in_cache(self.acquisition);
        cached()
            .or_else(|| self.tokens.load_newer(self.acquisition))
            .or_else(cached)
    }

    /// Applies rejections recorded by other processes, then checks whether the backoff allows a
    /// request.
    fn check_backoff(&self) -> Result<()> {
        let (backoff, key) = (&self.state.backoff, &self.acquisition.key);
        let record = self.tokens.record(key);
        let alias = self.state.aliases.read().get(key).cloned();
        let key = alias.as_ref().unwrap_or(key);
        if let Some(record) = record {
            record
                .replaced_us
                .iter()
                .for_each(|at_us| backoff.replaced(key, *at_us));
            if record.rejected {
                backoff.rejected(key, record.generation);
            }
        }
        backoff.check(key, self.state.clock.now_us())
    }

    /// Refreshes the token with the stored renewal secret. If there is none or the service rejects
    /// it, acquires a new token.
    fn renew_or_acquire(&self, context: &ServiceContext<'_>) -> Result<Fetched> {
        let acquisition = self.acquisition;
        let spec = TokenSpec {
            resource_kind: acquisition.key.resource_kind,
            id: acquisition.key.url_id(),
            access: acquisition.key.access,
            parent: acquisition.parent.as_deref(),
            link_secret: acquisition.link_secret.as_ref(),
            link_password: acquisition.link_password.as_ref(),
        };
        let mut tried = None;
        // The loop repeats only if another process has stored a newer renewal secret meanwhile.
        while let Some(record) = self
            .tokens
            .record(&acquisition.key)
            .filter(|record| Some(record.generation) > tried)
        {
            let Some(renewal) = &record.renewal else {
                break;
            };
            self.state.stats.renewals.fetch_add(1, Ordering::Relaxed);
            match self.bound.service.renew(&spec, renewal, context) {
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::BadCredentials | ErrorKind::Unsupported
                    ) =>
                {
                    log::write(
                        Level::Info,
                        format_args!(
                            "acquiring a new token for {}, because the present one cannot be refreshed: {error}",
                            acquisition.key
                        ),
                    );
                }
                outcome => return outcome.map(Fetched::New),
            }
            if let Some(token) = self.tokens.load_newer(acquisition) {
                return Ok(Fetched::Adopted(token));
            }
            // If the store has a later record by now, `drop_renewal` does not change that record.
            tried = Some(record.generation);
            self.tokens.drop_renewal(&acquisition.key, record);
        }
        self.bound.service.acquire(&spec, context).map(Fetched::New)
    }
}

/// Builds the error for a caller that cannot wait any longer for another process.
fn busy(key: &TokenKey, holder: Option<u32>) -> Error {
    let who = holder.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    );
    Error::new(
        ErrorKind::Busy,
        format!(
            "timed out waiting for {who} to fetch the token for {key}; retry, or check that process"
        ),
    )
}
