//! The engine's shared state: accounts, cache, store, network and clock, and how it shuts down.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::engine::accounts::{Accounts, BoundService};
use crate::engine::backoff::Backoff;
use crate::engine::cache::Cache;
use crate::error::Error;
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::http::Http;
use crate::ports::store::Store;
use crate::sys::sync::{Condvar, Mutex, RwLock};

/// At most this many keys are linked to the refusal that stopped them.
const MAX_REFUSALS: usize = 1024;

/// Random 0 to 255.
pub fn random() -> u8 {
    getrandom::u32().map_or(127, |random| random as u8)
}

/// Counters of what the session did.
#[derive(Default)]
pub struct Stats {
    /// Flights begun.
    pub flights: AtomicU64,
    /// Callers that waited for the flight of another caller.
    pub waits: AtomicU64,
    /// Exchanges with services.
    pub exchanges: AtomicU64,
    /// Of these the ones that carried the user's secrets.
    pub logins: AtomicU64,
    /// Attempts to renew a token without the user's secrets.
    pub renewals: AtomicU64,
    /// Refreshes that ran in the background.
    pub background: AtomicU64,
    /// Refusals that were answered from memory.
    pub refused_from_memory: AtomicU64,
    /// Tokens that callers or services rejected.
    pub rejected: AtomicU64,
}

/// What the broker, the persistence and the exchanges with services share.
pub struct EngineState {
    /// The profiles, and the services of each.
    pub accounts: Accounts,
    /// Tokens in memory.
    pub cache: Cache,
    /// Records beyond this process.
    pub store: Box<dyn Store>,
    /// Sends requests.
    pub http: Box<dyn Http>,
    /// The wall clock.
    pub clock: Clock,
    /// The limit of one exchange, and of a request that sets none.
    pub timeout: Duration,
    /// The last generation that was given or seen.
    generation: AtomicU64,
    /// Counters.
    pub stats: Stats,
    /// Which keys wait after a failure or a rejection.
    pub backoff: Backoff,
    /// The fingerprint of the refusal or throttle, by the key that it stopped.
    pub refusals: Mutex<HashMap<TokenKey, Fingerprint>>,
    /// The package that a link opened, by the key of the link.
    pub aliases: RwLock<HashMap<TokenKey, TokenKey>>,
    /// The session is being closed.
    pub closed: AtomicBool,
    /// What flights wait for, by the scope of their tokens.
    pub blocked: Mutex<HashMap<u64, Error>>,
    /// Signalled when the session closes; wakes sleeping retries.
    closing: (Mutex<()>, Condvar),
}

/// What the state is made of.
pub struct EngineParts {
    /// Keeps records.
    pub store: Box<dyn Store>,
    /// Sends requests.
    pub http: Box<dyn Http>,
    /// The wall clock.
    pub clock: Clock,
    /// The limit of one exchange.
    pub timeout: Duration,
}

impl EngineState {
    /// The state for these accounts.
    pub fn new(accounts: Accounts, parts: EngineParts) -> Self {
        let seed = RandomState::new().hash_one(());
        let EngineParts {
            store,
            http,
            clock,
            timeout,
        } = parts;
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
            closed: AtomicBool::new(false),
            blocked: Mutex::default(),
            closing: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Links a refusal to the key that it stopped: forgetting the key lifts the refusal.
    pub fn note_refusal(&self, key: &TokenKey, secret: Fingerprint) {
        let mut refusals = self.refusals.lock();
        if refusals.len() >= MAX_REFUSALS {
            // Evict any entry. The refusal itself stays; only its link to the key is lost.
            let some = refusals.keys().next().cloned();
            some.map(|key| refusals.remove(&key));
        }
        refusals.insert(key.clone(), secret);
    }

    /// Lifts the refusals that stopped some keys.
    pub fn forget_refusals(&self, which: impl Fn(&TokenKey) -> bool) {
        let stopped: Vec<_> = self
            .refusals
            .lock()
            .extract_if(|key, _| which(key))
            .collect();
        stopped
            .iter()
            .for_each(|(_, secret)| self.store.set_failure(secret, None, &|_| false));
    }

    /// The time by the clock of a service.
    #[inline]
    pub fn now_us(&self, bound: &BoundService) -> i64 {
        self.clock.now_us() + bound.skew_us()
    }

    /// A generation greater than all before, also than those of rejected tokens. The wall clock
    /// keeps those of other processes apart.
    pub fn next_generation(&self) -> u64 {
        let now = u64::try_from(self.clock.now_us()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        self.generation
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_or(now, |last| now.max(last + 1))
    }

    /// Takes note of a generation that another process gave: the next one is greater.
    pub fn observe_generation(&self, generation: u64) {
        self.generation.fetch_max(generation, Ordering::Relaxed);
    }

    /// Makes fingerprints of secrets, the same in all processes that share the store.
    pub fn fingerprints(&self) -> &Fingerprinter {
        self.store.fingerprints()
    }

    /// The fingerprint of secrets that are sent to a service.
    pub fn fingerprint(&self, bound: &BoundService, secrets: &[&str]) -> Fingerprint {
        let scope = format!("{:016x}", bound.scope.fingerprint());
        let parts: Vec<&str> = std::iter::once(scope.as_str())
            .chain(secrets.iter().copied())
            .collect();
        self.fingerprints().of(&parts)
    }

    /// Sleeps; returns at once when the session closes. Whether the caller may go on.
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

    /// Ends exchanges and pauses.
    pub fn close(&self) {
        {
            let _guard = self.closing.0.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.closing.1.notify_all();
        self.http.close();
    }
}
