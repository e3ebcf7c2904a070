//! Locks between processes and between threads. They are released when their process ends, even if
//! a forked child of it still runs.
//!
//! One file holds all locks of a store: each [`LockId`] is the offset of one byte in that file. The
//! file may be shorter than the offset. A process has one descriptor for the file, however many
//! locks it holds. On Linux the locks are open file description locks. They have four traps:
//!
//! - A descriptor can lock the same byte twice. So a table in this process prevents two of its
//!   threads or sessions from holding the same lock.
//! - The kernel does not say which process holds a lock. So the holder writes its process id and
//!   its start time into the file. This hint is only for messages.
//! - A descriptor without write permission cannot lock. A store that cannot be written needs no
//!   lock either.
//! - A forked child shares its parent's descriptor, and with it the locks. So each descriptor is
//!   recorded, and a child closes the recorded ones before it does anything else.
//!
//! Where the kernel or the file system has no such locks, a lock is a `flock` on a file of its own,
//! one of 64 for each space of ids. Two ids may then share a file, so one waits for the other.

#![expect(unsafe_code, reason = "system calls")]

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{Error, Result};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use super::file_facts::{FileFacts, FileId};
use super::fork::{self, PerProcess};
use super::process;
use super::signals::SigpipeGuard;
use super::sync::Mutex;

/// The maximum number of lock files that a process has open.
const MAX_FILES: usize = 512;
/// Marks a table entry as unused.
const FREE: i32 = -1;
/// Marks a table entry as taken by a file that is not open yet.
const RESERVED: i32 = -2;
/// The number of files for each space of ids, where locks are `flock`s.
const STRIPES: u64 = 64;
/// The number of hints in a lock file. Ids that share a hint overwrite each other's.
const HINTS: u64 = 256;
/// The length of a hint: an id, a process id and a start time.
const HINT_LEN: usize = 8 + 1 + 10 + 1 + 20 + 1;
/// The space of a hint in the file.
const HINT_BYTES: u64 = 64;

/// The descriptors of all lock files of this process.
static DESCRIPTORS: [AtomicI32; MAX_FILES] = [const { AtomicI32::new(FREE) }; MAX_FILES];
/// Whether the fork handlers are installed.
static HAS_FORK_HANDLERS: AtomicBool = AtomicBool::new(false);
/// The number of forks that this process has started, and of those that have returned.
static FORKS_STARTED: AtomicU32 = AtomicU32::new(0);
static FORKS_ENDED: AtomicU32 = AtomicU32::new(0);
/// The lock files that are open in this process.
static OPEN: PerProcess<Mutex<HashMap<FileId, Weak<FileLocks>>>> = PerProcess::new();

extern "C" fn before_fork() {
    FORKS_STARTED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_fork_in_parent() {
    FORKS_ENDED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_fork_in_child() {
    FORKS_ENDED.store(FORKS_STARTED.load(Ordering::SeqCst), Ordering::SeqCst);
    for slot in &DESCRIPTORS {
        let fd = slot.swap(FREE, Ordering::SeqCst);
        if fd >= 0 {
            // SAFETY: the descriptor is from the table. Only this handler closes it in a child,
            // because `Descriptor` closes descriptors only in the process that opened them.
            unsafe { libc::close(fd) };
        }
    }
}

/// Installs the fork handlers before the first lock file is opened. Waits for no lock, like
/// [`fork::watch`]. Handlers that two threads install at the same time do no harm: the counters of
/// forks started and ended then both advance by 2.
fn install_fork_handlers() {
    fork::watch();
    if HAS_FORK_HANDLERS.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: the handlers only change atomics and close descriptors, which is
    // async-signal-safe. They are never unloaded: the link option `-z nodelete` prevents that.
    unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork_in_parent),
            Some(after_fork_in_child),
        )
    };
    HAS_FORK_HANDLERS.store(true, Ordering::Release);
}

/// Waits until no fork is under way. Returns the number of forks so far.
fn wait_for_forks() -> u32 {
    loop {
        let started = FORKS_STARTED.load(Ordering::SeqCst);
        let ended = FORKS_ENDED.load(Ordering::SeqCst);
        if ended.wrapping_sub(started) < u32::MAX / 2 {
            return started;
        }
        std::thread::yield_now();
    }
}

/// An open file that no forked child keeps open.
struct Descriptor {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    fork: u32,
}

impl Descriptor {
    /// Opens a file and records its descriptor.
    ///
    /// Rationale: a fork between opening the file and recording it gave a child a descriptor that
    /// it did not close. The parent then locked the file, was killed, and the child kept the lock.
    /// So the file is opened again if a fork began meanwhile: the child has a descriptor that was
    /// never locked.
    ///
    /// # Errors
    /// Returns the error of `open`; `EMFILE` if the table is full.
    fn open(open: impl Fn() -> Result<File>) -> Result<Self> {
        install_fork_handlers();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(FREE, RESERVED, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        let slot = DESCRIPTORS
            .iter()
            .find(free)
            .ok_or_else(|| Error::from_raw_os_error(libc::EMFILE))?;
        loop {
            let forks = wait_for_forks();
            let file = open().inspect_err(|_| slot.store(FREE, Ordering::SeqCst))?;
            slot.store(file.as_raw_fd(), Ordering::SeqCst);
            if FORKS_STARTED.load(Ordering::SeqCst) == forks {
                return Ok(Self {
                    file: ManuallyDrop::new(file),
                    slot,
                    fork: fork::generation(),
                });
            }
            slot.store(RESERVED, Ordering::SeqCst);
        }
    }

    /// Returns whether this process opened the file. In a forked child, the descriptor is closed,
    /// and its number may belong to another file.
    fn is_own(&self) -> bool {
        self.fork == fork::generation()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if !self.is_own() {
            return;
        }
        self.slot.store(FREE, Ordering::SeqCst);
        // SAFETY: the file is dropped only here, and `self` is not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

/// The name of a lock: a space of ids, and a number in that space.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockId(u32);

impl LockId {
    /// The bits of the number. Together with the bits of the space, an id fits into a 32-bit file
    /// offset, which is all that some machines have. Rationale: if programs of two architectures
    /// had different offsets for one lock, both could hold that lock at once.
    const NUMBER_BITS: u32 = 25;
    const NUMBER_MASK: u64 = (1 << Self::NUMBER_BITS) - 1;

    /// Creates the id of a number, of which the last 25 bits count. `space` is less than 64. Two
    /// numbers may share a lock, so a thread may hold two locks at the same time only if they are
    /// of different spaces.
    pub const fn new(space: u8, number: u64) -> Self {
        Self(((space as u32) << Self::NUMBER_BITS) | (number & Self::NUMBER_MASK) as u32)
    }

    /// Returns the suffix of the name of this lock's own file.
    fn stripe(self) -> String {
        let space = self.0 >> Self::NUMBER_BITS;
        let number = u64::from(self.0) & Self::NUMBER_MASK;
        format!("-{space:02}-{:02}", number % STRIPES)
    }

    /// Returns the offset of this lock's hint. The space counts too: a process that waits for the
    /// write lock of a record holds the record's flight lock, which has the same number. It would
    /// overwrite the hint of the process that it waits for.
    fn hint_at(self) -> u64 {
        let space = self.0 >> Self::NUMBER_BITS;
        u64::from(self.0 + space) % HINTS * HINT_BYTES
    }
}

/// The locks in one file. All sessions of a process that use the file share this value.
pub struct FileLocks {
    main: Descriptor,
    /// The locks that this process holds or tries.
    held: Mutex<HashSet<LockId>>,
    /// Whether the locks are `flock`s on files of their own.
    uses_flock: AtomicBool,
}

/// A lock. It is released when this value is dropped or the process ends.
pub struct HeldLock {
    locks: Arc<FileLocks>,
    id: LockId,
    /// The locked file, if the lock is a `flock`.
    stripe: Option<Descriptor>,
}

/// The result of [`FileLocks::try_lock`].
pub enum TryLock {
    /// The caller now holds the lock.
    Acquired(HeldLock),
    /// Another process or thread holds the lock.
    Busy,
}

/// The process that holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Whether it was stopped by a signal, so that it can't release the lock.
    pub is_stopped: bool,
}

impl FileLocks {
    /// Opens the locks of a file. `open` opens the file for reading and writing.
    ///
    /// # Errors
    /// Returns the errors of `open`; `EMFILE` if too many lock files are open.
    pub fn open(open: impl Fn() -> Result<File>) -> Result<Arc<Self>> {
        Self::open_as(open, !cfg!(target_os = "linux"))
    }

    fn open_as(open: impl Fn() -> Result<File>, uses_flock: bool) -> Result<Arc<Self>> {
        let main = Descriptor::open(open)?;
        let id = FileFacts::of(&main.file)?.id();
        let mut all = OPEN.get_or_init(Mutex::default).lock();
        if let Some(present) = all.get(&id).and_then(Weak::upgrade) {
            return Ok(present);
        }
        all.retain(|_, locks| locks.strong_count() > 0);
        let locks = Arc::new(Self {
            main,
            held: Mutex::default(),
            uses_flock: AtomicBool::new(uses_flock),
        });
        all.insert(id, Arc::downgrade(&locks));
        Ok(locks)
    }

    /// Returns whether new locks exclude other processes: this process opened the file, and the
    /// file was not removed since.
    pub fn is_usable(&self) -> bool {
        self.main.is_own()
            && FileFacts::of(&self.main.file).is_ok_and(|facts| facts.link_count() > 0)
    }

    /// Tries a lock once, without waiting. `open` opens the file whose name ends in a suffix, as the
    /// lock file itself was opened. It is called only where locks are `flock`s.
    ///
    /// # Errors
    /// Returns the operating system's error, and the errors of `open`.
    pub fn try_lock(
        self: &Arc<Self>,
        id: LockId,
        open: impl Fn(&str) -> Result<File>,
    ) -> Result<TryLock> {
        if !self.main.is_own() {
            return Err(Error::other("the lock file belongs to the parent process"));
        }
        if !self.held.lock().insert(id) {
            return Ok(TryLock::Busy);
        }
        // Dropping this value takes the id out of the table.
        let mut lock = HeldLock {
            locks: Arc::clone(self),
            id,
            stripe: None,
        };
        let is_locked = match self.try_range(id) {
            Some(outcome) => outcome?,
            None => {
                let file = Descriptor::open(|| open(&id.stripe()))?;
                let is_locked = match file.file.try_lock() {
                    Ok(()) => true,
                    Err(TryLockError::WouldBlock) => false,
                    Err(TryLockError::Error(error)) => return Err(error),
                };
                lock.stripe = Some(file);
                is_locked
            }
        };
        if is_locked {
            self.write_hint(id);
            return Ok(TryLock::Acquired(lock));
        }
        Ok(TryLock::Busy)
    }

    /// Tries to lock a byte of the file. Returns whether it is locked, or `None` if there are no
    /// such locks here.
    fn try_range(&self, id: LockId) -> Option<Result<bool>> {
        if self.uses_flock.load(Ordering::Relaxed) {
            return None;
        }
        let error = match set_range(&self.main.file, id, true) {
            Ok(()) => return Some(Ok(true)),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Some(Ok(false)),
            Some(libc::EINVAL | libc::EOPNOTSUPP) => {
                self.uses_flock.store(true, Ordering::Relaxed);
                None
            }
            _ => Some(Err(error)),
        }
    }

    /// Writes this process's id and start time for the messages of waiting processes. If the write
    /// fails, their messages name no process.
    fn write_hint(&self, id: LockId) {
        let (pid, start) = (std::process::id(), process::own_start_time());
        let hint = format!("{:08x} {pid:>10} {start:>20}\n", id.0);
        let _guard = SigpipeGuard::for_file(id.hint_at() + hint.len() as u64);
        let _ = self.main.file.write_all_at(hint.as_bytes(), id.hint_at());
    }

    /// Returns the process that took a lock last, if it still runs.
    pub fn holder(&self, id: LockId) -> Option<Holder> {
        let mut hint = [0; HINT_LEN];
        self.main.file.read_exact_at(&mut hint, id.hint_at()).ok()?;
        let mut words = std::str::from_utf8(&hint).ok()?.split_whitespace();
        let (number, pid, start) = (words.next()?, words.next()?, words.next()?);
        let (pid, start): (u32, u64) = (pid.parse().ok()?, start.parse().ok()?);
        let is_same = u32::from_str_radix(number, 16).ok()? == id.0;
        let facts = process::facts(pid);
        (is_same && start == facts.start_time).then_some(Holder {
            pid,
            is_stopped: facts.is_stopped,
        })
    }
}

impl HeldLock {
    /// Returns whether the lock still excludes other processes. It does not in a forked child, nor
    /// after the lock file was removed.
    pub fn still_held(&self) -> bool {
        self.locks.is_usable()
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if !self.locks.main.is_own() {
            return;
        }
        // Unlock before the table lets another thread lock the same byte: the descriptor is the
        // same, so unlocking later would release the other thread's lock.
        match self.stripe.take() {
            Some(file) => drop(file.file.unlock()),
            // This does nothing if the byte was not locked.
            None => drop(set_range(&self.locks.main.file, self.id, false)),
        }
        self.locks.held.lock().remove(&self.id);
    }
}

/// Locks or unlocks the byte of an id.
#[cfg(target_os = "linux")]
fn set_range(file: &File, id: LockId, lock: bool) -> Result<()> {
    let kind = if lock { libc::F_WRLCK } else { libc::F_UNLCK };
    // SAFETY: a `flock` consists of numbers only, for which zero is valid.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = id.0 as libc::off_t;
    range.l_len = 1;
    loop {
        // SAFETY: the descriptor is open, and `range` is valid during the call.
        let code = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
        if code == 0 {
            return Ok(());
        }
        let error = Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn set_range(_file: &File, _id: LockId, _lock: bool) -> Result<()> {
    Err(Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    }

    fn try_lock(locks: &Arc<FileLocks>, dir: &Path, id: LockId) -> TryLock {
        locks
            .try_lock(id, |suffix| open(&dir.join(format!("lock{suffix}"))))
            .unwrap()
    }

    fn is_free(locks: &Arc<FileLocks>, dir: &Path, id: LockId) -> bool {
        matches!(try_lock(locks, dir, id), TryLock::Acquired(_))
    }

    /// The locks of a file as another process has them: another descriptor, another table.
    fn of_another_process(path: &Path, uses_flock: bool) -> Arc<FileLocks> {
        Arc::new(FileLocks {
            main: Descriptor::open(|| open(path)).unwrap(),
            held: Mutex::default(),
            uses_flock: AtomicBool::new(uses_flock),
        })
    }

    #[test]
    fn a_lock_excludes_threads_and_processes_and_no_other_lock() {
        for uses_flock in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("lock");
            let locks = FileLocks::open_as(|| open(&path), uses_flock).unwrap();
            let again = FileLocks::open_as(|| open(&path), uses_flock).unwrap();
            assert!(Arc::ptr_eq(&locks, &again), "one descriptor in a process");
            let other = of_another_process(&path, uses_flock);
            let (id, neighbour) = (LockId::new(2, 7), LockId::new(2, 8));
            let TryLock::Acquired(held) = try_lock(&locks, dir.path(), id) else {
                panic!("nobody has it")
            };
            let own = |holder: Option<Holder>| holder.map(|it| it.pid) == Some(std::process::id());
            for locks in [&locks, &other] {
                assert!(!is_free(locks, dir.path(), id) && own(locks.holder(id)));
            }
            assert!(is_free(&locks, dir.path(), neighbour));
            assert!(is_free(&other, dir.path(), LockId::new(3, 7)));
            assert!(
                !is_free(&other, dir.path(), id),
                "nothing of that released it"
            );
            assert!(held.still_held());
            drop(held);
            assert!(is_free(&other, dir.path(), id) && is_free(&locks, dir.path(), id));
        }
    }

    #[test]
    fn a_hint_of_another_lock_or_of_an_ended_process_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let locks = FileLocks::open(|| open(&path)).unwrap();
        let (id, same_hint) = (LockId::new(1, 5), LockId::new(1, 5 + HINTS));
        let other = of_another_process(&path, false);
        let _held = try_lock(&locks, dir.path(), id);
        let _shares_hint = try_lock(&locks, dir.path(), same_hint);
        assert!(!is_free(&other, dir.path(), id) && other.holder(id).is_none());
        let hint = format!("{:08x} {:>10} {:>20}\n", id.0, std::process::id(), 1);
        locks
            .main
            .file
            .write_all_at(hint.as_bytes(), id.hint_at())
            .unwrap();
        assert!(!is_free(&other, dir.path(), id) && other.holder(id).is_none());
    }

    #[test]
    fn a_removed_lock_file_excludes_nobody_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let locks = FileLocks::open(|| open(&path)).unwrap();
        let TryLock::Acquired(held) = try_lock(&locks, dir.path(), LockId::new(1, 1)) else {
            panic!("nobody has it")
        };
        std::fs::remove_file(&path).unwrap();
        assert!(!held.still_held() && !locks.is_usable());
    }

    #[test]
    fn a_descriptor_without_write_permission_can_not_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        drop(open(&path).unwrap());
        let locks = FileLocks::open(|| File::open(&path)).unwrap();
        let outcome = locks.try_lock(LockId::new(1, 1), |_| unreachable!("no other file"));
        assert_eq!(
            outcome.err().and_then(|error| error.raw_os_error()),
            Some(libc::EBADF)
        );
    }
}
