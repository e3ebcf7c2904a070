//! Models of the locks that threads of one process take in one file. This file is a child module of
//! each copy of `src/sys/file_lock.rs`.
//!
//! The system calls are real. A second descriptor of the file stands for another process.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicBool as StdAtomicBool;
use std::sync::{Arc, LazyLock};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use tempfile::TempDir;

use super::{Descriptor, FileLocks, LockId, Result, TryLock};
use crate::sys::sync::Mutex;

const ID: LockId = LockId::new(1, 7);

static DIR: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());

fn open(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Opens the lock file as a process does that has not opened it before.
fn open_locks(uses_flock: bool) -> Arc<FileLocks> {
    let path = DIR.path().join(
        std::thread::current()
            .name()
            .unwrap_or_default()
            .replace(':', "-"),
    );
    Arc::new(FileLocks {
        main: Descriptor::open(|| open(&path)).unwrap(),
        held: Mutex::new(HashSet::new()),
        uses_flock: StdAtomicBool::new(uses_flock),
    })
}

fn try_lock(locks: &Arc<FileLocks>) -> TryLock {
    let path = DIR.path().join(
        std::thread::current()
            .name()
            .unwrap_or_default()
            .replace(':', "-"),
    );
    let open = |suffix: &str| open(Path::new(&format!("{}{suffix}", path.display())));
    locks.try_lock(ID, open).unwrap()
}

fn exclude(uses_flock: bool) {
    let (locks, other_process) = (open_locks(uses_flock), open_locks(uses_flock));
    let is_held = Arc::new(AtomicBool::new(false));
    let use_lock = {
        let locks = Arc::clone(&locks);
        move || {
            for _ in 0..2 {
                let TryLock::Acquired(lock) = try_lock(&locks) else {
                    continue;
                };
                assert!(
                    !is_held.swap(true, Ordering::SeqCst),
                    "two threads hold the lock"
                );
                let outside = try_lock(&other_process);
                assert!(
                    matches!(outside, TryLock::Busy),
                    "another process got the lock"
                );
                is_held.store(false, Ordering::SeqCst);
                drop(lock);
            }
        }
    };
    let other = thread::spawn(use_lock.clone());
    use_lock();
    other.join().unwrap();
    assert!(
        matches!(try_lock(&locks), TryLock::Acquired(_)),
        "the lock was not released"
    );
}

/// Two threads take one lock of a byte range. It excludes each of them, and another process.
pub(crate) fn a_byte_excludes_threads_and_processes() {
    exclude(false);
}

/// As above, where the file system has no locks of byte ranges.
pub(crate) fn a_flock_excludes_threads_and_processes() {
    exclude(true);
}
