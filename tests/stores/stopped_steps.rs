//! A process that is stopped at each of its steps while it takes each lock of the store: no call of
//! another process waits longer than its deadline, or than 500 ms for locks that are held briefly.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::model::key::Fingerprint;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::ports::store::{FailureRecord, Reach, Store};
use keyferry::session::Session;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

use crate::processes::{LIMIT, StoreProcesses, Worker, new_harness};
use crate::syscalls::{SystemCall, calls, is_change, syscalls};
use crate::two_sessions::StoreSessions;

/// What a busy machine may add to a wait. The waits that these tests look for lasted 5 s and more.
const NOISE: Duration = Duration::from_millis(2_500);
/// The longest wait for locks that processes hold only briefly.
const BRIEF: Duration = Duration::from_millis(500);
/// The space of the lock for creating a store.
const CREATION: u32 = 0;
/// The space of write locks.
const WRITE: u32 = 32;
/// The timeout of a request that has enough time.
const ENOUGH: Duration = Duration::from_secs(10);
/// The timeout of requests that have little time.
const DEADLINE: Duration = Duration::from_millis(300);
/// The number of holders that are stopped at the same time.
const THREADS: usize = 6;

/// A system call of the holder, and what it holds then.
struct Step {
    call: SystemCall,
    /// Whether it holds the flight lock of the user's token.
    is_flight: bool,
    /// Whether it has begun to remove the record.
    is_removal: bool,
}

/// The steps of a process that takes each lock, in an empty directory or in a store that has the
/// user's token: the calls that change the file system or a lock.
fn steps(is_empty: bool) -> Vec<Step> {
    let harness = prepared(is_empty);
    let (mut is_flight, mut is_removal) = (false, false);
    let mut steps = Vec::new();
    for call in calls(&harness, "take each lock", "/begin", "/end") {
        if lock_space(&call).is_some_and(|space| (1..WRITE).contains(&space)) {
            is_flight = call.text.contains("F_WRLCK");
        }
        is_removal |= call.text.contains("\"/forget\"");
        // Other processes see no difference between two calls that change nothing.
        if is_change(&call) || call.text.contains("O_CREAT") {
            steps.push(Step {
                call,
                is_flight,
                is_removal,
            });
        }
    }
    steps
}

/// The space of the lock that a call takes or releases. Space 0 is for creating a store, and the
/// spaces below [`WRITE`] are for flights.
fn lock_space(call: &SystemCall) -> Option<u32> {
    let (_, offset) = call.text.split_once("l_start=")?;
    let offset: u32 = offset.split(',').next()?.parse().ok()?;
    call.text.contains("F_OFD_SETLK").then_some(offset >> 25)
}

fn prepared(is_empty: bool) -> Harness {
    let harness = new_harness();
    if !is_empty {
        harness.session().token("user").unwrap();
    }
    harness
}

/// A process that is stopped. It is killed when this value is dropped.
struct Stopped {
    pid: i32,
    _strace: Worker,
}

impl Stopped {
    /// Starts a process that takes each lock, and stops it at a system call.
    fn at(harness: &Harness, call: &SystemCall) -> Self {
        let log = harness.path("stop.log");
        let inject = format!("inject={}:signal=STOP:when={}", call.name, call.nth);
        let only = format!("trace={}", call.name);
        let mut command: Command = syscalls(
            harness,
            "take each lock",
            &[
                "-f",
                "-o",
                log.to_str().unwrap(),
                "-e",
                &only,
                "-e",
                &inject,
            ],
        );
        let strace = Worker::start(&mut command);
        let deadline = Instant::now() + LIMIT;
        let wait = |what: &str, is_so: &dyn Fn() -> bool| {
            while !is_so() {
                assert!(Instant::now() < deadline, "not {what} at {}", call.text);
                std::thread::yield_now();
            }
        };
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        wait("stopped", &|| {
            read(log.display().to_string()).contains("stopped by SIGSTOP")
        });
        let children = format!("/proc/{0}/task/{0}/children", strace.pid());
        let pid = read(children).trim().parse().unwrap();
        // Without strace, the process stays stopped.
        strace.signal(libc::SIGKILL);
        wait("in state T", &|| {
            let stat = read(format!("/proc/{pid}/stat"));
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        });
        Self {
            pid,
            _strace: strace,
        }
    }
}

impl Drop for Stopped {
    #[expect(unsafe_code, reason = "system calls")]
    fn drop(&mut self) {
        // SAFETY: the process is stopped, so the number is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

/// Returns the outcome of a call, which must end in time.
fn within<T>(limit: Duration, what: &str, step: &Step, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let outcome = call();
    let took = began.elapsed();
    assert!(
        took < limit + NOISE,
        "{what} took {took:?} at {}",
        step.call.text
    );
    outcome
}

fn ask(session: &Session, timeout: Duration, min_valid: Duration) -> Result<Token, ErrorKind> {
    let request = Request {
        timeout: Some(timeout),
        min_valid,
        ..Request::new("user")
    };
    session.token_for(&request).map_err(|error| error.kind)
}

/// Checks the calls of other processes while one is stopped at a step.
fn check(is_empty: bool, step: &Step) {
    let harness = prepared(is_empty);
    let logins = || harness.sandbox().count("login");
    let before = logins();
    let warm = harness.session();
    let token = (!is_empty).then(|| warm.token("user").unwrap());
    let holder = Stopped::at(&harness, &step.call);
    let other = harness.session();
    let no_time = Duration::ZERO;
    if let Some(token) = &token {
        within(no_time, "hits", step, || {
            (0..100).for_each(|_| assert_eq!(warm.token("user").unwrap().meta(), token.meta()));
        });
        if !step.is_removal {
            let found = within(no_time, "a look in the store", step, || {
                ask(&other, DEADLINE, no_time)
            });
            assert_eq!(found.as_ref().map(Token::meta), Ok(token.meta()));
        }
        // The token does not last that long.
        let long = Duration::from_secs(1_000_000_000);
        let _ = within(DEADLINE, "a fetch", step, || ask(&other, DEADLINE, long));
    } else {
        let _ = within(DEADLINE, "a fetch", step, || ask(&other, DEADLINE, no_time));
    }
    if step.is_flight {
        assert_eq!(logins(), before, "without the lock at {}", step.call.text);
    } else if is_empty {
        let got = within(2 * BRIEF, "a fetch", step, || ask(&other, ENOUGH, no_time));
        assert!(got.is_ok(), "{got:?} at {}", step.call.text);
    }
    let failure = FailureRecord {
        since_us: 0,
        until_us: 1,
        step: 0,
        error: keyferry::error::Error::new(ErrorKind::BadCredentials, "wrong"),
    };
    let (store, secret) = (harness.store(), Fingerprint::unkeyed(&["secret"]));
    within(BRIEF, "a failure", step, || {
        store.set_failure(&secret, Some(failure), Reach::Everywhere, &|_| false);
    });
    assert!(store.failure(&secret, Reach::Everywhere).is_some());
    if let Some(token) = &token {
        let _ = within(BRIEF, "reject", step, || warm.reject(token));
    }
    let _ = within(BRIEF, "forget", step, || warm.forget(Some("user")));
    drop(holder);
    let got = ask(&harness.session(), ENOUGH, no_time);
    assert!(got.is_ok(), "{got:?} after {}", step.call.text);
}

fn check_each_step(is_empty: bool, at_least: usize) {
    if skip::without_strace() {
        return;
    }
    let steps = steps(is_empty);
    let flights = steps.iter().filter(|step| step.is_flight).count();
    println!(
        "{} steps, {flights} of them with a flight lock",
        steps.len()
    );
    assert!(steps.len() >= at_least && flights >= 15);
    let takes = |space| {
        steps
            .iter()
            .any(|step| lock_space(&step.call) == Some(space))
    };
    assert!(takes(WRITE) && takes(CREATION) == is_empty);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(step) = steps.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(is_empty, step);
                }
            });
        }
    });
}

#[test]
fn a_holder_that_is_stopped_while_it_creates_the_store_delays_nobody_for_long() {
    check_each_step(true, 50);
}

#[test]
fn a_holder_that_is_stopped_in_a_store_with_a_token_delays_nobody_for_long() {
    check_each_step(false, 40);
}
