//! Holders of the lock that are stopped, killed or forked.

use std::time::{Duration, Instant};

use keyferry::ports::store::{Store, Turn};

use crate::processes::{StoreProcesses, new_harness};
use crate::worker::key;

#[test]
fn who_has_a_valid_token_is_served_at_once_while_the_holder_is_stopped() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    harness.run_together(1, "get user");
    // In the last of it, where callers wait for a refresh.
    harness.sandbox().clock().advance(Duration::from_secs(595));
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    let output = harness.run_together(4, "get user").concat();
    assert!(
        output
            .iter()
            .filter(|line| line.starts_with("got "))
            .count()
            == 4,
        "{output:?}"
    );
    let slowest = output
        .iter()
        .filter_map(|line| {
            line.strip_prefix("good 1 in ")?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .max()
        .unwrap();
    assert!(slowest < 1_000_000, "{slowest} us");
    println!("stopped holder, valid token: served after {slowest} us at most");
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn others_end_at_their_own_deadline_and_are_told_who_holds_it() {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    holder.signal(libc::SIGSTOP);
    for (task, least_ms) in [("get user within 300", 300), ("get user within 900", 900)] {
        let began = Instant::now();
        let output = harness.run_together(2, task).concat();
        let busy = output.iter().filter(|line| {
            line.starts_with("failed Busy ") && line.contains(&format!("process {}", holder.pid()))
        });
        assert_eq!(busy.count(), 2, "{output:?}");
        assert!(
            began.elapsed() >= Duration::from_millis(least_ms)
                && began.elapsed() < Duration::from_millis(least_ms + 2_000)
        );
    }
    // A package needs the user's token: its callers are told the same.
    let output = harness
        .run_together(1, &format!("get {} within 500", crate::worker::package()))
        .concat();
    assert!(
        output[0].starts_with("failed Busy ") && output[0].contains(&holder.pid().to_string()),
        "{output:?}"
    );
    assert_eq!(harness.sandbox().count("login"), 0);
    // It ends with its holder, and with nothing else.
    holder.signal(libc::SIGKILL);
    let began = Instant::now();
    let output = harness.run_together(1, "get user").concat();
    assert!(output[0].starts_with("got "), "{output:?}");
    println!(
        "killed holder: served after {} us with the start of a process",
        began.elapsed().as_micros()
    );
}

#[test]
fn a_killed_holder_frees_its_lock_while_others_wait() {
    let harness = new_harness();
    harness.run_together(1, "get fileverbs:bearer");
    let mut holder = harness.worker("hold");
    assert_eq!(holder.line(), "ready");
    let mut waiting = harness.worker("get user telling");
    assert_eq!(waiting.line(), "ready");
    waiting.go();
    assert_eq!(waiting.line(), "waiting");
    assert_eq!(harness.sandbox().count("login"), 0);
    let began = Instant::now();
    holder.signal(libc::SIGKILL);
    // A try is due each few milliseconds; a busy machine takes longer, and the patience of the one
    // that waits is far longer still.
    assert!(
        harness
            .sandbox()
            .wait_for("login", 1, Duration::from_secs(5))
    );
    let took = began.elapsed();
    println!(
        "killed holder: the next one asks the service after {} us",
        took.as_micros()
    );
    assert!(waiting.finish()[0].starts_with("got "));
}

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn a_forked_child_does_not_keep_its_parents_lock() {
    let harness = new_harness();
    let mut parent = harness.worker("fork");
    let child: i32 = parent
        .line()
        .strip_prefix("child ")
        .unwrap()
        .parse()
        .unwrap();
    assert!(parent.end_of_process().success());
    // The child lets go as soon as it runs, which may be after its parent has ended. Its life is
    // far longer than this wait.
    let deadline = Instant::now() + Duration::from_secs(20);
    let store = harness.store();
    let attempt = loop {
        match store.turn(&key("01A"), 0).unwrap() {
            Turn::Held { .. } if Instant::now() < deadline => std::thread::yield_now(),
            attempt => break attempt,
        }
    };
    // SAFETY: the number is of the child, which lives until here.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert!(matches!(attempt, Turn::Locked(_)));
}

#[test]
fn a_lock_is_held_once_and_names_its_holder() {
    let harness = new_harness();
    let store = harness.store();
    let first = store.turn(&key("01A"), 0).unwrap();
    assert!(matches!(first, Turn::Locked(_)));
    let own = format!("process {}", std::process::id());
    let other = harness.store();
    let turn = other.turn(&key("01A"), 0).unwrap();
    assert!(matches!(turn, Turn::Held { .. }));
    let holder = other.lock_holder(&key("01A")).unwrap();
    assert!(holder.name == own && !holder.is_stopped);
    drop(first);
    assert!(matches!(
        store.turn(&key("01A"), 0).unwrap(),
        Turn::Locked(_)
    ));
    let before = harness.names("");
    let other = harness.store();
    let all: Vec<_> = (0..500)
        .map(|id| store.turn(&key(&id.to_string()), 0).unwrap())
        .collect();
    assert!(
        all.iter().all(|turn| matches!(turn, Turn::Locked(_))),
        "no key waits for another"
    );
    assert!(
        (0..500).all(|id| matches!(
            other.turn(&key(&id.to_string()), 0).unwrap(),
            Turn::Held { .. }
        )),
        "neither session has the other's"
    );
    assert_eq!(harness.names(""), before, "one file");
}
