//! A host with the system's own action for SIGPIPE and SIGXFSZ, which is to end: what the library
//! writes must not end it.
//!
//! Each case is a child of its own, for a signal's action is the whole process's.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(unsafe_code, reason = "system calls")]

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use keyferry::ports::http::{Http, Method, Request};
use keyferry::secret::Secret;
use keyferry::sys::process::{self, Limits, RunOutcome};
use keyferry::sys::signals;
use keyferry::transport::{Options, Transport};
use url::Url;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(20),
    bytes: 4096,
    own_group: true,
};
/// More than a pipe or a socket takes at once: it is still being written when the reader is gone.
const MANY: usize = 16 * 1024 * 1024;

/// How a child ends that has the system's own actions: its exit code, or the signal that ended it
/// as a negative number.
fn ending(act: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child does what is tested, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            // SAFETY: both are the system's own, and no handler is set.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: the call takes a number; the alarm ends a child that hangs.
        unsafe { libc::alarm(60) };
        let good = act();
        // SAFETY: the call takes a number.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = -1;
    // SAFETY: `child` is ours and `status` is there to be filled.
    unsafe { libc::waitpid(child, &mut status, 0) };
    if libc::WIFSIGNALED(status) {
        -libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    }
}

/// The signals of a thread that a line of the system's says, as bits.
fn bits(task: &str, line: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{task}/status")).unwrap();
    let bits = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(':'))
        .unwrap();
    u64::from_str_radix(bits.trim(), 16).unwrap()
}

fn holds_pipes_back(task: &str) -> bool {
    bits(task, "SigBlk") >> (libc::SIGPIPE - 1) & 1 == 1
}

/// As a host does that wants none of these signals.
fn hold_back(signals: &[i32]) {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the call fills all of the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was filled above.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: the set is initialised.
        unsafe { libc::sigaddset(&mut set, *signal) };
    }
    // SAFETY: the set is initialised; where the one before would go may be NULL.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
}

/// What a program that is started finds blocked.
fn blocked_in_a_program() -> u64 {
    let (said, _) = process::run(
        Command::new("/bin/grep").args(["SigBlk", "/proc/self/status"]),
        None,
        LIMITS,
    )
    .unwrap();
    u64::from_str_radix(
        std::str::from_utf8(&said)
            .unwrap()
            .strip_prefix("SigBlk:")
            .unwrap()
            .trim(),
        16,
    )
    .unwrap()
}

#[test]
fn a_program_that_does_not_read_its_input_ends_nobody() {
    assert_eq!(
        ending(|| {
            let outcome = process::run(
                &mut Command::new("/bin/true"),
                Some(&vec![b'x'; MANY]),
                LIMITS,
            );
            // Neither a mask nor a signal is left behind.
            matches!(outcome, Ok((_, RunOutcome::Exited(Some(0)))))
                && !holds_pipes_back("thread-self")
                && bits("thread-self", "SigPnd") == 0
        }),
        0
    );
}

#[test]
fn a_host_that_has_the_signal_waiting_keeps_it() {
    assert_eq!(
        ending(|| {
            hold_back(&[libc::SIGPIPE]);
            // SAFETY: the call takes a number; the signal waits, for it is held back.
            unsafe { libc::raise(libc::SIGPIPE) };
            process::run(
                &mut Command::new("/bin/true"),
                Some(&vec![b'x'; MANY]),
                LIMITS,
            )
            .is_ok()
                && holds_pipes_back("thread-self")
                && bits("thread-self", "SigPnd") >> (libc::SIGPIPE - 1) & 1 == 1
        }),
        0
    );
}

#[test]
fn a_program_gets_the_signal_though_the_thread_that_starts_it_does_not() {
    assert_eq!(
        ending(|| {
            signals::block_sigpipe();
            blocked_in_a_program() == 0 && holds_pipes_back("thread-self")
        }),
        0
    );
}

/// A host that waits for its signals with sigwait blocks them in all threads. A program with that
/// mask can't be ended, and its alarms don't ring.
#[test]
fn a_program_has_no_signal_blocked_though_its_host_blocks_them_all() {
    let theirs = [
        libc::SIGTERM,
        libc::SIGALRM,
        libc::SIGCHLD,
        libc::SIGINT,
        libc::SIGPIPE,
        libc::SIGUSR1,
    ];
    let all = theirs
        .iter()
        .fold(0, |bits, signal| bits | 1_u64 << (signal - 1));
    for is_ours in [false, true] {
        assert_eq!(
            ending(|| {
                hold_back(&theirs);
                if is_ours {
                    signals::block_sigpipe();
                }
                // Those that wait would end this process.
                for signal in [libc::SIGTERM, libc::SIGPIPE] {
                    // SAFETY: the call takes a number; the signal waits, for it is held back.
                    unsafe { libc::raise(signal) };
                }
                let waiting = bits("thread-self", "SigPnd");
                let blocked = blocked_in_a_program();
                blocked == 0
                    && bits("thread-self", "SigBlk") == all
                    && waiting != 0
                    && bits("thread-self", "SigPnd") == waiting
            }),
            0
        );
    }
}

/// Says that it will send nothing, and resets the connection once a part of the request has
/// arrived.
fn reset_midway(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let (at, size) = (
        &raw const linger,
        libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap(),
    );
    // SAFETY: the descriptor is open, and the option is as long as is said.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            at.cast(),
            size,
        )
    };
}

#[test]
fn a_server_that_resets_midway_ends_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        listener
            .incoming()
            .for_each(|stream| reset_midway(stream.unwrap()))
    });
    assert_eq!(
        ending(|| {
            let transport = Transport::new(Options::default());
            let body = Some(Secret::new("x".repeat(MANY)));
            let request = Request {
                method: Method::Post,
                body,
                ..Request::get(url)
            };
            let fails = |_| {
                transport
                    .exchange(0, &request, Instant::now() + Duration::from_secs(20))
                    .is_err()
            };
            let all_fail = (0..20).all(fails);
            let tasks = std::fs::read_dir("/proc/self/task")
                .unwrap()
                .map(|task| task.unwrap().file_name().into_string().unwrap());
            let (_, ours) = tasks
                .map(|task| format!("self/task/{task}"))
                .partition::<Vec<_>, _>(|task| task.ends_with(&std::process::id().to_string()));
            all_fail && !ours.is_empty() && ours.iter().all(|task| holds_pipes_back(task))
        }),
        0
    );
}
