//! Signals that arrive while a prompt has changed the terminal's mode. Their handler only notes them
//! in a pipe. The prompt then restores the terminal and lets the signal take effect.
//!
//! Rationale: with the default action, a SIGTERM left the user's shell without echo and Ctrl-C.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use keyferry::sys::signals::is_ignored;

/// The signals that end a program.
const ENDING: [libc::c_int; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGALRM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXCPU,
];

/// The action of the prompt after a signal.
pub(super) enum Wakeup {
    /// Restore the terminal, and end with this signal.
    End(libc::c_int),
    /// Restore the terminal, and suspend the program.
    Suspend,
    /// Show the prompt again, because the program was suspended.
    Resumed,
    /// Restore the terminal, and suspend the program until it is in the foreground again. No signal
    /// says so: the terminal went back to the shell, because the program's parent was killed.
    Background,
}

impl Wakeup {
    fn from_signal(signal: libc::c_int) -> Self {
        match signal {
            libc::SIGTSTP => Self::Suspend,
            libc::SIGCONT => Self::Resumed,
            signal => Self::End(signal),
        }
    }
}

/// How often a prompt looks whether it is still in the foreground.
const FOREGROUND_CHECK_MS: libc::c_int = 500;

/// The pipe of the noted signals. It stays open, so that a handler that runs late on another thread
/// writes to no other file.
static PIPE: OnceLock<(PipeReader, PipeWriter)> = OnceLock::new();
/// The descriptor that the handler writes to. -1 before the first prompt.
static NOTES_FD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let byte = signal as u8;
    let fd = NOTES_FD.load(Ordering::Relaxed);
    // SAFETY: `write` is async-signal-safe, and the byte is valid during the call. The pipe has room
    // for thousands of signals.
    unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
}

/// The handlers of the signals. Dropping this restores the previous actions.
pub(super) struct PromptSignals {
    notes: &'static PipeReader,
    previous: Vec<(libc::c_int, libc::sigaction)>,
}

impl PromptSignals {
    /// Installs the handlers. A signal that this process ignores stays ignored, such as SIGHUP
    /// under `nohup`.
    ///
    /// # Errors
    /// Returns the system's error if there are no descriptors left for the pipe.
    pub(super) fn watch() -> io::Result<Self> {
        let notes = match PIPE.get() {
            Some((notes, _)) => notes,
            None => {
                let pipe = io::pipe()?;
                let (notes, writer) = PIPE.get_or_init(|| pipe);
                NOTES_FD.store(writer.as_raw_fd(), Ordering::Relaxed);
                notes
            }
        };
        let signals = ENDING.into_iter().chain([libc::SIGTSTP, libc::SIGCONT]);
        let previous = signals
            .filter(|signal| !is_ignored(*signal))
            .map(|signal| (signal, set_action(signal, &note_action())))
            .collect();
        Ok(Self { notes, previous })
    }

    /// Waits for input or for a signal, or until the program is in the background. Returns `None` if
    /// there is input.
    ///
    /// # Errors
    /// Returns the errors of reading the pipe.
    pub(super) fn wait_for_input(&self, terminal: &File) -> io::Result<Option<Wakeup>> {
        let mut polled = [self.notes.as_raw_fd(), terminal.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        loop {
            // SAFETY: the pointer is valid for both entries, and their descriptors are open.
            match unsafe { libc::poll(polled.as_mut_ptr(), 2, FOREGROUND_CHECK_MS) } {
                0 if is_in_background(terminal) => return Ok(Some(Wakeup::Background)),
                0 => {}
                count if count > 0 => break,
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        if polled[0].revents == 0 {
            return Ok(None);
        }
        let mut byte = [0];
        (&mut &*self.notes).read_exact(&mut byte)?;
        Ok(Some(Wakeup::from_signal(byte[0].into())))
    }

    /// Suspends the program with this signal until SIGCONT arrives. In a process group without a
    /// parent that could continue it, the kernel does not suspend the program, and this function
    /// returns at once.
    pub(super) fn suspend(&self, signal: libc::c_int) {
        let signals = [libc::SIGTSTP, libc::SIGCONT];
        let handlers = signals.map(|signal| set_action(signal, &default_action()));
        raise(signal);
        for (signal, handler) in signals.iter().zip(&handlers) {
            set_action(*signal, handler);
        }
    }

    /// Restores the previous actions. Returns a noted signal that shall end the program.
    pub(super) fn stop_watching(self) -> Option<libc::c_int> {
        let notes = self.notes;
        drop(self);
        let mut ending = None;
        while has_input(notes) {
            let mut byte = [0];
            if (&mut &*notes).read_exact(&mut byte).is_err() {
                break;
            }
            if let Wakeup::End(signal) = Wakeup::from_signal(byte[0].into()) {
                ending = Some(signal);
            }
        }
        ending
    }
}

impl Drop for PromptSignals {
    fn drop(&mut self) {
        for (signal, action) in &self.previous {
            set_action(*signal, action);
        }
    }
}

/// Sends a signal to this thread. It takes effect before the call returns.
pub(super) fn raise(signal: libc::c_int) {
    // SAFETY: the call takes only an integer.
    unsafe { libc::raise(signal) };
}

/// Returns whether the terminal takes input for another process group than this one.
pub(super) fn is_in_background(terminal: &File) -> bool {
    // SAFETY: the call takes only an integer. The descriptor is open.
    let foreground = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
    // SAFETY: the call takes no arguments.
    foreground > 0 && foreground != unsafe { libc::getpgrp() }
}

/// Runs a function while this thread blocks SIGTTOU.
pub(super) fn without_sigttou<T>(run: impl FnOnce() -> T) -> T {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is writable.
    unsafe { libc::sigemptyset(blocked.as_mut_ptr()) };
    // SAFETY: the call above initialised the set, and the signal is valid.
    unsafe { libc::sigaddset(blocked.as_mut_ptr(), libc::SIGTTOU) };
    // SAFETY: `blocked` is initialised and `before` is writable. The call cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr()) };
    let outcome = run();
    // SAFETY: the call above filled `before`, and the pointer to the old mask may be NULL.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    outcome
}

fn has_input(pipe: &PipeReader) -> bool {
    let mut polled = libc::pollfd {
        fd: pipe.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the pointer is valid for the one entry, and its descriptor is open.
    unsafe { libc::poll(&mut polled, 1, 0) == 1 }
}

fn default_action() -> libc::sigaction {
    // SAFETY: a `sigaction` consists of integers, for which zero is valid. An empty set of signals
    // is zero too, and so is the default action.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Returns the action that notes a signal. Without `SA_RESTART`, a signal interrupts a blocking read.
fn note_action() -> libc::sigaction {
    libc::sigaction {
        sa_sigaction: note as extern "C" fn(libc::c_int) as libc::sighandler_t,
        ..default_action()
    }
}

/// Sets the action of a signal and returns the previous one.
fn set_action(signal: libc::c_int, action: &libc::sigaction) -> libc::sigaction {
    let mut previous = default_action();
    // SAFETY: both structures are initialised, and a handler is [`note`], which is
    // async-signal-safe, or was set before. The call cannot fail for these signals.
    unsafe { libc::sigaction(signal, action, &mut previous) };
    previous
}
