//! HTTP over real sockets: the provider of [`crate::ports::http`], and the only place that names
//! reqwest.
//!
//! It judges no answer: a 401 or a redirect is an answer like any other. No header, body or URL is
//! logged, and no text of a library gets out.
//!
//! Callers see blocking calls. Behind them is one thread, `keyferry-http`, which starts with the
//! first exchange and runs reqwest's asynchronous client on a tokio runtime of its own.
//!
//! Rationale: reqwest's blocking client can't end an exchange that is under way. Closing a session
//! has to, at once, and a name server that never answers must not hold it up: a look-up that hangs
//! is left to its thread and nobody waits for it.

mod client;
mod exchange;
mod failure;
mod options;
mod progress;
mod proxy;
mod tls;
mod worker;

use std::mem::ManuallyDrop;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

pub use options::{Options, Proxy};

use crate::error::{Error, ErrorKind};
use crate::ports::http::{Failure, Http, Request, Response};
use crate::sys::fork;
use crate::sys::sync::Mutex;
use exchange::Exchange;
use worker::{Job, Worker};

/// How long dropping a transport waits for its thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends requests. Making one starts, opens and reads nothing.
pub struct Transport {
    options: Options,
    fork_generation: u32,
    /// Never touched in a child: its lock, thread and descriptors are the parent's.
    state: ManuallyDrop<Mutex<WorkerState>>,
}

enum WorkerState {
    Idle,
    Running(Worker),
    Closed(Option<Worker>),
}

impl Transport {
    /// A transport that has not started yet.
    pub fn new(options: Options) -> Self {
        fork::watch();
        Self {
            options,
            fork_generation: fork::generation(),
            state: ManuallyDrop::new(Mutex::new(WorkerState::Idle)),
        }
    }

    /// Submits a job to the thread, and starts the thread first where it does not run.
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

impl Http for Transport {
    fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        let not_sent = |error| Failure { error, sent: false };
        if fork::generation() != self.fork_generation {
            return Err(not_sent(Error::new(
                ErrorKind::Forked,
                "this session was made before a fork: open another one in the child",
            )));
        }
        let exchange = Exchange::prepare(request).map_err(not_sent)?;
        let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
        let (sender, receiver) = sync_channel(1);
        if Instant::now() >= deadline {
            return Err(not_sent(Error::new(
                ErrorKind::Timeout,
                format!("no time was left to ask {peer}: give the call more"),
            )));
        }
        self.submit(Job {
            exchange,
            deadline,
            sender,
        })
        .map_err(not_sent)?;
        receiver
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .unwrap_or_else(|error| {
                let sent = progress.is_connected();
                let error = match error {
                    RecvTimeoutError::Timeout => failure::timed_out(&peer, sent),
                    RecvTimeoutError::Disconnected if self.is_closed() => session_closed(),
                    RecvTimeoutError::Disconnected => worker::stopped(),
                };
                Err(Failure { error, sent })
            })
    }

    fn close(&self) {
        if fork::generation() != self.fork_generation {
            return;
        }
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, WorkerState::Idle) {
            WorkerState::Running(worker) => {
                worker.stop();
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
        self.close();
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
