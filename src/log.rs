//! The log: one function of the host program, or nothing.
//!
//! Deliberately not the `log` crate: libraries below would write headers into it, and a host would
//! have to install a logger of its own.
//!
//! The function is called from any thread, never under a lock of ours, never on the hit path, never
//! in a forked child.

use std::cell::Cell;
use std::fmt::Arguments;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::sys::sync::{Condvar, Mutex, RwLock};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What the user has to mend.
    Error = 1,
    /// What works in spite of a fault.
    Warn = 2,
    /// Logins, refreshes, refusals.
    Info = 3,
    /// Each exchange.
    Debug = 4,
}

/// Takes messages. What it owns is freed when it is dropped.
pub type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Installed {
    sink: Sink,
    fork: u32,
    running: Mutex<u32>,
    idle: Condvar,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);
static RUNNING: AtomicU32 = AtomicU32::new(0);
static SINK: RwLock<Option<Arc<Installed>>> = RwLock::new(None);

/// Whose code runs on this thread that must not call keyferry back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Sink,
    Plugin,
}

thread_local! {
    /// What this thread is inside of, and in which generation of forks: a child that was forked
    /// there is inside of nothing.
    static INSIDE: Cell<(Inside, u32)> = const { Cell::new((Inside::Nothing, 0)) };
}

/// Has all messages up to `level` go to `sink` from now on. Returns when no call of the one before
/// is running; that one is dropped then.
///
/// # Errors
/// [`ErrorKind::Reentrant`] from inside a sink.
pub fn install(level: Option<Level>, sink: Option<Sink>) -> Result<()> {
    check_not_inside()?;
    fork::watch();
    let fresh = sink
        .map(|sink| Installed {
            sink,
            fork: fork::generation(),
            running: Mutex::new(0),
            idle: Condvar::new(),
        })
        .map(Arc::new);
    let quiet = fresh.is_none();
    let old = std::mem::replace(&mut *SINK.write(), fresh);
    LEVEL.store(
        if quiet {
            0
        } else {
            level.map_or(0, |level| level as u8)
        },
        Ordering::Release,
    );
    if let Some(old) = old.filter(|old| old.fork == fork::generation()) {
        let mut running = old.running.lock();
        while *running > 0 {
            old.idle.wait(&mut running);
        }
    }
    Ok(())
}

/// Says something at a level.
pub fn write(level: Level, message: Arguments<'_>) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let Some(installed) = enter() else {
        return;
    };
    let text = message.to_string();
    RUNNING.fetch_add(1, Ordering::Relaxed);
    // A sink that panics says nothing more; whoever logs goes on.
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
    if whereabouts() == Inside::Sink {
        return None;
    }
    if fork::generation() != 0 && forked_from_installer() {
        return None;
    }
    let guard = SINK.read();
    let installed = guard.as_ref()?;
    *installed.running.lock() += 1;
    Some(Arc::clone(installed))
}

/// In a child the lock itself may have been taken at the fork: it is only tried.
fn forked_from_installer() -> bool {
    SINK.try_read().is_none_or(|guard| {
        guard
            .as_ref()
            .is_none_or(|installed| installed.fork != fork::generation())
    })
}

/// Runs a plugin's function: what it calls of keyferry meanwhile is refused, for it may wait for
/// that very function.
pub fn inside_plugin<T>(function: impl FnOnce() -> T) -> T {
    RUNNING.fetch_add(1, Ordering::Relaxed);
    let outcome = inside(Inside::Plugin, function);
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    outcome
}

fn inside<T>(what: Inside, function: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace((what, fork::generation()));
    let outcome = function();
    INSIDE.set(before);
    outcome
}

fn whereabouts() -> Inside {
    let (inside, forks) = INSIDE.get();
    if forks == fork::generation() {
        inside
    } else {
        Inside::Nothing
    }
}

/// Refuses calls from inside a sink, and from inside a plugin's function.
///
/// # Errors
/// [`ErrorKind::Reentrant`].
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
    match whereabouts() {
        Inside::Nothing => Ok(()),
        Inside::Sink => Err(Error::new(
            ErrorKind::Reentrant,
            "keyferry was called from its own log function: hand the message to another thread",
        )),
        Inside::Plugin => Err(Error::new(
            ErrorKind::Reentrant,
            "keyferry was called from a plugin's function: use the host's table there",
        )),
    }
}
