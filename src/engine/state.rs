//! The engine's parts and its small motions: who holds the cache, the store and the clock, and how it all ends.
//!
//! What it does with them stands in [`crate::engine::persistence`],
//! [`crate::engine::service_context`] and [`crate::engine::broker`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::engine::accounts::{Accounts, BoundService};
use crate::engine::backoff::Backoff;
use crate::engine::cache::Cache;
use crate::engine::single_flight::{SingleFlight, Workers};
use crate::error::Error;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::model::token::Token;
use crate::ports::http::Http;
use crate::ports::service::FoundToken;
use crate::ports::store::Store;
use crate::sys::sync::{Condvar, Mutex, RwLock};

/// Of so many keys it is known which refusal they met.
const MOST_REFUSALS: usize = 1024;

/// Random 0 to 255.
pub fn random() -> u8 {
    getrandom::u32().map_or(127, |random| random as u8)
}

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
    pub background: AtomicU64,
    /// Refusals that were answered from memory.
    pub refused_from_memory: AtomicU64,
    /// Tokens that callers rejected.
    pub rejected: AtomicU64,
}

/// The engine.
pub struct Engine {
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
    /// How long one exchange may take, and a request that doesn't say.
    pub timeout: Duration,
    /// The last generation that was given or seen.
    generation: AtomicU64,
    /// What was done.
    pub stats: Stats,
    /// When what failed is tried again.
    pub backoff: Backoff,
    /// Which refusal is remembered because of a key.
    pub refusals: Mutex<HashMap<TokenKey, Fingerprint>>,
    /// The packages that links opened.
    pub aliases: RwLock<HashMap<TokenKey, TokenKey>>,
    /// The tokens under way.
    pub flights: SingleFlight<TokenKey, Token>,
    /// The listings under way.
    pub listings: SingleFlight<(u64, String), Arc<Vec<FoundToken>>>,
    /// Threads of flights.
    pub workers: Arc<Workers>,
    /// How many flights have no caller.
    pub background_refreshes: AtomicUsize,
    /// Whether refreshes run beside callers: not in a program that ends at once.
    pub refreshes_in_background: bool,
    /// The session is being closed.
    pub closed: AtomicBool,
    /// What flights wait for, by whose tokens they are to get.
    pub blocked: Mutex<HashMap<u64, Error>>,
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
    pub refreshes_in_background: bool,
}

impl Engine {
    /// An engine for these accounts.
    pub fn new(accounts: Accounts, parts: Parts) -> Self {
        let seed = RandomState::new().hash_one(());
        let Parts { store, http, clock, timeout, refreshes_in_background } = parts;
        Self {
            accounts,
            cache: Cache::new(seed),
            store,
            http,
            clock,
            timeout,
            generation: AtomicU64::new(0),
            stats: Stats::default(),
            backoff: Backoff::default(),
            refusals: Mutex::default(),
            aliases: RwLock::default(),
            flights: SingleFlight::default(),
            listings: SingleFlight::default(),
            workers: Arc::default(),
            background_refreshes: AtomicUsize::new(0),
            refreshes_in_background,
            closed: AtomicBool::new(false),
            blocked: Mutex::default(),
            closing: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Remembers that a refusal was met for a key: forgetting the one forgets the other.
    pub fn note_refusal(&self, key: &TokenKey, secret: Fingerprint) {
        let mut refusals = self.refusals.lock();
        if refusals.len() >= MOST_REFUSALS {
            // Any of them: what is forgotten here is only which key to lift a refusal with.
            let some = refusals.keys().next().cloned();
            some.map(|key| refusals.remove(&key));
        }
        refusals.insert(key.clone(), secret);
    }

    /// Forgets the refusals that were met for some keys.
    pub fn forget_refusals(&self, which: impl Fn(&TokenKey) -> bool) {
        let met: Vec<_> = self.refusals.lock().extract_if(|key, _| which(key)).collect();
        met.iter().for_each(|(_, secret)| self.store.set_failure(secret, None, &|_| false));
    }

    /// The clock of a service.
    #[inline]
    pub fn now_us(&self, bound: &BoundService) -> i64 {
        self.clock.now_us() + bound.skew_us()
    }

    /// Greater than all before, also of tokens that were rejected since; the wall clock keeps other processes apart.
    pub fn next_generation(&self) -> u64 {
        let now = u64::try_from(self.clock.now_us()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        self.generation.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map_or(now, |last| now.max(last + 1))
    }

    /// Somebody has given this generation: the next one is greater.
    pub fn observe_generation(&self, generation: u64) {
        self.generation.fetch_max(generation, Ordering::Relaxed);
    }

    /// Fingerprints of secrets, the same for all who share the store.
    pub fn fingerprints(&self) -> &Fingerprinter {
        self.store.fingerprints()
    }

    /// The fingerprint of what is sent to a service as secret.
    pub fn fingerprint(&self, bound: &BoundService, secrets: &[&str]) -> Fingerprint {
        let scope = format!("{:016x}", bound.scope.fingerprint());
        let parts: Vec<&str> = std::iter::once(scope.as_str()).chain(secrets.iter().copied()).collect();
        self.fingerprints().of(&parts)
    }

    /// Waits; ends at once when the session closes. Whether it may go on.
    pub fn pause(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut guard = self.closing.0.lock();
        while !self.closed.load(Ordering::Acquire) {
            if self.closing.1.wait_until(&mut guard, deadline) {
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
