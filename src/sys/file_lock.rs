//! Locks on files that end with their process, also when it leaves a forked child behind.
//!
//! A lock belongs to an open file, and a child shares those of its parent: held there, it would
//! outlive the parent. So each file is entered in a table of the process before it is locked, and a
//! child closes what is in it.

use std::fs::{File, TryLockError};
use std::io::Result;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use super::fork;
use super::signals::SigpipeGuard;

/// How many locks a process holds or tries at most at one time.
const SLOTS: usize = 512;
const FREE: i32 = -1;
const TAKEN: i32 = -2;

static HELD: [AtomicI32; SLOTS] = [const { AtomicI32::new(FREE) }; SLOTS];
static WATCH: Once = Once::new();

extern "C" fn in_child() {
    for slot in &HELD {
        let fd = slot.swap(FREE, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the descriptor is one of ours; who holds it runs in the parent alone, and `Held` never closes it in a child.
            unsafe { libc::close(fd) };
        }
    }
}

/// A file that can be locked, entered in the table.
pub struct Lockable {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    fork: u32,
}

/// A file that is locked. The lock ends when this is dropped, or with the process.
pub struct Held(Lockable);

/// What trying a lock gave.
pub enum Try {
    /// The lock.
    Held(Held),
    /// Somebody else holds it.
    Other(Lockable),
}

impl Lockable {
    /// Enters the file that `open` opens. None if this process has too many already.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(open: impl FnOnce() -> Result<File>) -> Result<Option<Self>> {
        fork::watch();
        WATCH.call_once(|| {
            // SAFETY: the handler swaps atomics and closes descriptors, which is async-signal-safe, and is never unloaded.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        let free = |slot: &&AtomicI32| slot.compare_exchange(FREE, TAKEN, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let Some(slot) = HELD.iter().find(free) else {
            return Ok(None);
        };
        let file = open().inspect_err(|_| slot.store(FREE, Ordering::Relaxed))?;
        slot.store(file.as_raw_fd(), Ordering::Relaxed);
        Ok(Some(Self { file: ManuallyDrop::new(file), slot, fork: fork::generation() }))
    }

    /// Locks the file, if nobody holds it, and writes the number of this process into it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn try_lock(self) -> Result<Try> {
        match self.file.try_lock() {
            Ok(()) => {
                let _shield = SigpipeGuard::raise();
                // For the message of those who wait: whoever can't read it is told less.
                let _ = self.file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
                Ok(Try::Held(Held(self)))
            }
            Err(TryLockError::WouldBlock) => Ok(Try::Other(self)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The process that wrote its number there last.
    pub fn holder(&self) -> Option<u32> {
        let mut text = [0; 10];
        self.file.read_exact_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.fork == fork::generation() {
            let _ = self.0.file.unlock();
        }
    }
}

impl Drop for Lockable {
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
