//! HTTP over real sockets: the provider of [`crate::ports::http`], and the only place that names reqwest.
//!
//! It judges no answer: a 401 or a redirect is an answer like any other. No header, body or URL is
//! logged, and no text of a library gets out.
//!
//! Callers see blocking calls. Behind them is one thread, `keyferry-http`, which starts with the first exchange and runs
//! reqwest's asynchronous client on a tokio runtime of its own.
//!
//! Rationale: reqwest's blocking client can't end an exchange that is under way. Closing a session has to, at once, and a
//! name server that never answers must not hold it up: a look-up that hangs is left to its thread and nobody waits for it.

mod client;
mod exchange;
mod failure;
mod proxy;
mod tls;
mod worker;

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::sys::sync::Mutex;

use crate::error::{Error, ErrorKind};
use crate::ports::http::{Failure, Http, Request, Response};
use crate::sys::fork;
use worker::{Job, Worker};

/// How long dropping waits for the thread.
const LONGEST_END: Duration = Duration::from_secs(1);

/// The way to cloud hosts. This machine is always reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As the system says: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their kin.
    #[default]
    System,
    /// Directly.
    None,
    /// This one.
    Url(String),
}

impl Proxy {
    /// Reads the setting `http.proxy`.
    pub fn from_setting(text: Option<&str>) -> Self {
        match text {
            None => Self::System,
            Some("none") => Self::None,
            Some(url) => Self::Url(url.to_owned()),
        }
    }
}

/// What a transport has to know. It reads nothing else of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificates to trust beside the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The way to cloud hosts.
    pub proxy: Proxy,
}

/// Sends requests. Making one starts, opens and reads nothing.
pub struct Transport {
    options: Options,
    forks: u32,
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
        Self { options, forks: fork::generation(), state: ManuallyDrop::new(Mutex::new(WorkerState::Idle)) }
    }

    /// Hands a job to the thread, which is started if need be.
    fn submit(&self, job: Job) -> Result<(), Error> {
        let mut state = self.state.lock();
        if let WorkerState::Idle = *state {
            *state = WorkerState::Running(Worker::start(self.options.clone())?);
        }
        match &*state {
            WorkerState::Running(worker) => worker.submit(job),
            _ => Err(closed()),
        }
    }

    fn is_closed(&self) -> bool {
        matches!(*self.state.lock(), WorkerState::Closed(_))
    }
}

impl Http for Transport {
    fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        let unsent = |error| Failure { error, sent: false };
        if fork::generation() != self.forks {
            return Err(unsent(Error::new(ErrorKind::Forked, "this session was made before a fork: open another one in the child")));
        }
        let call = exchange::Exchange::prepare(request).map_err(unsent)?;
        let (peer, progress) = (call.peer.clone(), call.progress.clone());
        let (sender, receiver) = sync_channel(1);
        if Instant::now() >= deadline {
            return Err(unsent(Error::new(ErrorKind::Timeout, format!("no time was left to ask {peer}: give the call more"))));
        }
        self.submit(Job { call, deadline, response: sender }).map_err(unsent)?;
        receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap_or_else(|why| {
            let sent = progress.is_connected();
            let error = match why {
                RecvTimeoutError::Timeout => failure::late(&peer, sent),
                RecvTimeoutError::Disconnected if self.is_closed() => closed(),
                RecvTimeoutError::Disconnected => worker::broken(),
            };
            Err(Failure { error, sent })
        })
    }

    fn close(&self) {
        if fork::generation() != self.forks {
            return;
        }
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, WorkerState::Idle) {
            WorkerState::Running(worker) => {
                worker.stop();
                WorkerState::Closed(Some(worker))
            }
            WorkerState::Idle => WorkerState::Closed(None),
            already @ WorkerState::Closed(_) => already,
        };
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if fork::generation() != self.forks {
            return;
        }
        self.close();
        if let WorkerState::Closed(Some(worker)) = std::mem::replace(&mut *self.state.lock(), WorkerState::Closed(None)) {
            worker.wait(LONGEST_END);
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the session was closed")
}
