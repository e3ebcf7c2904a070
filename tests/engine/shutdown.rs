//! A session's end, and what it leaves in the process. Counted in a process of its own, where no
//! other test makes noise.

use std::time::{Duration, Instant};

use keyferry::ffi::status::KEYFERRY_E_NO_RESPONSE;
use keyferry_sandbox::{Fault, FaultAction};
use keyferry_testing::c_api;
use keyferry_testing::own_process::run_in_own_process;

use crate::sessions::{self, LONG, TimedSession, package, together};

#[test]
fn a_session_with_hung_flights_ends_within_a_second_and_leaves_no_thread() {
    run_in_own_process("shutdown::hung", &[]);
}

#[test]
fn two_hundred_sessions_leave_nothing_behind() {
    run_in_own_process("shutdown::cycles", &[]);
}

#[test]
fn idle_threads_end_while_the_session_is_open_and_with_it() {
    run_in_own_process("shutdown::idle", &[]);
}

fn thread_names() -> impl Iterator<Item = String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("keyferry") && !name.starts_with("keyferry-sandbo"))
}

fn threads() -> usize {
    thread_names().count()
}

/// The threads that run flights, and those that wait for one.
fn workers() -> usize {
    thread_names().filter(|name| name == "keyferry\n").count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Spins until the count is what it was. Threads of ours that have ended take the system a moment
/// to bury.
fn back_to(what: &str, count: impl Fn() -> usize, before: usize, deadline: Instant) {
    while count() > before {
        assert!(
            Instant::now() < deadline,
            "{} {what} where {before} were before",
            count()
        );
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn hung() {
    let sandbox = sessions::sandbox();
    let (threads_before, descriptors_before) = (threads(), descriptors());
    for round in 0..6 {
        let session = sessions::open(&sandbox);
        let token = session.token(&package(1)).unwrap();
        sandbox.reset_counts();
        sandbox.fault(
            Fault::new(if round % 2 == 0 {
                FaultAction::Hang
            } else {
                FaultAction::Drip(LONG)
            })
            .path("/v1.1/")
            .forever(),
        );
        sandbox.fault(Fault::new(FaultAction::Hang).path("/api/").forever());
        // Callers give up, their flights hang on.
        together(8, |number| {
            session
                .token_for(&c_api::Request::new(&package(number + 2)).timeout_ms(50))
                .map(drop)
                .unwrap_err()
        });
        let failure = session
            .token_for(&c_api::Request::new("fileverbs:bearer").timeout_ms(50))
            .map(drop)
            .unwrap_err();
        assert!(
            sandbox.wait_for("fileverbs_login", 1, LONG) && sandbox.wait_for("lookup", 8, LONG)
        );
        assert!(threads() > threads_before + 8);
        let begun = Instant::now();
        drop(session);
        let took = begun.elapsed();
        eprintln!("freed with 9 hung flights in {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        back_to(
            "threads",
            threads,
            threads_before,
            begun + Duration::from_secs(1),
        );
        assert!(
            token.value().starts_with("ey") && failure.message.contains("time"),
            "both outlive their session"
        );
        sandbox.clear_faults();
    }
    back_to(
        "descriptors",
        descriptors,
        descriptors_before,
        Instant::now() + LONG,
    );
    refresh_hangs(threads_before);
}

/// The same for a refresh beside callers, and for one that pauses between repeats.
fn refresh_hangs(threads_before: usize) {
    let timed = TimedSession::new();
    timed.sandbox().set_life("user", 1000);
    timed.token("user").unwrap();
    timed
        .sandbox()
        .fault(Fault::new(FaultAction::Hang).path("/v1/auth").forever());
    timed
        .sandbox()
        .fault(Fault::status(503).retry_after("2").path("/v1.1/").forever());
    timed.pass_s(821);
    timed.token("user").unwrap();
    let request = keyferry::model::request::Request {
        timeout: Some(Duration::from_millis(50)),
        ..keyferry::model::request::Request::new(package(1))
    };
    timed.session.token_for(&request).unwrap_err();
    assert!(
        timed.sandbox().wait_for("login", 2, LONG) && timed.sandbox().wait_for("lookup", 1, LONG)
    );
    let TimedSession { harness, session } = timed;
    let begun = Instant::now();
    drop(session);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    drop(harness);
    back_to(
        "threads",
        threads,
        threads_before,
        begun + Duration::from_secs(1),
    );
}

#[test]
#[ignore = "runs in a process of its own"]
fn idle() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    assert_eq!(threads(), 0, "before the first use of the network");
    session.token("user").unwrap();
    for round in 0..2 {
        together(12, |number| {
            session.token(&package(1 + 12 * round + number)).map(drop)
        });
        back_to("workers", workers, 0, Instant::now() + LONG);
        assert!(threads() > 0, "the session is open");
    }
    // A thread is idle when the session closes, unless this machine is so slow that it has ended.
    session.token(&package(30)).unwrap();
    let begun = Instant::now();
    drop(session);
    back_to("threads", threads, 0, begun + Duration::from_secs(1));
}

#[test]
#[ignore = "runs in a process of its own"]
fn cycles() {
    let sandbox = sessions::sandbox();
    let cycle = |number: usize| {
        let session = sessions::open(&sandbox);
        session.token("user").unwrap();
        session.token(&package(1 + number % 200)).unwrap();
        session.bearer().unwrap();
        if number.is_multiple_of(10) {
            sandbox.fault(Fault::new(FaultAction::Close).path("/v1.1/").forever());
            assert_eq!(
                session.token(&package(201)).map(drop).unwrap_err().status,
                KEYFERRY_E_NO_RESPONSE
            );
            sandbox.clear_faults();
        }
    };
    (0..30).for_each(cycle);
    let (threads_before, descriptors_before, resident_before) =
        (threads(), descriptors(), resident_kib());
    let begun = Instant::now();
    (30..230).for_each(cycle);
    let took = begun.elapsed();
    back_to(
        "threads",
        threads,
        threads_before,
        Instant::now() + Duration::from_secs(1),
    );
    back_to(
        "descriptors",
        descriptors,
        descriptors_before,
        Instant::now() + LONG,
    );
    let grown = resident_kib().saturating_sub(resident_before);
    eprintln!("200 sessions in {took:?}, {grown} KiB more");
    // The sandbox remembers requests and tokens in this process; the last 2,000 of them alone are
    // about 1 MiB.
    assert!(grown < 4096, "{grown} KiB");
}
