//! A save that is killed, or whose disk fails, at each of its system calls.

use std::os::unix::process::ExitStatusExt;

use keyferry::ports::store::{Reach, Store};
use keyferry_testing::skip;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::syscalls::{HARMLESS, SystemCall, calls, is_creation, syscalls};
use crate::worker::{intact_generation, key, record, record_without_renewal};
use keyferry_testing::harness::Harness;

/// Saves of a record with a renewal secret, which syncs, and of one without it, and the generation of
/// the record that each replaces.
const SAVES: [(&str, Option<u64>); 4] = [
    ("save 8", None),
    ("save 8", Some(7)),
    ("save 8 without renewal", None),
    ("save 8 without renewal", Some(7)),
];

/// Stores a record of this generation as the task would. Without a generation, a save that syncs
/// creates the store, and the other save finds a store without records.
fn prepare(harness: &Harness, task: &str, over: Option<u64>) {
    let new = if task.ends_with("without renewal") {
        record_without_renewal
    } else {
        record
    };
    if let Some(generation) = over {
        let record = new(&key("01A"), generation);
        harness.store().save(&key("01A"), &record).unwrap();
    } else if task.ends_with("without renewal") {
        prepare(harness, task, Some(7));
        let store = harness.store();
        store.forget(&key("01A"), 7, Reach::Everywhere).unwrap();
    }
}

/// The calls of a save, on an empty place or over a record of generation 7.
fn plan(task: &str, over: Option<u64>) -> Vec<SystemCall> {
    let harness = new_harness();
    prepare(&harness, task, over);
    calls(&harness, task, "/begin", "/end")
}

fn inject(
    harness: &Harness,
    task: &str,
    call: &SystemCall,
    what: &str,
) -> (Vec<String>, std::process::ExitStatus) {
    let option = format!("inject={}:{what}:when={}", call.name, call.nth);
    let only = format!("trace={}", call.name);
    let mut command = syscalls(
        harness,
        task,
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
    task: &str,
    over: Option<u64>,
    what: &str,
    check: impl Fn(&str, &[String], std::process::ExitStatus),
) {
    let plan = plan(task, over);
    assert!(
        plan.iter()
            .any(|call| call.name.starts_with("rename") || is_creation(call)),
        "{plan:#?}"
    );
    for call in plan
        .iter()
        .filter(|call| !HARMLESS.contains(&call.name.as_str()))
    {
        let harness = new_harness();
        prepare(&harness, task, over);
        let (lines, status) = inject(&harness, task, call, what);
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
    for (task, over) in SAVES {
        at_each_call(task, over, "signal=KILL", |what, lines, status| {
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
    for ((task, over), error) in SAVES
        .into_iter()
        .flat_map(|task| errors.map(|error| (task, error)))
    {
        at_each_call(
            task,
            over,
            &format!("error={error}"),
            |what, lines, status| {
                assert!(
                    status.success() && lines.last().unwrap() == "saved true",
                    "{what}: {status} {lines:?}"
                );
                assert!(lines.len() <= 2, "{what}: {lines:?}");
            },
        );
    }
}

/// CIFS, vboxsf and some FUSE file systems can't sync a directory. A file that can't be synced, or
/// a disk that fails, is always an error, and the warning names it.
#[test]
fn only_a_directory_may_be_unable_to_sync() {
    if skip::without_strace() {
        return;
    }
    let plan = plan("save 8", Some(7));
    let syncs: Vec<_> = plan.iter().filter(|call| call.name == "fsync").collect();
    let [file, dir] = syncs[..] else {
        panic!("{plan:#?}")
    };
    for (call, error, cause) in [
        (dir, "EINVAL", None),
        (dir, "EOPNOTSUPP", None),
        (dir, "EIO", Some("the disk reports an error")),
        (dir, "ESTALE", Some("Stale file handle (os error 116)")),
        (file, "EINVAL", Some("Invalid argument (os error 22)")),
        (file, "EOPNOTSUPP", Some("does not support this operation")),
        (file, "EIO", Some("the disk reports an error")),
        (file, "EDQUOT", Some("your disk quota is used up")),
        (file, "ESTALE", Some("Stale file handle (os error 116)")),
    ] {
        let harness = new_harness();
        harness.run("save 7");
        let (lines, _) = inject(&harness, "save 8", call, &format!("error={error}"));
        let (last, warnings) = lines.split_last().unwrap();
        assert_eq!(last, "saved true");
        match (cause, warnings) {
            (None, []) => {}
            (Some(cause), [warning]) if warning.contains(cause) => {}
            _ => panic!("{error} at {}: {lines:?}", call.text),
        }
    }
}

/// The steps of a save that syncs: the system call, a part of its text, and the end of the path that
/// a message about the step names.
const STEPS: [(&str, &str, &str); 13] = [
    (
        "openat",
        "\"store\", O_RDONLY|O_NOCTTY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC|O_DIRECTORY)",
        "/store",
    ),
    ("mkdirat", "\"new\"", "/store/new"),
    ("mkdirat", "\"tokens\"", "/store/tokens"),
    (
        "openat",
        "\"store\", O_RDONLY|O_NOCTTY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC)",
        "/store/store",
    ),
    ("read", "keyferry store 2", "/store/store"),
    ("openat", "\"store.key\"", "/store/store.key"),
    ("openat", "\"lock\"", "/store/lock"),
    ("fcntl", "F_WRLCK", "/store/lock"),
    ("openat", "\"new/", "/store/tokens/RECORD"),
    ("write", "kfst", "/store/tokens/RECORD"),
    ("fsync", "", "/store/tokens/RECORD"),
    ("renameat", "\"tokens/", "/store/tokens/RECORD"),
    ("openat", "\"tokens\", ", "/store/tokens"),
];

/// Each error, and what the message says about it.
const ERRORS: [(&str, &str); 15] = [
    ("ENOSPC", "the disk is full; free some space"),
    ("EDQUOT", "your disk quota is used up; free some space"),
    (
        "EROFS",
        "the file system is read-only; set `store` to file:/PATH with a writable path, or to memory",
    ),
    (
        "EACCES",
        "permission denied; check the owner and permissions of it and of its directory with `ls -ld`",
    ),
    (
        "EPERM",
        "operation not permitted; check whether it is immutable (`lsattr`), or whether a sandbox forbids the operation",
    ),
    ("EIO", "the disk reports an error; check the disk"),
    (
        "EMFILE",
        "too many open files; raise the limit (`ulimit -n`), or close some files",
    ),
    (
        "ENFILE",
        "too many open files on this machine; raise `fs.file-max`, or end some programs",
    ),
    (
        "ENOLCK",
        "its file system has no locks; set `store` to file:/PATH on a local disk",
    ),
    (
        "ENOSYS",
        "its file system or a sandbox does not implement this operation; set `store` to file:/PATH on a local disk",
    ),
    (
        "EOPNOTSUPP",
        "its file system does not support this operation; set `store` to file:/PATH on a local disk",
    ),
    (
        "ESTALE",
        "Stale file handle (os error 116); set `store` to file:/PATH on a local disk",
    ),
    (
        "ENAMETOOLONG",
        "its path is too long; set `store` to file:/PATH with a shorter path",
    ),
    (
        "ENOMEM",
        "the system has no memory left; end some programs, or raise the memory limit",
    ),
    (
        "EBUSY",
        "Device or resource busy (os error 16); check its type and owner with `ls -ld`",
    ),
];

/// Errors that are no fault at a step: another process holds the lock, and locks that this file
/// system has in another form.
const NO_FAULTS: [(&str, &str); 2] = [("fcntl", "EACCES"), ("fcntl", "EOPNOTSUPP")];

#[test]
fn each_error_at_each_step_has_its_cause_and_its_remedy() {
    if skip::without_strace() {
        return;
    }
    let plan = plan("save 8", Some(7));
    let mut wrong = Vec::new();
    for (name, part, path) in STEPS {
        let found = plan
            .iter()
            .find(|call| call.name == name && call.text.contains(part));
        let call = found.unwrap_or_else(|| panic!("{name} {part}: {plan:#?}"));
        for (error, what) in ERRORS {
            if NO_FAULTS.contains(&(name, error)) {
                continue;
            }
            let harness = new_harness();
            harness.run("save 7");
            let (lines, _) = inject(&harness, "save 8", call, &format!("error={error}"));
            let record = harness.token_file();
            let path = path.replace("RECORD", record.file_name().unwrap().to_str().unwrap());
            let path = harness.path("").join(path.trim_start_matches('/'));
            let warning = format!(
                "log Warn cannot use the store, so tokens stay in memory only: cannot use {}: {what}",
                path.display()
            );
            if lines != [warning.as_str(), "saved true"] {
                wrong.push(format!("{error} at {}: {lines:?}", call.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
