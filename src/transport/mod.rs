//! Implements [`crate::ports::http`] with real sockets. No other module uses reqwest.
//!
//! Every HTTP status is a successful exchange here, including a 401 and a redirect. The transport
//! logs no header, body or URL, and its errors quote no message of a library.
//!
//! Calls block. They are served by one thread, `keyferry-http`, which the first exchange starts.
//! The thread runs reqwest's asynchronous client on its own tokio runtime.
//!
//! Rationale: reqwest's blocking client can't abort a running exchange. Closing a session must
//! abort all exchanges at once, even if a name server never responds. A hung lookup is abandoned:
//! its thread goes on, and nothing waits for the thread.

mod body;
mod cert_variables;
mod client;
mod exchange;
mod failure;
mod no_proxy;
mod options;
mod peer;
mod progress;
mod proxy;
#[cfg(not(target_vendor = "apple"))]
mod system_roots;
mod tls;
mod worker;

use std::mem::ManuallyDrop;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

pub use options::{Options, Proxy};

use crate::error::{Error, ErrorKind};
use crate::log::{self, Level};
use crate::ports::http::{Failure, Http, Request, Response};
use crate::sys::fork;
use crate::sys::sync::Mutex;
use exchange::Exchange;
use worker::{AtClose, Job, Worker};

/// The longest time that dropping a transport waits for its thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends requests over the network. Creating a transport starts no thread and opens no file.
pub struct Transport {
    options: Options,
    fork_generation: u32,
    /// Never used in a forked child: the lock, thread and descriptors belong to the parent.
    state: ManuallyDrop<Mutex<WorkerState>>,
}

enum WorkerState {
    Idle,
    Running(Worker),
    Closed(Option<Worker>),
}

impl Transport {
    /// Creates a transport. Its thread is not started yet.
    pub fn new(options: Options) -> Self {
        fork::watch();
        Self {
            options,
            fork_generation: fork::generation(),
            state: ManuallyDrop::new(Mutex::new(WorkerState::Idle)),
        }
    }

    /// Submits a job to the thread. Starts the thread if it is not running.
    fn submit(&self, job: Job) -> Result<(), Error> {
        let mut state = self.state.lock();
        if let WorkerState::Idle = *state {
            *state = WorkerState::Running(Worker::start(self.options.clone())?);
        }
        match &*state {
            WorkerState::Running(worker) => worker.submit(job),
            _ => Err(session_closed()),
        }
    }

    fn is_closed(&self) -> bool {
        matches!(*self.state.lock(), WorkerState::Closed(_))
    }
}

impl Transport {
    fn send(
        &self,
        request: &Request,
        deadline: Instant,
        at_close: AtClose,
    ) -> Result<Response, Failure> {
        let not_sent = |error| Failure { error, sent: false };
        if fork::generation() != self.fork_generation {
            return Err(not_sent(Error::new(
                ErrorKind::Forked,
                "this session was opened before a fork; open a new session in the child process",
            )));
        }
        let exchange = Exchange::prepare(request).map_err(not_sent)?;
        let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
        let (sender, receiver) = sync_channel(1);
        if Instant::now() >= deadline {
            return Err(not_sent(Error::new(
                ErrorKind::Timeout,
                format!(
                    "the deadline passed before the request to {peer} was sent; raise the timeout"
                ),
            )));
        }
        self.submit(Job {
            exchange,
            deadline,
            at_close,
            sender,
        })
        .map_err(not_sent)?;
        let received = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        if peer.proxy().is_some() {
            // Here and not on the thread of all exchanges, which a slow log function would stop.
            log::write(Level::Debug, format_args!("tried {peer}"));
        }
        received.unwrap_or_else(|error| {
            let sent = progress.is_connected();
            let error = match error {
                RecvTimeoutError::Timeout => failure::timed_out(&peer, sent),
                RecvTimeoutError::Disconnected if self.is_closed() => session_closed(),
                RecvTimeoutError::Disconnected => worker::stopped(),
            };
            Err(Failure { error, sent })
        })
    }
}

impl Http for Transport {
    fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        self.send(request, deadline, AtClose::End)
    }

    fn exchange_to_end(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        self.send(request, deadline, AtClose::Finish)
    }

    fn close(&self, deadline: Instant) {
        if fork::generation() != self.fork_generation {
            return;
        }
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, WorkerState::Idle) {
            WorkerState::Running(worker) => {
                worker.stop(deadline);
                WorkerState::Closed(Some(worker))
            }
            WorkerState::Idle => WorkerState::Closed(None),
            closed @ WorkerState::Closed(_) => closed,
        };
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if fork::generation() != self.fork_generation {
            return;
        }
        self.close(Instant::now());
        if let WorkerState::Closed(Some(worker)) =
            std::mem::replace(&mut *self.state.lock(), WorkerState::Closed(None))
        {
            worker.wait(SHUTDOWN_TIMEOUT);
        }
    }
}

fn session_closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the session was closed")
}
