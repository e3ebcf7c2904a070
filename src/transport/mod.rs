//! Implements [`crate::ports::http`] with real sockets. No other module uses reqwest.
//!
//! Every HTTP status is a successful exchange here, including a 401 and a redirect. The transport
//! logs no header, body or URL, and its errors quote no message of a library.
//!
//! Reads share connections, which stay open for some seconds. Each other request has a connection of
//! its own, so that nothing but the request itself can make the service act on it.
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
mod kept;
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

use url::Url;

use crate::error::{Error, ErrorKind};
use crate::log::{self, Level};
use crate::ports::http::{Failure, Http, Reader, Request, Response};
use crate::sys::fork;
use crate::sys::sync::Mutex;
use client::Route;
use exchange::Exchange;
use kept::{KeptConnection, Place};
use worker::{Connection, Job, Worker};

/// The longest time that dropping a transport waits for its thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time that [`Http::close_idle`] waits for the transport's thread.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(200);

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

    /// Calls `use_worker` with the thread. Starts the thread if it is not running.
    fn with_worker<T>(&self, use_worker: impl FnOnce(&Worker) -> T) -> Result<T, Error> {
        if self.is_forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "this session was opened before a fork; open a new session in the child process",
            ));
        }
        let mut state = self.state.lock();
        if let WorkerState::Idle = *state {
            let worker = Worker::start(self.options.clone())?;
            *state = WorkerState::Running(worker);
        }
        match &*state {
            WorkerState::Running(worker) => Ok(use_worker(worker)),
            _ => Err(session_closed()),
        }
    }

    fn is_forked(&self) -> bool {
        fork::generation() != self.fork_generation
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
        connection: Connection,
    ) -> Result<Response, Failure> {
        let exchange = Exchange::prepare(request).map_err(not_sent)?;
        self.run(exchange, deadline, connection)
    }

    fn run(
        &self,
        exchange: Exchange,
        deadline: Instant,
        connection: Connection,
    ) -> Result<Response, Failure> {
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
        let job = Job {
            exchange,
            deadline,
            connection,
            sender,
        };
        self.with_worker(|worker| worker.submit(job))
            .and_then(|submitted| submitted)
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
    fn exchange(
        &self,
        account: usize,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        self.send(request, deadline, Connection::New(account))
    }

    fn exchange_to_end(
        &self,
        account: usize,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        self.send(request, deadline, Connection::NewToEnd(account))
    }

    fn reader(&self, account: usize) -> Box<dyn Reader + '_> {
        Box::new(TransportReader {
            transport: self,
            account,
            connection: None,
        })
    }

    fn close_idle(&self) {
        if self.is_forked() {
            return;
        }
        let settled = match &*self.state.lock() {
            WorkerState::Running(worker) => {
                worker.pool.clear();
                worker.settle()
            }
            _ => return,
        };
        let _ = settled.recv_timeout(SETTLE_TIMEOUT);
    }

    fn close(&self, deadline: Instant) {
        if self.is_forked() {
            return;
        }
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, WorkerState::Idle) {
            WorkerState::Running(worker) => {
                worker.pool.clear();
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
        if self.is_forked() {
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

/// Sends the reads of one account, one after the other.
struct TransportReader<'a> {
    transport: &'a Transport,
    account: usize,
    /// The connection of the last read, or one that is being opened for the next read.
    connection: Option<KeptConnection>,
}

impl TransportReader<'_> {
    /// Returns the reader's connection if it is for this place, and else an idle or a new one.
    fn take_connection(&mut self, place: &Place) -> Result<KeptConnection, Error> {
        let own = self.connection.take();
        match own.filter(|connection| connection.place == *place) {
            Some(connection) => Ok(connection),
            None => self.transport.with_worker(|worker| worker.pool.take(place)),
        }
    }
}

impl Reader for TransportReader<'_> {
    fn open(&mut self, url: &Url) {
        if self.connection.is_some() || Route::for_url(url).is_none() {
            return;
        }
        // The read reports the error if there is one.
        let Ok(connection) = self.take_connection(&Place::new(self.account, url)) else {
            return;
        };
        if !connection.is_begun() {
            let (opened, url) = (connection.clone(), url.clone());
            drop(
                self.transport
                    .with_worker(|worker| worker.open(opened, url)),
            );
        }
        self.connection = Some(connection);
    }

    fn read(&mut self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        let transport = self.transport;
        let place = Place::new(self.account, &request.url);
        let exchange = Exchange::prepare(request).map_err(not_sent)?;
        let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
        let mut connection = self.take_connection(&place).map_err(not_sent)?;
        if connection.is_begun() {
            progress.mark_kept();
        }
        let mut outcome = transport.run(exchange, deadline, Connection::Kept(connection.clone()));
        if let Err(failure) = &outcome
            && progress.is_kept()
            && failure.error.kind != ErrorKind::Cancelled
            && Instant::now() < deadline
        {
            log::write(
                Level::Debug,
                format_args!(
                    "{peer}: sending the read again on a new connection, because the open one failed: {}",
                    failure.error
                ),
            );
            let exchange = Exchange::prepare(request).map_err(not_sent)?;
            connection = transport
                .with_worker(|worker| worker.pool.create(&place))
                .map_err(not_sent)?;
            outcome = transport.run(exchange, deadline, Connection::Kept(connection.clone()));
        }
        if outcome.as_ref().is_ok_and(|response| response.status < 400) {
            self.connection = Some(connection);
        }
        outcome
    }

    fn keep(&mut self) {
        if let Some(connection) = self.connection.take() {
            // If the session was closed, the connection is closed here.
            drop(
                self.transport
                    .with_worker(|worker| worker.pool.put(connection)),
            );
        }
    }
}

fn not_sent(error: Error) -> Failure {
    Failure { error, sent: false }
}

fn session_closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the session was closed")
}
