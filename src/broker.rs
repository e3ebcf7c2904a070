//! The one door: from a request to a token, from memory, from the store, or from the service.
//!
//! Imports the whole engine below it. Decides under locks, acts outside them; whoever holds a valid token waits for nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::accounts::{Accounts, Bound, Spot};
use crate::cache::{Cache, Hit};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::exchange::Errand;
use crate::flight::{self, Flight, Flights, Joined, Workers};
use crate::freshness;
use crate::http::Http;
use crate::key::{Access, Class, Fingerprint, Fingerprinter, Key, KeyRef};
use crate::log::{self, Level};
use crate::pace::Pace;
use crate::refusal;
use crate::request::{Cancel, Request};
use crate::secret::Secret;
use crate::service::{Acquired, Found, Need, Want};
use crate::store::{Record, Store};
use crate::token::{Facts, Kind as TokenKind, NO_EXPIRY, Token};

/// How many refreshes run at most beside callers who don't wait for them.
const BESIDE: usize = 4;
/// How long a refresh beside has before another caller begins one.
const BESIDE_US: i64 = 30_000_000;

/// What the session did.
#[derive(Default)]
pub struct Stats {
    /// Flights begun.
    pub flights: AtomicU64,
    /// Callers who waited for somebody else's flight.
    pub waits: AtomicU64,
    /// Exchanges with services.
    pub exchanges: AtomicU64,
    /// Of these the ones that carried the user's secrets.
    pub logins: AtomicU64,
    /// Tokens renewed without the user's secrets.
    pub renewals: AtomicU64,
    /// Refreshes that ran beside callers.
    pub beside: AtomicU64,
    /// Refusals that were answered from memory.
    pub refused_from_memory: AtomicU64,
    /// Tokens that callers rejected.
    pub rejected: AtomicU64,
}

/// The engine.
pub struct Broker {
    /// Whose services there are.
    pub accounts: Accounts,
    /// Tokens in memory.
    pub cache: Cache,
    /// Records beyond it.
    pub store: Box<dyn Store>,
    /// The way to the network.
    pub http: Box<dyn Http>,
    /// The wall clock.
    pub clock: Clock,
    /// Fingerprints of secrets.
    pub fingerprints: Fingerprinter,
    /// How long one exchange may take, and a request that doesn't say.
    pub timeout: Duration,
    /// What was done.
    pub stats: Stats,
    /// When what failed is tried again.
    pub pace: Pace,
    /// The latest generation: the clock may stand still between two tokens.
    generation: AtomicU64,
    /// Which refusal is remembered because of a key.
    refusals: Mutex<HashMap<Key, Fingerprint>>,
    /// The packages that links opened.
    pub aliases: RwLock<HashMap<Key, Key>>,
    /// The tokens under way.
    pub flights: Flights<Key, Token>,
    /// The listings under way.
    pub listings: Flights<(u64, String), Arc<Vec<Found>>>,
    /// Threads of flights.
    pub workers: Arc<Workers>,
    /// How many flights have no caller.
    pub beside: AtomicUsize,
    /// Whether refreshes run beside callers: not in a program that ends at once.
    pub refreshes_beside: bool,
    /// The session is being closed.
    pub closed: AtomicBool,
    /// Wakes those who pause when it is.
    pub closing: (Mutex<()>, Condvar),
}

/// What an engine is made of.
pub struct Parts {
    /// Keeps records.
    pub store: Box<dyn Store>,
    /// Sends requests.
    pub http: Box<dyn Http>,
    /// The wall clock.
    pub clock: Clock,
    /// How long one exchange may take.
    pub timeout: Duration,
    /// Whether refreshes run beside callers.
    pub refreshes_beside: bool,
}

/// What is wanted, owned: a flight outlives the call that began it.
#[derive(Clone)]
pub struct Wish {
    account: usize,
    service: usize,
    key: Key,
    parent: Option<String>,
    link_secret: Option<Secret>,
    link_password: Option<Secret>,
    /// The generation that will not do, if there is one.
    stale: Option<u64>,
}

impl Wish {
    /// A wish for a key and nothing special.
    pub fn new(account: usize, service: usize, key: Key) -> Self {
        Self { account, service, key, parent: None, link_secret: None, link_password: None, stale: None }
    }
}

impl Broker {
    /// An engine for these accounts.
    ///
    /// # Errors
    /// [`Kind::Config`] if the system gives no random numbers.
    pub fn new(accounts: Accounts, parts: Parts) -> Result<Self> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|_| Error::new(Kind::Config, "the system gives no random numbers"))?;
        let (seed, key) = random.split_at(8);
        let Parts { store, http, clock, timeout, refreshes_beside } = parts;
        Ok(Self {
            accounts,
            cache: Cache::new(seed.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
            store,
            http,
            clock,
            fingerprints: Fingerprinter::new(key),
            timeout,
            stats: Stats::default(),
            pace: Pace::default(),
            generation: AtomicU64::new(0),
            refusals: Mutex::default(),
            aliases: RwLock::default(),
            flights: Flights::default(),
            listings: Flights::default(),
            workers: Arc::default(),
            beside: AtomicUsize::new(0),
            refreshes_beside,
            closed: AtomicBool::new(false),
            closing: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Remembers, or forgets, because of which key a refusal is remembered.
    pub fn note_refusal(&self, key: &Key, secret: Fingerprint) {
        self.refusals.lock().insert(key.clone(), secret);
    }

    /// Forgets the refusals that were met for some keys.
    pub fn forget_refusals(&self, which: impl Fn(&Key) -> bool) {
        let met: Vec<_> = self.refusals.lock().extract_if(|key, _| which(key)).collect();
        met.iter().for_each(|(_, secret)| self.store.set_refusal(secret, None));
    }

    /// The clock of a service.
    #[inline]
    pub fn now_us(&self, bound: &Bound) -> i64 {
        self.clock.now_us() + bound.skew_us()
    }

    /// A token for a request, from wherever it comes.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub fn token_for(self: &Arc<Self>, request: &Request) -> Result<Token> {
        let account = self.accounts.number(request.account.as_deref())?;
        self.accounts.locate(account, &request.resource, |spot| self.serve(&spot, request))
    }

    /// The hit: memory, a clock, a copy. Everything else is [`Broker::obtain`].
    #[inline]
    fn serve(self: &Arc<Self>, spot: &Spot<'_>, request: &Request) -> Result<Token> {
        let bound = self.accounts.bound(spot.account, spot.service);
        let now_us = self.now_us(bound);
        let hit = self.in_memory(bound, spot, request, now_us)?;
        if let Some(hit) = hit.as_ref().filter(|hit| now_us < hit.times.mandatory_us) {
            if freshness::lasts(hit.token.facts(), request.min_valid, now_us) {
                if now_us >= hit.times.soft_us {
                    self.refresh_beside(spot, hit, now_us);
                }
                return Ok(hit.token.clone());
            }
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
        if spot.target.class == Class::Link {
            let link = self.link_key(bound, spot, request)?;
            let alias = self.aliases.read().get(&link).cloned();
            return Ok(alias.and_then(|key| self.cache.get(&key.borrow())).filter(live));
        }
        Ok(accesses(spot.target.need, request.access).iter().find_map(|access| self.cache.get(&key_of(bound, spot, *access)).filter(live)))
    }

    /// The key of a link: its secret and password as a fingerprint.
    ///
    /// # Errors
    /// [`Kind::InvalidResource`] if the secret can't be read.
    pub fn link_key(&self, bound: &Bound, spot: &Spot<'_>, request: &Request) -> Result<Key> {
        let secret = crate::resource::query_value(spot.query, "secret")?.map(Secret::new);
        let password = request.link_password.as_ref();
        let parts = [spot.target.id, secret.as_ref().map_or("", Secret::expose), password.map_or("", Secret::expose)];
        let id = format!("{}#{}", spot.target.id, self.fingerprints.of(&parts));
        Ok(Key { scope: Arc::clone(&bound.scope), class: Class::Link, id: id.into(), access: Access::Read })
    }

    fn wish(&self, bound: &Bound, spot: &Spot<'_>, request: &Request, hit: Option<&Hit>) -> Result<Wish> {
        let key = match spot.target.class {
            Class::Link => self.link_key(bound, spot, request)?,
            class => {
                let access = accesses(spot.target.need, request.access)[0];
                Key { scope: Arc::clone(&bound.scope), class, id: spot.target.id.into(), access }
            }
        };
        Ok(Wish {
            parent: spot.target.parent.map(str::to_owned),
            link_secret: crate::resource::query_value(spot.query, "secret")?.map(Secret::new),
            link_password: request.link_password.clone(),
            stale: hit.map(|hit| hit.token.facts().generation),
            ..Wish::new(spot.account, spot.service, key)
        })
    }

    /// The long way. `present` is the valid token that is not as fresh as it should be: it serves if nothing better comes.
    #[cold]
    fn obtain(self: &Arc<Self>, bound: &Bound, spot: &Spot<'_>, request: &Request, present: Option<Hit>) -> Result<Token> {
        let wish = self.wish(bound, spot, request, present.as_ref())?;
        let outcome = self.attempt(bound, &wish, request);
        let Err(error) = outcome else {
            return outcome;
        };
        let now_us = self.now_us(bound);
        if let Some(present) = present.filter(|hit| now_us < hit.token.facts().expires_us) {
            log::write(Level::Warn, format_args!("{} could not be refreshed, the present token serves on: {error}", wish.key));
            return Ok(present.token);
        }
        let anything = matches!(error.kind, Kind::NotConfigured | Kind::LoginRequired | Kind::NotFound | Kind::WrongAccess);
        if anything && spot.target.need == Need::ManageElseWrite && request.access.is_none() {
            let there = self.cache.get(&key_of(bound, spot, Access::Read));
            return there.filter(|hit| now_us < hit.token.facts().expires_us).map(|hit| hit.token).ok_or(error);
        }
        Err(error)
    }

    fn attempt(self: &Arc<Self>, bound: &Bound, wish: &Wish, request: &Request) -> Result<Token> {
        if request.cancel.is_cancelled() {
            return Err(flight::cancelled());
        }
        if let Some(token) = self.stored(bound, wish)? {
            return Ok(token);
        }
        if let Some(error) = self.pace.pause(&wish.key, self.clock.now_us()) {
            return Err(error);
        }
        match self.flights.join(&wish.key) {
            // A configured secret needs no network, so no thread.
            Joined::Lead(flight) if wish.key.class == Class::Key => self.flights.fly(&wish.key, &flight, || self.get(wish, false)),
            Joined::Lead(flight) => {
                self.launch(wish.clone(), Arc::clone(&flight), || ());
                self.wait(&wish.key, &flight, request)
            }
            Joined::Follow(flight) => {
                self.stats.waits.fetch_add(1, Ordering::Relaxed);
                self.wait(&wish.key, &flight, request)
            }
        }
    }

    fn wait(&self, key: &Key, flight: &Arc<Flight<Token>>, request: &Request) -> Result<Token> {
        let outcome = flight.wait(Instant::now() + request.timeout.unwrap_or(self.timeout), &request.cancel);
        outcome.map_err(|error| match error.kind {
            Kind::Timeout => {
                Error::new(Kind::Timeout, format!("no {key} in the time that the request has: ask again, or give it more time"))
            }
            _ => error,
        })
    }

    fn launch(self: &Arc<Self>, wish: Wish, flight: Arc<Flight<Token>>, after: impl FnOnce() + Send + 'static) {
        self.stats.flights.fetch_add(1, Ordering::Relaxed);
        let broker = Arc::clone(self);
        self.workers.run(move || {
            // Whoever waits gets the outcome from the flight.
            let _ = broker.flights.fly(&wish.key, &flight, || broker.get(&wish, false));
            after();
        });
    }

    /// Begins a refresh that nobody waits for, unless one is under way or enough are.
    #[cold]
    fn refresh_beside(self: &Arc<Self>, spot: &Spot<'_>, hit: &Hit, now_us: i64) {
        if !self.refreshes_beside
            || self.closed.load(Ordering::Relaxed)
            || !self.cache.postpone(&hit.token.key(), &hit.times, now_us + BESIDE_US)
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
        let broker = Arc::clone(self);
        let landed = move || {
            broker.beside.fetch_sub(1, Ordering::Relaxed);
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
        outcome.or_else(|error| hit.map(|hit| hit.token).ok_or(error))
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
        let _lock = self.store.lock(&wish.key, Instant::now() + self.timeout, &Cancel::default())?;
        if let Some(token) = self.settled(bound, wish) {
            return Ok(token);
        }
        if let Some(token) = self.stored(bound, wish)? {
            return Ok(token);
        }
        let kept_as = self.aliases.read().get(&wish.key).cloned();
        self.pace.begin(kept_as.as_ref().unwrap_or(&wish.key), self.clock.now_us())?;
        let errand = Errand { broker: self, account: wish.account, service: wish.service, explicit, key: Some(&wish.key), deadline: None };
        let outcome = self.fetch(bound, wish, &errand).and_then(|acquired| self.keep(bound, wish, acquired));
        self.pace.end(&wish.key, outcome.as_ref().err(), self.clock.now_us());
        outcome
    }

    fn fetch(&self, bound: &Bound, wish: &Wish, errand: &Errand<'_>) -> Result<Acquired> {
        let id = wish.key.id.split('#').next().unwrap_or_default();
        let want = Want {
            class: wish.key.class,
            id: if wish.key.class == Class::Link { id } else { &wish.key.id },
            access: wish.key.access,
            parent: wish.parent.as_deref(),
            link_secret: wish.link_secret.as_ref(),
            link_password: wish.link_password.as_ref(),
        };
        let renewal = self.store.load(&wish.key).ok().flatten().and_then(|record| record.renewal);
        let Some(renewal) = renewal else {
            return bound.service.acquire(&want, errand);
        };
        self.stats.renewals.fetch_add(1, Ordering::Relaxed);
        match bound.service.renew(&want, &renewal, errand) {
            Err(error) if matches!(error.kind, Kind::Refused | Kind::Unsupported) => {
                log::write(Level::Info, format_args!("{} could not be renewed, logging in again: {error}", wish.key));
                self.drop_renewal(&wish.key);
                bound.service.acquire(&want, errand)
            }
            outcome => outcome,
        }
    }

    fn drop_renewal(&self, key: &Key) {
        let record = Record { token: None, renewal: None };
        if let Err(error) = self.store.save(key, &record) {
            log::write(Level::Warn, format_args!("the store keeps a dead renewal of {key}: {error}"));
        }
    }

    /// What landed in memory since the caller looked.
    fn settled(&self, bound: &Bound, wish: &Wish) -> Option<Token> {
        let key = match wish.key.class {
            Class::Link => self.aliases.read().get(&wish.key).cloned()?,
            _ => wish.key.clone(),
        };
        let now_us = self.now_us(bound);
        let hit = self.cache.get(&key.borrow())?;
        let newer = wish.stale.is_none_or(|stale| hit.token.facts().generation > stale);
        (newer && now_us < hit.times.mandatory_us).then_some(hit.token)
    }

    /// What another process has put into the store since.
    fn stored(&self, bound: &Bound, wish: &Wish) -> Result<Option<Token>> {
        let Some(token) = self.store.load(&wish.key)?.and_then(|record| record.token) else {
            return Ok(None);
        };
        let now_us = self.now_us(bound);
        let times = freshness::windows(token.facts(), self.random());
        let newer = wish.stale.is_none_or(|stale| token.facts().generation > stale);
        let serves = newer && now_us < times.mandatory_us;
        if serves {
            self.cache.publish(&token, &times, now_us);
        }
        Ok(serves.then_some(token))
    }

    /// Keeps what a service gave: in the store, then in memory.
    ///
    /// # Errors
    /// [`Kind::BadAnswer`] if it can't be used.
    pub fn keep(&self, bound: &Bound, wish: &Wish, acquired: Acquired) -> Result<Token> {
        let Acquired { found, renewal, others } = acquired;
        others.iter().for_each(|found| self.keep_in_memory(bound, found));
        let key = Key { scope: Arc::clone(&bound.scope), class: found.class, id: found.id.as_str().into(), access: found.access };
        let token = self.make(bound, &key, &found)?;
        if token.facts().kind == TokenKind::Key {
            let print = self.print(bound, &[token.value()]);
            refusal::remembered(&*self.store, &print, self.clock.now_us()).map_or(Ok(()), Err)?;
        } else {
            let record = Record { token: Some(token.clone()), renewal };
            if let Err(error) = self.store.save(&key, &record) {
                log::write(Level::Warn, format_args!("{key} is kept in memory only: {error}"));
            }
        }
        self.publish(bound, &key, &token);
        if wish.key != key {
            self.aliases.write().insert(wish.key.clone(), key.clone());
        }
        log::write(Level::Info, format_args!("got {key}, generation {}", token.facts().generation));
        Ok(token)
    }

    fn publish(&self, bound: &Bound, key: &Key, token: &Token) {
        let now_us = self.now_us(bound);
        let mut times = freshness::windows(token.facts(), self.random());
        // The same expiry again: there is no fresher one to be had, so nobody asks before it ends.
        let before = self.cache.get(&key.borrow()).map(|hit| hit.token.facts().expires_us);
        if before == Some(token.facts().expires_us) && now_us >= times.soft_us {
            times = crate::record::Times { soft_us: token.facts().expires_us, mandatory_us: token.facts().expires_us };
        }
        self.cache.publish(token, &times, now_us);
    }

    fn keep_in_memory(&self, bound: &Bound, found: &Found) {
        let key = Key { scope: Arc::clone(&bound.scope), class: found.class, id: found.id.as_str().into(), access: found.access };
        match self.make(bound, &key, found) {
            Ok(token) => self.publish(bound, &key, &token),
            Err(error) => log::write(Level::Warn, format_args!("{key} was listed with a token that can't be used: {error}")),
        }
    }

    /// Gives a token its generation, and refuses one that has ended.
    ///
    /// # Errors
    /// [`Kind::BadAnswer`].
    pub fn make(&self, bound: &Bound, key: &Key, found: &Found) -> Result<Token> {
        let now_us = self.now_us(bound);
        let expires_us = found.draft.expires_unix_s.map_or(NO_EXPIRY, |expires| expires.saturating_mul(1_000_000));
        let name = bound.service.name();
        if expires_us <= now_us {
            return Err(Error::new(
                Kind::BadAnswer,
                format!("{name} gave a token that has ended already: check the clock of this machine"),
            ));
        }
        let before = self.cache.get(&key.borrow()).map_or(0, |hit| hit.token.facts().generation);
        let now = u64::try_from(self.clock.now_us()).unwrap_or(0).max(before + 1);
        let last = self.generation.fetch_max(now, Ordering::Relaxed);
        let generation = if now > last { now } else { self.generation.fetch_add(1, Ordering::Relaxed) + 1 };
        let facts = Facts {
            scope: bound.scope.fingerprint(),
            class: key.class,
            access: key.access,
            kind: found.draft.kind,
            generation,
            expires_us,
            acquired_us: now_us,
        };
        Token::new(&found.draft, name, &key.id, facts)
    }

    /// The service refused this token: its generation is dead.
    ///
    /// # Errors
    /// [`Kind::Store`].
    pub fn reject(&self, token: &Token) -> Result<()> {
        self.stats.rejected.fetch_add(1, Ordering::Relaxed);
        let generation = token.facts().generation;
        let Some(bound) = self.accounts.every().find(|bound| bound.scope.fingerprint() == token.facts().scope) else {
            return Ok(());
        };
        let key = Key { scope: Arc::clone(&bound.scope), class: token.facts().class, id: token.id().into(), access: token.facts().access };
        let was_there = self.cache.remove(&token.key(), generation);
        if token.facts().kind == TokenKind::Key {
            let what = format!("{} refused the configured secret: check it", key.scope.service);
            let print = self.print(bound, &[token.value()]);
            refusal::note(&*self.store, &print, Some(&Error::new(Kind::Refused, what)), self.clock.now_us());
            self.note_refusal(&key, print);
            return Ok(());
        }
        if was_there {
            self.pace.rejected(&key);
        }
        let record = self.store.load(&key)?;
        match record {
            Some(Record { token: Some(kept), renewal }) if kept.facts().generation <= generation => {
                self.store.save(&key, &Record { token: None, renewal })
            }
            _ => Ok(()),
        }
    }

    /// The fingerprint of what is sent to a service as secret.
    pub fn print(&self, bound: &Bound, secrets: &[&str]) -> Fingerprint {
        let scope = format!("{:016x}", bound.scope.fingerprint());
        let parts: Vec<&str> = std::iter::once(scope.as_str()).chain(secrets.iter().copied()).collect();
        self.fingerprints.of(&parts)
    }

    /// Random 0 to 255.
    pub fn random(&self) -> u8 {
        getrandom::u32().map_or(127, |random| random as u8)
    }

    /// Waits; ends at once when the session closes. Whether it may go on.
    pub fn pause(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut guard = self.closing.0.lock();
        while !self.closed.load(Ordering::Acquire) {
            if self.closing.1.wait_until(&mut guard, deadline).timed_out() {
                return !self.closed.load(Ordering::Acquire);
            }
        }
        false
    }

    /// Ends exchanges, pauses and threads.
    pub fn close(&self) {
        {
            let _guard = self.closing.0.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.closing.1.notify_all();
        self.http.close();
        self.workers.wait_idle(Duration::from_secs(1));
    }
}

/// The accesses that serve a spot, best first.
#[inline]
pub fn accesses(need: Need, asked: Option<Access>) -> &'static [Access] {
    const MANAGE_ELSE_WRITE: &[Access] = &[Access::Manage, Access::Write];
    match (need, asked) {
        (Need::Only(Access::Full), _) => &[Access::Full],
        (_, Some(Access::Manage)) => &[Access::Manage],
        (_, Some(Access::Write)) => &[Access::Write, Access::Manage],
        (_, Some(Access::Read)) | (Need::Only(Access::Read), _) => &[Access::Read],
        (Need::Only(Access::Manage), _) => &[Access::Manage],
        (Need::Only(Access::Write), _) => &[Access::Write],
        (Need::ManageElseWrite, _) => MANAGE_ELSE_WRITE,
    }
}

/// The key for a look-up.
#[inline]
pub fn key_of<'a>(bound: &Bound, spot: &Spot<'a>, access: Access) -> KeyRef<'a> {
    KeyRef { scope: bound.scope.fingerprint(), class: spot.target.class, id: spot.target.id, access }
}
