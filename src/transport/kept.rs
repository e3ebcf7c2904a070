//! Connections that stay open between reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use url::{Origin, Url};

use super::client::{Clients, Route, RouteClient};
use crate::error::Result;
use crate::sys::fork::{self, PerProcess};
use crate::sys::sync::{Guard, Mutex};

/// The maximum number of idle connections of an account to an origin.
const MAX_IDLE: usize = 8;
/// The longest time that a connection stays idle.
///
/// Rationale: its buffers contain the token of its last read. Servers close idle connections too,
/// most of them later.
const MAX_IDLE_TIME: Duration = Duration::from_secs(5);

/// The account and the origin that a connection is for. The origin also determines the proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    account: usize,
    origin: Origin,
}

impl Place {
    pub(super) fn new(account: usize, url: &Url) -> Self {
        Self {
            account,
            origin: url.origin(),
        }
    }
}

/// A connection for reads. The last clone closes it when dropped.
#[derive(Clone)]
pub(super) struct KeptConnection {
    pub(super) place: Place,
    /// The number of times that the pool had been cleared when the connection was created.
    clearings: u64,
    /// A client that has only this connection. The transport's thread builds it.
    client: Arc<OnceCell<RouteClient>>,
    /// Counts the connections of the pool.
    _alive: Arc<()>,
}

impl KeptConnection {
    /// Returns the connection's client. Builds it if there is none.
    pub(super) fn client(&self, clients: &mut Clients<'_>, route: Route) -> Result<RouteClient> {
        let build = || clients.kept(self.place.account, route);
        self.client.get_or_try_init(build).cloned()
    }

    /// Returns whether the connection has been used or is being opened.
    pub(super) fn is_begun(&self) -> bool {
        self.client.get().is_some()
    }
}

/// The pools of this process. A fork clears them, so that no connection is open in two processes.
static POOLS: PerProcess<Mutex<Vec<Weak<Pool>>>> = PerProcess::new();

/// Whether [`clear_before_fork`] is called before each fork. A child inherits this.
static HOOKED: AtomicBool = AtomicBool::new(false);

extern "C" fn clear_before_fork() {
    if let Some(pools) = POOLS.get().and_then(Mutex::try_lock) {
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|pool| pool.idle.try_lock().map_or((), Pool::clear_idle));
    }
}

/// The idle connections of a transport.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<IdleConnections>,
    /// Each connection has a clone of this value.
    alive: Arc<()>,
}

#[derive(Default)]
struct IdleConnections {
    by_place: HashMap<Place, Vec<(KeptConnection, Instant)>>,
    /// The number of times that the pool was cleared.
    clearings: u64,
}

impl Pool {
    /// Creates an empty pool.
    pub(super) fn new() -> Arc<Self> {
        let pool = Arc::new(Self::default());
        if !HOOKED.swap(true, Ordering::Relaxed) {
            fork::call_before(clear_before_fork);
        }
        let mut pools = POOLS.get_or_init(Mutex::default).lock();
        pools.retain(|other| other.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Removes an idle connection from the pool, or creates one that is not open yet.
    pub(super) fn take(&self, place: &Place) -> KeptConnection {
        let newest = self.idle.lock().by_place.get_mut(place).and_then(Vec::pop);
        // The thread that closes expired connections may be late, for example on a busy machine.
        newest
            .filter(|(_, since)| since.elapsed() < MAX_IDLE_TIME)
            .map_or_else(|| self.create(place), |(connection, _)| connection)
    }

    /// Creates a connection that is not open yet.
    pub(super) fn create(&self, place: &Place) -> KeptConnection {
        KeptConnection {
            place: place.clone(),
            clearings: self.idle.lock().clearings,
            client: Arc::default(),
            _alive: Arc::clone(&self.alive),
        }
    }

    /// Adds an idle connection to the pool. Closes it if the pool was cleared since the connection
    /// was created. If there are already [`MAX_IDLE`], closes the one that was idle longest.
    pub(super) fn put(&self, connection: KeptConnection) {
        let mut idle = self.idle.lock();
        if connection.clearings != idle.clearings {
            return;
        }
        let place = idle.by_place.entry(connection.place.clone()).or_default();
        let oldest = (place.len() >= MAX_IDLE).then(|| place.remove(0));
        place.push((connection, Instant::now()));
        drop(idle);
        drop(oldest);
    }

    /// Closes all idle connections. Connections in use are closed when their reader gives them back.
    pub(super) fn clear(&self) {
        Self::clear_idle(self.idle.lock());
    }

    fn clear_idle(mut idle: Guard<'_, IdleConnections>) {
        idle.clearings += 1;
        let closed = std::mem::take(&mut idle.by_place);
        drop(idle);
        drop(closed);
    }

    /// Closes the connections that were idle for too long. Returns when to call this again. `None`
    /// if there are no connections.
    pub(super) fn close_expired(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle.lock();
        let is_expired = |(_, since): &mut (_, Instant)| *since + MAX_IDLE_TIME <= now;
        let mut expired = Vec::new();
        idle.by_place.retain(|_, place| {
            expired.extend(place.extract_if(.., is_expired));
            !place.is_empty()
        });
        let oldest = idle
            .by_place
            .values()
            .flatten()
            .map(|(_, since)| *since)
            .min();
        drop(idle);
        drop(expired);
        let has_connections = Arc::strong_count(&self.alive) > 1;
        let next = oldest.unwrap_or(now) + MAX_IDLE_TIME;
        has_connections.then_some(next)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_used_until_its_idle_time_ends_and_no_longer() {
        let pool = Pool::default();
        let place = Place::new(0, &Url::parse("https://api.example/").unwrap());
        let connection = pool.create(&place);
        let is_taken = || Arc::ptr_eq(&pool.take(&place).client, &connection.client);
        pool.put(connection.clone());
        assert!(is_taken());
        pool.put(connection.clone());
        let expired = Instant::now().checked_sub(MAX_IDLE_TIME).unwrap();
        pool.idle.lock().by_place.get_mut(&place).unwrap()[0].1 = expired;
        assert!(!is_taken());
    }
}
