//! Many processes that need the same token at the same time: one asks the service.

use std::time::Duration;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::worker::package;

/// How often each test repeats: KEYFERRY_REPEATS, or 2.
fn repeats() -> usize {
    std::env::var("KEYFERRY_REPEATS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2)
}

/// The token that all processes got. Fails if they got different ones.
fn single_token(output: &[Vec<String>]) -> String {
    let got: Vec<&String> = output
        .iter()
        .flatten()
        .filter(|line| line.starts_with("got "))
        .collect();
    assert!(
        !got.is_empty() && got.iter().all(|line| *line == got[0]),
        "{output:?}"
    );
    got[0].clone()
}

fn slowest_us(output: &[Vec<String>]) -> u64 {
    let times = output
        .iter()
        .flatten()
        .filter_map(|line| line.strip_prefix("good ")?.split(' ').nth(2)?.parse().ok());
    times.max().unwrap()
}

#[test]
fn fifty_processes_and_an_empty_store_make_one_login() {
    for _ in 0..repeats() {
        let harness = new_harness();
        let output = harness.run_together(50, "get user");
        single_token(&output);
        assert_eq!(
            output
                .iter()
                .flatten()
                .filter(|line| line.starts_with("got "))
                .count(),
            50
        );
        assert_eq!(
            (
                harness.sandbox().count("login"),
                harness.sandbox().count("requests")
            ),
            (1, 1)
        );
        println!(
            "50 processes, empty store: last served after {} us",
            slowest_us(&output)
        );
    }
}

#[test]
fn fifty_processes_at_the_moment_of_expiry_make_one_refresh() {
    for _ in 0..repeats() {
        let harness = new_harness();
        harness.sandbox().set_life("bearer", 600);
        let first = single_token(&[harness.run_together(1, "get fileverbs:bearer").remove(0)]);
        // In the last of it, where callers wait for the refresh.
        harness.sandbox().clock().advance(Duration::from_secs(598));
        let output = harness.run_together(50, "get fileverbs:bearer");
        // A process that finds the refresh under way uses the token that is still valid.
        let got: Vec<&String> = output
            .iter()
            .flatten()
            .filter(|line| line.starts_with("got "))
            .collect();
        assert_eq!(
            (got.len(), output.iter().map(Vec::len).sum()),
            (50, 100),
            "{output:?}"
        );
        assert!(got.iter().any(|line| **line != first), "{output:?}");
        let count = |name: &str| harness.sandbox().count(name);
        assert_eq!(
            (
                count("fileverbs_login"),
                count("refresh"),
                count("refresh_reuse"),
                count("refresh_refused")
            ),
            (1, 1, 0, 0)
        );
        println!(
            "50 processes, expiry: last served after {} us",
            slowest_us(&output)
        );
        // And once more, with what the first refresh has left behind; after the end this time.
        harness.sandbox().clock().advance(Duration::from_secs(700));
        let output = harness.run_together(50, "get fileverbs:bearer");
        single_token(&output);
        println!(
            "50 processes, after expiry: last served after {} us",
            slowest_us(&output)
        );
        assert_eq!(
            (
                count("fileverbs_login"),
                count("refresh"),
                count("refresh_reuse")
            ),
            (1, 2, 0)
        );
    }
}

#[test]
fn eight_processes_of_eight_threads_make_one_login_for_package_and_user() {
    for _ in 0..repeats() {
        let harness = new_harness();
        let output = harness.run_together(8, &format!("get {} times 3 threads 8", package()));
        single_token(&output);
        assert_eq!(
            (
                harness.sandbox().count("login"),
                harness.sandbox().count("lookup")
            ),
            (1, 1)
        );
        assert!(
            output
                .iter()
                .all(|lines| lines.last().unwrap().starts_with("good 24 ")),
            "{output:?}"
        );
    }
}

#[test]
fn the_last_of_sixty_four_is_served() {
    let harness = new_harness();
    let output = harness.run_together(64, "get user");
    single_token(&output);
    assert_eq!(harness.sandbox().count("login"), 1);
    println!(
        "64 processes, empty store: last served after {} us",
        slowest_us(&output)
    );
}

#[test]
fn a_wrong_password_is_sent_once_by_all_processes() {
    let harness = new_harness();
    let mut workers: Vec<_> = (0..16)
        .map(|_| {
            let mut command = harness.command("get user times 100 threads 1");
            Worker::start(command.env("KEYFERRY_MASV_PASSWORD", "wrong"))
        })
        .collect();
    workers
        .iter_mut()
        .for_each(|worker| assert_eq!(worker.line(), "ready"));
    workers.iter_mut().for_each(Worker::go);
    for worker in workers {
        let lines = worker.finish();
        assert!(lines[0].starts_with("failed BadCredentials "), "{lines:?}");
        assert!(lines[1].starts_with("good 0 "), "{lines:?}");
    }
    assert_eq!(harness.sandbox().count("login"), 1);
    // The right one is tried at once.
    assert!(harness.run_together(1, "get user")[0][0].starts_with("got "));
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn a_command_that_fails_is_run_once_for_all_who_wait() {
    let harness = new_harness();
    let (config, runs) = (
        harness.path("home/.config/keyferry/config.toml"),
        harness.path("runs"),
    );
    let script = format!("echo run >> {}; sleep 1; exit 1", runs.display());
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(
        &config,
        format!("[masv]\npassword = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}\n"),
    )
    .unwrap();
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // The running clock shows which process began to wait before the failure.
    let worker = || {
        Worker::start(
            harness
                .command("get user")
                .env_remove("KEYFERRY_MASV_PASSWORD")
                .env_remove("KEYFERRY_ACT_NOW_US"),
        )
    };
    for count in [10, 1] {
        let before = std::fs::read_to_string(&runs)
            .unwrap_or_default()
            .lines()
            .count();
        let mut workers: Vec<_> = (0..count).map(|_| worker()).collect();
        workers
            .iter_mut()
            .for_each(|worker| assert_eq!(worker.line(), "ready"));
        workers.iter_mut().for_each(Worker::go);
        let output: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        assert!(
            output
                .iter()
                .all(|lines| lines[0].starts_with("failed SecretSource ")
                    && lines[0] == output[0][0]),
            "{output:?}"
        );
        assert_eq!(
            std::fs::read_to_string(&runs).unwrap().lines().count() - before,
            1,
            "{count} processes"
        );
        println!(
            "{count} processes, a command that fails after a second: last answered after {} us",
            slowest_us(&output)
        );
    }
}
