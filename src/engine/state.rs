//! The engine's shared state: accounts, cache, store, network and clock, and how it shuts down.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::clock::{Clock, SteadyClock};
use crate::engine::accounts::{Accounts, BoundService};
use crate::engine::backoff::Backoff;
use crate::engine::cache::Cache;
use crate::engine::rejections::Rejections;
use crate::engine::saves::Saves;
use crate::error::{Error, ErrorKind};
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::ports::http::Http;
use crate::ports::store::{BootTime, Reach, Store};
use crate::sys::sync::{Condvar, Mutex, RwLock};

/// The maximum number of entries in [`EngineState::refusals`].
const MAX_REFUSALS: usize = 1024;

/// The maximum number of flights of which each waits for the next one.
const MAX_CHAIN: usize = 4;

/// The number of sessions that this process has opened.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// How long a flight waits for a process before its messages say that the process is stopped.
pub const NAME_STOPPED_AFTER: Duration = Duration::from_secs(2);

/// The reason why a flight does not go on.
#[derive(Clone)]
pub enum Blocked {
    /// A secret source. Callers that time out get this error.
    By(Error),
    /// Another process holds the lock of the key.
    ByLock {
        /// When the flight tried the lock first.
        since: Instant,
    },
    /// The flight of another token that it needs.
    OnToken(TokenKey),
}

/// Returns a random number from 0 to 255, or 127 if the kernel provides none.
pub fn random() -> u8 {
    getrandom::u32().map_or(127, |random| random as u8)
}

/// Counters of what the session did.
#[derive(Default)]
pub struct Stats {
    /// Flights started.
    pub flights: AtomicU64,
    /// Callers that waited for the flight of another caller.
    pub waits: AtomicU64,
    /// HTTP exchanges with services.
    pub exchanges: AtomicU64,
    /// Requests that carried the user's secrets. Retries are not counted.
    pub logins: AtomicU64,
    /// Attempts to refresh a token without the user's secrets.
    pub renewals: AtomicU64,
    /// Refreshes that ran in the background.
    pub background: AtomicU64,
    /// Logins that were not sent, because the negative cache has a failure of their secrets.
    pub refused_from_memory: AtomicU64,
    /// Tokens that callers or services rejected.
    pub rejected: AtomicU64,
}

/// The state that the broker, the persistence and the service contexts share.
pub struct EngineState {
    /// Distinguishes this session from all others of the process.
    pub number: u64,
    /// The profiles and the services of each.
    pub accounts: Accounts,
    /// Tokens in memory.
    pub cache: Cache,
    /// Keeps records beyond the cache.
    pub store: Box<dyn Store>,
    /// Sends requests.
    pub http: Box<dyn Http>,
    /// The wall clock. Records that processes share use it.
    pub clock: Clock,
    /// The wall clock that is never set back. Expiry times and the clock skew of services use it.
    pub steady: SteadyClock,
    /// The boot that the boot-time clock counts from. Read when it is first needed.
    boot: OnceLock<Option<Fingerprint>>,
    /// The time limit of one exchange, and of a request without a timeout of its own.
    pub timeout: Duration,
    /// The last generation that this process issued or saw.
    generation: AtomicU64,
    /// Counters.
    pub stats: Stats,
    /// The keys that must wait after a failure.
    pub backoff: Backoff,
    /// The resources for which tokens were rejected.
    pub rejections: Rejections,
    /// The fingerprint under which a failure or throttle is recorded, by the key that it stopped.
    pub refusals: Mutex<HashMap<TokenKey, Fingerprint>>,
    /// The package that a link opens, by the link's key.
    pub aliases: RwLock<HashMap<TokenKey, TokenKey>>,
    /// Whether the session is closing.
    pub closed: AtomicBool,
    /// The flights that don't go on, each by the key of its token, and the reason.
    pub blocked: Mutex<HashMap<TokenKey, Blocked>>,
    /// The renewals that are being sent, and the tokens that are being saved.
    pub saves: Arc<Saves>,
    /// Signalled when the session closes. Wakes sleeping retries.
    closing: (Mutex<()>, Condvar),
}

/// The parts of a new [`EngineState`].
pub struct EngineParts {
    /// Keeps records.
    pub store: Box<dyn Store>,
    /// Sends requests.
    pub http: Box<dyn Http>,
    /// The wall clock.
    pub clock: Clock,
    /// The time limit of one exchange.
    pub timeout: Duration,
}

impl EngineState {
    /// Creates the state for these accounts.
    pub fn new(accounts: Accounts, parts: EngineParts) -> Self {
        let seed = RandomState::new().hash_one(());
        let EngineParts {
            store,
            http,
            clock,
            timeout,
        } = parts;
        Self {
            number: SESSIONS.fetch_add(1, Ordering::Relaxed),
            accounts,
            cache: Cache::new(seed),
            store,
            http,
            steady: SteadyClock::new(clock.clone()),
            clock,
            boot: OnceLock::new(),
            timeout,
            generation: AtomicU64::new(0),
            stats: Stats::default(),
            backoff: Backoff::default(),
            rejections: Rejections::default(),
            refusals: Mutex::default(),
            aliases: RwLock::default(),
            closed: AtomicBool::new(false),
            blocked: Mutex::default(),
            saves: Arc::default(),
            closing: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Returns the error for a caller that times out while it waits for the flight of a key, if it
    /// is known what that flight waits for.
    pub fn blocked_by(&self, key: &TokenKey) -> Option<Error> {
        let mut key = key.clone();
        for _ in 0..MAX_CHAIN {
            let blocked = self.blocked.lock().get(&key)?.clone();
            match blocked {
                Blocked::By(error) => return Some(error),
                Blocked::ByLock { since } => return Some(self.locked_error(&key, since)),
                Blocked::OnToken(other) => key = other,
            }
        }
        None
    }

    /// Returns the error for a caller that cannot wait any longer for the process that holds the
    /// lock of a key. `since` is when the flight tried the lock first.
    pub fn locked_error(&self, key: &TokenKey, since: Instant) -> Error {
        let holder = self.store.lock_holder(key);
        let is_stopped = holder.as_ref().is_some_and(|holder| holder.is_stopped);
        let name = holder.map_or_else(|| "another process".to_owned(), |holder| holder.name);
        let message = if is_stopped && since.elapsed() >= NAME_STOPPED_AFTER {
            format!(
                "cannot fetch the token for {key}: {name} is fetching it, but is stopped; continue it with `kill -CONT`, or end it"
            )
        } else {
            format!(
                "timed out waiting for {name} to fetch the token for {key}; retry, or check that process"
            )
        };
        Error::new(ErrorKind::Busy, message)
    }

    /// Links a recorded failure to the key that it stopped. Forgetting the key then removes the
    /// failure.
    pub fn note_refusal(&self, key: &TokenKey, secret: Fingerprint) {
        let mut refusals = self.refusals.lock();
        if refusals.len() >= MAX_REFUSALS {
            // Evict any entry. Its failure stays recorded: only the link to the key is lost.
            let some = refusals.keys().next().cloned();
            some.map(|key| refusals.remove(&key));
        }
        refusals.insert(key.clone(), secret);
    }

    /// Removes the recorded failures that stopped some keys.
    pub fn forget_refusals(&self, which: impl Fn(&TokenKey) -> bool) {
        let stopped: Vec<_> = self
            .refusals
            .lock()
            .extract_if(|key, _| which(key))
            .collect();
        for (_, secret) in stopped {
            for reach in [Reach::Here, Reach::Everywhere] {
                self.store.set_failure(&secret, None, reach, &|_| false);
            }
        }
    }

    /// Returns the time by the clock of a service.
    #[inline]
    pub fn now_us(&self, bound: &BoundService) -> i64 {
        self.steady.now_us() + bound.skew_us()
    }

    /// Returns the time by the clock that nobody can set, if the system has one.
    pub fn boot_time(&self) -> Option<BootTime> {
        let name = || Some(Fingerprint::unkeyed(&["boot", &self.clock.boot_name()?]));
        Some(BootTime {
            boot: (*self.boot.get_or_init(name))?,
            at_us: u64::try_from(self.clock.boot_us()?).ok()?,
        })
    }

    /// Returns a generation greater than all before. It is at least the wall clock in microseconds,
    /// which keeps the generations of different processes apart.
    pub fn next_generation(&self) -> u64 {
        let now = u64::try_from(self.clock.now_us()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        self.generation
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_or(now, |last| now.max(last + 1))
    }

    /// Records a generation that another process issued. The next one is greater.
    pub fn observe_generation(&self, generation: u64) {
        self.generation.fetch_max(generation, Ordering::Relaxed);
    }

    /// Returns the fingerprinter of the store. It gives the same fingerprints in all processes that
    /// share the store.
    pub fn fingerprints(&self) -> &Fingerprinter {
        self.store.fingerprints()
    }

    /// Returns the fingerprint of secrets that are sent to a service.
    pub fn fingerprint(&self, bound: &BoundService, secrets: &[&str]) -> Fingerprint {
        let scope = format!("{:016x}", bound.scope.fingerprint());
        let parts: Vec<&str> = std::iter::once(scope.as_str())
            .chain(secrets.iter().copied())
            .collect();
        self.fingerprints().of(&parts)
    }

    /// Sleeps, but returns at once when the session closes. Returns whether the session is still
    /// open.
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

    /// Ends exchanges and pauses. Renewals that were sent may be answered until the deadline.
    pub fn close(&self, deadline: Instant) {
        {
            let _guard = self.closing.0.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.closing.1.notify_all();
        self.http.close(deadline);
    }
}
