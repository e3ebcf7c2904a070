//! Resolves a request to a token: cache, then store, then service.
//!
//! It decides under locks and acts outside them. A caller that holds a valid token waits for
//! nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::engine::accounts::{Accounts, BoundService, ResolvedResource};
use crate::engine::acquisition::{Acquisition, accesses};
use crate::engine::cache::entry::CachedToken;
use crate::engine::fetch::Fetch;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::service_context::Prerequisites;
use crate::engine::single_flight::{self, Flight, Joined, SingleFlight};
use crate::engine::state::{EngineParts, EngineState};
use crate::engine::workers::Workers;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, ResourceKind, TokenKey};
use crate::model::request::{Cancel, Request};
use crate::model::token::Token;
use crate::ports::service::{FoundToken, RequiredAccess};

/// At most this many refreshes run in the background at the same time.
const MAX_BACKGROUND_REFRESHES: usize = 4;
/// A background refresh has this long before another caller begins one.
const BACKGROUND_GRACE_US: i64 = 30_000_000;
/// When the session closes, flights have this long to end.
const MAX_CLOSE: Duration = Duration::from_secs(1);

/// The entry to the engine.
pub struct Broker {
    /// The shared state.
    pub state: EngineState,
    /// The tokens that are being fetched.
    flights: SingleFlight<TokenKey, Token>,
    /// The listings that are being fetched, by scope and name.
    listings: SingleFlight<(u64, String), Arc<Vec<FoundToken>>>,
    workers: Arc<Workers>,
    /// Whether tokens that are due are refreshed while callers use them: not in a program that ends
    /// at once.
    refreshes_in_background: bool,
    background_refreshes: AtomicUsize,
}

impl Broker {
    /// A broker for these accounts. `refreshes_in_background` says whether tokens that are due are
    /// refreshed while callers use them.
    pub fn new(accounts: Accounts, parts: EngineParts, refreshes_in_background: bool) -> Self {
        Self {
            state: EngineState::new(accounts, parts),
            flights: SingleFlight::default(),
            listings: SingleFlight::default(),
            workers: Arc::default(),
            refreshes_in_background,
            background_refreshes: AtomicUsize::new(0),
        }
    }

    /// A token for a request: from the cache, the store or the service.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], those of reading the resource, and those of fetching the token.
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

    /// Ends exchanges, pauses and threads.
    pub fn close(&self) {
        self.state.close();
        self.workers.wait_idle(MAX_CLOSE);
    }

    /// How many tokens are being fetched.
    pub fn flights_under_way(&self) -> usize {
        self.flights.count()
    }

    /// The hit: one look at the cache, one at the clock, one copy. Everything else is
    /// [`Broker::obtain`].
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
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us)
            && freshness::lasts(hit.token.meta(), request.min_valid, now_us)
        {
            if now_us >= hit.times.advisory_us {
                self.refresh_in_background(resolved, hit, now_us);
            }
            return Ok(hit.token.clone());
        }
        self.serve_miss(bound, resolved, request, hit)
    }

    /// The miss. `present` is a valid token that is not fresh enough: it serves if nothing better
    /// comes.
    #[cold]
    fn serve_miss(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        present: Option<CachedToken>,
    ) -> Result<Token> {
        let mut acquisition =
            Acquisition::of_request(&self.state, bound, resolved, request, present.as_ref())?;
        let outcome = self.try_once(bound, resolved, &mut acquisition, request);
        let Err(error) = outcome else {
            return outcome;
        };
        if error.kind == ErrorKind::Cancelled {
            return Err(error);
        }
        let now_us = self.state.now_us(bound);
        let tokens = Persistence::new(&self.state, bound);
        // The store may have had one that is not fresh either.
        let present = present
            .filter(|hit| now_us < hit.token.meta().expires_us)
            .or_else(|| tokens.cached(&acquisition.key));
        if let Some(present) = present {
            // Busy: another process refreshes it, so nothing is wrong.
            let level = if error.kind == ErrorKind::Busy {
                Level::Info
            } else {
                Level::Warn
            };
            log::write(
                level,
                format_args!(
                    "{} could not be refreshed, the present token serves on: {error}",
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
                .ok_or(error);
        }
        Err(error)
    }

    /// One try: the store, then the backoff, then a flight.
    fn try_once(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &mut Acquisition,
        request: &Request,
    ) -> Result<Token> {
        if let Some(token) = self.stored_for(bound, resolved, acquisition, request) {
            if freshness::lasts(token.meta(), request.min_valid, self.state.now_us(bound)) {
                return Ok(token);
            }
            acquisition.stale_generation = Some(token.meta().generation);
        }
        if let Some(error) = self
            .state
            .backoff
            .remaining(&acquisition.key, self.state.clock.now_us())
        {
            return Err(error);
        }
        match self.flights.join(&acquisition.key) {
            // A configured secret needs no network, so no thread; but a plugin's may.
            Joined::Leader(flight)
                if acquisition.key.resource_kind == ResourceKind::Key
                    && !uses_plugin_secrets(bound) =>
            {
                self.run(acquisition, &flight)
            }
            Joined::Leader(flight) => {
                self.run_on_thread(acquisition.clone(), Arc::clone(&flight), || ());
                self.wait(bound, &acquisition.key, &flight, request)
            }
            Joined::Follower(flight) => {
                self.state.stats.waits.fetch_add(1, Ordering::Relaxed);
                self.wait(bound, &acquisition.key, &flight, request)
            }
        }
    }

    /// The stored token that serves a resource, under the first access that has one.
    fn stored_for(
        &self,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &Acquisition,
        request: &Request,
    ) -> Option<Token> {
        let tokens = Persistence::new(&self.state, bound);
        if resolved.target.resource_kind == ResourceKind::Link {
            return tokens.load_newer(acquisition);
        }
        for access in accesses(resolved.target.required, request.access) {
            let acquisition = Acquisition {
                key: acquisition.key.with_access(*access),
                ..acquisition.clone()
            };
            let token = tokens.load_newer(&acquisition);
            // A token due for refresh is already cached. As in the cache, don't substitute another
            // access level.
            if token.is_some() || tokens.cached(&acquisition.key).is_some() {
                return token;
            }
        }
        None
    }

    fn wait(
        &self,
        bound: &BoundService,
        key: &TokenKey,
        flight: &Arc<Flight<Token>>,
        request: &Request,
    ) -> Result<Token> {
        let outcome = flight.wait(
            Instant::now() + request.timeout.unwrap_or(self.state.timeout),
            &request.cancel,
        );
        outcome.map_err(|error| match error.kind {
            ErrorKind::Timeout => self.state.blocked.lock().get(&key.scope.fingerprint()).cloned().unwrap_or_else(|| {
                let why = bound.service.stalled().map(|why| format!(", {why}")).unwrap_or_default();
                Error::new(ErrorKind::Timeout, format!("no {key} in the time that the request has{why}: ask again, or give it more time"))
            }),
            _ => error,
        })
    }

    /// Runs a flight on this thread.
    fn run(&self, acquisition: &Acquisition, flight: &Flight<Token>) -> Result<Token> {
        self.flights.run(&acquisition.key, flight, || {
            Fetch::new(&self.state, self, acquisition).run()
        })
    }

    /// Runs a flight on a thread of its own, and `after` behind it.
    fn run_on_thread(
        self: &Arc<Self>,
        acquisition: Acquisition,
        flight: Arc<Flight<Token>>,
        after: impl FnOnce() + Send + 'static,
    ) {
        self.state.stats.flights.fetch_add(1, Ordering::Relaxed);
        let broker = Arc::clone(self);
        self.workers.run(move || {
            // Waiters get the outcome from the flight.
            let _ = broker.run(&acquisition, &flight);
            after();
        });
    }

    /// Begins a refresh that nobody waits for, unless one is under way or enough are.
    #[cold]
    fn refresh_in_background(
        self: &Arc<Self>,
        resolved: &ResolvedResource<'_>,
        hit: &CachedToken,
        now_us: i64,
    ) {
        let state = &self.state;
        // Never beyond the point where callers wait: a hit looks at no other time.
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
                self.run_on_thread(acquisition, flight, done);
            }
            Joined::Follower(_) => done(),
        }
    }
}

impl Prerequisites for Broker {
    /// Fetches the token on the thread of the flight that needs it.
    fn token(&self, account: usize, service: usize, key: TokenKey) -> Result<Token> {
        let bound = self.state.accounts.bound(account, service);
        let now_us = self.state.now_us(bound);
        let hit = self
            .state
            .cache
            .get(&key.borrow())
            .filter(|hit| now_us < hit.token.meta().expires_us);
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us) {
            return Ok(hit.token.clone());
        }
        let acquisition = Acquisition {
            stale_generation: hit.as_ref().map(|hit| hit.token.meta().generation),
            ..Acquisition::new(account, service, key)
        };
        let outcome = match self.flights.join(&acquisition.key) {
            Joined::Leader(flight) => self.run(&acquisition, &flight),
            Joined::Follower(flight) => {
                flight.wait(Instant::now() + self.state.timeout * 3, &Cancel::default())
            }
        };
        let cached = || {
            Persistence::new(&self.state, bound)
                .cached(&acquisition.key)
                .map(|hit| hit.token)
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
                flight.wait(Instant::now() + self.state.timeout * 10, &Cancel::default())
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
