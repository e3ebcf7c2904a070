//! Failures while the store can't be used: they are recorded in the runtime directory, else in the
//! kernel's keyring, else in the memory of the process.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use keyferry::config::Environment;
use keyferry::error::{Error, ErrorKind};
use keyferry::model::key::Fingerprint;
use keyferry::ports::store::{FailureRecord, Reach, Store};
use keyferry::stores::failure_fallback::FailureFallback;
use keyferry_sandbox::credentials as c;
use keyferry_testing::harness::Harness;
use keyferry_testing::{kernel_keyrings, skip};

use crate::home_dirs::Mounted;
use crate::other_users::OTHER_USER;
use crate::processes::{ARGUMENTS, StoreProcesses, Worker, new_harness};

/// The user of the tests that use the kernel's keyring. No program runs as this user.
const KEYRING_USER: u32 = 34567;
const HOURS_2_US: i64 = 2 * 3600 * 1_000_000;

/// A worker that sends a password, and whose only store is the default one.
fn login<'a>(command: &'a mut Command, home: Option<&Path>, password: &str) -> &'a mut Command {
    command
        .env_remove("KEYFERRY_STORE")
        .env_remove("HOME")
        .env("KEYFERRY_MASV_PASSWORD", password);
    home.map(|home| command.env("HOME", home));
    command
}

/// The outcome of one request.
fn outcome(command: &mut Command) -> String {
    let mut worker = Worker::start(command);
    assert_eq!(worker.line(), "ready");
    worker.go();
    let lines = worker.finish();
    let is_outcome = |line: &&String| line.starts_with("got ") || line.starts_with("failed ");
    lines.iter().find(is_outcome).unwrap().clone()
}

/// Runs processes with a wrong password one after the other. All get the same kind of error.
fn run_with_wrong_password(harness: &Harness, home: Option<&Path>, count: usize) {
    for run in 0..count {
        let failure = outcome(login(&mut harness.command("get user"), home, "wrong"));
        assert!(
            failure.starts_with("failed BadCredentials "),
            "{run}: {failure}"
        );
    }
}

fn fallback(runtime_dir: &Path) -> FailureFallback {
    let runtime_dir = runtime_dir.to_str().unwrap().to_owned();
    let environment: Environment = std::sync::Arc::new(move |name| {
        (name == "XDG_RUNTIME_DIR").then(|| runtime_dir.clone().into())
    });
    FailureFallback::new(&environment)
}

fn secret() -> Fingerprint {
    Fingerprint::unkeyed(&["a secret"])
}

fn failure(since_us: i64) -> FailureRecord {
    FailureRecord {
        since_us,
        until_us: since_us + HOURS_2_US,
        step: 0,
        error: Error::new(ErrorKind::BadCredentials, "text of the service"),
    }
}

/// The names and contents of the files in a directory.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut all: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// The names of the entries.
fn entries(dir: &Path) -> Vec<String> {
    let names = contents(dir).into_iter().map(|(name, _)| name);
    names.filter(|name| name.len() == 32).collect()
}

fn has_bytes(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[test]
fn a_wrong_password_is_sent_once_without_a_store() {
    let harness = new_harness();
    run_with_wrong_password(&harness, None, 30);
    assert_eq!(harness.sandbox().count("login"), 1);
    // A changed password is sent at once, and the failure of the other one stays.
    for _ in 0..2 {
        let token = outcome(login(&mut harness.command("get user"), None, c::PASSWORD));
        assert!(token.starts_with("got "), "{token}");
    }
    assert_eq!(harness.sandbox().count("login"), 3);
    run_with_wrong_password(&harness, None, 2);
    assert_eq!(harness.sandbox().count("login"), 3);
}

#[test]
fn every_store_that_can_not_be_used_has_the_fallback() {
    for home in ["/nonexistent", "/dev/null", "relative"] {
        let harness = new_harness();
        run_with_wrong_password(&harness, Some(Path::new(home)), 5);
        assert_eq!(harness.sandbox().count("login"), 1, "{home}");
    }
    if skip::without_root() {
        return;
    }
    let harness = new_harness();
    chown(harness.path("home"), Some(OTHER_USER), None).unwrap();
    run_with_wrong_password(&harness, Some(&harness.path("home")), 5);
    assert_eq!(harness.sandbox().count("login"), 1);
    assert_eq!(fs::read_dir(harness.path("home")).unwrap().count(), 0);
}

#[test]
fn a_read_only_store_and_one_on_a_full_disk_have_the_fallback() {
    // Without a store, and with one that can be read.
    for has_store in [false, true] {
        for is_full in [false, true] {
            let harness = new_harness();
            let home = harness.path("home");
            let Some(mounted) = Mounted::new(home.clone(), "size=256k,mode=700") else {
                return;
            };
            if has_store {
                let token = outcome(login(
                    &mut harness.command("get fileverbs:bearer"),
                    Some(&home),
                    c::PASSWORD,
                ));
                assert!(token.starts_with("got "), "{token}");
            }
            if is_full {
                let _ = fs::write(home.join("filler"), vec![1; 512 * 1024]);
            } else {
                mounted.remount("ro");
            }
            run_with_wrong_password(&harness, Some(&home), 5);
            assert_eq!(
                harness.sandbox().count("login"),
                1,
                "full: {is_full}, with a store: {has_store}"
            );
        }
    }
}

#[test]
fn a_store_that_can_be_used_is_the_only_place() {
    let harness = new_harness();
    let home = harness.path("home");
    run_with_wrong_password(&harness, Some(&home), 3);
    assert_eq!(harness.sandbox().count("login"), 1);
    assert_eq!(fs::read_dir(harness.path("runtime")).unwrap().count(), 0);
}

#[test]
fn a_store_that_can_be_used_again_replaces_the_failure() {
    let harness = new_harness();
    let store = || {
        harness
            .store()
            .with_failure_fallback(fallback(&harness.path("runtime")))
    };
    let entries = || entries(&harness.path("runtime/keyferry"));
    // The failure directory can't be replaced while a file is in its place.
    store().fingerprints();
    let failures = harness.path("store/refusals");
    fs::remove_dir(&failures).unwrap();
    fs::write(&failures, "").unwrap();
    store().set_failure(&secret(), Some(failure(1)), Reach::Everywhere, &|_| false);
    assert_eq!(entries().len(), 1);
    let since = || {
        store()
            .failure(&secret(), Reach::Everywhere)
            .map(|found| found.since_us)
    };
    assert_eq!(since(), Some(1));
    fs::remove_file(&failures).unwrap();
    store().set_failure(&secret(), Some(failure(2)), Reach::Everywhere, &|_| false);
    assert_eq!(since(), Some(2));
    assert_eq!(entries().len(), 0);
    store().set_failure(&secret(), None, Reach::Everywhere, &|_| false);
    assert_eq!(since(), None);
}

#[test]
fn forgetting_all_clears_the_fallback() {
    let harness = new_harness();
    run_with_wrong_password(&harness, None, 2);
    assert_eq!(entries(&harness.path("runtime/keyferry")).len(), 1);
    let output = Worker::start(login(&mut harness.command("forget"), None, "wrong")).finish();
    assert_eq!(output, ["Ok(())"]);
    assert_eq!(entries(&harness.path("runtime/keyferry")).len(), 0);
    run_with_wrong_password(&harness, None, 2);
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn processes_that_start_together_agree_on_the_key() {
    let harness = new_harness();
    let runtime_dir = harness.path("runtime");
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| fallback(&runtime_dir).fingerprints().unwrap().of(&["s"])))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    assert!(all.iter().all(|one| *one == all[0]));
    fallback(&runtime_dir)
        .set_failure(&secret(), Some(&failure(1)), &|_| false)
        .unwrap();
    assert_eq!(
        fallback(&runtime_dir).failure(&secret()).unwrap().until_us,
        1 + HOURS_2_US
    );
    crate::permissions::assert_private(&runtime_dir.join("keyferry"));
}

#[test]
fn the_fallback_contains_no_text_of_the_service_and_no_hash_without_a_key() {
    let harness = new_harness();
    run_with_wrong_password(&harness, None, 2);
    let dir = harness.path("runtime/keyferry");
    let texts = ["invalid", "password", "wrong", c::EMAIL, "masv", "http"];
    for (name, bytes) in contents(&dir) {
        for text in texts {
            let is_clean = !has_bytes(&bytes, text.as_bytes()) && !name.contains(text);
            assert!(is_clean, "{text} in {name}");
        }
    }
    // The same fingerprint has another name in another place, so the name depends on the key.
    let names = ["a", "b"].map(|name| {
        let runtime_dir = harness.path(name);
        fs::create_dir(&runtime_dir).unwrap();
        fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o700)).unwrap();
        let fallback = fallback(&runtime_dir);
        fallback
            .set_failure(&secret(), Some(&failure(1)), &|_| false)
            .unwrap();
        let dir = runtime_dir.join("keyferry");
        for (name, bytes) in contents(&dir) {
            let hex = secret().to_string();
            assert!(name != hex && !has_bytes(&bytes, hex.as_bytes()));
            assert!(!has_bytes(&bytes, secret().bytes()));
        }
        let keys = contents(&dir);
        assert!(
            keys.iter()
                .any(|(name, bytes)| name == "key" && bytes.len() == 32)
        );
        entries(&dir)
    });
    assert!(names[0].len() == 1 && names[1].len() == 1 && names[0] != names[1]);
    let message = fallback(&harness.path("a")).failure(&secret()).unwrap();
    assert!(!message.error.message().contains("text of the service"));
}

#[test]
fn a_failure_that_lasts_longer_stays() {
    let harness = new_harness();
    let fallback = fallback(&harness.path("runtime"));
    let set = |since_us| {
        let stays = |present: &FailureRecord| present.since_us > since_us;
        fallback
            .set_failure(&secret(), Some(&failure(since_us)), &stays)
            .unwrap();
        fallback.failure(&secret()).unwrap().since_us
    };
    assert_eq!([set(5), set(3), set(6)], [5, 6 - 1, 6]);
}

#[test]
fn the_number_of_failures_is_limited() {
    let harness = new_harness();
    let fallback = fallback(&harness.path("runtime"));
    for number in 0..260_u16 {
        let secret = Fingerprint::unkeyed(&[&number.to_string()]);
        fallback
            .set_failure(&secret, Some(&failure(i64::from(number))), &|_| false)
            .unwrap();
    }
    assert_eq!(entries(&harness.path("runtime/keyferry")).len(), 256);
    let is_present = |number: &str| fallback.failure(&Fingerprint::unkeyed(&[number])).is_some();
    assert!(!is_present("3") && is_present("4") && is_present("259"));
}

/// Runs two processes with a wrong password that can't use the kernel's keyring. Returns how many
/// logins they sent.
fn logins_without_keyring(harness: &Harness) -> u64 {
    let before = harness.sandbox().count("login");
    for _ in 0..2 {
        let mut command = harness.command("get user");
        kernel_keyrings::forbid(login(&mut command, None, "wrong"));
        assert!(outcome(&mut command).starts_with("failed BadCredentials "));
    }
    harness.sandbox().count("login") - before
}

#[test]
fn an_unsafe_runtime_directory_is_not_used() {
    type Spoil = fn(&Harness);
    const DIR: &str = "runtime/keyferry";
    fn set_mode(path: PathBuf, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fn replace_by_link(path: &Path, target: &Path) {
        fs::rename(path, target).unwrap();
        symlink(target, path).unwrap();
    }
    let table: [(&str, bool, Spoil); 11] = [
        ("a runtime directory that others can change", false, |at| {
            set_mode(at.path("runtime"), 0o770);
        }),
        ("a directory that others can read", false, |at| {
            set_mode(at.path(DIR), 0o750);
        }),
        ("a link to a directory", false, |at| {
            replace_by_link(&at.path(DIR), &at.path("moved"));
        }),
        ("a file instead of a directory", false, |at| {
            fs::remove_dir_all(at.path(DIR)).unwrap();
            fs::write(at.path(DIR), "").unwrap();
        }),
        ("a key that others can read", false, |at| {
            set_mode(at.path(DIR).join("key"), 0o640);
        }),
        ("a link to a key", false, |at| {
            replace_by_link(&at.path(DIR).join("key"), &at.path("moved"));
        }),
        ("a short key", false, |at| {
            fs::write(at.path(DIR).join("key"), "short").unwrap();
        }),
        ("no runtime directory", false, |at| {
            fs::remove_dir_all(at.path("runtime")).unwrap();
        }),
        ("another user's runtime directory", true, |at| {
            chown(at.path("runtime"), Some(OTHER_USER), None).unwrap();
        }),
        ("another user's directory", true, |at| {
            chown(at.path(DIR), Some(OTHER_USER), None).unwrap();
        }),
        ("another user's key", true, |at| {
            chown(at.path(DIR).join("key"), Some(OTHER_USER), None).unwrap();
        }),
    ];
    let is_not_root = skip::without_root();
    for (name, needs_root, spoil) in table {
        if needs_root && is_not_root {
            continue;
        }
        let harness = new_harness();
        assert_eq!(logins_without_keyring(&harness), 1, "{name}");
        spoil(&harness);
        assert_eq!(logins_without_keyring(&harness), 2, "{name}");
    }
}

#[test]
fn nothing_is_created_in_another_users_runtime_directory() {
    if skip::without_root() {
        return;
    }
    let harness = new_harness();
    chown(harness.path("runtime"), Some(OTHER_USER), None).unwrap();
    assert_eq!(logins_without_keyring(&harness), 2);
    assert_eq!(fs::read_dir(harness.path("runtime")).unwrap().count(), 0);
}

/// Workers of [`KEYRING_USER`], whose keys are removed on drop.
struct KeyringWorkers(Harness);

impl KeyringWorkers {
    /// `None` if this process can't start them, or if the kernel has no keyrings for them.
    fn start() -> Option<Self> {
        if skip::without_root() {
            return None;
        }
        let harness = new_harness();
        // The user must reach its program and its working directory.
        fs::set_permissions(harness.folder(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(std::env::current_exe().unwrap(), harness.path("worker")).unwrap();
        let workers = Self(harness);
        let output = workers.run("clear-kernel-keys");
        assert!(output.is_empty(), "{output:?}");
        if workers.run("kernel-keys")[0] == "keyrings true" {
            return Some(workers);
        }
        skip::report("the kernel refuses keyrings; allow the system calls add_key and keyctl");
        None
    }

    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(self.0.path("worker"));
        self.0.set_environment(command.args(ARGUMENTS), task);
        login(&mut command, None, "wrong").env_remove("XDG_RUNTIME_DIR");
        command.uid(KEYRING_USER).gid(KEYRING_USER);
        command
    }

    fn run(&self, task: &str) -> Vec<String> {
        Worker::start(&mut self.command(task)).finish()
    }

    /// The names of the keys in the keyring.
    fn names(&self) -> Vec<String> {
        let lines = self.run("kernel-keys");
        let names = lines[1].strip_prefix("names ").unwrap().split(' ');
        names.map(str::to_owned).collect()
    }

    /// How `/proc/keys` shows the key of a name. A key that was removed may still be there for a
    /// moment.
    fn shown(&self, name: &str) -> Vec<String> {
        let lines = self.run("kernel-keys").into_iter();
        let is_it = |line: &String| line.contains(&format!(" user      {name}: "));
        lines.filter(is_it).collect()
    }
}

impl Drop for KeyringWorkers {
    fn drop(&mut self) {
        let _ = Worker::start(&mut self.command("clear-kernel-keys")).end();
    }
}

/// One test, because all of it uses the one keyring of the user.
#[test]
fn without_a_runtime_directory_the_kernel_keyring_is_used() {
    let Some(workers) = KeyringWorkers::start() else {
        return;
    };
    assert_eq!(workers.run("race-for-kernel-keyring 100"), ["good 100"]);

    let count = || workers.0.sandbox().count("login");
    let began = Instant::now();
    for run in 0..30 {
        let failure = outcome(&mut workers.command("get user"));
        assert!(
            failure.starts_with("failed BadCredentials "),
            "{run}: {failure}"
        );
    }
    // The kernel counts the minute of a failure by its own clock.
    let minutes = began.elapsed().as_secs() / 60;
    assert!((1..=1 + minutes).contains(&count()), "{}", count());

    // Only the entry has an end: one minute, like the failure. Other users have no permissions.
    let names = workers.names();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        let shown = workers.shown(name);
        assert!(!shown.is_empty(), "{name}");
        for line in shown {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (timeout, permissions) = (fields[4], fields[5]);
            assert_eq!(permissions, "3f3f0000", "{line}");
            let has_end = timeout.ends_with('s') || timeout == "1m" || timeout == "expd";
            assert_eq!(has_end, name != "key" && name.len() == 32, "{line}");
        }
    }

    let output = workers.run("forget");
    assert_eq!(output, ["Ok(())"]);
    assert_eq!(workers.names(), ["key"]);
    let before = count();
    for _ in 0..2 {
        outcome(&mut workers.command("get user"));
    }
    assert_eq!(count() - before, 1);

    // A keyring that other users can see is not used.
    workers.run("loosen-kernel-keyring");
    for _ in 0..2 {
        outcome(&mut workers.command("get user"));
    }
    assert_eq!(count() - before, 3);
}
