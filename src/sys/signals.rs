//! Signals. A program waits for those that end it, without a handler. In a host, this library
//! blocks those that its own writes raise, and changes no signal for good.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// The largest number of a signal.
const MAX_SIGNAL: libc::c_int = 64;
/// The signals that ask a program to end: Ctrl-C, `kill`, and a closed terminal.
const SHUTDOWN_SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Gives SIGCHLD the system's default action, so that exit codes of children are kept. For
/// programs, never for the library.
///
/// Rationale: a process that ignores SIGCHLD hands that on to the programs it starts, which then
/// get no exit code of a command.
pub fn reset_sigchld() {
    // SAFETY: the system's own action takes the place of a handler, and this program has set none.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

extern "C" fn ignore(_: libc::c_int) {}

/// Makes a write beyond the largest allowed file fail, as on a full disk, instead of ending the
/// program. For programs, never for the library. It sets a handler instead of ignoring the signal,
/// so that programs started from here have the default action again.
pub fn survive_sigxfsz() {
    if !is_ignored(libc::SIGXFSZ) {
        // SAFETY: the handler does nothing, which it may at any moment.
        unsafe {
            libc::signal(
                libc::SIGXFSZ,
                ignore as extern "C" fn(libc::c_int) as libc::sighandler_t,
            )
        };
    }
}

/// The signals that end a program, blocked until the program waits for them.
pub struct ShutdownSignals(libc::sigset_t);

impl ShutdownSignals {
    /// Blocks them in this thread and in those that it starts from now on. Call it before any other
    /// thread starts.
    ///
    /// Rationale: a signal that is ignored stays ignored. A shell script's background job ignores
    /// Ctrl-C and `nohup` ignores the closed terminal, and a blocked signal would be delivered here
    /// all the same.
    ///
    /// # Errors
    /// Those of the system, which has none for a known signal.
    pub fn block() -> io::Result<Self> {
        let set = signal_set(
            SHUTDOWN_SIGNALS
                .into_iter()
                .filter(|signal| !is_ignored(*signal)),
        );
        // SAFETY: `set` is initialised; where the old mask would go may be NULL.
        let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if code == 0 {
            Ok(Self(set))
        } else {
            Err(io::Error::from_raw_os_error(code))
        }
    }

    /// Waits for one of the signals.
    ///
    /// # Errors
    /// Those of the system, which has none for a known signal.
    pub fn wait(&self) -> io::Result<()> {
        let mut signal = 0;
        loop {
            // SAFETY: the set is initialised and `signal` is writable.
            match unsafe { libc::sigwait(&self.0, &mut signal) } {
                0 => return Ok(()),
                libc::EINTR => {}
                code => return Err(io::Error::from_raw_os_error(code)),
            }
        }
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, for there is no new action; `old` is writable, and filled where
    // the call succeeds.
    let code = unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
    // SAFETY: read only where the call above succeeded.
    code == 0 && unsafe { old.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The signals that a thread's own write raises: into a pipe or socket without a reader, and beyond
/// the largest allowed file. Their default action ends the program.
const WRITE_SIGNALS: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Blocks the signals that writes raise, in this thread, until it is dropped: the write fails
/// instead. A signal of the host's that was pending before stays pending, and the thread's mask is
/// restored.
///
/// Rationale: a C program has the default action. A secret-tool that ended without reading its
/// input ended the host too, and so did the first write of the store under `ulimit -f 0`.
pub struct SigpipeGuard {
    /// The signals that were not pending at the beginning, so that they may be consumed at the end.
    not_pending_before: Vec<libc::c_int>,
    old_mask: libc::sigset_t,
    /// The mask is this thread's, so the guard must not move to another.
    not_send: PhantomData<*const ()>,
}

impl SigpipeGuard {
    /// Blocks the signals from here on.
    pub fn block() -> Self {
        let not_pending_before = WRITE_SIGNALS
            .into_iter()
            .filter(|signal| !is_pending(*signal))
            .collect();
        Self {
            not_pending_before,
            old_mask: change_mask(libc::SIG_BLOCK, &signal_set(WRITE_SIGNALS)),
            not_send: PhantomData,
        }
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        self.not_pending_before
            .iter()
            .for_each(|signal| consume(*signal));
        change_mask(libc::SIG_SETMASK, &self.old_mask);
    }
}

thread_local! {
    /// Whether this thread is the library's own.
    static IS_LIBRARY_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Blocks SIGPIPE in this thread for good, so that no write ends the process. For the library's own
/// threads.
pub fn block_sigpipe() {
    IS_LIBRARY_THREAD.set(true);
    change_mask(libc::SIG_BLOCK, &signal_set([libc::SIGPIPE]));
}

/// Starts a program with no signal blocked, whatever this thread blocks. Rationale: a program
/// inherits the mask, and one with SIGTERM or SIGALRM blocked can't be ended and waits for ever.
/// The mask of a host's thread is not changed.
///
/// # Errors
/// Those of starting it.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let blocked = change_mask(libc::SIG_BLOCK, &signal_set([]));
    let blocks_others =
        (1..=MAX_SIGNAL).any(|signal| signal != libc::SIGPIPE && contains(&blocked, signal));
    if !blocks_others && !contains(&blocked, libc::SIGPIPE) {
        return command.spawn();
    }
    // A pending SIGPIPE would be delivered now, and end the process.
    if !blocks_others && IS_LIBRARY_THREAD.get() && !is_pending(libc::SIGPIPE) {
        change_mask(libc::SIG_UNBLOCK, &signal_set([libc::SIGPIPE]));
        let child = command.spawn();
        change_mask(libc::SIG_SETMASK, &blocked);
        return child;
    }
    // Rationale: a signal that is unblocked in this thread, for however short a time, may be
    // delivered here, and a host that waits for its signals has no handler. So the child unblocks
    // them, where none is pending yet. That costs a full fork.
    let unblock_all = || {
        change_mask(libc::SIG_SETMASK, &signal_set([]));
        Ok(())
    };
    // SAFETY: in the child it makes two calls that are allowed there, and allocates nothing.
    unsafe { command.pre_exec(unblock_all) };
    command.spawn()
}

fn signal_set(signals: impl IntoIterator<Item = libc::c_int>) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is writable, and the call fills all of it; it can't fail.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was filled above.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: `set` is initialised and `signal` is one of the system's, so the call can't fail.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Changes this thread's mask, and gives the old one.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut old_mask = signal_set([]);
    // SAFETY: both sets are initialised. With a `how` of the system's the call can't fail.
    unsafe { libc::pthread_sigmask(how, set, &mut old_mask) };
    old_mask
}

/// Whether a signal is pending for this thread or for the process.
fn is_pending(signal: libc::c_int) -> bool {
    let mut pending = signal_set([]);
    // SAFETY: the set is writable.
    unsafe { libc::sigpending(&mut pending) };
    contains(&pending, signal)
}

fn contains(set: &libc::sigset_t, signal: libc::c_int) -> bool {
    // SAFETY: the set is initialised. A number that is no signal's is in none.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Consumes a blocked signal, if it is pending.
fn consume(signal: libc::c_int) {
    let set = signal_set([signal]);
    #[cfg(target_os = "linux")]
    {
        let no_wait = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: set and time are initialised; where the details would go may be NULL.
        unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &no_wait) };
    }
    #[cfg(not(target_os = "linux"))]
    if is_pending(signal) {
        let mut received = 0;
        // SAFETY: the set is initialised and `received` is writable; the signal is pending, so the
        // call doesn't wait.
        unsafe { libc::sigwait(&set, &mut received) };
    }
}
