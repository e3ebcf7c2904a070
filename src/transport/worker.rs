//! The thread that runs all HTTP exchanges.
//!
//! All reqwest and tokio objects are created, used and dropped on this thread.

use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

use super::client::{Clients, RouteClient};
use super::exchange::Exchange;
use super::failure;
use super::options::Options;
use super::progress::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::{Failure, Response};
use crate::sys::io_cause::{self, Subject};
use crate::sys::signals;

/// The maximum number of host name lookups at a time. More than a few at once means that the name
/// server does not respond.
const MAX_LOOKUPS: usize = 8;

/// Whether an exchange goes on when the session closes.
pub(super) enum AtClose {
    /// It ends at once.
    End,
    /// It ends at once, unless the peer may have received any of the request.
    Finish,
}

/// An exchange for the thread to run, and the channel for its response.
pub(super) struct Job {
    pub(super) exchange: Exchange,
    pub(super) deadline: Instant,
    pub(super) at_close: AtClose,
    pub(super) sender: SyncSender<Result<Response, Failure>>,
}

enum Message {
    Job(Box<Job>),
    /// Ends the thread, at the latest at this time.
    Stop(Instant),
}

/// A handle to the thread.
pub(super) struct Worker {
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
        let (messages, inbox) = unbounded_channel();
        let (end, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("keyferry-http".into())
            .spawn(move || {
                // Bodies are sent with `writev`, which has no flag to suppress SIGPIPE. The threads
                // that this thread starts inherit the block.
                signals::block_sigpipe();
                serve(runtime, &options, inbox);
                drop(end);
            })
            .map_err(start_error)?;
        Ok(Self {
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

    /// Tells the thread to drop its exchanges and end. An exchange with [`AtClose::Finish`] that was
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
        while self.end.try_join_next().is_some() {}
        self.finish.retain(|(running, _)| !running.is_finished());
        let progress = job.exchange.progress.clone();
        let running = run(job.exchange, client, job.deadline, job.sender);
        match job.at_close {
            AtClose::End => drop(self.end.spawn(running)),
            AtClose::Finish => self.finish.push((tokio::spawn(running), progress)),
        }
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

async fn run(
    exchange: Exchange,
    client: RouteClient,
    deadline: Instant,
    sender: SyncSender<Result<Response, Failure>>,
) {
    let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
    let outcome = tokio::time::timeout_at(deadline.into(), exchange.run(client)).await;
    let sent = progress.is_connected();
    let timed_out = || {
        Err(Failure {
            error: failure::timed_out(&peer, sent),
            sent,
        })
    };
    drop(sender.send(outcome.unwrap_or_else(|_| timed_out())));
}

fn serve(runtime: Runtime, options: &Options, mut inbox: UnboundedReceiver<Message>) {
    runtime.block_on(async {
        let mut clients = Clients::new(options);
        let mut exchanges = Exchanges::default();
        let deadline = loop {
            match inbox.recv().await {
                Some(Message::Job(job)) => match clients.get(job.exchange.route) {
                    Ok(client) => exchanges.start(*job, client),
                    Err(error) => drop(job.sender.send(Err(Failure { error, sent: false }))),
                },
                Some(Message::Stop(deadline)) => break deadline,
                None => break Instant::now(),
            }
        };
        exchanges.stop(deadline).await;
    });
    runtime.shutdown_background();
}
