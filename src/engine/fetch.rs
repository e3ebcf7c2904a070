//! The work of one flight: takes the store's lock, looks for a newer token, refreshes or acquires
//! the token, and stores it.
//!
//! The store reads the key's stored record when it grants the lock, and the whole flight uses that
//! record. A flight loads another record in two cases only: it loads the record of a link's
//! package, and it loads the key's record again after the service rejected the renewal secret.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::accounts::BoundService;
use crate::engine::acquisition::Acquisition;
use crate::engine::persistence::{FlightSave, Persistence};
use crate::engine::replacement::Decision;
use crate::engine::service_context::{LockedFlight, Prerequisites, ServiceContext};
use crate::engine::single_flight::Flight;
use crate::engine::state::{Blocked, EngineState, NAME_STOPPED_AFTER};
use crate::error::{ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{ResourceKind, TokenKey};
use crate::model::token::Token;
use crate::ports::service::{Acquired, TokenSpec};
use crate::ports::store::{Record, RecordLock, RejectLogin, Turn};
use crate::ports::wait_budget::WaitBudget;
use crate::secret::Secret;

/// How often a flight looks whether the process that it waits for is stopped.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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
    Locked(Box<dyn RecordLock>),
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
    /// Prepares to fetch the token that `acquisition` describes.
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

    /// Fetches the token, and stores it. Callers that wait for the flight can take the token before
    /// it is stored.
    ///
    /// # Errors
    /// Returns the errors of the service; [`ErrorKind::Busy`] if another process holds the lock
    /// until the deadline. If the cache has an unexpired token that lasts as long as the request
    /// needs, the wait ends at once with this error, and the caller returns the cached token.
    pub fn run(&self, waiting: &Flight<Token>) -> Result<Token> {
        let _budget = WaitBudget::begin(None);
        let key = &self.acquisition.key;
        let began_us = self.state.clock.now_us();
        let lock = match self.wait_for_lock()? {
            LockOutcome::Locked(lock) => lock,
            LockOutcome::AlreadyFetched(token) => return Ok(self.fetched_elsewhere(token)),
        };
        let record = self.tokens.locked_record(key, &*lock);
        if let Some(token) = self.find_newer(record.as_ref()) {
            return Ok(self.fetched_elsewhere(token));
        }
        self.tokens
            .failed_since(key, began_us)
            .map_or(Ok(()), Err)?;
        let backoff = self.state.backoff.remaining(key, self.state.clock.now_us());
        backoff.map_or(Ok(()), Err)?;
        self.tokens.check_unusable(key)?;
        let newer = || self.tokens.newer_in_cache(self.acquisition);
        let flight = LockedFlight {
            lock: &*lock,
            sent: Cell::new(false),
            renewal: RefCell::default(),
        };
        let context = ServiceContext {
            state: self.state,
            prerequisites: self.prerequisites,
            account: self.acquisition.account,
            service: self.acquisition.service,
            explicit: false,
            used: RefCell::default(),
            key: Some(key),
            flight: Some(&flight),
            newer: Some(&newer),
            reader: RefCell::new(self.state.http.reader(self.acquisition.account)),
            deadline: None,
            caller_timeout: self.acquisition.caller_timeout,
        };
        let save = FlightSave {
            lock: flight.lock,
            renewal: &flight.renewal,
            waiting,
            login: self.may_replace(record.as_ref(), &context, &*lock)?,
        };
        let outcome = self
            .renew_or_acquire(&context, &flight)
            .and_then(|fetched| match fetched {
                Fetched::New(acquired) => {
                    let mut stored = self.tokens.store_fetched(self.acquisition, acquired, save);
                    self.tokens.note_unusable(key, stored.as_mut().err());
                    stored
                }
                Fetched::Adopted(token) => Ok(token),
            });
        // Another flight may have cached the token meanwhile, because it fetched a list that
        // contains this token.
        let outcome = outcome.or_else(|error| newer().ok_or_else(|| context.with_sources(error)));
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

    /// Logs that another process or flight has fetched the token meanwhile.
    fn fetched_elsewhere(&self, token: Token) -> Token {
        log::write(
            Level::Debug,
            format_args!(
                "{}: another process or call has fetched the token, generation {}",
                self.acquisition.key,
                token.meta().generation
            ),
        );
        token
    }

    /// Waits for the store's lock until the deadline. Tries the lock again after each delay that
    /// the store returns. With each try, looks for a token that another process has stored. Stops
    /// waiting at once if the cache holds an unexpired token that lasts as long as the request
    /// needs.
    fn wait_for_lock(&self) -> Result<LockOutcome> {
        let outcome = self.ask_for_lock();
        self.state.blocked.lock().remove(&self.acquisition.key);
        outcome
    }

    fn ask_for_lock(&self) -> Result<LockOutcome> {
        let acquisition = self.acquisition;
        let began = Instant::now();
        let deadline = began + acquisition.lock_timeout(self.state);
        let stale = acquisition.stale_generation.unwrap_or(0);
        let mut above = stale.max(acquisition.seen_generation);
        let mut holder = HolderWatch::new(began);
        loop {
            let retry_after = match self.state.store.turn(&acquisition.key, above)? {
                Turn::Locked(lock) => {
                    holder.log_end(&acquisition.key);
                    return Ok(LockOutcome::Locked(lock));
                }
                Turn::Newer(record) => {
                    // If this record has no fresh token, try the lock again. From now on, the
                    // store must report only records with a later generation.
                    above = record.generation;
                    let record = self.tokens.usable(&acquisition.key, *record);
                    match self.find_newer(Some(&record)) {
                        Some(token) => return Ok(LockOutcome::AlreadyFetched(token)),
                        None => continue,
                    }
                }
                Turn::Held { retry_after } => retry_after,
            };
            if let Some(token) = self.find_while_held() {
                return Ok(LockOutcome::AlreadyFetched(token));
            }
            holder.look(self.state, &acquisition.key);
            if self.tokens.serves(acquisition)
                || Instant::now() >= deadline
                || !self.state.pause(retry_after)
            {
                return Err(self.state.locked_error(&acquisition.key, began));
            }
        }
    }

    /// Returns the fresh token that has appeared while another process held the lock. If the store
    /// has a newer record of the key, `Store::turn` returns that record instead of the lock. The store does
    /// not do so for the record of a link's package, so this function loads that record.
    fn find_while_held(&self) -> Option<Token> {
        let cached = || self.tokens.newer_in_cache(self.acquisition);
        if self.acquisition.key.resource_kind != ResourceKind::Link {
            return cached();
        }
        cached()
            .or_else(|| self.tokens.load_newer(self.acquisition))
            .or_else(cached)
    }

    /// Returns a fresh token that has appeared in the cache or in the record since the caller looked
    /// there.
    ///
    /// Rationale: the cache is checked both before and after the record. Between those checks, a
    /// caller on another thread may copy the token from the store to the cache. The record then has
    /// no token newer than the cached one. Without the second check, a flight would fetch a token
    /// that another thread had just cached.
    fn find_newer(&self, record: Option<&Record>) -> Option<Token> {
        let cached = || self.tokens.newer_in_cache(self.acquisition);
        cached()
            .or_else(|| self.tokens.newer_token(self.acquisition, record?.clone()))
            .or_else(cached)
    }

    /// Decides whether the token that the caller rejected may be replaced. A token that has expired
    /// or was forgotten meanwhile needs no decision.
    ///
    /// # Errors
    /// Returns the errors of [`Decision::replace`]. They concern only the callers that rejected the
    /// token.
    fn may_replace(
        &self,
        record: Option<&Record>,
        context: &ServiceContext<'_>,
        lock: &dyn RecordLock,
    ) -> Result<Option<RejectLogin>> {
        let acquisition = self.acquisition;
        let is_it = |token: &Token| acquisition.stale_generation == Some(token.meta().generation);
        let cached = || Some(self.tokens.cached(&acquisition.key)?.token).filter(is_it);
        let stored = || record?.token.clone().filter(is_it);
        let rejected = acquisition.rejected.then(|| cached().or_else(stored));
        let Some(token) = rejected.flatten() else {
            return Ok(None);
        };
        // The token of a link is stored in the record of its package.
        let package = (acquisition.key.resource_kind == ResourceKind::Link)
            .then(|| self.tokens.record(&self.bound.key_of(&token)));
        let record = package.as_ref().map_or(record, Option::as_ref);
        let decision = Decision {
            state: self.state,
            bound: self.bound,
            record,
            lock,
            context,
        };
        decision.replace(&token)
    }

    /// Refreshes the token with the stored renewal secret. If there is none or the service rejects
    /// it, acquires a new token.
    fn renew_or_acquire(
        &self,
        context: &ServiceContext<'_>,
        flight: &LockedFlight<'_>,
    ) -> Result<Fetched> {
        let acquisition = self.acquisition;
        let spec = acquisition.spec();
        if let Some(renewal) = self.take_renewal(context, flight)? {
            if let Some(acquired) = self.renew(&spec, renewal, context, flight)? {
                return Ok(Fetched::New(acquired));
            }
            flight.renewal.take();
            // The renewal was rejected. A login outside a flight may have stored a newer token.
            if let Some(token) = self.tokens.load_newer(acquisition) {
                return Ok(Fetched::Adopted(token));
            }
        }
        self.bound.service.acquire(&spec, context).map(Fetched::New)
    }

    /// Removes the renewal secret from the store and returns it. If the record belongs to another
    /// user, returns `None` and leaves the secret in the store.
    ///
    /// # Errors
    /// Returns the recorded error of the last renewal until the backoff for that error ends. Until
    /// then the flight does not log in either, because keyferry sends no request to the service
    /// during a backoff.
    fn take_renewal(
        &self,
        context: &ServiceContext<'_>,
        flight: &LockedFlight<'_>,
    ) -> Result<Option<Secret>> {
        let is_own = |record: &Record| self.tokens.is_own(&self.acquisition.key, record);
        if !flight.lock.record().is_some_and(is_own) {
            return Ok(None);
        }
        context.check_renewal()?;
        // The end of the process waits from here on, because only this flight has the secret.
        let running = self.state.saves.begin_renewal();
        let renewal = flight.lock.take_renewal();
        flight.renewal.replace(renewal.is_some().then_some(running));
        Ok(renewal)
    }

    /// Refreshes the token. Returns `None` if the service rejects the renewal secret.
    fn renew(
        &self,
        spec: &TokenSpec<'_>,
        renewal: Secret,
        context: &ServiceContext<'_>,
        flight: &LockedFlight<'_>,
    ) -> Result<Option<Acquired>> {
        self.state.stats.renewals.fetch_add(1, Ordering::Relaxed);
        flight.sent.set(false);
        let error = match self.bound.service.renew(spec, &renewal, context) {
            Ok(acquired) => return Ok(Some(acquired)),
            Err(error) => error,
        };
        if matches!(
            error.kind,
            ErrorKind::BadCredentials | ErrorKind::Unsupported
        ) {
            log::write(
                Level::Info,
                format_args!(
                    "acquiring a new token for {}, because the present one cannot be refreshed: {error}",
                    self.acquisition.key
                ),
            );
            return Ok(None);
        }
        if !flight.sent.get() {
            flight.lock.return_renewal(renewal);
        }
        Err(error)
    }
}

/// Reports on the holder of a lock, for a flight that waits for the lock of its key.
struct HolderWatch {
    began: Instant,
    /// When to look whether the holder is stopped. `None` after a warning.
    look_at: Option<Instant>,
    is_noted: bool,
}

impl HolderWatch {
    fn new(began: Instant) -> Self {
        Self {
            began,
            look_at: Some(began + NAME_STOPPED_AFTER),
            is_noted: false,
        }
    }

    /// Logs how long the flight waited for the lock, if it had to wait.
    fn log_end(&self, key: &TokenKey) {
        if self.is_noted {
            let ms = self.began.elapsed().as_millis();
            log::write(
                Level::Debug,
                format_args!("{key}: got the lock after {ms} ms"),
            );
        }
    }

    /// Notes what the flight waits for, for callers that time out. Logs one warning if the holder
    /// is stopped.
    ///
    /// Rationale: finding out about the holder takes longer than a try for the lock. When each try
    /// did so, 50 processes that waited for one login opened files of `/proc` 50,000 times.
    fn look(&mut self, state: &EngineState, key: &TokenKey) {
        if !self.is_noted {
            self.is_noted = true;
            log::write(
                Level::Debug,
                format_args!(
                    "{key}: waiting for the lock, because another process is fetching this token"
                ),
            );
            let blocked = Blocked::ByLock { since: self.began };
            state.blocked.lock().insert(key.clone(), blocked);
        }
        let now = Instant::now();
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_at = Some(now + LOOK_INTERVAL);
        if state.store.lock_holder(key).is_some_and(|it| it.is_stopped) {
            self.look_at = None;
            let error = state.locked_error(key, self.began);
            log::write(Level::Warn, format_args!("{error}"));
        }
    }
}
