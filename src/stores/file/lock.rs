//! The store's locks. All are in one file in the store's directory, which is never removed.
//!
//! A process holds the flight lock of a record while it fetches the token. A caller tries a flight
//! lock and never waits for it. A process holds the write lock of a file while it writes that one
//! file. Callers wait for a write lock, at most 500 ms in one call. Each record and each failure has
//! locks of its own, so callers that use different ones don't wait for each other.
//!
//! Each kind of resource has its own space of flight locks. Rationale: to fetch a package's token,
//! a process may also have to fetch the user's token. It then holds both locks. Two records of one
//! kind may share a lock. This is rare, except where locks are `flock`s. If records of different
//! kinds could share a lock too, the process would wait for itself.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::private_dir::io_error;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::ports::wait_budget;
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_facts::FileFacts;
use crate::sys::file_lock::{FileLocks, HeldLock, Holder, LockId, TryLock};

/// The lock file in the store's directory.
pub(super) const LOCK_FILE: &str = "lock";
/// The lock for creating a store or its key.
pub(super) const CREATION: LockId = LockId::new(0, 0);
/// The space of write locks. The flight locks of a kind of resource are in the space of its number.
const WRITE_SPACE: u8 = 32;

/// Returns the flight lock of a record. `name` is the name of its file.
pub(super) fn flight(resource_kind: ResourceKind, name: &str) -> LockId {
    LockId::new(resource_kind as u8, first_64_bits(name))
}

/// Returns the write lock of a file with this name.
pub(super) fn write(name: &str) -> LockId {
    LockId::new(WRITE_SPACE, first_64_bits(name))
}

/// Parses the beginning of a name that consists of hexadecimal digits.
fn first_64_bits(name: &str) -> u64 {
    name.get(..16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

/// The locks of one directory.
pub(super) struct Locks<'a> {
    dir: &'a Dir,
    /// The path of the lock file, for error messages.
    path: PathBuf,
    name: &'static str,
    file: Arc<FileLocks>,
}

/// The outcome of trying a lock.
pub(super) enum LockAttempt {
    /// The caller now holds this lock.
    Acquired(HeldLock),
    /// Another process or thread holds the lock.
    Busy,
}

/// Opens a lock file. Creates it if it does not exist.
///
/// # Errors
/// Returns the operating system's error.
pub(super) fn open_file(dir: &Dir, name: &str) -> io::Result<Arc<FileLocks>> {
    FileLocks::open(|| open_lock_file(dir, name))
}

fn open_lock_file(dir: &Dir, name: &str) -> io::Result<File> {
    let file = dir.open_file(name, OpenMode::OpenOrCreate)?;
    let facts = FileFacts::of(&file)?;
    // A file that another process has just removed is not locked: it would exclude nobody.
    let is_lock_file = facts.is_file() && facts.link_count() <= 1 && facts.is_owned_by_user();
    if is_lock_file {
        Ok(file)
    } else {
        Err(io::Error::other("not a lock"))
    }
}

impl<'a> Locks<'a> {
    /// Creates the locks of an open lock file. `name` is its name in the directory.
    pub(super) fn new(
        dir: &'a Dir,
        dir_path: &std::path::Path,
        name: &'static str,
        file: Arc<FileLocks>,
    ) -> Self {
        Self {
            dir,
            path: dir_path.join(name),
            name,
            file,
        }
    }

    /// Opens the locks of a lock file. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the lock file can't be used.
    pub(super) fn open(
        dir: &'a Dir,
        dir_path: &std::path::Path,
        name: &'static str,
    ) -> Result<Self> {
        let file = open_file(dir, name).map_err(|error| io_error(&dir_path.join(name), &error))?;
        Ok(Self::new(dir, dir_path, name, file))
    }

    /// Tries a lock once, without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the lock file can't be used.
    pub(super) fn try_acquire(&self, id: LockId) -> Result<LockAttempt> {
        let open = |suffix: &str| open_lock_file(self.dir, &format!("{}{suffix}", self.name));
        match self.file.try_lock(id, open) {
            Ok(TryLock::Acquired(lock)) => Ok(LockAttempt::Acquired(lock)),
            Ok(TryLock::Busy) => Ok(LockAttempt::Busy),
            Err(error) => Err(io_error(&self.path, &error)),
        }
    }

    /// Returns the process that holds a lock, if it is known.
    pub(super) fn holder(&self, id: LockId) -> Option<Holder> {
        self.file.holder(id)
    }

    /// Waits for a write lock or another lock that processes hold only briefly, as long as the
    /// call's [`wait_budget`] permits.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the lock file can't be used, or if the wait times out. The error
    /// message then names the holder.
    pub(super) fn acquire(&self, id: LockId) -> Result<HeldLock> {
        let Ok(lock) = self.acquire_unless(id, || None::<Infallible>)?;
        Ok(lock)
    }

    /// Waits for a lock as [`Locks::acquire`] does. If another process holds the lock, and `done`
    /// returns a value, the lock is not needed, and that value is returned as the inner error.
    ///
    /// # Errors
    /// Returns the errors of [`Locks::acquire`].
    pub(super) fn acquire_unless<T>(
        &self,
        id: LockId,
        done: impl Fn() -> Option<T>,
    ) -> Result<std::result::Result<HeldLock, T>> {
        wait_budget::spend(|until| self.wait_until(until, id, done))
    }

    fn wait_until<T>(
        &self,
        until: Instant,
        id: LockId,
        done: impl Fn() -> Option<T>,
    ) -> Result<std::result::Result<HeldLock, T>> {
        let began = Instant::now();
        loop {
            if let LockAttempt::Acquired(lock) = self.try_acquire(id)? {
                return Ok(Ok(lock));
            }
            if let Some(done) = done() {
                return Ok(Err(done));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.timed_out(id));
            }
            std::thread::sleep(write_retry_delay(began.elapsed()).min(left));
        }
    }

    fn timed_out(&self, id: LockId) -> Error {
        let (who, remedy) = match self.holder(id) {
            Some(Holder {
                pid,
                is_stopped: true,
            }) => (
                format!("process {pid}, which is stopped"),
                format!("continue it with `kill -CONT {pid}`, or end it"),
            ),
            holder => (
                holder.map_or_else(|| "another process".to_owned(), holder_name),
                "retry, or check that process".to_owned(),
            ),
        };
        let path = self.path.display();
        let message = format!("timed out waiting for the lock {path}, held by {who}; {remedy}");
        Error::new(ErrorKind::Store, message)
    }
}

/// Returns how messages name the holder of a lock.
pub(super) fn holder_name(holder: Holder) -> String {
    format!("process {}", holder.pid)
}

/// Returns the delay before a flight lock is tried again: random, from 1 to 10 ms.
pub(super) fn flight_retry_delay() -> Duration {
    Duration::from_micros(1_000 + u64::from(getrandom::u32().unwrap_or(4_000) % 9_000))
}

/// Returns the delay before the next try: random, shorter than a write takes, and shorter still the
/// longer the caller has waited. Rationale: while a process waits longer between tries, other
/// processes get the lock before it again and again, and its time runs out.
fn write_retry_delay(waited: Duration) -> Duration {
    let delay = Duration::from_micros(500 + u64::from(getrandom::u32().unwrap_or(400) % 2_500));
    delay / (1 + u32::try_from(waited.as_millis() / 50).unwrap_or(u32::MAX - 1))
}
