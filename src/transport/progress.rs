//! Records whether an exchange has a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

tokio::task_local! {
    /// The progress of the exchange that this task runs.
    pub(super) static PROGRESS: Progress;
}

/// The client has no connection yet.
const UNCONNECTED: u8 = 0;
/// The client has a connection that was opened before this exchange.
const KEPT: u8 = 1;
/// The client has a connection that was opened for this exchange.
const NEW: u8 = 2;

/// The connection of an exchange. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// Records that the client has no connection, or that its connection is closed.
    pub(super) fn mark_unconnected(&self) {
        self.0.store(UNCONNECTED, Ordering::Release);
    }

    /// Records that the client may send the request on a connection that was opened earlier.
    pub(super) fn mark_kept(&self) {
        self.0.store(KEPT, Ordering::Release);
    }

    /// Records that a new connection is established, including TLS. From now on the client may send
    /// the request.
    pub(super) fn mark_connected(&self) {
        self.0.store(NEW, Ordering::Release);
    }

    /// Returns whether there is a connection, so that the peer may have received any of the request.
    pub(super) fn is_connected(&self) -> bool {
        self.0.load(Ordering::Acquire) != UNCONNECTED
    }

    /// Returns whether the connection was opened earlier. The peer may then have closed it before
    /// it received the request.
    pub(super) fn is_kept(&self) -> bool {
        self.0.load(Ordering::Acquire) == KEPT
    }
}
