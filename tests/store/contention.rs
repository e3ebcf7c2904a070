//! Many processes that want the same at the same time: one asks the service.

use std::time::Duration;

use crate::harness::{Actor, Stage};
use crate::worker::package;

/// How often; KEYFERRY_REPEATS for those who have the time.
fn repeats() -> usize {
    std::env::var("KEYFERRY_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// What all got, which is one and the same.
fn same(said: &[Vec<String>]) -> String {
    let got: Vec<&String> = said.iter().flatten().filter(|line| line.starts_with("got ")).collect();
    assert!(!got.is_empty() && got.iter().all(|line| *line == got[0]), "{said:?}");
    got[0].clone()
}

fn slowest_us(said: &[Vec<String>]) -> u64 {
    let times = said.iter().flatten().filter_map(|line| line.strip_prefix("good ")?.split(' ').nth(2)?.parse().ok());
    times.max().unwrap()
}

#[test]
fn fifty_processes_and_an_empty_store_make_one_login() {
    for _ in 0..repeats() {
        let stage = Stage::new();
        let said = stage.crowd(50, "get user");
        same(&said);
        assert_eq!(said.iter().flatten().filter(|line| line.starts_with("got ")).count(), 50);
        assert_eq!((stage.sandbox.count("login"), stage.sandbox.count("requests")), (1, 1));
        println!("50 processes, empty store: last served after {} us", slowest_us(&said));
    }
}

#[test]
fn fifty_processes_at_the_moment_of_expiry_make_one_refresh() {
    for _ in 0..repeats() {
        let stage = Stage::new();
        stage.sandbox.set_life("bearer", 600);
        let first = same(&[stage.crowd(1, "get fileverbs:bearer").remove(0)]);
        // In the last of it, where callers wait for the refresh.
        stage.sandbox.clock().advance(Duration::from_secs(598));
        let said = stage.crowd(50, "get fileverbs:bearer");
        // Whoever finds the refresh under way takes the token that is valid still.
        let got: Vec<&String> = said.iter().flatten().filter(|line| line.starts_with("got ")).collect();
        assert_eq!((got.len(), said.iter().map(Vec::len).sum()), (50, 100), "{said:?}");
        assert!(got.iter().any(|line| **line != first), "{said:?}");
        let count = |name: &str| stage.sandbox.count(name);
        assert_eq!((count("fileverbs_login"), count("refresh"), count("refresh_reuse"), count("refresh_refused")), (1, 1, 0, 0));
        println!("50 processes, expiry: last served after {} us", slowest_us(&said));
        // And once more, with what the first refresh has left behind; after the end this time.
        stage.sandbox.clock().advance(Duration::from_secs(700));
        let said = stage.crowd(50, "get fileverbs:bearer");
        same(&said);
        println!("50 processes, after expiry: last served after {} us", slowest_us(&said));
        assert_eq!((count("fileverbs_login"), count("refresh"), count("refresh_reuse")), (1, 2, 0));
    }
}

#[test]
fn eight_processes_of_eight_threads_make_one_login_for_package_and_user() {
    for _ in 0..repeats() {
        let stage = Stage::new();
        let said = stage.crowd(8, &format!("get {} times 3 threads 8", package()));
        same(&said);
        assert_eq!((stage.sandbox.count("login"), stage.sandbox.count("lookup")), (1, 1));
        assert!(said.iter().all(|lines| lines.last().unwrap().starts_with("good 24 ")), "{said:?}");
    }
}

#[test]
fn the_last_of_sixty_four_is_served() {
    let stage = Stage::new();
    let said = stage.crowd(64, "get user");
    same(&said);
    assert_eq!(stage.sandbox.count("login"), 1);
    println!("64 processes, empty store: last served after {} us", slowest_us(&said));
}

#[test]
fn a_wrong_password_is_sent_once_by_all_processes() {
    let stage = Stage::new();
    let mut actors: Vec<_> = (0..16)
        .map(|_| {
            let mut command = stage.command("get user times 100 threads 1");
            Actor::start(command.env("KEYFERRY_MASV_PASSWORD", "wrong"))
        })
        .collect();
    actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "ready"));
    actors.iter_mut().for_each(Actor::go);
    for actor in actors {
        let lines = actor.finish();
        assert!(lines[0].starts_with("failed BadCredentials "), "{lines:?}");
        assert!(lines[1].starts_with("good 0 "), "{lines:?}");
    }
    assert_eq!(stage.sandbox.count("login"), 1);
    // The right one is tried at once.
    assert!(stage.crowd(1, "get user")[0][0].starts_with("got "));
    assert_eq!(stage.sandbox.count("login"), 2);
}

#[test]
fn a_command_that_fails_is_run_once_for_all_who_wait() {
    let stage = Stage::new();
    let (config, runs) = (stage.path("home/.config/keyferry/config.toml"), stage.path("runs"));
    let script = format!("echo run >> {}; sleep 1; exit 1", runs.display());
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, format!("[masv]\npassword = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}\n")).unwrap();
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // The clock that runs tells who began to wait before the failure.
    let actor = || Actor::start(stage.command("get user").env_remove("KEYFERRY_MASV_PASSWORD").env_remove("KEYFERRY_ACT_NOW_US"));
    for count in [10, 1] {
        let before = std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
        let mut actors: Vec<_> = (0..count).map(|_| actor()).collect();
        actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "ready"));
        actors.iter_mut().for_each(Actor::go);
        let said: Vec<_> = actors.into_iter().map(Actor::finish).collect();
        assert!(said.iter().all(|lines| lines[0].starts_with("failed SecretSource ") && lines[0] == said[0][0]), "{said:?}");
        assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count() - before, 1, "{count} processes");
        println!("{count} processes, a command that fails after a second: last answered after {} us", slowest_us(&said));
    }
}
