//! Resolves a request to a token: cache, then store, then service.
//!
//! No mutex is held while a token is fetched. A caller never waits if its cached token is fresh.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::engine::accounts::{Accounts, BoundService, ResolvedResource};
use crate::engine::acquisition::{Acquisition, accesses};
use crate::engine::cache::entry::CachedToken;
use crate::engine::fetch::Fetch;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::rejections::Asker;
use crate::engine::saves::{Closing, MAX_RENEWAL_AT_END, MAX_SAVE_AT_END};
use crate::engine::service_context::Prerequisites;
use crate::engine::single_flight::{self, Flight, Joined, SingleFlight};
use crate::engine::state::{EngineParts, EngineState};
use crate::engine::workers::Workers;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, RequiredAccess, ResourceKind, TokenKey};
use crate::model::request::{Cancel, Request};
use crate::model::token::{Token, TokenKind};
use crate::ports::service::FoundToken;
use crate::ports::wait_budget::WaitBudget;

/// The maximum number of background refreshes that run at the same time.
const MAX_BACKGROUND_REFRESHES: usize = 4;
/// The minimum time between two background refreshes of the same token.
const BACKGROUND_GRACE_US: i64 = 30_000_000;
/// A flight waits at most this many times the timeout of an HTTP exchange for another flight.
const MAX_TIMEOUTS: u32 = 10;
/// The maximum number of further attempts if each attempt finds a token that the caller has rejected
/// before, or that is too old for the caller.
const MAX_UNUSABLE_IN_A_ROW: usize = 3;

/// The engine's entry point.
pub struct Broker {
    /// The shared state.
    pub state: EngineState,
    /// The running fetches of single tokens.
    flights: SingleFlight<TokenKey, Token>,
    /// The running fetches for callers that rejected the present token. Only these callers share
    /// the outcome.
    replacements: SingleFlight<TokenKey, Token>,
    /// The running fetches of whole lists, such as all packages of a team. The key is the scope's
    /// fingerprint and the name of the list.
    listings: SingleFlight<(u64, String), Arc<Vec<FoundToken>>>,
    workers: Arc<Workers>,
    /// Whether tokens that are due for refresh are refreshed in the background. False in a program
    /// that runs only for one call.
    refreshes_in_background: bool,
    background_refreshes: AtomicUsize,
}

impl Broker {
    /// Creates a broker for these accounts. `refreshes_in_background` says whether tokens that are
    /// due for refresh are refreshed while callers use them.
    pub fn new(accounts: Accounts, parts: EngineParts, refreshes_in_background: bool) -> Arc<Self> {
        let broker = Arc::new(Self {
            state: EngineState::new(accounts, parts),
            flights: SingleFlight::default(),
            replacements: SingleFlight::default(),
            listings: SingleFlight::default(),
            workers: Arc::default(),
            refreshes_in_background,
            background_refreshes: AtomicUsize::new(0),
        });
        let session: Arc<dyn Closing> = Arc::clone(&broker) as _;
        broker.state.saves.set_session(Arc::downgrade(&session));
        broker
    }

    /// Returns a token for a request: from the cache, the store or the service.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] if the request was cancelled; the errors of [`Accounts::resolve`];
    /// the errors of fetching the token.
    pub fn token_for(self: &Arc<Self>, request: &Request) -> Result<Token> {
        if request.cancel.is_cancelled() {
            return Err(single_flight::cancelled());
        }
        let accounts = &self.state.accounts;
        let account = accounts.number(request.account.as_deref())?;
        accounts.resolve(account, &request.resource, |resolved| {
            self.serve_hit(&resolved, request)
        })
    }

    /// Runs `work` on a worker thread, which then calls `done` with the outcome.
    pub fn start<T: 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.workers.run(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            done(outcome.unwrap_or_else(|_| Err(single_flight::panicked())));
        });
    }

    /// Does what [`Broker::begin_close`] does, then waits for the worker threads and their saves: at
    /// most 500 ms, or 1 second if a renewal was sent.
    pub fn close(&self) {
        let began = Instant::now();
        self.begin_close(began + MAX_RENEWAL_AT_END);
        self.state.saves.wait(began);
        self.workers.close(began + MAX_SAVE_AT_END);
        self.state.saves.abandon();
    }

    /// Returns the number of tokens that are being fetched.
    pub fn flights_under_way(&self) -> usize {
        self.flights.count() + self.replacements.count()
    }

    /// Returns the flights that an acquisition may join.
    fn flights_of(&self, acquisition: &Acquisition) -> &SingleFlight<TokenKey, Token> {
        if acquisition.rejected {
            &self.replacements
        } else {
            &self.flights
        }
    }

    /// Serves a fresh cached token: one cache lookup, one clock read, one copy. Any other case goes
    /// to [`Broker::serve_miss`].
    #[inline]
    fn serve_hit(
        self: &Arc<Self>,
        resolved: &ResolvedResource<'_>,
        request: &Request,
    ) -> Result<Token> {
        let bound = self
            .state
            .accounts
            .bound(resolved.account, resolved.service);
        let now_us = self.state.now_us(bound);
        let hit = Persistence::new(&self.state, bound).cached_for(resolved, request, now_us)?;
        let is_usable = |hit: &CachedToken| {
            now_us < hit.times.mandatory_us
                && !hit.rejected
                && freshness::lasts(hit.token.meta(), request.min_valid, now_us)
                && freshness::is_recent(hit.token.meta(), request.max_age, now_us)
        };
        match hit {
            Some(hit) if is_usable(&hit) => {
                if now_us >= hit.times.advisory_us {
                    self.refresh_in_background(resolved, &hit, now_us);
                }
                Ok(hit.token)
            }
            hit => self.serve_miss(bound, resolved, request, hit),
        }
    }

    #[cold]
    fn serve_miss(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        present: Option<CachedToken>,
    ) -> Result<Token> {
        self.load_or_fetch(bound, resolved, request, present)
            .map_err(|error| error.with_service(bound.service.name()))
    }

    /// Handles a miss. `present` is a cached token that is valid but not fresh enough. The caller
    /// gets it if no better token can be fetched.
    fn load_or_fetch(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        present: Option<CachedToken>,
    ) -> Result<Token> {
        let deadline = Instant::now() + request.timeout.unwrap_or(self.state.timeout);
        let _budget = WaitBudget::begin(Some(deadline));
        let mut acquisition =
            Acquisition::of_request(&self.state, bound, resolved, request, present.as_ref())?;
        let tokens = Persistence::new(&self.state, bound);
        let asker = Asker::Resource(resolved.path);
        let mut outcome = self.try_once(bound, resolved, &mut acquisition, request, deadline);
        // The caller may also have rejected the newer token that the flight found, or the token may
        // be too old for the caller.
        for _ in 0..MAX_UNUSABLE_IN_A_ROW {
            match &outcome {
                Ok(token) if tokens.forbids(token, asker) => {
                    acquisition.reject(token.meta().generation);
                }
                Ok(token) if !self.is_recent(bound, token, request) => {
                    acquisition.stale_generation = Some(token.meta().generation);
                }
                _ => break,
            }
            outcome = self.try_once(bound, resolved, &mut acquisition, request, deadline);
        }
        let Err(error) = outcome else {
            return outcome;
        };
        if error.kind == ErrorKind::Cancelled {
            return Err(error);
        }
        let now_us = self.state.now_us(bound);
        // `try_once` may have cached a stored token that is valid but not fresh.
        let present = present
            .filter(|hit| now_us < hit.token.meta().expires_us)
            .or_else(|| tokens.cached(&acquisition.key))
            .filter(|hit| !tokens.forbids(&hit.token, asker))
            .filter(|hit| self.is_recent(bound, &hit.token, request));
        if let Some(present) = present {
            // Busy means that another process is fetching the token, so nothing is wrong.
            let level = if error.kind == ErrorKind::Busy {
                Level::Info
            } else {
                Level::Warn
            };
            log::write(
                level,
                format_args!(
                    "using the cached token for {}, because it cannot be refreshed: {error}",
                    acquisition.key
                ),
            );
            return Ok(present.token);
        }
        let any_access_helps = matches!(
            error.kind,
            ErrorKind::NotConfigured
                | ErrorKind::LoginRequired
                | ErrorKind::NotFound
                | ErrorKind::InsufficientAccess
        );
        if any_access_helps
            && resolved.target.required == RequiredAccess::ManageElseWrite
            && request.access.is_none()
        {
            let read = Acquisition::new(
                resolved.account,
                resolved.service,
                acquisition.key.with_access(Access::Read),
            );
            return tokens
                .load_newer(&read)
                .or_else(|| Some(tokens.cached(&read.key)?.token))
                .filter(|token| !tokens.forbids(token, asker))
                .filter(|token| self.is_recent(bound, token, request))
                .ok_or(error);
        }
        Err(error)
    }

    /// Returns whether a token is recent enough for a request. A configured secret always is.
    fn is_recent(&self, bound: &BoundService, token: &Token, request: &Request) -> bool {
        token.meta().kind == TokenKind::Key
            || freshness::is_recent(token.meta(), request.max_age, self.state.now_us(bound))
    }

    /// Makes one attempt: looks in the store, checks the backoff, then leads or joins a flight.
    fn try_once(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &mut Acquisition,
        request: &Request,
        deadline: Instant,
    ) -> Result<Token> {
        if let Some(token) = self.stored_for(bound, resolved, acquisition, request) {
            let meta = *token.meta();
            let asker = Asker::Resource(&acquisition.resource);
            let is_rejected = Persistence::new(&self.state, bound).forbids(&token, asker);
            if is_rejected && meta.access == acquisition.key.access {
                acquisition.reject(meta.generation);
            } else if !is_rejected
                && freshness::lasts(&meta, request.min_valid, self.state.now_us(bound))
                && self.is_recent(bound, &token, request)
            {
                log::write(
                    Level::Debug,
                    format_args!(
                        "{}: using the token from the store, generation {}",
                        acquisition.key, meta.generation
                    ),
                );
                return Ok(token);
            } else {
                acquisition.stale_generation = Some(meta.generation);
            }
        }
        if let Some(error) = self
            .state
            .backoff
            .remaining(&acquisition.key, self.state.clock.now_us())
        {
            log::write(
                Level::Debug,
                format_args!(
                    "{}: no attempt for the next {} ms, because the last one failed",
                    acquisition.key,
                    error.retry_after_ms.unwrap_or(0)
                ),
            );
            return Err(error);
        }
        loop {
            let outcome = match self.flights_of(acquisition).join(&acquisition.key) {
                // A configured secret needs no network, so the caller's own thread reads it. A
                // secret from a plugin may block, so a worker thread reads it.
                Joined::Leader(flight)
                    if acquisition.key.resource_kind == ResourceKind::Key
                        && !acquisition.rejected
                        && !uses_plugin_secrets(bound) =>
                {
                    return self.run(acquisition, &flight);
                }
                Joined::Leader(flight) => {
                    self.state.stats.flights.fetch_add(1, Ordering::Relaxed);
                    self.run_on_thread(acquisition.clone(), Arc::clone(&flight), || ());
                    return self.wait(bound, acquisition, &flight, request, deadline);
                }
                Joined::Follower(flight) => {
                    self.state.stats.waits.fetch_add(1, Ordering::Relaxed);
                    log::write(
                        Level::Debug,
                        format_args!("{}: waiting for the fetch of another call", acquisition.key),
                    );
                    self.wait(bound, acquisition, &flight, request, deadline)
                }
            };
            // The flight of another caller waits for a lock only until that caller's deadline. If
            // it gave up, this caller starts or joins the next flight.
            if !self.is_worth_joining_again(&outcome, deadline)
                || Persistence::new(&self.state, bound).serves(acquisition)
            {
                return outcome;
            }
        }
    }

    /// Returns whether a caller whose flight ended with this outcome may join the next flight.
    fn is_worth_joining_again(&self, outcome: &Result<Token>, deadline: Instant) -> bool {
        let is_busy = |error: &Error| error.kind == ErrorKind::Busy;
        outcome.as_ref().is_err_and(is_busy)
            && Instant::now() < deadline
            && !self.state.closed.load(Ordering::Acquire)
    }

    /// Returns the stored token for a resource. Tries the acceptable access levels in order, and
    /// returns the first token found. Notes the generation of the record that the flight would
    /// replace.
    pub fn stored_for(
        &self,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &mut Acquisition,
        request: &Request,
    ) -> Option<Token> {
        let tokens = Persistence::new(&self.state, bound);
        if resolved.target.resource_kind == ResourceKind::Link {
            return tokens.load_newer(acquisition);
        }
        let wanted = acquisition.key.access;
        for access in accesses(resolved.target.required, request.access) {
            let candidate = Acquisition {
                key: acquisition.key.with_access(*access),
                ..acquisition.clone()
            };
            let record = tokens.record(&candidate.key);
            if let Some(record) = record.as_ref().filter(|_| *access == wanted) {
                acquisition.seen_generation = record.generation;
            }
            let token = record.and_then(|record| tokens.newer_token(&candidate, record));
            // `newer_token` caches a token that is due for refresh, but does not return it. If it
            // has cached such a token, stop here: the token only needs a refresh, so a token of
            // another access level must not replace it.
            if token.is_some() || tokens.cached(&candidate.key).is_some() {
                return token;
            }
        }
        None
    }

    /// Waits for a flight until the request's deadline. The timeout error names the cause of the
    /// delay if it is known: a lock, a secret source or a plugin.
    fn wait(
        &self,
        bound: &BoundService,
        acquisition: &Acquisition,
        flight: &Arc<Flight<Token>>,
        request: &Request,
        deadline: Instant,
    ) -> Result<Token> {
        let outcome = flight.wait(deadline, &request.cancel);
        let key = &acquisition.key;
        outcome.map_err(|error| match error.kind {
            ErrorKind::Timeout => self.state.blocked_by(key).unwrap_or_else(|| {
                let why = bound
                    .service
                    .stalled()
                    .map(|why| format!(": {why}"))
                    .unwrap_or_default();
                Error::new(
                    ErrorKind::Timeout,
                    format!("timed out waiting for the token for {key}{why}; retry, or set a longer timeout"),
                )
            }),
            _ => error,
        })
    }

    /// Fetches a token that another flight needs. A worker thread fetches the token, and may still be
    /// storing it when this function returns. If a flight for the token is already running, waits
    /// for that flight. If that flight ends because its own caller's deadline has passed, starts or
    /// joins the next flight, until `deadline`.
    fn fetch_needed(
        self: &Arc<Self>,
        acquisition: &Acquisition,
        deadline: Instant,
    ) -> Result<Token> {
        loop {
            let (flight, leads) = match self.flights_of(acquisition).join(&acquisition.key) {
                Joined::Leader(flight) => {
                    self.run_on_thread(acquisition.clone(), Arc::clone(&flight), || ());
                    (flight, true)
                }
                Joined::Follower(flight) => (flight, false),
            };
            let until = Instant::now() + self.state.timeout * MAX_TIMEOUTS;
            let outcome = flight.wait(until, &Cancel::default());
            if leads || !self.is_worth_joining_again(&outcome, deadline) {
                return outcome;
            }
        }
    }

    /// Runs a flight on the calling thread.
    fn run(self: &Arc<Self>, acquisition: &Acquisition, flight: &Flight<Token>) -> Result<Token> {
        let flights = self.flights_of(acquisition);
        flights.run(&acquisition.key, flight, || {
            Fetch::new(&self.state, self, acquisition).run(flight)
        })
    }

    /// Runs a flight on a worker thread, then runs `after` there.
    fn run_on_thread(
        self: &Arc<Self>,
        acquisition: Acquisition,
        flight: Arc<Flight<Token>>,
        after: impl FnOnce() + Send + 'static,
    ) {
        let broker = Arc::clone(self);
        self.workers.run(move || {
            // The waiting callers read the outcome from the flight.
            let _ = broker.run(&acquisition, &flight);
            after();
        });
    }

    /// Starts a refresh that no caller waits for. Does nothing if this key is already being
    /// fetched, or if [`MAX_BACKGROUND_REFRESHES`] refreshes are running.
    #[cold]
    fn refresh_in_background(
        self: &Arc<Self>,
        resolved: &ResolvedResource<'_>,
        hit: &CachedToken,
        now_us: i64,
    ) {
        let state = &self.state;
        // Don't postpone the advisory time past the mandatory time. `Cache::fresh` compares only
        // the advisory time, so it would hand out the token after its mandatory time.
        let next_us = (now_us + BACKGROUND_GRACE_US).min(hit.times.mandatory_us);
        if !self.refreshes_in_background
            || state.closed.load(Ordering::Relaxed)
            || !state.cache.postpone(&hit.token.key(), &hit.times, next_us)
        {
            return;
        }
        let bound = state.accounts.bound(resolved.account, resolved.service);
        let Ok(mut acquisition) =
            Acquisition::of_request(state, bound, resolved, &Request::default(), Some(hit))
        else {
            return;
        };
        if acquisition.key.resource_kind != ResourceKind::Link {
            acquisition.key = acquisition.key.with_access(hit.token.meta().access);
        }
        if state
            .backoff
            .remaining(&acquisition.key, state.clock.now_us())
            .is_some()
            || self.background_refreshes.fetch_add(1, Ordering::Relaxed) >= MAX_BACKGROUND_REFRESHES
        {
            self.background_refreshes.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let broker = Arc::clone(self);
        let done = move || {
            broker.background_refreshes.fetch_sub(1, Ordering::Relaxed);
        };
        match self.flights.join(&acquisition.key) {
            Joined::Leader(flight) => {
                state.stats.background.fetch_add(1, Ordering::Relaxed);
                state.stats.flights.fetch_add(1, Ordering::Relaxed);
                self.run_on_thread(acquisition, flight, done);
            }
            Joined::Follower(_) => done(),
        }
    }
}

impl Closing for Broker {
    /// Ends HTTP exchanges, retry pauses, and the waits of callers. Renewals that were sent may be
    /// answered until the deadline.
    fn begin_close(&self, deadline: Instant) {
        self.state.close(deadline);
        let closed = Error::new(ErrorKind::Cancelled, "the session was closed");
        self.flights.close(&closed);
        self.replacements.close(&closed);
        self.listings.close(&closed);
    }
}

impl Prerequisites for Arc<Broker> {
    /// Returns a cached token, or fetches one.
    fn token(
        &self,
        account: usize,
        service: usize,
        key: TokenKey,
        resource: &str,
        caller_timeout: Option<Duration>,
        before_fetch: &dyn Fn(),
    ) -> Result<Token> {
        let bound = self.state.accounts.bound(account, service);
        let tokens = Persistence::new(&self.state, bound);
        let forbids = |token: &Token| tokens.forbids(token, Asker::Flight(resource));
        let now_us = self.state.now_us(bound);
        let hit = self
            .state
            .cache
            .get(&key.borrow())
            .filter(|hit| now_us < hit.token.meta().expires_us);
        let rejected = hit
            .as_ref()
            .is_some_and(|hit| hit.rejected && forbids(&hit.token));
        if let Some(hit) = hit
            .as_ref()
            .filter(|hit| now_us < hit.times.mandatory_us && !rejected)
        {
            return Ok(hit.token.clone());
        }
        before_fetch();
        let mut acquisition = Acquisition {
            resource: resource.into(),
            rejected,
            stale_generation: hit.as_ref().map(|hit| hit.token.meta().generation),
            caller_timeout,
            ..Acquisition::new(account, service, key)
        };
        let deadline = Instant::now() + acquisition.lock_timeout(&self.state);
        let mut outcome = self.fetch_needed(&acquisition, deadline);
        // The stored token may be the one that the calling flight rejected.
        if let Some(token) = outcome.as_ref().ok().filter(|token| forbids(token)) {
            acquisition.reject(token.meta().generation);
            outcome = self.fetch_needed(&acquisition, deadline);
        }
        let cached = || {
            tokens
                .cached(&acquisition.key)
                .map(|hit| hit.token)
                .filter(|token| !forbids(token))
        };
        outcome.or_else(|error| cached().ok_or(error))
    }

    fn listing(
        &self,
        account: usize,
        service: usize,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        let bound = self.state.accounts.bound(account, service);
        let key = (bound.scope.fingerprint(), name.to_owned());
        match self.listings.join(&key) {
            Joined::Follower(flight) => {
                let deadline = Instant::now() + self.state.timeout * MAX_TIMEOUTS;
                flight.wait(deadline, &Cancel::default())
            }
            Joined::Leader(flight) => self.listings.run(&key, &flight, || {
                let found = job()?;
                let tokens = Persistence::new(&self.state, bound);
                found.iter().for_each(|found| tokens.cache_found(found));
                Ok(Arc::new(found))
            }),
        }
    }
}

fn uses_plugin_secrets(bound: &BoundService) -> bool {
    bound.service.is_foreign() || bound.profile.uses_plugin_secrets()
}
