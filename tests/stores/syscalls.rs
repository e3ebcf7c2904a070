//! System calls as strace shows them: permissions at every instant, and the number of calls of a
//! warm look-up.

use std::process::Command;

use crate::processes::{ARGUMENTS, StoreProcesses, Worker, new_harness};
use crate::worker::key;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// A system call as strace writes it.
#[derive(Clone, Debug)]
pub(crate) struct SystemCall {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Which of this name's calls it is in its thread.
    pub(crate) nth: usize,
}

/// Calls that change nothing and can't fail.
pub(crate) const HARMLESS: [&str; 10] = [
    "getrandom",
    "gettid",
    "getpid",
    "geteuid",
    "brk",
    "mmap",
    "prlimit64",
    "rt_sigprocmask",
    "rt_sigpending",
    "rt_sigtimedwait",
];

/// Calls that change a file system, or that order such changes.
const CHANGES: [&str; 7] = [
    "fsync", "linkat", "mkdirat", "renameat", "socket", "unlinkat", "write",
];

/// Whether a call changes a file system, or orders such changes. A lock is a byte of a file.
pub(crate) fn is_change(call: &SystemCall) -> bool {
    CHANGES.contains(&call.name.as_str()) || call.text.contains("F_OFD_SETLK")
}

/// The command of a worker under strace, with these options.
pub(crate) fn syscalls(harness: &Harness, task: &str, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(ARGUMENTS);
    harness.set_environment(&mut command, task);
    command
}

/// The calls that a worker's thread makes between two marks.
pub(crate) fn calls(harness: &Harness, task: &str, from: &str, to: &str) -> Vec<SystemCall> {
    let log = harness.path("strace.log");
    let lines = Worker::start(&mut syscalls(
        harness,
        task,
        &["-f", "-s", "4096", "-o", log.to_str().unwrap()],
    ))
    .finish();
    assert!(!lines.is_empty());
    let text = std::fs::read_to_string(&log).unwrap();
    let thread = text
        .lines()
        .find(|line| line.contains(&format!("\"{from}\"")))
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let mut counts = std::collections::HashMap::new();
    let all: Vec<SystemCall> = text
        .lines()
        .filter_map(|line| line.strip_prefix(thread)?.trim_start().into())
        .filter_map(|line| {
            let (name, _) = line.split_once('(').filter(|_| !line.starts_with("<..."))?;
            let nth = counts.entry(name.to_owned()).or_insert(0);
            *nth += 1;
            Some(SystemCall {
                name: name.to_owned(),
                text: line.to_owned(),
                nth: *nth,
            })
        })
        .collect();
    // What hits this thread's count of a call must hit no other thread's.
    let others = |name: &str| {
        text.lines()
            .filter(|line| !line.starts_with(thread) && line.contains(&format!(" {name}(")))
            .count()
    };
    let at = |trace_mark: &str| {
        all.iter()
            .position(|call| call.text.contains(&format!("\"{trace_mark}\"")))
            .unwrap()
    };
    let found = all[at(from) + 1..at(to)].to_vec();
    if task.starts_with("save") {
        found
            .iter()
            .filter(|call| !HARMLESS.contains(&call.name.as_str()))
            .for_each(|call| assert!(others(&call.name) < call.nth, "{call:?}"));
    }
    found
}

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn nothing_is_ever_open_to_others() {
    if skip::without_strace() {
        return;
    }
    for umask in [0o000, 0o022, 0o077] {
        let harness = new_harness();
        let log = harness.path("strace.log");
        let mut command = syscalls(
            &harness,
            "save 7",
            &[
                "-f",
                "-o",
                log.to_str().unwrap(),
                "-e",
                "trace=%file,fchmod",
            ],
        );
        let set = move || {
            // SAFETY: takes a number and can't fail.
            unsafe { libc::umask(umask) };
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, set) };
        Worker::start(&mut command).finish();
        let text = std::fs::read_to_string(&log).unwrap();
        let ours = text
            .lines()
            .filter(|line| !line.contains("(-1, ") && !line.contains("/nonexistent"));
        let made: Vec<_> = ours
            .filter(|line| {
                line.contains("O_CREAT") || line.contains("mkdir") || line.contains("chmod")
            })
            .collect();
        assert!(made.len() >= 8, "{made:#?}");
        let is_private = |line: &&str| line.contains(", 0600)") || line.contains(", 0700)");
        assert!(made.iter().all(is_private), "umask {umask:o}: {made:#?}");
        crate::permissions::assert_private(&harness.path("store"));
    }
}

#[test]
fn a_warm_look_up_opens_the_folder_the_key_and_the_record() {
    if skip::without_strace() {
        return;
    }
    let harness = new_harness();
    harness.run("save 7");
    let few = calls(&harness, "load", "/begin", "/end");
    let opened: Vec<_> = few
        .iter()
        .filter(|call| call.name.starts_with("open"))
        .collect();
    let ends = ["store\"", "store.key\""]
        .iter()
        .zip(&opened)
        .all(|(end, call)| call.text.contains(end));
    assert!(
        opened.len() == 3 && ends && opened[2].text.contains("\"tokens/"),
        "{opened:#?}"
    );
    let writes = [
        "mkdirat",
        "flock",
        "fsync",
        "clone3",
        "clone",
        "renameat",
        "getdents64",
        "unlinkat",
        "socket",
    ];
    assert!(
        !few.iter().any(|call| writes.contains(&call.name.as_str())),
        "{few:#?}"
    );
    let again = calls(&harness, "load", "/begin-again", "/end-again");
    assert!(
        again.len() < few.len(),
        "the store and its key stay open: {again:#?}"
    );
    let store = harness.store();
    // No fsync for these, and none is needed: what is looked at is how many there are.
    let name = harness.token_file();
    for id in 0..10_000_u32 {
        std::fs::hard_link(&name, name.with_file_name(format!("{id:032x}"))).unwrap();
        if id == 0 {
            std::fs::copy(&name, name.with_extension("copy")).unwrap();
        }
    }
    std::fs::rename(name.with_extension("copy"), &name).unwrap();
    std::fs::set_permissions(&name, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(
        keyferry::ports::store::Store::load(&store, &key("01A"))
            .unwrap()
            .is_some()
    );
    let many = calls(&harness, "load", "/begin", "/end");
    let names = |calls: &[SystemCall]| {
        calls
            .iter()
            .map(|call| call.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&few), names(&many));
}

#[test]
fn opening_a_session_opens_nothing_of_the_store() {
    let harness = new_harness();
    let mut worker = harness.worker("get user");
    // The session is open, and waits to be told to go on.
    assert_eq!(worker.line(), "ready");
    assert!(!harness.path("store").exists());
    worker.go();
    worker.finish();
    assert!(harness.path("store/store.key").exists());
}

/// Whether a call creates a file under its final name.
pub(crate) fn is_creation(call: &SystemCall) -> bool {
    let is_final = |name: &str| !name.starts_with("new/") && !name.ends_with(".new");
    call.text.contains("O_EXCL") && call.text.split('"').nth(1).is_some_and(is_final)
}

/// The calls of a task that change files, in their order, with the first parts of the names that a
/// creation, a rename or a removal names.
fn file_changes(harness: &Harness, task: &str, from: &str, to: &str) -> Vec<String> {
    calls(harness, task, from, to)
        .iter()
        .filter(|call| !call.text.contains(" = -1 "))
        .filter_map(|call| {
            let text = &call.text;
            match call.name.as_str() {
                "openat" if is_creation(call) => {
                    Some(format!("create {}", top_name(text.split('"').nth(1)?)))
                }
                "fsync" => Some("sync".to_owned()),
                "unlinkat" => Some(format!("remove {}", top_name(text.split('"').nth(1)?))),
                "renameat" | "renameat2" => {
                    Some(format!("rename to {}", top_name(text.split('"').nth(3)?)))
                }
                _ => None,
            }
        })
        .collect()
}

fn top_name(path: &str) -> &str {
    path.split('/').next().unwrap()
}

/// After a power failure, the record is the old one or the new one, and the rename is on the disk
/// when the save returns.
#[test]
fn a_save_with_a_renewal_secret_syncs_the_new_file_before_the_rename_and_the_directory_after_it() {
    if skip::without_strace() {
        return;
    }
    let harness = new_harness();
    harness.run("save 7");
    let save = calls(&harness, "save 8", "/begin", "/end");
    let changes: Vec<_> = save
        .iter()
        .filter(|call| is_change(call) && !call.text.contains(" = -1 "))
        .collect();
    let names: Vec<_> = changes.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(
        names,
        ["fcntl", "write", "fsync", "renameat", "fsync", "fcntl"],
        "{save:#?}"
    );
    assert!(changes[0].text.contains("F_WRLCK") && changes[5].text.contains("F_UNLCK"));
    let renamed = &changes[3].text;
    assert!(
        renamed.contains("\"new/") && renamed.contains("\"tokens/"),
        "{renamed}"
    );
}

#[test]
fn writes_sync_only_if_the_old_or_the_new_record_has_a_renewal_secret() {
    if skip::without_strace() {
        return;
    }
    const SYNCED: [&str; 3] = ["sync", "rename to tokens", "sync"];
    const UNSYNCED: [&str; 1] = ["rename to tokens"];
    let harness = new_harness();
    let changes = |task| file_changes(&harness, task, "/begin", "/end");
    harness.run("save 4 without renewal");
    harness.run("forget one");
    assert_eq!(
        changes("save 5 without renewal"),
        ["create tokens"],
        "there is no file to keep until the new one is complete"
    );
    assert_eq!(changes("save 6 without renewal"), UNSYNCED);
    assert_eq!(changes("save 7"), SYNCED, "the new record has one");
    assert_eq!(
        changes("save 8 without renewal"),
        SYNCED,
        "the old record has one"
    );
    assert_eq!(changes("save 9 without renewal"), UNSYNCED);
    harness.run("save 10");
    assert_eq!(
        file_changes(&harness, "renew", "/begin", "/taken"),
        SYNCED,
        "it is gone for good before it is sent"
    );
}

#[test]
fn a_new_store_syncs_its_key_and_its_label() {
    if skip::without_strace() {
        return;
    }
    let changes = file_changes(&new_harness(), "save 7 without renewal", "/begin", "/end");
    assert_eq!(
        changes,
        [
            "sync",
            "rename to store.key",
            "sync",
            "sync",
            "rename to store",
            "sync",
            "create tokens"
        ]
    );
}

#[test]
fn forgetting_syncs_and_a_refusal_does_not() {
    if skip::without_strace() {
        return;
    }
    let harness = new_harness();
    harness.run("save 7 without renewal");
    let changes = |task| file_changes(&harness, task, "/begin", "/end");
    assert_eq!(changes("refuse"), ["create refusals", "remove refusals"]);
    assert_eq!(changes("forget one"), ["remove tokens", "sync"]);
    harness.run("save 7 without renewal");
    assert_eq!(
        changes("forget all"),
        ["remove tokens", "sync", "sync", "remove store", "sync"]
    );
}
