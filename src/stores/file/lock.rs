//! Locks between processes: a fixed set of small files that are never removed.
//!
//! A fetch lock is held while a service is asked; it is tried, never waited for. A write lock is
//! held for one write; callers wait for it.
//!
//! Each kind of resource has fetch locks of its own. Rationale: a fetch for a package holds its
//! lock while it gets the user's token under another one; with one file for both, it would wait for
//! itself.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::private_dir::io_error;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::ports::store::Lock;
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::FileFacts;
use crate::sys::file_lock::{HeldLock, LockFile, TryLock};

/// The longest that a write waits for another write.
const MAX_WRITE_WAIT: Duration = Duration::from_secs(5);
const FETCH_LOCKS: u8 = 64;
const WRITE_LOCKS: u8 = 16;

impl Lock for HeldLock {}

/// The lock file for fetching the token of a key; `name` is the key's file.
pub(super) fn fetch_lock(resource_kind: ResourceKind, name: &str) -> String {
    format!(
        "locks/{}-{:02}",
        resource_kind.name(),
        hex_byte(name, 0) % FETCH_LOCKS
    )
}

/// The number of the lock for writing a file.
pub(super) fn write_lock_number(name: &str) -> u8 {
    hex_byte(name, 2) % WRITE_LOCKS
}

/// The lock file of this number for writing.
pub(super) fn write_lock(number: u8) -> String {
    format!("locks/write-{number:02}")
}

/// A byte of the name, which is hexadecimal.
fn hex_byte(name: &str, at: usize) -> u8 {
    name.get(at..at + 2)
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

/// The outcome of trying a lock.
pub(super) enum LockAttempt {
    /// The lock, which this caller holds now.
    Acquired(HeldLock),
    /// Another process holds it, or this one: the process, where it is known.
    Busy(Option<u32>),
}

/// Tries a lock once.
///
/// # Errors
/// [`ErrorKind::Store`].
pub(super) fn try_acquire(dir: &Dir, path: &Path, name: &str) -> Result<LockAttempt> {
    let outcome = open_lock_file(dir, name).and_then(|file| match file {
        Some(file) => file.try_lock().map(|attempt| match attempt {
            TryLock::Acquired(lock) => LockAttempt::Acquired(lock),
            TryLock::Busy(file) => LockAttempt::Busy(file.holder()),
        }),
        None => Ok(LockAttempt::Busy(Some(std::process::id()))),
    });
    outcome.map_err(|error| io_error(&path.join(name), &error))
}

/// Opens a lock file. `None` if this process holds or tries as many locks as it may.
fn open_lock_file(dir: &Dir, name: &str) -> io::Result<Option<LockFile>> {
    LockFile::new(|| {
        let file = dir
            .open_file(name, OpenMode::OpenOrCreate)
            .or_else(|error| match cause(&error) {
                // A lock needs no write permission.
                IoCause::ReadOnly | IoCause::AccessDenied => {
                    dir.open_file(name, OpenMode::Read).map_err(|_| error)
                }
                _ => Err(error),
            })?;
        let facts = FileFacts::of(&file)?;
        let is_lock_file = facts.is_file() && facts.link_count() == 1 && facts.is_owned_by_user();
        if is_lock_file {
            Ok(file)
        } else {
            Err(io::Error::other("not a lock"))
        }
    })
}

/// Waits for a lock that is held for moments only.
///
/// # Errors
/// [`ErrorKind::Store`] if it is held for longer than 5 s, naming the holder.
pub(super) fn acquire(dir: &Dir, path: &Path, name: &str) -> Result<HeldLock> {
    let fail = |error: &io::Error| io_error(&path.join(name), error);
    let deadline = Instant::now() + MAX_WRITE_WAIT;
    let mut file = open_lock_file(dir, name).map_err(|error| fail(&error))?;
    loop {
        match file
            .map(LockFile::try_lock)
            .transpose()
            .map_err(|error| fail(&error))?
        {
            Some(TryLock::Acquired(lock)) => return Ok(lock),
            Some(TryLock::Busy(busy)) => file = Some(busy),
            None => file = open_lock_file(dir, name).map_err(|error| fail(&error))?,
        }
        if Instant::now() >= deadline {
            let holder = file.and_then(|file| file.holder()).map_or_else(
                || "another process".to_owned(),
                |pid| format!("process {pid}"),
            );
            let what = format!(
                "{} is held by {holder}: look what stops it",
                path.join(name).display()
            );
            return Err(Error::new(ErrorKind::Store, what));
        }
        std::thread::sleep(retry_delay());
    }
}

/// A random part of the time that a write takes. Rationale: a process that waits longer between
/// tries is overtaken again and again.
fn retry_delay() -> Duration {
    Duration::from_micros(500 + u64::from(getrandom::u32().unwrap_or(400) % 2_500))
}
