//! The thread that runs all HTTP exchanges.
//!
//! All reqwest and tokio objects are created and used on this thread. Other threads only drop a
//! client. Its connection then ends on this thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use super::client::{self, Clients, Route, RouteClient};
use super::exchange::Exchange;
use super::failure;
use super::kept::{KeptConnection, Pool};
use super::options::Options;
use super::progress::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::{Failure, Response};
use crate::sys::io_cause::{self, Subject};
use crate::sys::signals;

/// The maximum number of host name lookups at a time. More than a few at once means that the name
/// server does not respond.
const MAX_LOOKUPS: usize = 8;

/// How often the thread lets all other tasks run before it says that dropped connections are closed. A
/// connection needs one turn: it then finds that its client is gone, and closes.
const SETTLE_TURNS: usize = 8;

/// The connection that an exchange uses, and whether the exchange goes on when the session closes.
pub(super) enum Connection {
    /// A new connection of this account. The exchange ends at once when the session closes.
    New(usize),
    /// A new connection of this account. The exchange ends at once when the session closes, unless
    /// the peer may have received any of the request.
    NewToEnd(usize),
    /// A connection for reads. The exchange ends at once when the session closes.
    Kept(KeptConnection),
}

/// An exchange for the thread to run, and the channel for its response.
pub(super) struct Job {
    pub(super) exchange: Exchange,
    pub(super) deadline: Instant,
    pub(super) connection: Connection,
    pub(super) sender: SyncSender<Result<Response, Failure>>,
}

enum Message {
    Job(Box<Job>),
    /// Opens a connection for reads of this URL, if it is not open.
    Open(KeptConnection, Box<Url>),
    /// Responds when the connections that were dropped before are closed.
    Settle(SyncSender<()>),
    /// Ends the thread, at the latest at this time.
    Stop(Instant),
}

/// A handle to the thread.
pub(super) struct Worker {
    /// The connections for reads that are idle.
    pub(super) pool: Arc<Pool>,
    messages: UnboundedSender<Message>,
    /// Disconnects when the thread ends. Never receives a message.
    ended: Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(options: Options) -> Result<Self> {
        let start_error = |error: std::io::Error| {
            let why = io_cause::explain(&error, Subject::Service);
            Error::new(ErrorKind::Unreachable, format!("cannot start HTTP: {why}"))
        };
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("keyferry-dns")
            .max_blocking_threads(MAX_LOOKUPS)
            .build()
            .map_err(start_error)?;
        let pool = Pool::new();
        let idle = Arc::clone(&pool);
        let (messages, inbox) = unbounded_channel();
        let (end, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("keyferry-http".into())
            .spawn(move || {
                // Bodies are sent with `writev`, which has no flag to suppress SIGPIPE. The threads
                // that this thread starts inherit the block.
                signals::block_sigpipe();
                serve(runtime, &options, &idle, inbox);
                drop(end);
            })
            .map_err(start_error)?;
        Ok(Self {
            pool,
            messages,
            ended,
            thread,
        })
    }

    /// Submits a job.
    pub(super) fn submit(&self, job: Job) -> Result<()> {
        self.messages
            .send(Message::Job(Box::new(job)))
            .map_err(|_| stopped())
    }

    /// Opens a connection for reads of a URL. Doesn't wait for it.
    pub(super) fn open(&self, connection: KeptConnection, url: Url) {
        drop(self.messages.send(Message::Open(connection, Box::new(url))));
    }

    /// Returns a receiver that gets a message when the connections that were dropped before are closed
    /// and their buffers are freed.
    pub(super) fn settle(&self) -> Receiver<()> {
        let (sender, settled) = sync_channel(1);
        drop(self.messages.send(Message::Settle(sender)));
        settled
    }

    /// Tells the thread to drop its exchanges and end. An exchange with [`Connection::NewToEnd`] that was
    /// sent goes on until the deadline. Doesn't wait for the thread.
    pub(super) fn stop(&self, deadline: Instant) {
        drop(self.messages.send(Message::Stop(deadline)));
    }

    /// Waits at most `timeout` for the thread to end.
    pub(super) fn wait(self, timeout: Duration) {
        drop(self.messages);
        if self.ended.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
        {
            drop(self.thread.join());
        }
    }
}

/// Returns the error for a thread that ended before it responded.
pub(super) fn stopped() -> Error {
    Error::new(
        ErrorKind::Panic,
        "keyferry's HTTP thread stopped unexpectedly; open a new session, and report this bug",
    )
}

/// The running exchanges.
#[derive(Default)]
struct Exchanges {
    /// Those that end when the thread stops.
    end: JoinSet<()>,
    /// Those that may go on if they were sent.
    finish: Vec<(JoinHandle<()>, Progress)>,
}

impl Exchanges {
    fn start(&mut self, job: Job, client: RouteClient) {
        self.remove_ended();
        let progress = job.exchange.progress.clone();
        let goes_on = matches!(job.connection, Connection::NewToEnd(_));
        let running = run(job, client);
        if goes_on {
            self.finish.push((tokio::spawn(running), progress));
        } else {
            self.end.spawn(running);
        }
    }

    /// Opens a connection for an exchange that has not started.
    fn open(&mut self, connection: KeptConnection, client: RouteClient, url: Url) {
        self.remove_ended();
        self.end.spawn(async move {
            client::open_ahead(&client.client, url).await;
            drop(connection);
        });
    }

    fn remove_ended(&mut self) {
        while self.end.try_join_next().is_some() {}
        self.finish.retain(|(running, _)| !running.is_finished());
    }

    /// Ends the exchanges that were not sent or need not be finished, and waits for the others.
    async fn stop(mut self, deadline: Instant) {
        self.end.abort_all();
        for (running, _) in self.finish.iter().filter(|(_, sent)| !sent.is_connected()) {
            running.abort();
        }
        let finish = async {
            for (running, _) in self.finish {
                drop(running.await);
            }
        };
        drop(tokio::time::timeout_at(deadline.into(), finish).await);
    }
}

async fn run(job: Job, client: RouteClient) {
    let Job {
        exchange,
        deadline,
        connection,
        sender,
    } = job;
    let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
    let outcome = tokio::time::timeout_at(deadline.into(), exchange.run(client)).await;
    let sent = progress.is_connected();
    let timed_out = || {
        Err(Failure {
            error: failure::timed_out(&peer, sent),
            sent,
        })
    };
    // The reader that waits for the response then has the only clone, and decides whether the
    // connection stays open.
    drop(connection);
    drop(sender.send(outcome.unwrap_or_else(|_| timed_out())));
}

fn serve(runtime: Runtime, options: &Options, pool: &Pool, mut inbox: UnboundedReceiver<Message>) {
    runtime.block_on(async {
        let mut clients = Clients::new(options);
        let mut exchanges = Exchanges::default();
        let deadline = loop {
            match next_message(&mut inbox, pool).await {
                Some(Message::Job(job)) => match client_of(&job, &mut clients) {
                    Ok(client) => exchanges.start(*job, client),
                    Err(error) => drop(job.sender.send(Err(Failure { error, sent: false }))),
                },
                Some(Message::Open(connection, url)) => {
                    // The exchange that uses the connection reports the error.
                    if let Some(route) = Route::for_url(&url)
                        && let Ok(client) = connection.client(&mut clients, route)
                    {
                        exchanges.open(connection, client, *url);
                    }
                }
                Some(Message::Settle(settled)) => {
                    for _ in 0..SETTLE_TURNS {
                        tokio::task::yield_now().await;
                    }
                    let _ = settled.send(());
                }
                Some(Message::Stop(deadline)) => break deadline,
                None => break Instant::now(),
            }
        };
        exchanges.stop(deadline).await;
    });
    runtime.shutdown_background();
}

/// Waits for a message, and meanwhile closes the connections that were idle for too long.
async fn next_message(inbox: &mut UnboundedReceiver<Message>, pool: &Pool) -> Option<Message> {
    loop {
        let Some(at) = pool.close_expired(Instant::now()) else {
            return inbox.recv().await;
        };
        if let Ok(message) = tokio::time::timeout_at(at.into(), inbox.recv()).await {
            return message;
        }
    }
}

fn client_of(job: &Job, clients: &mut Clients<'_>) -> Result<RouteClient> {
    let route = job.exchange.route;
    match &job.connection {
        Connection::New(account) | Connection::NewToEnd(account) => {
            clients.single_use(*account, route)
        }
        Connection::Kept(connection) => connection.client(clients, route),
    }
}
