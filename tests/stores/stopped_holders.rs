//! Processes that are stopped while they hold a lock, and how long callers wait for them.

use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::ports::store::{Reach, Saved, Store, Turn};
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, FaultAction, credentials as c};
use keyferry_testing::harness::Harness;

use crate::processes::{LIMIT, StoreProcesses, Worker, new_harness};
use crate::two_sessions::StoreSessions;
use crate::worker::{key, record, user_key};

/// What a busy machine may add to a wait. The waits that these tests look for lasted 5 s and more.
const NOISE: Duration = Duration::from_millis(2_500);
/// The longest wait for locks that processes hold only briefly.
const BRIEF: Duration = Duration::from_millis(500);

/// The space of write locks.
const WRITE: u8 = 32;

/// Starts a process that holds a lock.
fn holder(harness: &Harness, file: &str, space: u8, number: u64) -> Worker {
    let path = harness.path("store").join(file);
    let mut holder = harness.worker(&format!("hold-byte {} {space} {number}", path.display()));
    assert_eq!(holder.line(), "ready");
    holder
}

/// Stops a process that holds the lock for creating a store or its key.
fn stopped_creator(harness: &Harness, file: &str) -> Worker {
    let holder = holder(harness, file, 0, 0);
    holder.signal(libc::SIGSTOP);
    holder
}

/// Stops a process that holds the lock for writing the only token in the store.
fn stopped_writer(harness: &Harness) -> Worker {
    let holder = writer(harness);
    holder.signal(libc::SIGSTOP);
    holder
}

/// Starts a process that holds the lock for writing the only token in the store.
fn writer(harness: &Harness) -> Worker {
    let name = harness.token_file();
    let name = name.file_name().unwrap().to_str().unwrap();
    let number = u64::from_str_radix(&name[..16], 16).unwrap();
    holder(harness, "lock", WRITE, number)
}

/// Creates the directory of a store that nobody has used.
fn create_directory(harness: &Harness) {
    use std::os::unix::fs::DirBuilderExt;
    let path = harness.path("store");
    std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
}

/// How long a worker's call took.
fn took(lines: &[String], before: &str) -> Duration {
    let us = lines
        .iter()
        .find_map(|line| line.split_once(before)?.1.split(' ').next()?.parse().ok());
    Duration::from_micros(us.unwrap_or_else(|| panic!("{lines:?}")))
}

fn warnings(lines: &[String]) -> Vec<&String> {
    let is_warning = |line: &&String| line.starts_with("log Warn ");
    lines.iter().filter(is_warning).collect()
}

#[test]
fn a_stopped_creator_costs_half_a_second_and_one_warning() {
    for file in ["lock", "store.key.lock"] {
        let harness = new_harness();
        create_directory(&harness);
        let holder = stopped_creator(&harness, file);
        let lines = harness.run_together(1, "get user").remove(0);
        assert!(
            lines.iter().any(|line| line.starts_with("got ")),
            "{file}: {lines:?}"
        );
        let took = took(&lines, "in ");
        println!("{file}, stopped creator: a token after {took:?}");
        assert!(took >= BRIEF && took < BRIEF + NOISE, "{file}: {lines:?}");
        let warnings = warnings(&lines);
        assert!(
            warnings.len() == 1
                && warnings[0].contains(&format!("process {}, which is stopped", holder.pid())),
            "{file}: {lines:?}"
        );
    }
}

#[test]
fn a_stopped_creator_is_waited_for_once_in_five_seconds() {
    let harness = new_harness();
    create_directory(&harness);
    let _holder = stopped_creator(&harness, "lock");
    let store = harness.store();
    let began = Instant::now();
    for generation in 1..=10 {
        let record = record(&key("01A"), generation);
        assert!(matches!(store.save(&key("01A"), &record), Ok(Saved::Kept)));
    }
    let took = began.elapsed();
    assert!(took >= BRIEF && took < BRIEF + NOISE, "{took:?}");
}

#[test]
fn a_request_with_a_nearer_deadline_waits_no_longer() {
    let harness = new_harness();
    create_directory(&harness);
    let _holder = stopped_creator(&harness, "lock");
    // The fingerprint of a link needs the store's key.
    for resource in ["user", "links/01A?secret=x"] {
        let lines = harness
            .run_together(1, &format!("get {resource} within 100"))
            .remove(0);
        let took = took(&lines, "in ");
        assert!(took < Duration::from_millis(100) + NOISE, "{lines:?}");
    }
}

#[test]
fn readers_go_on_while_another_thread_opens_the_store_for_writing() {
    let harness = new_harness();
    harness
        .store()
        .save(&key("01A"), &record(&key("01A"), 7))
        .unwrap();
    std::fs::remove_file(harness.path("store/store")).unwrap();
    let _holder = stopped_creator(&harness, "lock");
    let store = harness.store();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let began = Instant::now();
            store
                .save(&key("01B"), &record(&key("01B"), 8))
                .map(|_| began.elapsed())
        });
        let mut loads = 0;
        while !writer.is_finished() {
            let found = store.load(&key("01A")).unwrap();
            assert_eq!(found.map(|record| record.generation), Some(7));
            loads += 1;
        }
        assert!(writer.join().unwrap().unwrap() >= BRIEF);
        assert!(loads >= 20, "only {loads} loads in {BRIEF:?}");
    });
}

#[test]
fn a_stopped_writer_delays_no_hit_and_other_calls_half_a_second() {
    let harness = new_harness();
    harness.run_together(1, "get user");
    let mut callers = ["hits", "reject", "forget"].map(|call| {
        let mut worker = harness.worker(&format!("timed {call} user"));
        assert_eq!(worker.line(), "ready");
        (call, worker)
    });
    let holder = stopped_writer(&harness);
    callers.iter_mut().for_each(|(_, worker)| worker.go());
    for (call, worker) in callers {
        let lines = worker.finish();
        let took = took(&lines, "took ");
        println!("stopped writer: {call} took {took:?}");
        let at_most = if call == "hits" { NOISE } else { BRIEF + NOISE };
        assert!(took < at_most, "{call}: {lines:?}");
        if call == "forget" {
            assert!(
                lines.iter().any(|line| line.contains("which is stopped")),
                "the caller must learn it: {lines:?}"
            );
        }
    }
    drop(holder);
}

#[test]
fn a_caller_gets_a_token_that_can_not_be_saved_and_a_warning() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    harness.run_together(1, "get user");
    let holder = stopped_writer(&harness);
    let lines = harness.run_together(1, "get user").remove(0);
    assert!(took(&lines, "in ") < NOISE, "a stored token: {lines:?}");
    harness.sandbox().clock().advance(Duration::from_secs(700));
    let lines = harness.run_together(1, "get user").remove(0);
    assert!(
        lines.iter().any(|line| line.starts_with("got ")),
        "{lines:?}"
    );
    assert!(took(&lines, "in ") < BRIEF + NOISE, "{lines:?}");
    // Its own flight lock must not hide the holder of the write lock.
    let named = format!("process {}, which is stopped", holder.pid());
    let warnings_now = warnings(&lines);
    assert!(
        warnings_now.len() == 1 && warnings_now[0].contains(&named),
        "{lines:?}"
    );
    drop(holder);
    let lines = harness.run_together(1, "get user").remove(0);
    assert_eq!(warnings(&lines).len(), 0, "{lines:?}");
}

#[test]
fn a_store_waits_half_a_second_in_one_call_with_several_locks() {
    let harness = new_harness();
    harness.run_together(1, "get user");
    let _holder = stopped_writer(&harness);
    let session = harness.session();
    let token = session.token("user").unwrap();
    let began = Instant::now();
    // A rejection for a resource changes the stored record.
    session
        .reject_value("user", &Secret::from(token.value()))
        .unwrap();
    let took = began.elapsed();
    assert!(took >= BRIEF && took < BRIEF + NOISE, "{took:?}");
    let store = harness.store();
    assert!(store.forget(&key("01A"), 1, Reach::Everywhere).is_ok());
}

#[test]
fn a_stopped_flight_is_named_after_two_seconds() {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    let lines = harness.run_together(1, "get user within 2600").remove(0);
    let named = format!("process {} is fetching it, but is stopped", holder.pid());
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("failed Busy ") && line.contains(&named)),
        "{lines:?}"
    );
    let warnings = warnings(&lines);
    assert!(
        warnings.len() == 1 && warnings[0].contains(&named),
        "{lines:?}"
    );
    let took = took(&lines, "in ");
    assert!(
        took >= Duration::from_millis(2600) && took < Duration::from_millis(2600) + NOISE,
        "{lines:?}"
    );
    assert_eq!(harness.sandbox().count("login"), 0);
    // A process that runs is not named so.
    holder.signal(libc::SIGCONT);
    let lines = harness.run_together(1, "get user within 2600").remove(0);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("failed Busy ") && !line.contains("stopped")),
        "{lines:?}"
    );
}

#[test]
fn a_caller_waits_until_its_own_deadline_not_that_of_the_flight_it_joined() {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    let mut command = harness.command("get user short 300 long 1500");
    let mut worker = Worker::start(command.env("KEYFERRY_HTTP_TIMEOUT_MS", "600"));
    assert_eq!(worker.line(), "ready");
    worker.go();
    let lines = worker.finish();
    let waits: Vec<u64> = lines
        .iter()
        .map(|line| {
            let ms = line
                .strip_prefix("Some(Busy) after ")
                .unwrap_or_else(|| panic!("{lines:?}"));
            ms.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    for (wait, deadline) in waits.iter().zip([300, 1500]) {
        assert!((deadline..deadline + 1000).contains(wait), "{lines:?}");
    }
    assert_eq!(harness.sandbox().count("login"), 0);
}

#[test]
fn a_process_that_exits_waits_for_its_save() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    harness.run_together(1, "get user");
    // The save waits at most 500 ms for the lock. On a busy machine, one attempt may take longer.
    let is_saved = (0..10).any(|_| {
        let before = harness.token_files();
        let mut holder = writer(&harness);
        harness.sandbox().clock().advance(Duration::from_secs(700));
        let mut exiting = harness.worker("get user and exit");
        assert!(exiting.line().starts_with("got "));
        assert_eq!(harness.token_files(), before, "the save waits for the lock");
        // A process that does not wait has ended by then.
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until && !exiting.has_ended() {
            std::thread::yield_now();
        }
        holder.go();
        exiting.finish();
        harness.token_files() != before
    });
    assert!(is_saved);
}

#[test]
fn a_process_that_exits_waits_for_its_save_at_most_half_a_second() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    harness.run_together(1, "get user");
    let _holder = stopped_writer(&harness);
    harness.sandbox().clock().advance(Duration::from_secs(700));
    let mut exiting = harness.worker("get user and exit");
    assert!(exiting.line().starts_with("got "));
    let got = Instant::now();
    exiting.finish();
    let took = got.elapsed();
    assert!(took < BRIEF + NOISE, "{took:?}");
}

/// Ends a process after it has sent a renewal that the service answers as this fault says. Returns
/// the harness, the process's output, and how long its end took.
fn end_during_renewal(end: &str, fault: Fault) -> (Harness, Vec<String>, Duration) {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    harness.sandbox().clock().advance(Duration::from_secs(1000));
    harness
        .sandbox()
        .fault(fault.path("/api/v1/accounts/refresh-token"));
    let mut ending = harness.worker(&format!("begin fileverbs:bearer and {end}"));
    assert_eq!(ending.line(), "ready");
    assert!(harness.sandbox().wait_for("refresh", 1, LIMIT));
    let began = Instant::now();
    ending.go();
    let lines = ending.finish();
    (harness, lines, began.elapsed())
}

#[test]
fn a_renewal_that_was_sent_is_stored_after_its_caller_has_ended() {
    for end in ["exit", "close"] {
        let (harness, lines, _) = end_during_renewal(end, Fault::slow(Duration::from_millis(400)));
        assert_eq!(lines, ["ended Some(Cancelled)"], "{end}");
        harness.run_together(1, "get fileverbs:bearer");
        let count = |name| harness.sandbox().count(name);
        assert_eq!(
            (count("fileverbs_login"), count("refresh")),
            (1, 1),
            "{end}: the next process uses the renewed token"
        );
    }
}

#[test]
fn a_renewal_without_a_response_holds_up_the_end_for_one_second() {
    for end in ["exit", "close"] {
        let (_, lines, took) = end_during_renewal(end, Fault::new(FaultAction::Hang));
        assert_eq!(lines, ["ended Some(Cancelled)"], "{end}");
        assert!(
            took >= Duration::from_secs(1) && took < Duration::from_secs(1) + NOISE,
            "{end}: {took:?}"
        );
    }
}

#[test]
fn a_login_without_a_response_holds_up_no_exit() {
    let harness = new_harness();
    harness
        .sandbox()
        .fault(Fault::new(FaultAction::Hang).forever());
    let mut exiting = harness.worker("begin user and exit");
    assert_eq!(exiting.line(), "ready");
    assert!(harness.sandbox().wait_for("login", 1, LIMIT));
    let began = Instant::now();
    exiting.go();
    exiting.finish();
    assert!(began.elapsed() < NOISE, "{:?}", began.elapsed());
}

#[test]
fn a_caller_that_times_out_learns_what_its_own_flight_waits_for() {
    let harness = new_harness();
    let store = harness.store();
    let Ok(Turn::Locked(_lock)) = store.turn(&user_key(harness.sandbox().masv_url()), u64::MAX)
    else {
        panic!("the lock is free")
    };
    let session = harness.session();
    let ask = |resource: &str| {
        let request = Request {
            timeout: Some(Duration::from_secs(1)),
            ..Request::new(resource)
        };
        session.token_for(&request).map(drop).unwrap_err()
    };
    assert_eq!(ask("user").kind, ErrorKind::Busy);
    // It needs the user's token.
    let package = ask(&crate::worker::package());
    assert_eq!(package.kind, ErrorKind::Busy);
    let holder = format!("process {}", std::process::id());
    assert!(package.message().contains(&holder), "{package}");
    // A link needs no other token.
    harness
        .sandbox()
        .fault(Fault::new(FaultAction::Hang).forever());
    let link = format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    let link = ask(&link);
    assert_eq!(link.kind, ErrorKind::Timeout, "{link}");
}

#[test]
fn a_caller_waits_until_its_own_deadline_for_another_token_that_it_needs() {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    let task = format!("get {} within 1500", crate::worker::package());
    let mut command = harness.command(&task);
    let mut worker = Worker::start(command.env("KEYFERRY_HTTP_TIMEOUT_MS", "300"));
    assert_eq!(worker.line(), "ready");
    worker.go();
    let lines = worker.finish();
    assert!(lines[0].starts_with("failed Busy "), "{lines:?}");
    let took = took(&lines, "in ");
    let deadline = Duration::from_millis(1500);
    assert!(took >= deadline && took < deadline + NOISE, "{lines:?}");
}
