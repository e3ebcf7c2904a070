//! Records whether an exchange has a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    /// The progress of the exchange that this task runs.
    pub(super) static PROGRESS: Progress;
}

/// Whether the peer may have received any part of a request. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Records that the connection is established, including TLS. From now on the client may send
    /// the request.
    pub(super) fn mark_connected(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether the connection was established.
    pub(super) fn is_connected(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
