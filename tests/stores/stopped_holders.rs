//! Processes that are stopped while they hold a lock: nobody waits for them longer than it says.

use std::time::{Duration, Instant};

use keyferry::ports::store::{Reach, Saved, Store};
use keyferry_testing::harness::Harness;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::two_sessions::StoreSessions;
use crate::worker::{key, record};

/// What a busy machine may add to a wait.
const NOISE: Duration = Duration::from_millis(400);
/// The longest wait for locks that processes hold only briefly.
const BRIEF: Duration = Duration::from_millis(500);

/// The space of write locks.
const WRITE: u8 = 32;

/// Starts a process that holds a lock, and stops it.
fn stopped(harness: &Harness, file: &str, space: u8, number: u64) -> Worker {
    let path = harness.path("store").join(file);
    let mut holder = harness.worker(&format!("hold-byte {} {space} {number}", path.display()));
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    holder
}

/// Stops a process that holds the lock for writing the only token in the store.
fn stopped_writer(harness: &Harness) -> Worker {
    let name = harness.token_file();
    let name = name.file_name().unwrap().to_str().unwrap();
    let number = u64::from_str_radix(&name[..16], 16).unwrap();
    stopped(harness, "lock", WRITE, number)
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
        let holder = stopped(&harness, file, 0, 0);
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
    let _holder = stopped(&harness, "lock", 0, 0);
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
    let _holder = stopped(&harness, "lock", 0, 0);
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
    let _holder = stopped(&harness, "lock", 0, 0);
    let store = harness.store();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let began = Instant::now();
            store
                .save(&key("01B"), &record(&key("01B"), 8))
                .map(|_| began.elapsed())
        });
        while !writer.is_finished() {
            let began = Instant::now();
            let found = store.load(&key("01A")).unwrap();
            assert_eq!(found.map(|record| record.generation), Some(7));
            let took = began.elapsed();
            assert!(took < BRIEF / 2, "{took:?}");
            std::thread::yield_now();
        }
        assert!(writer.join().unwrap().unwrap() >= BRIEF);
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
fn a_token_that_can_not_be_saved_is_in_memory_after_half_a_second() {
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
    assert_eq!(warnings(&lines).len(), 1, "{lines:?}");
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
    // On a failed write, a rejection tries to remove the file too.
    session.reject(&token).unwrap();
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
        assert!((deadline..deadline + 400).contains(wait), "{lines:?}");
    }
    assert_eq!(harness.sandbox().count("login"), 0);
}
