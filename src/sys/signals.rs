//! The signals of a program: those that end it are waited for, without a handler that would have to be safe to run at any moment.
//! And those of a host, whose own they are: what this library's writing raises is kept from it, and nothing is set for good.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// The largest number that a signal has.
const LAST_SIGNAL: libc::c_int = 64;
/// What ends a program politely: Ctrl-C, `kill`, and a terminal that was closed.
const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Has the system keep what becomes of children until this program asks. For programs, never for the library.
///
/// Rationale: whoever ignores SIGCHLD hands that on to what it starts, and then no exit code of a command can be told.
pub fn keep_children() {
    // SAFETY: the system's own action takes the place of a handler, and this program has set none.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has writing beyond the largest file that is allowed fail, as on a full disk, instead of ending the program. For programs, never
/// for the library. A handler and not ignoring it: what this program starts has the system's own action again.
pub fn survive_file_limits() {
    if !is_ignored(libc::SIGXFSZ) {
        // SAFETY: the handler does nothing, which it may at any moment.
        unsafe { libc::signal(libc::SIGXFSZ, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// The signals that end a program, held back until somebody waits for them.
pub struct ShutdownSignals(libc::sigset_t);

impl ShutdownSignals {
    /// Holds them back in this thread and in those that it starts from now on: to be called before any other starts.
    ///
    /// Rationale: a signal that is ignored stays ignored. A shell script's background job ignores Ctrl-C and `nohup` ignores
    /// the closed terminal, and a blocked signal would be delivered here all the same.
    ///
    /// # Errors
    /// Those of the system, which has none for a known signal.
    pub fn hold() -> io::Result<Self> {
        let set = set_of(ENDING.into_iter().filter(|signal| !is_ignored(*signal)));
        // SAFETY: `set` is initialised; where the old mask would go may be NULL.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if failed == 0 { Ok(Self(set)) } else { Err(io::Error::from_raw_os_error(failed)) }
    }

    /// Waits for one of them.
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
                failed => return Err(io::Error::from_raw_os_error(failed)),
            }
        }
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, for there is no new action; `old` is writable, and filled where the call succeeds.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
    // SAFETY: read only where the call above succeeded.
    failed == 0 && unsafe { old.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// What the system sends a thread for its own writing: into a pipe or socket that nobody reads, beyond the largest file that is allowed.
/// Both end a program that has said nothing about them.
const WRITING: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Keeps what writing raises from the host, in this thread and while it lives: the write fails instead. What the host had waiting
/// before stays with it, and its mask is as it was.
///
/// Rationale: a C program has the system's own action. A secret-tool that ended without reading took the host with it, and so did
/// the first write of the store under `ulimit -f 0`.
pub struct SigpipeGuard {
    /// What may be taken away at the end: what was not there at the beginning.
    raised: Vec<libc::c_int>,
    before: libc::sigset_t,
    /// A mask is a thread's.
    here: PhantomData<*const ()>,
}

impl SigpipeGuard {
    /// From here on.
    pub fn raise() -> Self {
        let raised = WRITING.into_iter().filter(|signal| !is_pending(*signal)).collect();
        Self { raised, before: mask(libc::SIG_BLOCK, &set_of(WRITING)), here: PhantomData }
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        self.raised.iter().for_each(|signal| take(*signal));
        mask(libc::SIG_SETMASK, &self.before);
    }
}

thread_local! {
    /// Whether this thread is the library's own.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Has no write of this thread end the process, for as long as the thread lives. For threads of the library's own.
pub fn block_sigpipe() {
    IS_OURS.set(true);
    mask(libc::SIG_BLOCK, &set_of([libc::SIGPIPE]));
}

/// Starts a program in which no signal is blocked, whatever this thread blocks: a mask is inherited, and who has SIGTERM or SIGALRM
/// blocked can't be ended and waits for ever. No mask of a host's thread is changed for it.
///
/// # Errors
/// Those of starting it.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let blocked = mask(libc::SIG_BLOCK, &set_of([]));
    let others = (1..=LAST_SIGNAL).any(|signal| signal != libc::SIGPIPE && holds(&blocked, signal));
    if !others && !holds(&blocked, libc::SIGPIPE) {
        return command.spawn();
    }
    // One that waits would come now, and end the process.
    if !others && IS_OURS.get() && !is_pending(libc::SIGPIPE) {
        mask(libc::SIG_UNBLOCK, &set_of([libc::SIGPIPE]));
        let started = command.spawn();
        mask(libc::SIG_SETMASK, &blocked);
        return started;
    }
    // Rationale: what is unblocked in this thread, for however short a time, the system may deliver here, and a host that waits for its
    // signals has no handler. So the child does it, which costs a whole fork, and in which nothing waits yet.
    let free = || {
        mask(libc::SIG_SETMASK, &set_of([]));
        Ok(())
    };
    // SAFETY: in the child it makes two calls that are allowed there, and allocates nothing.
    unsafe { command.pre_exec(free) };
    command.spawn()
}

fn set_of(signals: impl IntoIterator<Item = libc::c_int>) -> libc::sigset_t {
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

/// Changes this thread's mask; the one before.
fn mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = set_of([]);
    // SAFETY: both sets are initialised. With a `how` of the system's the call can't fail.
    unsafe { libc::pthread_sigmask(how, set, &mut before) };
    before
}

/// Whether a signal waits for this thread or for the process.
fn is_pending(signal: libc::c_int) -> bool {
    let mut pending = set_of([]);
    // SAFETY: the set is writable.
    unsafe { libc::sigpending(&mut pending) };
    holds(&pending, signal)
}

fn holds(set: &libc::sigset_t, signal: libc::c_int) -> bool {
    // SAFETY: the set is initialised. A number that is no signal's is in none.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Takes a signal away that this thread holds back, if it waits.
fn take(signal: libc::c_int) {
    let set = set_of([signal]);
    #[cfg(target_os = "linux")]
    {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: set and time are initialised; where the details would go may be NULL.
        unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &at_once) };
    }
    #[cfg(not(target_os = "linux"))]
    if is_pending(signal) {
        let mut taken = 0;
        // SAFETY: the set is initialised and `taken` is writable; the signal is there, so the call doesn't wait.
        unsafe { libc::sigwait(&set, &mut taken) };
    }
}
