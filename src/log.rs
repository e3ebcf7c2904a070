//! The log: passes messages to one function of the application, or discards them.
//!
//! Rationale: keyferry does not use the `log` crate. The libraries below keyferry would write
//! headers to that log, and the application would have to install a logger.
//!
//! keyferry may call the function from any thread. It never calls the function while it holds one
//! of its own locks, on a cache hit, or in a forked child.

use std::cell::Cell;
use std::fmt::Arguments;
use std::io::PipeWriter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::sys::sync::{Condvar, Mutex, RwLock};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork::{self, PerProcess};
use crate::sys::pipe;
use crate::text::replace_unprintable;

/// The severity of a log message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A fault that the user must fix.
    Error = 1,
    /// A fault that keyferry works around.
    Warn = 2,
    /// Logins, refreshes and rejections.
    Info = 3,
    /// Every HTTP exchange.
    Debug = 4,
}

/// The application's log function.
pub type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Installed {
    sink: Sink,
    running: Mutex<u32>,
    idle: Condvar,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);
static RUNNING: AtomicU32 = AtomicU32::new(0);
/// The log function that this process has installed. A forked child starts without one.
static INSTALLED: PerProcess<RwLock<Option<Arc<Installed>>>> = PerProcess::new();

/// The foreign code that runs on a thread and must not call keyferry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Sink,
    Plugin,
}

thread_local! {
    /// The foreign code that runs on this thread, and the fork generation in which it was entered.
    /// A forked child ignores the value of its parent.
    static INSIDE: Cell<(Inside, u32)> = const { Cell::new((Inside::Nothing, 0)) };
}

/// Sends all messages up to `level` to `sink` from now on. Waits until no call of the previous sink
/// is running, then drops that sink. In a forked child, the parent's sink is neither called nor
/// dropped.
///
/// # Errors
/// [`ErrorKind::Reentrant`] if called from a sink or from a plugin's function.
pub fn install(level: Option<Level>, sink: Option<Sink>) -> Result<()> {
    check_not_inside()?;
    let fresh = sink
        .map(|sink| Installed {
            sink,
            running: Mutex::new(0),
            idle: Condvar::new(),
        })
        .map(Arc::new);
    let quiet = fresh.is_none();
    let installed = INSTALLED.get_or_init(RwLock::default);
    let old = std::mem::replace(&mut *installed.write(), fresh);
    LEVEL.store(
        if quiet {
            0
        } else {
            level.map_or(0, |level| level as u8)
        },
        Ordering::Release,
    );
    if let Some(old) = old {
        let mut running = old.running.lock();
        while *running > 0 {
            old.idle.wait(&mut running);
        }
    }
    Ok(())
}

/// Returns a sink that writes each message to a pipe that doesn't block, as one line: the number of
/// the level, a space, the message. A line longer than 4096 bytes is cut.
///
/// The sink never waits for the reader. If the pipe is full, the message is lost, and the next line
/// that the pipe has room for says how many messages were lost.
pub fn pipe_sink(writer: PipeWriter) -> Sink {
    let lost = Mutex::new(0_u64);
    Box::new(move |level, message| {
        let mut lost = lost.lock();
        if *lost > 0 && write_line(&writer, level, &gap(*lost)) {
            *lost = 0;
        }
        if *lost > 0 || !write_line(&writer, level, message) {
            *lost += 1;
        }
    })
}

/// Returns the message that stands for lost ones.
fn gap(lost: u64) -> String {
    format!("{lost} log messages are missing here; read the log more often")
}

fn write_line(writer: &PipeWriter, level: Level, message: &str) -> bool {
    let mut line = format!("{} {message}", level as u8);
    line.truncate(line.floor_char_boundary(pipe::MAX_ATOMIC_BYTES - 1));
    line.push('\n');
    pipe::write_whole(writer, line.as_bytes())
}

/// Writes a log message.
pub fn write(level: Level, message: Arguments<'_>) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let Some(installed) = enter() else {
        return;
    };
    let text = message.to_string();
    // A path or an ID in the message may contain control characters, and the application may print
    // the message on a terminal.
    let text = replace_unprintable(&text, '?');
    RUNNING.fetch_add(1, Ordering::Relaxed);
    // A panic in the sink loses this message only. The code that wrote the message continues.
    let _ = inside(Inside::Sink, || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (installed.sink)(level, &text)
        }))
    });
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    let mut running = installed.running.lock();
    *running -= 1;
    let last = *running == 0;
    drop(running);
    if last {
        installed.idle.notify_all();
    }
}

fn enter() -> Option<Arc<Installed>> {
    if current_code() == Inside::Sink {
        return None;
    }
    let guard = INSTALLED.get()?.read();
    let installed = guard.as_ref()?;
    *installed.running.lock() += 1;
    Some(Arc::clone(installed))
}

/// Runs a plugin's function. Calls from that function to keyferry's public API fail meanwhile,
/// because they may wait for that same function.
pub fn inside_plugin<T>(function: impl FnOnce() -> T) -> T {
    RUNNING.fetch_add(1, Ordering::Relaxed);
    let outcome = inside(Inside::Plugin, function);
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    outcome
}

fn inside<T>(code: Inside, function: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace((code, fork::generation()));
    let outcome = function();
    INSIDE.set(before);
    outcome
}

fn current_code() -> Inside {
    let (inside, forks) = INSIDE.get();
    if forks == fork::generation() {
        inside
    } else {
        Inside::Nothing
    }
}

/// Rejects calls from inside a sink or a plugin's function.
///
/// # Errors
/// [`ErrorKind::Reentrant`] if the calling thread is inside one of these.
#[inline]
pub fn check_not_inside() -> Result<()> {
    if RUNNING.load(Ordering::Relaxed) != 0 {
        refuse_inside()
    } else {
        Ok(())
    }
}

#[cold]
fn refuse_inside() -> Result<()> {
    match current_code() {
        Inside::Nothing => Ok(()),
        Inside::Sink => Err(Error::new(
            ErrorKind::Reentrant,
            "keyferry was called from its own log function; pass the log message to another thread",
        )),
        Inside::Plugin => Err(Error::new(
            ErrorKind::Reentrant,
            "keyferry was called from a plugin's function; use the host's table there instead",
        )),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::io::{self, PipeReader, Read};

    use super::*;

    #[test]
    fn a_message_is_one_printable_line() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink_seen = Arc::clone(&seen);
        let sink: Sink = Box::new(move |_, text| {
            // Other tests may log meanwhile.
            if text.starts_with("log test ") {
                sink_seen.lock().push(text.to_owned());
            }
        });
        install(Some(Level::Debug), Some(sink)).unwrap();
        write(
            Level::Info,
            format_args!("log test a\nb\u{1b}[2J\0\u{202e}c"),
        );
        install(None, None).unwrap();
        assert_eq!(*seen.lock(), ["log test a?b?[2J??c"]);
    }

    fn lines_of(reader: &mut PipeReader) -> Vec<String> {
        let mut bytes = Vec::new();
        // The pipe is empty, but the sink may still write to it.
        assert_eq!(
            reader.read_to_end(&mut bytes).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_pipe_gets_each_message_as_a_line_and_a_full_pipe_counts_those_that_are_lost() {
        let (mut reader, writer) = pipe::create_nonblocking().unwrap();
        let sink = pipe_sink(writer);
        sink(Level::Info, "first");
        sink(Level::Debug, &"ä".repeat(3000));
        let lines = lines_of(&mut reader);
        assert_eq!(lines[0], "3 first");
        assert_eq!(lines[1], format!("4 {}", "ä".repeat(2046)));

        for number in 0..1000 {
            sink(Level::Warn, &format!("{number:0>999}"));
        }
        let lines = lines_of(&mut reader);
        assert!(
            !lines.is_empty() && lines.len() < 1000,
            "{} lines",
            lines.len()
        );
        let lost = 1000 - lines.len();
        sink(Level::Error, "after");
        assert_eq!(
            lines_of(&mut reader),
            [format!("1 {}", gap(lost as u64)), "1 after".to_owned()]
        );
    }

    #[test]
    fn a_pipe_without_a_reader_loses_the_messages() {
        let (reader, writer) = pipe::create_nonblocking().unwrap();
        let sink = pipe_sink(writer);
        drop(reader);
        sink(Level::Info, "nobody reads this");
        sink(Level::Info, "nor this");
    }
}
