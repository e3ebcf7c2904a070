//! Locks between processes. The lock files are a fixed set and are never removed.
//!
//! A process holds a fetch lock while it fetches a token. A caller tries a fetch lock and never
//! waits for it. A process holds a write lock while it writes one file. Callers wait for a write
//! lock.
//!
//! Each kind of resource has its own fetch locks. Rationale: to fetch a package's token, a process
//! may also have to fetch the user's token. It then holds both locks. If both keys used the same
//! lock file, the process would wait for itself.

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

/// The longest time that a caller waits for a write lock.
const MAX_WRITE_WAIT: Duration = Duration::from_secs(5);
const FETCH_LOCKS: u8 = 64;
const WRITE_LOCKS: u8 = 16;

impl Lock for HeldLock {}

/// Returns the fetch lock file of a key. `name` is the name of the key's record file.
pub(super) fn fetch_lock(resource_kind: ResourceKind, name: &str) -> String {
    format!(
        "locks/{}-{:02}",
        resource_kind.name(),
        hex_byte(name, 0) % FETCH_LOCKS
    )
}

/// Returns the number of a file's write lock.
pub(super) fn write_lock_number(name: &str) -> u8 {
    hex_byte(name, 2) % WRITE_LOCKS
}

/// Returns the write lock file of this number.
pub(super) fn write_lock(number: u8) -> String {
    format!("locks/write-{number:02}")
}

/// Parses the byte at position `at` of a name that consists of hexadecimal digits.
fn hex_byte(name: &str, at: usize) -> u8 {
    name.get(at..at + 2)
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

/// The outcome of trying a lock.
pub(super) enum LockAttempt {
    /// The caller now holds this lock.
    Acquired(HeldLock),
    /// Another process or this process holds the lock. The number is its process ID, if known.
    Busy(Option<u32>),
}

/// Tries a lock once, without waiting.
///
/// # Errors
/// [`ErrorKind::Store`] if the lock file can't be used.
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

/// Opens a lock file. `None` if this process already holds or tries the maximum number of locks.
fn open_lock_file(dir: &Dir, name: &str) -> io::Result<Option<LockFile>> {
    LockFile::new(|| {
        let file = dir
            .open_file(name, OpenMode::OpenOrCreate)
            .or_else(|error| match cause(&error) {
                // Locking needs no write permission.
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

/// Waits at most 5 s for a write lock or another lock that processes hold only briefly.
///
/// # Errors
/// [`ErrorKind::Store`] if the lock file can't be used, or if the wait times out. The error message
/// then names the holder.
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
            let message = format!(
                "timed out waiting for the lock {}, held by {holder}; retry, or check that process",
                path.join(name).display()
            );
            return Err(Error::new(ErrorKind::Store, message));
        }
        std::thread::sleep(retry_delay());
    }
}

/// Returns the delay before the next try: random, and shorter than a write takes. Rationale: with a
/// longer delay, other processes could acquire and release the lock many times before this process
/// tries again.
fn retry_delay() -> Duration {
    Duration::from_micros(500 + u64::from(getrandom::u32().unwrap_or(400) % 2_500))
}
