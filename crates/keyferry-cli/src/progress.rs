//! A progress message on standard error while a command waits.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::streams::Streams;
use crate::terminal::sanitize;

/// The delay before a progress message is shown.
const DELAY: Duration = Duration::from_secs(1);

/// Runs work that may take long. If standard error is a terminal, shows the message there after one
/// second.
pub fn with_progress<T>(streams: &Streams<'_>, message: &str, work: impl FnOnce() -> T) -> T {
    if !streams.stderr.caps().is_terminal {
        return work();
    }
    let (done, wait) = channel::<()>();
    let message = sanitize(message).into_owned();
    thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // Show the message on its own line and erase it when the work is done. Failed writes
            // are ignored, because the message is only informative.
            let _ = write!(io::stderr(), "{message} …");
            let _ = wait.recv();
            let _ = write!(
                io::stderr(),
                "\r{}\r",
                " ".repeat(message.chars().count() + 2)
            );
        });
        let outcome = work();
        drop(done);
        outcome
    })
}
