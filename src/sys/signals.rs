//! Signal handling. keyferry's own programs wait for the signals that end them, without a handler.
//! In an application, the library only blocks the signals that its own writes raise, and restores
//! the signal mask afterwards.

#![expect(unsafe_code, reason = "system calls")]

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// The largest signal number.
const MAX_SIGNAL: libc::c_int = 64;
/// The signals that ask a program to end: from Ctrl-C, `kill`, and a closed terminal.
const SHUTDOWN_SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Resets SIGCHLD to its default action, so that the kernel keeps the exit codes of child
/// processes. Only for keyferry's own programs, never for the library.
///
/// Rationale: a program inherits an ignored SIGCHLD from the process that starts it. A program that
/// ignores SIGCHLD cannot read the exit codes of its commands.
pub fn reset_sigchld() {
    // SAFETY: the default action needs no handler, and this program has set no handler that it
    // could replace.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

extern "C" fn ignore(_: libc::c_int) {}

/// Makes a write beyond the file size limit fail, as on a full disk, instead of ending the program.
/// Only for keyferry's own programs, never for the library. This function sets a handler instead of
/// ignoring the signal, so that programs started by this one get the default action again.
pub fn survive_sigxfsz() {
    if !is_ignored(libc::SIGXFSZ) {
        // SAFETY: the handler does nothing, so it is safe to run at any time.
        unsafe {
            libc::signal(
                libc::SIGXFSZ,
                ignore as extern "C" fn(libc::c_int) as libc::sighandler_t,
            )
        };
    }
}

/// The signals that ask a program to end. They stay blocked until the program waits for them.
pub struct ShutdownSignals(libc::sigset_t);

impl ShutdownSignals {
    /// Blocks the signals in this thread and in the threads that it starts later. Call it before
    /// any other thread starts.
    ///
    /// Signals that are ignored stay ignored.
    ///
    /// Rationale: a background job of a shell script ignores Ctrl-C, and `nohup` ignores the closed
    /// terminal. If this function blocked these signals, [`ShutdownSignals::wait`] would receive
    /// them although they are ignored.
    ///
    /// # Errors
    /// Returns the operating system's error. Valid arguments, as here, cause none.
    pub fn block() -> io::Result<Self> {
        let set = signal_set(
            SHUTDOWN_SIGNALS
                .into_iter()
                .filter(|signal| !is_ignored(*signal)),
        );
        // SAFETY: `set` is initialised, and the pointer to the old mask may be NULL.
        let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if code == 0 {
            Ok(Self(set))
        } else {
            Err(io::Error::from_raw_os_error(code))
        }
    }

    /// Waits until one of the signals arrives.
    ///
    /// # Errors
    /// Returns the operating system's error. Valid arguments, as here, cause none.
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

/// Returns whether this process ignores a signal.
pub fn is_ignored(signal: libc::c_int) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the call changes no action, because the new action is NULL. `old` is writable.
    let code = unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
    // SAFETY: the call above succeeded, so it filled `old`.
    code == 0 && unsafe { old.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The signals that a write raises in its own thread: SIGPIPE if the pipe or socket has no reader,
/// SIGXFSZ beyond the file size limit. Their default action ends the process.
const WRITE_SIGNALS: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Blocks SIGPIPE and SIGXFSZ in this thread until the guard is dropped. A write then fails instead
/// of raising a signal. A signal that was already pending for the application stays pending.
/// Dropping the guard restores the thread's signal mask.
///
/// Rationale: in a C program these signals have the default action, which ends the process. Without
/// the guard, keyferry's own writes killed the application in two cases: when `secret-tool` exited
/// without reading its input, and when the store wrote its first file under `ulimit -f 0`.
pub struct SigpipeGuard {
    /// The signals that were not pending when the guard was created. If one is pending when the
    /// guard is dropped, keyferry's write raised it, and the guard consumes it.
    not_pending_before: Vec<libc::c_int>,
    old_mask: libc::sigset_t,
    /// Keeps the guard in its thread, because the mask belongs to the thread.
    not_send: PhantomData<*const ()>,
}

impl SigpipeGuard {
    /// Blocks the signals for a write to a regular file, which ends at this offset. Returns `None`
    /// if the write raises no signal: a regular file raises no SIGPIPE, and the offset is within the
    /// file size limit.
    ///
    /// Rationale: blocking and unblocking takes seven system calls. A store writes three times for
    /// each token.
    pub fn for_file(end: u64) -> Option<Self> {
        (end > file_size_limit()).then(Self::block)
    }

    /// Blocks the signals until the guard is dropped.
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

/// Returns the size beyond which a write raises SIGXFSZ.
fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable. If the call fails, the limit stays 0, so each write is guarded.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    limit.rlim_cur
}

thread_local! {
    /// Whether the library started this thread.
    static IS_LIBRARY_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Blocks SIGPIPE in this thread permanently, so that no write ends the process. Only for threads
/// that the library started.
pub fn block_sigpipe() {
    IS_LIBRARY_THREAD.set(true);
    change_mask(libc::SIG_BLOCK, &signal_set([libc::SIGPIPE]));
}

/// Starts a program with no signal blocked, even if this thread blocks signals. The mask of an
/// application's thread is not changed.
///
/// Rationale: a program inherits the signal mask. A program that blocks SIGTERM cannot be ended,
/// and one that blocks SIGALRM may wait forever.
///
/// # Errors
/// Returns the error of starting the program.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let blocked = change_mask(libc::SIG_BLOCK, &signal_set([]));
    let blocks_others =
        (1..=MAX_SIGNAL).any(|signal| signal != libc::SIGPIPE && contains(&blocked, signal));
    if !blocks_others && !contains(&blocked, libc::SIGPIPE) {
        return command.spawn();
    }
    // Unblocking a pending SIGPIPE would deliver it and end the process, so only threads without
    // one take this path.
    if !blocks_others && IS_LIBRARY_THREAD.get() && !is_pending(libc::SIGPIPE) {
        change_mask(libc::SIG_UNBLOCK, &signal_set([libc::SIGPIPE]));
        let child = command.spawn();
        change_mask(libc::SIG_SETMASK, &blocked);
        return child;
    }
    // Rationale: a signal that this thread unblocks, even briefly, may be delivered to this thread.
    // An application that receives a signal with `sigwait` has no handler for the signal, so the
    // delivery would end the application. Therefore the child process unblocks the signals: a child
    // starts without pending signals. This requires a full fork, which is slower.
    let unblock_all = || {
        change_mask(libc::SIG_SETMASK, &signal_set([]));
        Ok(())
    };
    // SAFETY: the closure only changes the signal mask, with calls that are async-signal-safe, and
    // allocates nothing.
    unsafe { command.pre_exec(unblock_all) };
    command.spawn()
}

fn signal_set(signals: impl IntoIterator<Item = libc::c_int>) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: `sigemptyset` cannot fail, and has filled the whole set.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: `set` is initialised, and `signal` is a valid signal number.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Changes this thread's signal mask and returns the old one.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut old_mask = signal_set([]);
    // SAFETY: both sets are initialised. The call cannot fail, because `how` is one of the libc
    // constants.
    unsafe { libc::pthread_sigmask(how, set, &mut old_mask) };
    old_mask
}

/// Returns whether a signal is pending for this thread or for the process.
fn is_pending(signal: libc::c_int) -> bool {
    let mut pending = signal_set([]);
    // SAFETY: `pending` is writable.
    unsafe { libc::sigpending(&mut pending) };
    contains(&pending, signal)
}

fn contains(set: &libc::sigset_t, signal: libc::c_int) -> bool {
    // SAFETY: the set is initialised. For an invalid signal number the call returns an error.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Consumes a blocked signal if it is pending.
fn consume(signal: libc::c_int) {
    let set = signal_set([signal]);
    #[cfg(target_os = "linux")]
    {
        let no_wait = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `set` and `no_wait` are initialised, and the pointer to the signal's details may
        // be NULL.
        unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &no_wait) };
    }
    #[cfg(not(target_os = "linux"))]
    if is_pending(signal) {
        let mut received = 0;
        // SAFETY: `set` is initialised and `received` is writable. The signal is pending, so the
        // call does not wait.
        unsafe { libc::sigwait(&set, &mut received) };
    }
}
