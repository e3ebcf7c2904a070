//! A save that is killed, or whose disk fails, at each of its system calls.

use std::os::unix::process::ExitStatusExt;

use keyferry::ports::store::Store;
use keyferry_testing::skip;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::syscalls::{HARMLESS, SystemCall, calls, syscalls};
use crate::worker::{intact_generation, key, record};
use keyferry_testing::harness::Harness;

/// The calls of a save, on an empty place or over a record of generation 7.
fn plan(over: Option<u64>) -> Vec<SystemCall> {
    let harness = new_harness();
    over.iter()
        .for_each(|generation| drop(harness.run(&format!("save {generation}"))));
    calls(&harness, "save 8", "/begin", "/end")
}

fn inject(
    harness: &Harness,
    call: &SystemCall,
    what: &str,
) -> (Vec<String>, std::process::ExitStatus) {
    let option = format!("inject={}:{what}:when={}", call.name, call.nth);
    let only = format!("trace={}", call.name);
    let mut command = syscalls(
        harness,
        "save 8",
        &["-f", "-o", "/dev/null", "-e", &only, "-e", &option],
    );
    Worker::start(&mut command).end()
}

/// Checks that the old or the new record is read, that a later save succeeds, and that no file is
/// left behind.
fn is_sound(harness: &Harness, over: Option<u64>, what: &str) {
    let store = harness.store();
    let found = store
        .load(&key("01A"))
        .unwrap()
        .as_ref()
        .map(intact_generation);
    assert!(found == over || found == Some(8), "{what}: {found:?}");
    store.save(&key("01A"), &record(&key("01A"), 9)).unwrap();
    assert_eq!(
        harness
            .store()
            .load(&key("01A"))
            .unwrap()
            .as_ref()
            .map(intact_generation),
        Some(9),
        "{what}"
    );
    assert_eq!(
        (harness.names("new"), harness.names("tokens").len()),
        (Vec::new(), 1),
        "{what}"
    );
    let left: Vec<_> = harness
        .names("")
        .into_iter()
        .filter(|name| name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
    crate::permissions::assert_private(&harness.path("store"));
}

fn at_each_call(
    over: Option<u64>,
    what: &str,
    check: impl Fn(&str, &[String], std::process::ExitStatus),
) {
    let plan = plan(over);
    assert!(
        plan.iter().any(|call| call.name == "fsync")
            && plan.iter().any(|call| call.name.starts_with("rename")),
        "{plan:#?}"
    );
    for call in plan
        .iter()
        .filter(|call| !HARMLESS.contains(&call.name.as_str()))
    {
        let harness = new_harness();
        over.iter().for_each(|generation| {
            harness
                .store()
                .save(&key("01A"), &record(&key("01A"), *generation))
                .unwrap();
        });
        let (lines, status) = inject(&harness, call, what);
        let what = format!("{what} at {} {}: {}", call.name, call.nth, call.text);
        check(&what, &lines, status);
        is_sound(&harness, over, &what);
    }
}

#[test]
fn a_writer_that_is_killed_leaves_the_old_or_the_new() {
    if skip::without_strace() {
        return;
    }
    for over in [None, Some(7)] {
        at_each_call(over, "signal=KILL", |what, lines, status| {
            assert!(
                status.signal() == Some(9) && !lines.iter().any(|line| line.starts_with("saved")),
                "{what}: {status} {lines:?}"
            );
        });
    }
}

#[test]
fn a_disk_that_fails_costs_a_warning_at_most() {
    if skip::without_strace() {
        return;
    }
    let errors = ["ENOSPC", "EIO", "EROFS", "EACCES", "ENOLCK", "EINTR"];
    for (over, error) in [None, Some(7)]
        .into_iter()
        .flat_map(|over| errors.map(|error| (over, error)))
    {
        at_each_call(over, &format!("error={error}"), |what, lines, status| {
            assert!(
                status.success() && lines.last().unwrap() == "saved true",
                "{what}: {status} {lines:?}"
            );
            assert!(lines.len() <= 2, "{what}: {lines:?}");
        });
    }
}
