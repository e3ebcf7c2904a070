//! The one thread that HTTP runs on.
//!
//! Everything of reqwest and tokio is made, used and dropped on this thread.

use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::Clients;
use super::exchange::Exchange;
use super::{Options, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::{Failure, Response};
use crate::sys::signals;

/// Look-ups of names at a time. More than a few at once means that the name server is not there.
const MOST_LOOKUPS: usize = 8;

/// One exchange on its way.
pub(super) struct Job {
    pub(super) call: Exchange,
    pub(super) deadline: Instant,
    pub(super) response: SyncSender<Result<Response, Failure>>,
}

enum Message {
    Job(Box<Job>),
    Stop,
}

/// The thread, from outside.
pub(super) struct Worker {
    messages: UnboundedSender<Message>,
    /// Says nothing, and hangs up when the thread is through.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(options: Options) -> Result<Self> {
        // The system's own words: the kinds of errors have none for a limit that is reached.
        let refuse = |what: &str, error: &std::io::Error| Error::new(ErrorKind::Unreachable, format!("{what} ({error}): raise its limit"));
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("keyferry-dns")
            .max_blocking_threads(MOST_LOOKUPS)
            .build()
            .map_err(|error| refuse("the system gives no descriptors for HTTP", &error))?;
        let (messages, inbox) = unbounded_channel();
        let (end, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("keyferry-http".into())
            .spawn(move || {
                // For the threads that it starts too. Bodies are sent with `writev`, which can't be told to raise nothing.
                signals::block_sigpipe();
                serve(runtime, &options, inbox);
                drop(end);
            })
            .map_err(|error| refuse("the system gives no thread for HTTP", &error))?;
        Ok(Self { messages, ended, thread })
    }

    /// Hands over a job.
    pub(super) fn submit(&self, job: Job) -> Result<()> {
        self.messages.send(Message::Job(Box::new(job))).map_err(|_| broken())
    }

    /// Has the thread drop what it does and end. Doesn't wait for it.
    pub(super) fn stop(&self) {
        drop(self.messages.send(Message::Stop));
    }

    /// Waits for the end, but not longer than this.
    pub(super) fn wait(self, longest: Duration) {
        drop(self.messages);
        if self.ended.recv_timeout(longest) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
            drop(self.thread.join());
        }
    }
}

/// The error where the thread did not live to answer.
pub(super) fn broken() -> Error {
    Error::new(ErrorKind::Panic, "a fault inside keyferry's HTTP: open the session anew, and tell its authors")
}

fn serve(runtime: Runtime, options: &Options, mut inbox: UnboundedReceiver<Message>) {
    runtime.block_on(async {
        let mut clients = Clients::new(options);
        while let Some(Message::Job(job)) = inbox.recv().await {
            let Job { call, deadline, response } = *job;
            match clients.get(call.route) {
                Ok(client) => drop(tokio::spawn(async move {
                    let (peer, progress) = (call.peer.clone(), call.progress.clone());
                    let finished = tokio::time::timeout_at(deadline.into(), call.run(client)).await;
                    let sent = progress.is_connected();
                    let late = || Err(Failure { error: failure::late(&peer, sent), sent });
                    drop(response.send(finished.unwrap_or_else(|_| late())));
                })),
                Err(error) => drop(response.send(Err(Failure { error, sent: false }))),
            }
        }
    });
    runtime.shutdown_background();
}
