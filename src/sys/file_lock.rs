//! File locks that end with their process, also when it leaves a forked child behind.
//!
//! A lock belongs to an open file, and a child shares its parent's open files, so a lock would
//! outlive the parent. So each file is entered in a table of the process before it is locked, and a
//! child closes the files in the table.

use std::fs::{File, TryLockError};
use std::io::Result;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use super::fork;
use super::signals::SigpipeGuard;

/// The largest number of locks that a process holds or tries at one time.
const MAX_LOCKS: usize = 512;
/// In place of a descriptor: the entry is unused.
const FREE: i32 = -1;
/// In place of a descriptor: a file is about to be opened for the entry.
const RESERVED: i32 = -2;

/// The descriptors of all lock files of this process.
static LOCK_FDS: [AtomicI32; MAX_LOCKS] = [const { AtomicI32::new(FREE) }; MAX_LOCKS];
static FORK_HANDLER: Once = Once::new();

extern "C" fn close_in_child() {
    for slot in &LOCK_FDS {
        let fd = slot.swap(FREE, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the descriptor is one of the table's; its holder runs in the parent alone,
            // and `LockFile` never closes it in a child.
            unsafe { libc::close(fd) };
        }
    }
}

/// A file that can be locked, entered in the table.
pub struct LockFile {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    fork: u32,
}

/// A locked file. The lock ends when this is dropped, or with the process.
pub struct HeldLock(LockFile);

/// The outcome of trying a lock.
pub enum TryLock {
    /// The lock, which this caller holds now.
    Acquired(HeldLock),
    /// Another holder has it: the file, to be tried again.
    Busy(LockFile),
}

impl LockFile {
    /// Enters the file that `open` opens. `None` if the table is full.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(open: impl FnOnce() -> Result<File>) -> Result<Option<Self>> {
        fork::watch();
        FORK_HANDLER.call_once(|| {
            // SAFETY: the handler swaps atomics and closes descriptors, which is async-signal-safe,
            // and is never unloaded.
            unsafe { libc::pthread_atfork(None, None, Some(close_in_child)) };
        });
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(FREE, RESERVED, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        let Some(slot) = LOCK_FDS.iter().find(free) else {
            return Ok(None);
        };
        let file = open().inspect_err(|_| slot.store(FREE, Ordering::Relaxed))?;
        slot.store(file.as_raw_fd(), Ordering::Relaxed);
        Ok(Some(Self {
            file: ManuallyDrop::new(file),
            slot,
            fork: fork::generation(),
        }))
    }

    /// Locks the file if it is not locked, and writes the number of this process into it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn try_lock(self) -> Result<TryLock> {
        match self.file.try_lock() {
            Ok(()) => {
                let _guard = SigpipeGuard::block();
                // For the messages of waiting processes. One that can't read it names no process.
                let _ = self
                    .file
                    .write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
                Ok(TryLock::Acquired(HeldLock(self)))
            }
            Err(TryLockError::WouldBlock) => Ok(TryLock::Busy(self)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The process that locked the file last.
    pub fn holder(&self) -> Option<u32> {
        let mut text = [0; 10];
        self.file.read_exact_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if self.0.fork == fork::generation() {
            let _ = self.0.file.unlock();
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // In a child the descriptor is closed already, and its number may be another file's.
        if self.fork != fork::generation() {
            return;
        }
        self.slot.store(FREE, Ordering::Relaxed);
        // SAFETY: dropped here once, and never used again.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}
