//! Locks: a fixed set of small files that are never removed.
//!
//! Two sorts: those of flights are held as long as a service is asked, and are tried only; those of
//! writers are held for one write, and are waited for.
//!
//! Each class of key has files of its own. Rationale: a flight for a package holds its lock while it gets the user's token under
//! another one; were both on one file, it would wait for itself.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::private_dir::io_error;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::ports::store::Lock;
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::FileFacts;
use crate::sys::file_lock::{self, Held, Lockable};

/// How long a write waits for another write.
const PATIENCE: Duration = Duration::from_secs(5);
const FLIGHTS: u8 = 64;
const WRITERS: u8 = 16;

impl Lock for Held {}

/// The file that the flights of a key lock; `name` is the key's file.
pub(super) fn flight(resource_kind: ResourceKind, name: &str) -> String {
    format!("locks/{}-{:02}", resource_kind.name(), number(name, 0) % FLIGHTS)
}

/// The number of the writers' lock for a file.
pub(super) fn writer(name: &str) -> u8 {
    number(name, 2) % WRITERS
}

/// The file that writers of this number lock.
pub(super) fn writer_file(number: u8) -> String {
    format!("locks/write-{number:02}")
}

/// A byte of the name, which is hexadecimal.
fn number(name: &str, at: usize) -> u8 {
    name.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// What trying a lock gave.
pub(super) enum Try {
    /// The lock.
    Held(Held),
    /// Another process holds it, or this one.
    Other(Option<u32>),
}

/// Tries a lock.
///
/// # Errors
/// [`ErrorKind::Store`].
pub(super) fn attempt(folder: &Dir, path: &Path, name: &str) -> Result<Try> {
    let outcome = lockable(folder, name).and_then(|lockable| match lockable {
        Some(lockable) => lockable.try_lock().map(|tried| match tried {
            file_lock::Try::Held(cached) => Try::Held(cached),
            file_lock::Try::Other(lockable) => Try::Other(lockable.holder()),
        }),
        None => Ok(Try::Other(Some(std::process::id()))),
    });
    outcome.map_err(|error| io_error(&path.join(name), &error))
}

fn lockable(folder: &Dir, name: &str) -> io::Result<Option<Lockable>> {
    Lockable::new(|| {
        let file = folder.file(name, OpenMode::Keep).or_else(|error| match cause(&error) {
            // Locks need no right to write.
            IoCause::ReadOnly | IoCause::Denied => folder.file(name, OpenMode::Read).map_err(|_| error),
            _ => Err(error),
        })?;
        let facts = FileFacts::of(&file)?;
        let fits = facts.is_file() && facts.link_count() == 1 && facts.is_owned_by_user();
        if fits { Ok(file) } else { Err(io::Error::other("not a lock")) }
    })
}

/// Waits for a lock that is held for moments only.
///
/// # Errors
/// [`ErrorKind::Store`] if it is held for longer, naming the holder.
pub(super) fn wait(folder: &Dir, path: &Path, name: &str) -> Result<Held> {
    let told = |error: &io::Error| io_error(&path.join(name), error);
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = lockable(folder, name).map_err(|error| told(&error))?;
    loop {
        match waiting.map(Lockable::try_lock).transpose().map_err(|error| told(&error))? {
            Some(file_lock::Try::Held(cached)) => return Ok(cached),
            Some(file_lock::Try::Other(lockable)) => waiting = Some(lockable),
            None => waiting = lockable(folder, name).map_err(|error| told(&error))?,
        }
        if Instant::now() >= deadline {
            let who =
                waiting.and_then(|lockable| lockable.holder()).map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let what = format!("{} is held by {who}: look what stops it", path.join(name).display());
            return Err(Error::new(ErrorKind::Store, what));
        }
        std::thread::sleep(jitter());
    }
}

/// A fraction of what a write takes: who waits longer between tries is overtaken again and again.
fn jitter() -> Duration {
    Duration::from_micros(500 + u64::from(getrandom::u32().unwrap_or(400) % 2_500))
}
