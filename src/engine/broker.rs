//! The one door: from a request to a token, from memory, from the store, or from the service.
//!
//! Decides under locks, acts outside them; whoever holds a valid token waits for nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::accounts::{BoundService, ResolvedResource};
use crate::engine::acquisition::{Acquisition, accesses, key_prefix, no_header};
use crate::engine::cache::entry::CachedToken;
use crate::engine::freshness;
use crate::engine::service_context::ServiceContext;
use crate::engine::single_flight::{self, Flight, Joined};
use crate::engine::state::{self, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, ResourceKind, TokenKey};
use crate::model::request::{Cancel, Request};
use crate::model::token::Token;
use crate::ports::service::{Acquired, FoundToken, RequiredAccess, TokenSpec};
use crate::ports::store::{Lock, LockResult};

/// How many refreshes run at most beside callers who don't wait for them.
const BESIDE: usize = 4;
/// How long a refresh beside has before another caller begins one.
const BESIDE_US: i64 = 30_000_000;

impl Engine {
    /// A token for a request, from wherever it comes.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub fn token_for(self: &Arc<Self>, request: &Request) -> Result<Token> {
        if request.cancel.is_cancelled() {
            return Err(single_flight::cancelled());
        }
        let account = self.accounts.number(request.account.as_deref())?;
        self.accounts.resolve(account, &request.resource, |resolved| self.serve(&resolved, request))
    }

    /// The hit: memory, a clock, a copy. Everything else is [`Engine::obtain`].
    #[inline]
    fn serve(self: &Arc<Self>, resolved: &ResolvedResource<'_>, request: &Request) -> Result<Token> {
        let bound = self.accounts.bound(resolved.account, resolved.service);
        let now_us = self.now_us(bound);
        let hit = self.in_memory(bound, resolved, request, now_us)?;
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us)
            && freshness::lasts(hit.token.meta(), request.min_valid, now_us)
        {
            if now_us >= hit.times.advisory_us {
                self.refresh_in_background(resolved, hit, now_us);
            }
            return Ok(hit.token.clone());
        }
        self.obtain(bound, resolved, request, hit)
    }

    /// The unexpired token in memory that serves a spot best.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if a link's secret can't be read.
    #[inline]
    pub fn in_memory(
        &self,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        now_us: i64,
    ) -> Result<Option<CachedToken>> {
        let live = |hit: &CachedToken| now_us < hit.token.meta().expires_us;
        if resolved.target.resource_kind == ResourceKind::Session {
            return Err(no_header(bound.service.name()));
        }
        if resolved.target.resource_kind == ResourceKind::Link {
            let package = self.opened_by(bound, resolved, request)?;
            return Ok(package.and_then(|key| self.cache.get(&key.borrow())).filter(live));
        }
        let prefix = key_prefix(bound, resolved);
        Ok(accesses(resolved.target.required, request.access).iter().find_map(|access| self.cache.get(&prefix.with(*access)).filter(live)))
    }

    /// The long way. `present` is the valid token that is not as fresh as it should be: it serves if nothing better comes.
    #[cold]
    fn obtain(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        present: Option<CachedToken>,
    ) -> Result<Token> {
        let mut acquisition = self.acquisition(bound, resolved, request, present.as_ref())?;
        let outcome = self.attempt(bound, resolved, &mut acquisition, request);
        let Err(error) = outcome else {
            return outcome;
        };
        if error.kind == ErrorKind::Cancelled {
            return Err(error);
        }
        let now_us = self.now_us(bound);
        // The store may have had one that is not fresh either.
        let present = present.filter(|hit| now_us < hit.token.meta().expires_us).or_else(|| self.cached(bound, &acquisition.key));
        if let Some(present) = present {
            // Another process is at it: nothing is wrong.
            let level = if error.kind == ErrorKind::Busy { Level::Info } else { Level::Warn };
            log::write(level, format_args!("{} could not be refreshed, the present token serves on: {error}", acquisition.key));
            return Ok(present.token);
        }
        let anything =
            matches!(error.kind, ErrorKind::NotConfigured | ErrorKind::LoginRequired | ErrorKind::NotFound | ErrorKind::InsufficientAccess);
        if anything && resolved.target.required == RequiredAccess::ManageElseWrite && request.access.is_none() {
            let read = Acquisition::new(resolved.account, resolved.service, acquisition.key.with_access(Access::Read));
            return self.load_newer(bound, &read).or_else(|| Some(self.cached(bound, &read.key)?.token)).ok_or(error);
        }
        Err(error)
    }

    fn attempt(
        self: &Arc<Self>,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &mut Acquisition,
        request: &Request,
    ) -> Result<Token> {
        if let Some(token) = self.stored_for(bound, resolved, acquisition, request) {
            if freshness::lasts(token.meta(), request.min_valid, self.now_us(bound)) {
                return Ok(token);
            }
            acquisition.stale = Some(token.meta().generation);
        }
        if let Some(error) = self.backoff.remaining(&acquisition.key, self.clock.now_us()) {
            return Err(error);
        }
        match self.flights.join(&acquisition.key) {
            // A configured secret needs no network, so no thread; but a plugin's may.
            Joined::Leader(flight) if acquisition.key.resource_kind == ResourceKind::Key && !asks_plugins(bound) => {
                self.flights.run_flight(&acquisition.key, &flight, || self.get(acquisition, false))
            }
            Joined::Leader(flight) => {
                self.launch(acquisition.clone(), Arc::clone(&flight), || ());
                self.wait(bound, &acquisition.key, &flight, request)
            }
            Joined::Follower(flight) => {
                self.stats.waits.fetch_add(1, Ordering::Relaxed);
                self.wait(bound, &acquisition.key, &flight, request)
            }
        }
    }

    /// What the store has for a spot, under any key that serves it.
    fn stored_for(
        &self,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        acquisition: &Acquisition,
        request: &Request,
    ) -> Option<Token> {
        if resolved.target.resource_kind == ResourceKind::Link {
            return self.load_newer(bound, acquisition);
        }
        for access in accesses(resolved.target.required, request.access) {
            let acquisition = Acquisition { key: acquisition.key.with_access(*access), ..acquisition.clone() };
            let token = self.load_newer(bound, &acquisition);
            // One that is to be renewed is in memory by now, and no later access stands in for it: as in the cache.
            if token.is_some() || self.cached(bound, &acquisition.key).is_some() {
                return token;
            }
        }
        None
    }

    fn wait(&self, bound: &BoundService, key: &TokenKey, flight: &Arc<Flight<Token>>, request: &Request) -> Result<Token> {
        let outcome = flight.wait(Instant::now() + request.timeout.unwrap_or(self.timeout), &request.cancel);
        outcome.map_err(|error| match error.kind {
            ErrorKind::Timeout => self.blocked.lock().get(&key.scope.fingerprint()).cloned().unwrap_or_else(|| {
                let why = bound.service.stalled().map(|why| format!(", {why}")).unwrap_or_default();
                Error::new(ErrorKind::Timeout, format!("no {key} in the time that the request has{why}: ask again, or give it more time"))
            }),
            _ => error,
        })
    }

    fn launch(self: &Arc<Self>, acquisition: Acquisition, flight: Arc<Flight<Token>>, after: impl FnOnce() + Send + 'static) {
        self.stats.flights.fetch_add(1, Ordering::Relaxed);
        let engine = Arc::clone(self);
        self.workers.run(move || {
            // Whoever waits gets the outcome from the flight.
            let _ = engine.flights.run_flight(&acquisition.key, &flight, || engine.get(&acquisition, false));
            after();
        });
    }

    /// Begins a refresh that nobody waits for, unless one is under way or enough are.
    #[cold]
    fn refresh_in_background(self: &Arc<Self>, resolved: &ResolvedResource<'_>, hit: &CachedToken, now_us: i64) {
        if !self.refreshes_in_background
            || self.closed.load(Ordering::Relaxed)
            // Never beyond the point where callers wait: a hit looks at no other time.
            || !self.cache.postpone(&hit.token.key(), &hit.times, (now_us + BESIDE_US).min(hit.times.mandatory_us))
        {
            return;
        }
        let bound = self.accounts.bound(resolved.account, resolved.service);
        let Ok(mut acquisition) = self.acquisition(bound, resolved, &Request::default(), Some(hit)) else { return };
        if acquisition.key.resource_kind != ResourceKind::Link {
            acquisition.key = acquisition.key.with_access(hit.token.meta().access);
        }
        if self.backoff.remaining(&acquisition.key, self.clock.now_us()).is_some()
            || self.background_refreshes.fetch_add(1, Ordering::Relaxed) >= BESIDE
        {
            self.background_refreshes.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let engine = Arc::clone(self);
        let landed = move || {
            engine.background_refreshes.fetch_sub(1, Ordering::Relaxed);
        };
        match self.flights.join(&acquisition.key) {
            Joined::Leader(flight) => {
                self.stats.background.fetch_add(1, Ordering::Relaxed);
                self.launch(acquisition, flight, landed);
            }
            Joined::Follower(_) => landed(),
        }
    }

    /// Another token that a flight needs. It flies on the flight's own thread.
    ///
    /// # Errors
    /// Those of getting it.
    pub fn prerequisite(&self, account: usize, service: usize, key: TokenKey) -> Result<Token> {
        let bound = self.accounts.bound(account, service);
        let now_us = self.now_us(bound);
        let hit = self.cache.get(&key.borrow()).filter(|hit| now_us < hit.token.meta().expires_us);
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us) {
            return Ok(hit.token.clone());
        }
        let acquisition =
            Acquisition { stale: hit.as_ref().map(|hit| hit.token.meta().generation), ..Acquisition::new(account, service, key) };
        let outcome = match self.flights.join(&acquisition.key) {
            Joined::Leader(flight) => self.flights.run_flight(&acquisition.key, &flight, || self.get(&acquisition, false)),
            Joined::Follower(flight) => flight.wait(Instant::now() + self.timeout * 3, &Cancel::default()),
        };
        outcome.or_else(|error| self.cached(bound, &acquisition.key).map(|hit| hit.token).ok_or(error))
    }

    /// A listing, by one flight for all who ask.
    ///
    /// # Errors
    /// Those of the job.
    pub fn coalesce(
        &self,
        account: usize,
        service: usize,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        let bound = self.accounts.bound(account, service);
        let key = (bound.scope.fingerprint(), name.to_owned());
        match self.listings.join(&key) {
            Joined::Follower(flight) => flight.wait(Instant::now() + self.timeout * 10, &Cancel::default()),
            Joined::Leader(flight) => self.listings.run_flight(&key, &flight, || {
                let found = job()?;
                found.iter().for_each(|found| self.cache_found(bound, found));
                Ok(Arc::new(found))
            }),
        }
    }

    /// The work of a flight: under the store's lock look once more, then renew or acquire, then keep.
    ///
    /// # Errors
    /// Those of the service.
    pub fn get(&self, acquisition: &Acquisition, explicit: bool) -> Result<Token> {
        let bound = self.accounts.bound(acquisition.account, acquisition.service);
        let asked_us = self.clock.now_us();
        let _lock = match self.turn(bound, acquisition)? {
            LockOutcome::Ours(lock) => lock,
            LockOutcome::Landed(token) => return Ok(token),
        };
        if let Some(token) = self.find_newer(bound, acquisition) {
            return Ok(token);
        }
        self.failed_since(bound, &acquisition.key, asked_us).map_or(Ok(()), Err)?;
        self.begin(bound, &acquisition.key)?;
        let landed = || self.newer_in_cache(bound, acquisition);
        let context = ServiceContext {
            engine: self,
            account: acquisition.account,
            service: acquisition.service,
            explicit,
            key: Some(&acquisition.key),
            newer: Some(&landed),
            deadline: None,
        };
        let outcome = self.fetch(bound, acquisition, &context).and_then(|fetched| match fetched {
            Fetched::New(acquired) => self.store_acquired(bound, acquisition, acquired),
            Fetched::Adopted(token) => Ok(token),
        });
        // Somebody else's listing may have brought it meanwhile.
        let outcome = outcome.or_else(|error| landed().ok_or(error));
        if let Some(error) = outcome.as_ref().err().filter(|error| error.kind == ErrorKind::SecretSource) {
            self.note_failure(bound, &acquisition.key, error);
        }
        // Who waited in vain for another process may wait again.
        if outcome.as_ref().err().is_none_or(|error| error.kind != ErrorKind::Busy) {
            self.backoff.record_outcome(&acquisition.key, outcome.as_ref().err(), self.clock.now_us());
        }
        outcome
    }

    /// What was rejected in other processes counts as it does here.
    fn begin(&self, bound: &BoundService, key: &TokenKey) -> Result<()> {
        let record = self.record(bound, key);
        let kept_as = self.aliases.read().get(key).cloned();
        let key = kept_as.as_ref().unwrap_or(key);
        if let Some(record) = record {
            record.replaced_us.iter().for_each(|at_us| self.backoff.replaced(key, *at_us));
            if record.rejected {
                self.backoff.rejected(key, record.generation);
            }
        }
        self.backoff.check(key, self.clock.now_us())
    }

    /// What is there by now, in memory or in the store.
    ///
    /// Rationale: memory is looked at once more, for a caller in another thread may bring it there from the store between the two looks.
    /// Then the store has nothing newer, and a flight that held the lock of many processes went out for what all of them had.
    fn find_newer(&self, bound: &BoundService, acquisition: &Acquisition) -> Option<Token> {
        self.newer_in_cache(bound, acquisition)
            .or_else(|| self.load_newer(bound, acquisition))
            .or_else(|| self.newer_in_cache(bound, acquisition))
    }

    /// Waits for the store's lock, and between tries for somebody else's token. Nobody waits who holds one that has not ended and
    /// lasts as long as was asked for.
    fn turn(&self, bound: &BoundService, acquisition: &Acquisition) -> Result<LockOutcome> {
        let deadline = Instant::now() + self.timeout.max(acquisition.patience.unwrap_or_default());
        let scope = bound.scope.fingerprint();
        let turn = loop {
            let holder = match self.store.try_lock(&acquisition.key)? {
                LockResult::Locked(lock) => break Ok(LockOutcome::Ours(lock)),
                LockResult::Held(holder) => holder,
            };
            if let Some(token) = self.find_newer(bound, acquisition) {
                break Ok(LockOutcome::Landed(token));
            }
            let error = busy(&acquisition.key, holder);
            self.blocked.lock().insert(scope, error.clone());
            let jitter = Duration::from_micros(1_000 + u64::from(state::random()) * 35);
            let now_us = self.now_us(bound);
            let serves =
                self.cached(bound, &acquisition.key).is_some_and(|hit| freshness::lasts(hit.token.meta(), acquisition.min_valid, now_us));
            if serves || Instant::now() >= deadline || !self.pause(jitter) {
                break Err(error);
            }
        };
        self.blocked.lock().remove(&scope);
        turn
    }

    fn fetch(&self, bound: &BoundService, acquisition: &Acquisition, context: &ServiceContext<'_>) -> Result<Fetched> {
        let spec = TokenSpec {
            resource_kind: acquisition.key.resource_kind,
            id: acquisition.key.bare_id(),
            access: acquisition.key.access,
            parent: acquisition.parent.as_deref(),
            link_secret: acquisition.link_secret.as_ref(),
            link_password: acquisition.link_password.as_ref(),
        };
        let mut tried = None;
        // A second time if another process has stored a newer renewal secret meanwhile.
        while let Some(record) = self.record(bound, &acquisition.key).filter(|record| Some(record.generation) > tried) {
            let Some(renewal) = &record.renewal else { break };
            self.stats.renewals.fetch_add(1, Ordering::Relaxed);
            match bound.service.renew(&spec, renewal, context) {
                Err(error) if matches!(error.kind, ErrorKind::BadCredentials | ErrorKind::Unsupported) => {
                    log::write(Level::Info, format_args!("{} could not be renewed, logging in again: {error}", acquisition.key));
                }
                outcome => return outcome.map(Fetched::New),
            }
            if let Some(token) = self.load_newer(bound, acquisition) {
                return Ok(Fetched::Adopted(token));
            }
            // A later record stays as it is.
            tried = Some(record.generation);
            self.drop_renewal(&acquisition.key, record);
        }
        bound.service.acquire(&spec, context).map(Fetched::New)
    }
}

fn asks_plugins(bound: &BoundService) -> bool {
    bound.service.is_foreign() || bound.profile.asks_plugins()
}

/// Whose turn it is.
enum LockOutcome {
    /// This flight's.
    Ours(Box<dyn Lock>),
    /// It was another's, and there is a token.
    Landed(Token),
}

/// What a service, or another process, gave.
enum Fetched {
    New(Acquired),
    Adopted(Token),
}

/// The error of who can't wait for another process any longer.
fn busy(key: &TokenKey, holder: Option<u32>) -> Error {
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::new(ErrorKind::Busy, format!("{key} is being got by {who}, and that takes long: ask again, or look what stops it"))
}
