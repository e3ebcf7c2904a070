//! The thread that runs all HTTP exchanges.
//!
//! All reqwest and tokio objects are created, used and dropped on this thread.

use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::Clients;
use super::exchange::Exchange;
use super::failure;
use super::options::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::{Failure, Response};
use crate::sys::io_cause::{self, Subject};
use crate::sys::signals;

/// The maximum number of host name lookups at a time. More than a few at once means that the name
/// server does not respond.
const MAX_LOOKUPS: usize = 8;

/// An exchange for the thread to run, and the channel for its response.
pub(super) struct Job {
    pub(super) exchange: Exchange,
    pub(super) deadline: Instant,
    pub(super) sender: SyncSender<Result<Response, Failure>>,
}

enum Message {
    Job(Box<Job>),
    Stop,
}

/// A handle to the thread.
pub(super) struct Worker {
    messages: UnboundedSender<Message>,
    /// Disconnects when the thread ends. Never receives a message.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
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

    /// Tells the thread to drop its exchanges and end. Doesn't wait for the thread.
    pub(super) fn stop(&self) {
        drop(self.messages.send(Message::Stop));
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

fn serve(runtime: Runtime, options: &Options, mut inbox: UnboundedReceiver<Message>) {
    runtime.block_on(async {
        let mut clients = Clients::new(options);
        while let Some(Message::Job(job)) = inbox.recv().await {
            let Job {
                exchange,
                deadline,
                sender,
            } = *job;
            match clients.get(exchange.route) {
                Ok(client) => drop(tokio::spawn(async move {
                    let (peer, progress) = (exchange.peer.clone(), exchange.progress.clone());
                    let outcome =
                        tokio::time::timeout_at(deadline.into(), exchange.run(client)).await;
                    let sent = progress.is_connected();
                    let timed_out = || {
                        Err(Failure {
                            error: failure::timed_out(&peer, sent),
                            sent,
                        })
                    };
                    drop(sender.send(outcome.unwrap_or_else(|_| timed_out())));
                })),
                Err(error) => drop(sender.send(Err(Failure { error, sent: false }))),
            }
        }
    });
    runtime.shutdown_background();
}
