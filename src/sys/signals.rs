//! The signals of a program: those that end it are waited for, without a handler that would have to be safe to run at any moment.

use std::io;
use std::mem::MaybeUninit;

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
pub struct Ending(libc::sigset_t);

impl Ending {
    /// Holds them back in this thread and in those that it starts from now on: to be called before any other starts.
    ///
    /// Rationale: a signal that is ignored stays ignored. A shell script's background job ignores Ctrl-C and `nohup` ignores
    /// the closed terminal, and a blocked signal would be delivered here all the same.
    ///
    /// # Errors
    /// Those of the system, which has none for a known signal.
    pub fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is writable, and the call fills all of it.
        checked(unsafe { libc::sigemptyset(set.as_mut_ptr()) })?;
        // SAFETY: it was filled above.
        let mut set = unsafe { set.assume_init() };
        for signal in ENDING.into_iter().filter(|signal| !is_ignored(*signal)) {
            // SAFETY: `set` is initialised and `signal` is one of the system's.
            checked(unsafe { libc::sigaddset(&mut set, signal) })?;
        }
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

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
