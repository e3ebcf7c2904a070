//! Homes that are missing, another user's, read-only or full: the caller gets a token, and one
//! warning is logged.

use std::path::PathBuf;
use std::process::Command;

use keyferry::ports::store::Store;
use keyferry_testing::skip;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::worker::{intact_generation, key, record};
use keyferry_testing::harness::Harness;

/// The output of a worker with these variables and the default store.
pub(crate) fn run(harness: &Harness, variables: &[(&str, Option<PathBuf>)]) -> Vec<String> {
    let mut worker = Worker::start(set_environment(
        &mut harness.command("get user times 3 threads 1"),
        variables,
    ));
    assert_eq!(worker.line(), "ready");
    worker.go();
    worker.finish()
}

fn set_environment<'a>(
    command: &'a mut Command,
    variables: &[(&str, Option<PathBuf>)],
) -> &'a mut Command {
    command.env_remove("KEYFERRY_STORE").env_remove("HOME");
    for (name, value) in variables {
        command.envs(value.as_ref().map(|value| (name, value)));
    }
    command
}

pub(crate) fn is_token_and_warning(output: &[String], remedy: &str) {
    let warnings: Vec<_> = output
        .iter()
        .filter(|line| line.starts_with("log "))
        .collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains(remedy),
        "{remedy}: {output:?}"
    );
    assert!(
        output.iter().any(|line| line.starts_with("got ")),
        "{remedy}: {output:?}"
    );
}

#[test]
fn a_home_that_can_not_be_used_costs_one_warning() {
    let harness = new_harness();
    let path = |name: &str| Some(PathBuf::from(name));
    is_token_and_warning(&run(&harness, &[]), "file:/absolute/path");
    is_token_and_warning(
        &run(&harness, &[("HOME", path("/nonexistent"))]),
        "/nonexistent",
    );
    is_token_and_warning(
        &run(
            &harness,
            &[("HOME", path("relative")), ("XDG_STATE_HOME", path("./x"))],
        ),
        "file:/absolute/path",
    );
    is_token_and_warning(&run(&harness, &[("HOME", path("/dev/null"))]), "/dev/null");
    assert!(!PathBuf::from("/nonexistent").exists());
    assert_eq!(
        std::fs::read_dir(harness.path("work")).unwrap().count(),
        0,
        "nothing was made in the working folder"
    );
}

#[test]
fn the_default_is_the_users_state_folder_with_the_key_outside() {
    let harness = new_harness();
    let home = harness.path("home");
    for _ in 0..2 {
        let output = run(&harness, &[("HOME", Some(home.clone()))]);
        assert!(
            output.len() == 2 && output[0].starts_with("got "),
            "{output:?}"
        );
    }
    assert_eq!(harness.sandbox().count("login"), 1);
    for made in [
        ".local/state/keyferry/tokens",
        ".local/state/keyferry/store",
        ".local/share/keyferry/store.key",
    ] {
        assert!(home.join(made).exists(), "{made}");
    }
    crate::permissions::assert_private(&home.join(".local/state/keyferry"));
    crate::permissions::assert_private(&home.join(".local/share/keyferry"));
    let (state, data) = (harness.path("s"), harness.path("d"));
    run(
        &harness,
        &[
            ("HOME", Some(home)),
            ("XDG_STATE_HOME", Some(state.clone())),
            ("XDG_DATA_HOME", Some(data.clone())),
        ],
    );
    assert!(state.join("keyferry/store").exists() && data.join("keyferry/store.key").exists());
}

/// A file system that is mounted on a directory until this is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn new(path: PathBuf, options: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&path)
            .status();
        if !mount.is_ok_and(|status| status.success()) {
            skip::report("no file system can be mounted; run the tests as root with CAP_SYS_ADMIN");
            return None;
        }
        Some(Self(path))
    }

    pub(crate) fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_home_costs_one_warning_and_is_read() {
    let harness = new_harness();
    let home = harness.path("home");
    let Some(mounted) = Mounted::new(home.clone(), "size=1m,mode=700") else {
        return;
    };
    mounted.remount("ro");
    is_token_and_warning(&run(&harness, &[("HOME", Some(home.clone()))]), "read-only");
    mounted.remount("rw");
    run(&harness, &[("HOME", Some(home.clone()))]);
    mounted.remount("ro");
    assert_eq!(harness.sandbox().count("login"), 2);
    let output = run(&harness, &[("HOME", Some(home.clone()))]);
    assert!(
        output[0].starts_with("got ") && harness.sandbox().count("login") == 2,
        "what is there is read: {output:?}"
    );
    harness
        .sandbox()
        .clock()
        .advance(std::time::Duration::from_secs(30 * 24 * 3600));
    is_token_and_warning(&run(&harness, &[("HOME", Some(home))]), "read-only");
    assert_eq!(harness.sandbox().count("login"), 3);
}

#[test]
fn a_full_disk_costs_one_warning_and_loses_nothing() {
    let harness = new_harness();
    let home = harness.path("home");
    let Some(_mounted) = Mounted::new(home.clone(), "size=256k,mode=700") else {
        return;
    };
    run(&harness, &[("HOME", Some(home.clone()))]);
    let filler = home.join("filler");
    let _ = std::fs::write(&filler, vec![1; 512 * 1024]);
    harness
        .sandbox()
        .clock()
        .advance(std::time::Duration::from_secs(30 * 24 * 3600));
    is_token_and_warning(&run(&harness, &[("HOME", Some(home.clone()))]), "full");
    std::fs::remove_file(filler).unwrap();
    let output = run(&harness, &[("HOME", Some(home.clone()))]);
    assert!(
        output.len() == 2 && output[0].starts_with("got "),
        "{output:?}"
    );
    let logins = harness.sandbox().count("login");
    run(&harness, &[("HOME", Some(home))]);
    assert_eq!(harness.sandbox().count("login"), logins, "it is kept again");
}

#[test]
fn a_token_that_is_rejected_on_a_full_disk_is_so_for_its_process_alone() {
    let harness = new_harness();
    let home = harness.path("home");
    let Some(_mounted) = Mounted::new(home.clone(), "size=64k,mode=700") else {
        return;
    };
    let variables = [("HOME", Some(home.clone()))];
    let got = |output: Vec<String>| {
        output
            .into_iter()
            .find(|line| line.starts_with("got "))
            .unwrap()
    };
    let old = got(run(&harness, &variables));
    let filler = home.join("filler");
    let _ = std::fs::write(&filler, vec![1; 512 * 1024]);
    let output = Worker::start(set_environment(
        &mut harness.command("reject user"),
        &variables,
    ))
    .finish();
    assert!(
        output.len() == 2
            && output[0].contains("full")
            && output[1] == "then Err(InsufficientAccess)",
        "{output:?}"
    );
    assert_eq!(old, got(run(&harness, &variables)), "it goes on serving");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(old, got(run(&harness, &variables)));
    assert_eq!(harness.sandbox().count("login"), 1);
}

/// The output of a worker. Fails if it has a warning.
fn run_without_warning(harness: &Harness, task: &str, password: Option<&str>) -> Vec<String> {
    let mut worker = Worker::start(
        harness
            .command(task)
            .envs(password.map(|password| ("KEYFERRY_MASV_PASSWORD", password))),
    );
    worker.try_go();
    let output = worker.end().0;
    assert!(
        !output.iter().any(|line| line.starts_with("log ")),
        "{task}: {output:?}"
    );
    output
}

#[test]
fn a_part_of_the_store_that_was_removed_is_made_anew() {
    let harness = new_harness();
    run_without_warning(&harness, "get user", None);
    for part in ["tokens", "new", "lock", "refusals", "store"] {
        let path = harness.path("store").join(part);
        run_without_warning(&harness, "forget user", None);
        if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        }
        .unwrap();
        let before = harness.sandbox().count("login");
        (0..2).for_each(|_| {
            assert!(run_without_warning(&harness, "get user", None)[1].starts_with("got "))
        });
        assert!(path.exists(), "{part}");
        assert_eq!(
            harness.sandbox().count("login") - before,
            1,
            "{part}: what was got is kept"
        );
        harness
            .sandbox()
            .clock()
            .advance(std::time::Duration::from_secs(60));
    }
}

#[test]
fn without_the_folder_of_refusals_a_wrong_password_is_sent_once() {
    let harness = new_harness();
    run_without_warning(&harness, "get user", None);
    std::fs::remove_file(harness.token_file()).unwrap();
    std::fs::remove_dir_all(harness.path("store/refusals")).unwrap();
    (0..3).for_each(|_| {
        assert!(
            run_without_warning(&harness, "get user", Some("wrong"))[1]
                .starts_with("failed BadCredentials ")
        )
    });
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn a_process_that_has_the_store_open_makes_anew_what_is_removed_meanwhile() {
    let harness = new_harness();
    let (store, key) = (harness.store(), key("01A"));
    for (generation, part) in [(1, "tokens"), (3, "new"), (5, "lock")] {
        store.save(&key, &record(&key, generation)).unwrap();
        let path = harness.path("store").join(part);
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        };
        removed.unwrap();
        store.save(&key, &record(&key, generation + 1)).unwrap();
        store.save(&key, &record(&key, generation + 1)).unwrap();
        assert_eq!(
            harness
                .store()
                .load(&key)
                .unwrap()
                .as_ref()
                .map(intact_generation),
            Some(generation + 1),
            "{part}"
        );
    }
}

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn without_descriptors_there_is_an_error_or_a_token_and_no_abort() {
    let harness = new_harness();
    for limit in [3_u64, 4, 5, 6, 8, 10, 12, 16, 24] {
        let mut command = harness.command("get user");
        let set = move || {
            let limit = libc::rlimit {
                rlim_cur: limit,
                rlim_max: limit,
            };
            // SAFETY: the limit is read during the call.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, set) };
        let mut worker = Worker::start(&mut command);
        worker.try_go();
        let (output, status) = worker.end();
        let code = status.code();
        assert!(
            code == Some(0) || (limit < 6 && code.is_some()),
            "{limit}: {status} {output:?}"
        );
    }
}
