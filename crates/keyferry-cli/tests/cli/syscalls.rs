//! What a program does beside its answer, as the system sees it: no thread, no socket, no other
//! program, no file that is not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::many_records::{store_setting, store_tokens};
use crate::programs::{HELPER, KEYFERRY, protocol_and_host};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// Files that may lead a program astray, in the folder that it is in.
const BAIT: [&str; 9] = [
    "config.toml",
    "keyferry.toml",
    ".env",
    ".netrc",
    ".curlrc",
    ".config/keyferry/config.toml",
    "libkeyferry_plugin.so",
    "keyferry",
    "git",
];

fn bait(harness: &Harness) {
    for name in BAIT {
        let path = harness.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\ntouch was-run\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// Runs a program under strace with the store that users have, or the one of `store_tokens`; its
/// system calls.
fn traced(
    harness: &Harness,
    program: &str,
    arguments: &[&str],
    input: &str,
) -> (ProgramOutput, Vec<String>) {
    let log = harness.path("trace");
    let calls =
        "trace=clone,clone3,fork,vfork,execve,execveat,socket,open,openat,openat2,creat,chdir";
    let all = [
        &[
            "-f",
            "-qq",
            "-s",
            "400",
            "-e",
            calls,
            "-o",
            log.to_str().unwrap(),
            program,
        ],
        arguments,
    ]
    .concat();
    let path = format!(".::{}", std::env::var("PATH").unwrap());
    let mut command: Command = harness.program("/usr/bin/strace", &all);
    command.env_remove("KEYFERRY_STORE");
    if harness.path("store").exists() {
        command.env("KEYFERRY_STORE", store_setting(harness));
    }
    let output = run_with_input(command.env("PATH", path).env("LD_LIBRARY_PATH", ""), input);
    let trace = fs::read_to_string(&log).unwrap();
    (
        output,
        trace
            .lines()
            .map(|line| line.split_once(' ').unwrap().1.trim_start().to_owned())
            .collect(),
    )
}

/// Fails where a file is looked for from the folder that the program is in.
fn assert_looks_nowhere_here(calls: &[String]) {
    for call in calls.iter().filter(|call| call.starts_with("open")) {
        let from_here = call.contains("(AT_FDCWD, \"") || call.starts_with("open(");
        assert!(
            !from_here || call.split('"').nth(1).unwrap().starts_with('/'),
            "{call}"
        );
    }
}

fn count(calls: &[String], names: &[&str]) -> usize {
    calls
        .iter()
        .filter(|call| names.contains(&call.split('(').next().unwrap()))
        .count()
}

const PROCESSES: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

#[test]
fn an_answer_from_the_store_takes_no_thread_no_socket_no_program_and_six_files() {
    if skip::without_strace() {
        return;
    }
    let harness = Harness::watching_arguments();
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        "[masv]\nteam = \"x\"\n",
    );
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    let (cold, _) = traced(&harness, HELPER, &["get"], &question);
    bait(&harness);
    let (warm, calls) = traced(&harness, HELPER, &["get"], &question);
    assert!(
        warm.code == Some(0)
            && warm.out == cold.out
            && warm.line("password").is_some()
            && warm.err.is_empty(),
        "{warm:?}"
    );
    assert_eq!(
        (
            count(&calls, &PROCESSES),
            count(&calls, &["socket"]),
            count(&calls, &["execve", "execveat"])
        ),
        (0, 0, 1),
        "{calls:#?}"
    );
    assert_looks_nowhere_here(&calls);
    let of_system = ["/proc/self/", "/lib", "/usr/lib", "/etc/ld.so", "/sys/"];
    let opened = calls
        .iter()
        .filter(|call| call.starts_with("open"))
        .map(|call| call.split('"').nth(1).unwrap());
    let opened: BTreeSet<_> = opened
        .filter(|path| !of_system.iter().any(|system| path.starts_with(system)))
        .collect();
    let home = harness.path("home");
    let below_home = |path: &str| {
        path.strip_prefix(home.to_str().unwrap())
            .unwrap_or(path)
            .to_owned()
    };
    let (tokens, rest): (Vec<_>, Vec<_>) = opened
        .iter()
        .map(|path| below_home(path))
        .partition(|path| path.starts_with("tokens/"));
    assert_eq!(tokens.len(), 1, "{opened:?}");
    assert_eq!(
        rest,
        [
            "/proc/sys/kernel/random/boot_id",
            "/.config/keyferry/config.toml",
            "/.local/share/keyferry",
            "/.local/state/keyferry",
            "store.key"
        ]
    );
    let (foreign, calls) = traced(
        &harness,
        HELPER,
        &["get"],
        "protocol=https\nhost=github.com\n\n",
    );
    foreign.assert_silent();
    assert_eq!(
        count(&calls, &["execve", "execveat"]),
        1,
        "what is not ours needs no other program: {calls:#?}"
    );
    let (told, calls) = traced(
        &harness,
        HELPER,
        &["store"],
        "protocol=https\nhost=github.com\nusername=ann\npassword=typed\n\n",
    );
    told.assert_silent();
    assert_eq!(count(&calls, &["execve", "execveat"]), 1, "{calls:#?}");
}

#[test]
fn status_opens_each_record_once_and_its_json_twice() {
    if skip::without_strace() {
        return;
    }
    let harness = Harness::new();
    store_tokens(&harness, 300, 100, |_| None);
    for (arguments, opens) in [(&["status"][..], 1), (&["status", "--json"], 2)] {
        let (output, calls) = traced(&harness, KEYFERRY, arguments, "");
        assert_eq!(output.code, Some(0), "{output:?}");
        let mut records: BTreeMap<&str, usize> = BTreeMap::new();
        let paths = calls
            .iter()
            .filter(|call| call.starts_with("open"))
            .map(|call| call.split('"').nth(1).unwrap());
        for name in paths.map(|path| path.rsplit('/').next().unwrap()) {
            if name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                *records.entry(name).or_default() += 1;
            }
        }
        // A search for the failure of a login is an open too, of a file that does not exist.
        records.retain(|name, _| harness.path("store/tokens").join(name).exists());
        assert_eq!(records.len(), 300, "{arguments:?}");
        let most = records.values().max();
        assert_eq!(most, Some(&opens), "{arguments:?}");
    }
}

#[test]
fn whatever_else_is_done_nothing_is_looked_for_in_a_hostile_folder() {
    if skip::without_strace() {
        return;
    }
    let harness = Harness::watching_arguments();
    bait(&harness);
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    let own = Path::new(HELPER).with_file_name("keyferry");
    for (program, arguments, input, programs) in [
        (HELPER, &["get"][..], question.as_str(), 2),
        (HELPER, &["erase"], question.as_str(), 2),
        (KEYFERRY, &["header", "user"], "", 1),
        (KEYFERRY, &["status"], "", 1),
        (KEYFERRY, &["doctor"], "", 1),
        (KEYFERRY, &["logout"], "", 1),
    ] {
        let (output, calls) = traced(&harness, program, arguments, input);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_looks_nowhere_here(&calls);
        let started: Vec<_> = calls
            .iter()
            .filter(|call| call.starts_with("execve") && call.contains("= 0"))
            .collect();
        assert_eq!(started.len(), programs, "{started:#?}");
        assert!(
            started
                .iter()
                .skip(1)
                .all(|call| call.starts_with(&format!("execve(\"{}\"", own.display()))),
            "{started:#?}"
        );
    }
    assert!(!harness.path("work/was-run").exists());
}
