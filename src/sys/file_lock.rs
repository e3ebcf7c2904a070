//! File locks that are released when their process ends, even if a forked child of it still runs.
//!
//! The kernel ties a lock to an open file, and a forked child inherits its parent's open files.
//! Without this module the child would keep the lock after the parent ended. So each process
//! records its lock files in a table, and a child closes the files in the table.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::{File, TryLockError};
use std::io::Result;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use super::fork;
use super::signals::SigpipeGuard;

/// The maximum number of locks that a process holds or tries at one time.
const MAX_LOCKS: usize = 512;
/// Marks a table entry as unused.
const FREE: i32 = -1;
/// Marks a table entry as taken by a file that is not open yet.
const RESERVED: i32 = -2;

/// The descriptors of all lock files of this process.
static LOCK_FDS: [AtomicI32; MAX_LOCKS] = [const { AtomicI32::new(FREE) }; MAX_LOCKS];
static FORK_HANDLER: Once = Once::new();

extern "C" fn close_in_child() {
    for slot in &LOCK_FDS {
        let fd = slot.swap(FREE, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the descriptor is from the table. Only this handler closes it in a child,
            // because `LockFile` closes descriptors only in the process that opened them.
            unsafe { libc::close(fd) };
        }
    }
}

/// An open file that can be locked. It is recorded in the table.
pub struct LockFile {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    fork: u32,
}

/// A locked file. The lock is released when this value is dropped or the process ends.
pub struct HeldLock(LockFile);

/// The result of [`LockFile::try_lock`].
pub enum TryLock {
    /// The caller now holds the lock.
    Acquired(HeldLock),
    /// Another process or thread holds the lock. The caller may try the file again.
    Busy(LockFile),
}

impl LockFile {
    /// Records the file that `open` opens. Returns `None` if the table is full.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn new(open: impl FnOnce() -> Result<File>) -> Result<Option<Self>> {
        fork::watch();
        FORK_HANDLER.call_once(|| {
            // SAFETY: the handler only swaps atomics and closes descriptors, which is
            // async-signal-safe. It is never unloaded: the link option `-z nodelete` prevents that.
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

    /// Tries to lock the file without waiting. On success, writes the id of this process to the
    /// file.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn try_lock(self) -> Result<TryLock> {
        match self.file.try_lock() {
            Ok(()) => {
                let _guard = SigpipeGuard::block();
                // Waiting processes name this process id in their error messages. If the write
                // fails, their messages name no process.
                let _ = self
                    .file
                    .write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
                Ok(TryLock::Acquired(HeldLock(self)))
            }
            Err(TryLockError::WouldBlock) => Ok(TryLock::Busy(self)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns the id of the process that locked the file last.
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
        // In a child, `close_in_child` has already closed the descriptor, and its number may belong
        // to another file.
        if self.fork != fork::generation() {
            return;
        }
        self.slot.store(FREE, Ordering::Relaxed);
        // SAFETY: the file is dropped only here, and `self` is not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}
