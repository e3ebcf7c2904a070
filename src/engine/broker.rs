//! The one door: from a request to a token, from memory, from the store, or from the service.
//!
//! Decides under locks, acts outside them; whoever holds a valid token waits for nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::accounts::{Bound, Spot};
use crate::engine::acquisition::{Wish, accesses, no_header, thing_of};
use crate::engine::cache::entry::Hit;
use crate::engine::freshness;
use crate::engine::service_context::Errand;
use crate::engine::single_flight::{self, Flight, Joined};
use crate::engine::state::{self, Engine};
use crate::error::{Error, Kind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, Class, Key};
use crate::model::request::{Cancel, Request};
use crate::model::token::Token;
use crate::ports::service::{Acquired, Found, Need, Want};
use crate::ports::store::{Attempt, Lock};

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
        self.accounts.locate(account, &request.resource, |spot| self.serve(&spot, request))
    }

    /// The hit: memory, a clock, a copy. Everything else is [`Engine::obtain`].
    #[inline]
    fn serve(self: &Arc<Self>, spot: &Spot<'_>, request: &Request) -> Result<Token> {
        let bound = self.accounts.bound(spot.account, spot.service);
        let now_us = self.now_us(bound);
        let hit = self.in_memory(bound, spot, request, now_us)?;
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us)
            && freshness::lasts(hit.token.facts(), request.min_valid, now_us)
        {
            if now_us >= hit.times.soft_us {
                self.refresh_beside(spot, hit, now_us);
            }
            return Ok(hit.token.clone());
        }
        self.obtain(bound, spot, request, hit)
    }

    /// The unexpired token in memory that serves a spot best.
    ///
    /// # Errors
    /// [`Kind::InvalidResource`] if a link's secret can't be read.
    #[inline]
    pub fn in_memory(&self, bound: &Bound, spot: &Spot<'_>, request: &Request, now_us: i64) -> Result<Option<Hit>> {
        let live = |hit: &Hit| now_us < hit.token.facts().expires_us;
        if spot.target.class == Class::Session {
            return Err(no_header(bound.service.name()));
        }
        if spot.target.class == Class::Link {
            let package = self.opened_by(bound, spot, request)?;
            return Ok(package.and_then(|key| self.cache.get(&key.borrow())).filter(live));
        }
        let thing = thing_of(bound, spot);
        Ok(accesses(spot.target.need, request.access).iter().find_map(|access| self.cache.get(&thing.with(*access)).filter(live)))
    }

    /// The long way. `present` is the valid token that is not as fresh as it should be: it serves if nothing better comes.
    #[cold]
    fn obtain(self: &Arc<Self>, bound: &Bound, spot: &Spot<'_>, request: &Request, present: Option<Hit>) -> Result<Token> {
        let mut wish = self.wish(bound, spot, request, present.as_ref())?;
        let outcome = self.attempt(bound, spot, &mut wish, request);
        let Err(error) = outcome else {
            return outcome;
        };
        if error.kind == Kind::Cancelled {
            return Err(error);
        }
        let now_us = self.now_us(bound);
        // The store may have had one that is not fresh either.
        let present = present.filter(|hit| now_us < hit.token.facts().expires_us).or_else(|| self.held(bound, &wish.key));
        if let Some(present) = present {
            // Another process is at it: nothing is wrong.
            let level = if error.kind == Kind::Busy { Level::Info } else { Level::Warn };
            log::write(level, format_args!("{} could not be refreshed, the present token serves on: {error}", wish.key));
            return Ok(present.token);
        }
        let anything = matches!(error.kind, Kind::NotConfigured | Kind::LoginRequired | Kind::NotFound | Kind::WrongAccess);
        if anything && spot.target.need == Need::ManageElseWrite && request.access.is_none() {
            let read = Wish::new(spot.account, spot.service, wish.key.with_access(Access::Read));
            return self.stored(bound, &read).or_else(|| Some(self.held(bound, &read.key)?.token)).ok_or(error);
        }
        Err(error)
    }

    fn attempt(self: &Arc<Self>, bound: &Bound, spot: &Spot<'_>, wish: &mut Wish, request: &Request) -> Result<Token> {
        if let Some(token) = self.stored_for(bound, spot, wish, request) {
            if freshness::lasts(token.facts(), request.min_valid, self.now_us(bound)) {
                return Ok(token);
            }
            wish.stale = Some(token.facts().generation);
        }
        if let Some(error) = self.pace.pause(&wish.key, self.clock.now_us()) {
            return Err(error);
        }
        match self.flights.join(&wish.key) {
            // A configured secret needs no network, so no thread; but a plugin's may.
            Joined::Lead(flight) if wish.key.class == Class::Key && !asks_plugins(bound) => {
                self.flights.fly(&wish.key, &flight, || self.get(wish, false))
            }
            Joined::Lead(flight) => {
                self.launch(wish.clone(), Arc::clone(&flight), || ());
                self.wait(bound, &wish.key, &flight, request)
            }
            Joined::Follow(flight) => {
                self.stats.waits.fetch_add(1, Ordering::Relaxed);
                self.wait(bound, &wish.key, &flight, request)
            }
        }
    }

    /// What the store has for a spot, under any key that serves it.
    fn stored_for(&self, bound: &Bound, spot: &Spot<'_>, wish: &Wish, request: &Request) -> Option<Token> {
        if spot.target.class == Class::Link {
            return self.stored(bound, wish);
        }
        for access in accesses(spot.target.need, request.access) {
            let wish = Wish { key: wish.key.with_access(*access), ..wish.clone() };
            let token = self.stored(bound, &wish);
            // One that is to be renewed is in memory by now, and no later access stands in for it: as in the cache.
            if token.is_some() || self.held(bound, &wish.key).is_some() {
                return token;
            }
        }
        None
    }

    fn wait(&self, bound: &Bound, key: &Key, flight: &Arc<Flight<Token>>, request: &Request) -> Result<Token> {
        let outcome = flight.wait(Instant::now() + request.timeout.unwrap_or(self.timeout), &request.cancel);
        outcome.map_err(|error| match error.kind {
            Kind::Timeout => self.blocked.lock().get(&key.scope.fingerprint()).cloned().unwrap_or_else(|| {
                let why = bound.service.stalled().map(|why| format!(", {why}")).unwrap_or_default();
                Error::new(Kind::Timeout, format!("no {key} in the time that the request has{why}: ask again, or give it more time"))
            }),
            _ => error,
        })
    }

    fn launch(self: &Arc<Self>, wish: Wish, flight: Arc<Flight<Token>>, after: impl FnOnce() + Send + 'static) {
        self.stats.flights.fetch_add(1, Ordering::Relaxed);
        let engine = Arc::clone(self);
        self.workers.run(move || {
            // Whoever waits gets the outcome from the flight.
            let _ = engine.flights.fly(&wish.key, &flight, || engine.get(&wish, false));
            after();
        });
    }

    /// Begins a refresh that nobody waits for, unless one is under way or enough are.
    #[cold]
    fn refresh_beside(self: &Arc<Self>, spot: &Spot<'_>, hit: &Hit, now_us: i64) {
        if !self.refreshes_beside
            || self.closed.load(Ordering::Relaxed)
            // Never beyond the point where callers wait: a hit looks at no other time.
            || !self.cache.postpone(&hit.token.key(), &hit.times, (now_us + BESIDE_US).min(hit.times.mandatory_us))
        {
            return;
        }
        let bound = self.accounts.bound(spot.account, spot.service);
        let Ok(mut wish) = self.wish(bound, spot, &Request::default(), Some(hit)) else { return };
        if wish.key.class != Class::Link {
            wish.key = wish.key.with_access(hit.token.facts().access);
        }
        if self.pace.pause(&wish.key, self.clock.now_us()).is_some() || self.beside.fetch_add(1, Ordering::Relaxed) >= BESIDE {
            self.beside.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let engine = Arc::clone(self);
        let landed = move || {
            engine.beside.fetch_sub(1, Ordering::Relaxed);
        };
        match self.flights.join(&wish.key) {
            Joined::Lead(flight) => {
                self.stats.beside.fetch_add(1, Ordering::Relaxed);
                self.launch(wish, flight, landed);
            }
            Joined::Follow(_) => landed(),
        }
    }

    /// Another token that a flight needs. It flies on the flight's own thread.
    ///
    /// # Errors
    /// Those of getting it.
    pub fn prerequisite(&self, account: usize, service: usize, key: Key) -> Result<Token> {
        let bound = self.accounts.bound(account, service);
        let now_us = self.now_us(bound);
        let hit = self.cache.get(&key.borrow()).filter(|hit| now_us < hit.token.facts().expires_us);
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us) {
            return Ok(hit.token.clone());
        }
        let wish = Wish { stale: hit.as_ref().map(|hit| hit.token.facts().generation), ..Wish::new(account, service, key) };
        let outcome = match self.flights.join(&wish.key) {
            Joined::Lead(flight) => self.flights.fly(&wish.key, &flight, || self.get(&wish, false)),
            Joined::Follow(flight) => flight.wait(Instant::now() + self.timeout * 3, &Cancel::default()),
        };
        outcome.or_else(|error| self.held(bound, &wish.key).map(|hit| hit.token).ok_or(error))
    }

    /// A listing, by one flight for all who ask.
    ///
    /// # Errors
    /// Those of the job.
    pub fn once(&self, account: usize, service: usize, name: &str, job: &mut dyn FnMut() -> Result<Vec<Found>>) -> Result<Arc<Vec<Found>>> {
        let bound = self.accounts.bound(account, service);
        let key = (bound.scope.fingerprint(), name.to_owned());
        match self.listings.join(&key) {
            Joined::Follow(flight) => flight.wait(Instant::now() + self.timeout * 10, &Cancel::default()),
            Joined::Lead(flight) => self.listings.fly(&key, &flight, || {
                let found = job()?;
                found.iter().for_each(|found| self.keep_in_memory(bound, found));
                Ok(Arc::new(found))
            }),
        }
    }

    /// The work of a flight: under the store's lock look once more, then renew or acquire, then keep.
    ///
    /// # Errors
    /// Those of the service.
    pub fn get(&self, wish: &Wish, explicit: bool) -> Result<Token> {
        let bound = self.accounts.bound(wish.account, wish.service);
        let asked_us = self.clock.now_us();
        let _lock = match self.turn(bound, wish)? {
            Turn::Ours(lock) => lock,
            Turn::Landed(token) => return Ok(token),
        };
        if let Some(token) = self.landed(bound, wish) {
            return Ok(token);
        }
        self.failed_since(bound, &wish.key, asked_us).map_or(Ok(()), Err)?;
        self.begin(bound, &wish.key)?;
        let landed = || self.settled(bound, wish);
        let errand = Errand {
            engine: self,
            account: wish.account,
            service: wish.service,
            explicit,
            key: Some(&wish.key),
            landed: Some(&landed),
            deadline: None,
        };
        let outcome = self.fetch(bound, wish, &errand).and_then(|fetched| match fetched {
            Fetched::New(acquired) => self.keep(bound, wish, acquired),
            Fetched::Adopted(token) => Ok(token),
        });
        // Somebody else's listing may have brought it meanwhile.
        let outcome = outcome.or_else(|error| landed().ok_or(error));
        if let Some(error) = outcome.as_ref().err().filter(|error| error.kind == Kind::SecretSource) {
            self.note_failure(bound, &wish.key, error);
        }
        // Who waited in vain for another process may wait again.
        if outcome.as_ref().err().is_none_or(|error| error.kind != Kind::Busy) {
            self.pace.end(&wish.key, outcome.as_ref().err(), self.clock.now_us());
        }
        outcome
    }

    /// What was rejected in other processes counts as it does here.
    fn begin(&self, bound: &Bound, key: &Key) -> Result<()> {
        let record = self.record(bound, key);
        let kept_as = self.aliases.read().get(key).cloned();
        let key = kept_as.as_ref().unwrap_or(key);
        if let Some(record) = record {
            record.replaced_us.iter().for_each(|at_us| self.pace.replaced(key, *at_us));
            if record.rejected {
                self.pace.rejected(key, record.generation);
            }
        }
        self.pace.begin(key, self.clock.now_us())
    }

    /// What is there by now, in memory or in the store.
    ///
    /// Rationale: memory is looked at once more, for a caller in another thread may bring it there from the store between the two looks.
    /// Then the store has nothing newer, and a flight that held the lock of many processes went out for what all of them had.
    fn landed(&self, bound: &Bound, wish: &Wish) -> Option<Token> {
        self.settled(bound, wish).or_else(|| self.stored(bound, wish)).or_else(|| self.settled(bound, wish))
    }

    /// Waits for the store's lock, and between tries for somebody else's token. Nobody waits who holds one that has not ended and
    /// lasts as long as was asked for.
    fn turn(&self, bound: &Bound, wish: &Wish) -> Result<Turn> {
        let deadline = Instant::now() + self.timeout.max(wish.patience.unwrap_or_default());
        let scope = bound.scope.fingerprint();
        let turn = loop {
            let holder = match self.store.try_lock(&wish.key)? {
                Attempt::Locked(lock) => break Ok(Turn::Ours(lock)),
                Attempt::Held(holder) => holder,
            };
            if let Some(token) = self.landed(bound, wish) {
                break Ok(Turn::Landed(token));
            }
            let error = busy(&wish.key, holder);
            self.blocked.lock().insert(scope, error.clone());
            let jitter = Duration::from_micros(1_000 + u64::from(state::random()) * 35);
            let now_us = self.now_us(bound);
            let serves = self.held(bound, &wish.key).is_some_and(|hit| freshness::lasts(hit.token.facts(), wish.min_valid, now_us));
            if serves || Instant::now() >= deadline || !self.pause(jitter) {
                break Err(error);
            }
        };
        self.blocked.lock().remove(&scope);
        turn
    }

    fn fetch(&self, bound: &Bound, wish: &Wish, errand: &Errand<'_>) -> Result<Fetched> {
        let want = Want {
            class: wish.key.class,
            id: wish.key.bare_id(),
            access: wish.key.access,
            parent: wish.parent.as_deref(),
            link_secret: wish.link_secret.as_ref(),
            link_password: wish.link_password.as_ref(),
        };
        let mut tried = None;
        // A second time if another process has stored a newer renewal secret meanwhile.
        while let Some(record) = self.record(bound, &wish.key).filter(|record| Some(record.generation) > tried) {
            let Some(renewal) = &record.renewal else { break };
            self.stats.renewals.fetch_add(1, Ordering::Relaxed);
            match bound.service.renew(&want, renewal, errand) {
                Err(error) if matches!(error.kind, Kind::Refused | Kind::Unsupported) => {
                    log::write(Level::Info, format_args!("{} could not be renewed, logging in again: {error}", wish.key));
                }
                outcome => return outcome.map(Fetched::New),
            }
            if let Some(token) = self.stored(bound, wish) {
                return Ok(Fetched::Adopted(token));
            }
            // A later record stays as it is.
            tried = Some(record.generation);
            self.drop_renewal(&wish.key, record);
        }
        bound.service.acquire(&want, errand).map(Fetched::New)
    }
}

fn asks_plugins(bound: &Bound) -> bool {
    bound.service.is_foreign() || bound.profile.asks_plugins()
}

/// Whose turn it is.
enum Turn {
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
fn busy(key: &Key, holder: Option<u32>) -> Error {
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::new(Kind::Busy, format!("{key} is being got by {who}, and that takes long: ask again, or look what stops it"))
}
