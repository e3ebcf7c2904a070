//! A save that is killed, or whose disk fails, at each of its system calls.

use std::os::unix::process::ExitStatusExt;

use keyferry::ports::store::Store;

use crate::harness::{Actor, Stage};
use crate::syscalls::{Call, IDLE, calls, may_trace, traced};
use crate::worker::{key, record, whole};

/// The calls of a save, on an empty place or over a record of generation 7.
fn plan(over: Option<u64>) -> Vec<Call> {
    let stage = Stage::new();
    over.iter().for_each(|generation| drop(stage.play(&format!("save {generation}"))));
    calls(&stage, "save 8", "/begin", "/end")
}

fn inject(stage: &Stage, call: &Call, what: &str) -> (Vec<String>, std::process::ExitStatus) {
    let option = format!("inject={}:{what}:when={}", call.name, call.nth);
    let only = format!("trace={}", call.name);
    let mut command = traced(stage, "save 8", &["-f", "-o", "/dev/null", "-e", &only, "-e", &option]);
    Actor::start(&mut command).end()
}

/// After whatever happened: old or new is read, a later save is whole, and it leaves nothing behind.
fn is_sound(stage: &Stage, over: Option<u64>, what: &str) {
    let files = stage.files();
    let found = files.load(&key("01A")).unwrap().as_ref().map(whole);
    assert!(found == over || found == Some(8), "{what}: {found:?}");
    files.save(&key("01A"), &record(&key("01A"), 9)).unwrap();
    assert_eq!(stage.files().load(&key("01A")).unwrap().as_ref().map(whole), Some(9), "{what}");
    assert_eq!((stage.names("new"), stage.names("tokens").len()), (Vec::new(), 1), "{what}");
    let left: Vec<_> = stage.names("").into_iter().filter(|name| name.ends_with(".new")).collect();
    assert!(left.is_empty(), "{what}: {left:?}");
    crate::permissions::assert_narrow(&stage.path("store"));
}

fn at_each_call(over: Option<u64>, what: &str, check: impl Fn(&str, &[String], std::process::ExitStatus)) {
    let plan = plan(over);
    assert!(plan.iter().any(|call| call.name == "fsync") && plan.iter().any(|call| call.name.starts_with("rename")), "{plan:#?}");
    for call in plan.iter().filter(|call| !IDLE.contains(&call.name.as_str())) {
        let stage = Stage::new();
        over.iter().for_each(|generation| stage.files().save(&key("01A"), &record(&key("01A"), *generation)).unwrap());
        let (lines, status) = inject(&stage, call, what);
        let what = format!("{what} at {} {}: {}", call.name, call.nth, call.text);
        check(&what, &lines, status);
        is_sound(&stage, over, &what);
    }
}

#[test]
fn a_writer_that_is_killed_leaves_the_old_or_the_new() {
    if !may_trace() {
        return;
    }
    for over in [None, Some(7)] {
        at_each_call(over, "signal=KILL", |what, lines, status| {
            assert!(status.signal() == Some(9) && !lines.iter().any(|line| line.starts_with("saved")), "{what}: {status} {lines:?}");
        });
    }
}

#[test]
fn a_disk_that_fails_costs_a_warning_at_most() {
    if !may_trace() {
        return;
    }
    let errors = ["ENOSPC", "EIO", "EROFS", "EACCES", "ENOLCK", "EINTR"];
    for (over, error) in [None, Some(7)].into_iter().flat_map(|over| errors.map(|error| (over, error))) {
        at_each_call(over, &format!("error={error}"), |what, lines, status| {
            assert!(status.success() && lines.last().unwrap() == "saved true", "{what}: {status} {lines:?}");
            assert!(lines.len() <= 2, "{what}: {lines:?}");
        });
    }
}
