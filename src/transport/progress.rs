//! How far an exchange is: the connection's layer records it, the exchange reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    /// The progress of this task's exchange.
    pub(super) static PROGRESS: Progress;
}

/// Whether the peer may have seen any of a request. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Records that the connection is made, TLS included: from here on the request may be under
    /// way.
    pub(super) fn mark_connected(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the connection was made.
    pub(super) fn is_connected(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
