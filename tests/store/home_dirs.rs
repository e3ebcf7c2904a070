//! Homes that are missing, foreign, read-only or full: a token all the same, and one warning.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use keyferry::ports::store::Store;

use crate::harness::{Actor, Stage};
use crate::worker::{key, record, whole};

/// What an actor says with these variables and the default store.
fn play(stage: &Stage, variables: &[(&str, Option<PathBuf>)]) -> Vec<String> {
    let mut actor = Actor::start(dress(&mut stage.command("get user times 3 threads 1"), variables));
    assert_eq!(actor.line(), "ready");
    actor.go();
    actor.finish()
}

fn dress<'a>(command: &'a mut Command, variables: &[(&str, Option<PathBuf>)]) -> &'a mut Command {
    command.env_remove("KEYFERRY_STORE").env_remove("HOME");
    for (name, value) in variables {
        command.envs(value.as_ref().map(|value| (name, value)));
    }
    command
}

fn is_token_and_warning(said: &[String], remedy: &str) {
    let warnings: Vec<_> = said.iter().filter(|line| line.starts_with("log ")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(remedy), "{remedy}: {said:?}");
    assert!(said.iter().any(|line| line.starts_with("got ")), "{remedy}: {said:?}");
}

#[test]
fn a_home_that_can_not_be_used_costs_one_warning() {
    let stage = Stage::new();
    let path = |name: &str| Some(PathBuf::from(name));
    is_token_and_warning(&play(&stage, &[]), "file:/absolute/path");
    is_token_and_warning(&play(&stage, &[("HOME", path("/nonexistent"))]), "/nonexistent");
    is_token_and_warning(&play(&stage, &[("HOME", path("relative")), ("XDG_STATE_HOME", path("./x"))]), "file:/absolute/path");
    is_token_and_warning(&play(&stage, &[("HOME", path("/dev/null"))]), "/dev/null");
    assert!(!PathBuf::from("/nonexistent").exists());
    assert_eq!(std::fs::read_dir(stage.path("")).unwrap().count(), 1, "nothing was made in the working folder");
}

#[test]
fn the_default_is_the_users_state_folder_with_the_key_outside() {
    let stage = Stage::new();
    let home = stage.path("home");
    for _ in 0..2 {
        let said = play(&stage, &[("HOME", Some(home.clone()))]);
        assert!(said.len() == 2 && said[0].starts_with("got "), "{said:?}");
    }
    assert_eq!(stage.sandbox.count("login"), 1);
    for made in [".local/state/keyferry/tokens", ".local/state/keyferry/store", ".local/share/keyferry/store.key"] {
        assert!(home.join(made).exists(), "{made}");
    }
    crate::permissions::assert_narrow(&home.join(".local/state/keyferry"));
    crate::permissions::assert_narrow(&home.join(".local/share/keyferry"));
    let (state, data) = (stage.path("s"), stage.path("d"));
    play(&stage, &[("HOME", Some(home)), ("XDG_STATE_HOME", Some(state.clone())), ("XDG_DATA_HOME", Some(data.clone()))]);
    assert!(state.join("keyferry/store").exists() && data.join("keyferry/store.key").exists());
}

#[test]
fn another_users_home_is_left_alone() {
    // SAFETY: takes nothing and can't fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("*** SKIPPED: only root can give a folder away ***");
        return;
    }
    let stage = Stage::new();
    let home = stage.path("home");
    chown(&home, Some(12345), None).unwrap();
    is_token_and_warning(&play(&stage, &[("HOME", Some(home.clone()))]), "sudo -H");
    assert_eq!(std::fs::read_dir(home).unwrap().count(), 0);
}

/// A file system of its own on a folder, while this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf, options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status();
        if !mount.is_ok_and(|status| status.success()) {
            println!("*** SKIPPED: only root can mount ***");
            return None;
        }
        Some(Self(path))
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
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
    let stage = Stage::new();
    let home = stage.path("home");
    let Some(mounted) = Mounted::new(home.clone(), "size=1m,mode=700") else { return };
    mounted.remount("ro");
    is_token_and_warning(&play(&stage, &[("HOME", Some(home.clone()))]), "read-only");
    mounted.remount("rw");
    play(&stage, &[("HOME", Some(home.clone()))]);
    mounted.remount("ro");
    assert_eq!(stage.sandbox.count("login"), 2);
    let said = play(&stage, &[("HOME", Some(home.clone()))]);
    assert!(said[0].starts_with("got ") && stage.sandbox.count("login") == 2, "what is there is read: {said:?}");
    stage.sandbox.clock().advance(std::time::Duration::from_secs(30 * 24 * 3600));
    is_token_and_warning(&play(&stage, &[("HOME", Some(home))]), "read-only");
    assert_eq!(stage.sandbox.count("login"), 3);
}

#[test]
fn a_full_disk_costs_one_warning_and_loses_nothing() {
    let stage = Stage::new();
    let home = stage.path("home");
    let Some(_mounted) = Mounted::new(home.clone(), "size=256k,mode=700") else { return };
    play(&stage, &[("HOME", Some(home.clone()))]);
    let filler = home.join("filler");
    let _ = std::fs::write(&filler, vec![1; 512 * 1024]);
    stage.sandbox.clock().advance(std::time::Duration::from_secs(30 * 24 * 3600));
    is_token_and_warning(&play(&stage, &[("HOME", Some(home.clone()))]), "full");
    std::fs::remove_file(filler).unwrap();
    let said = play(&stage, &[("HOME", Some(home.clone()))]);
    assert!(said.len() == 2 && said[0].starts_with("got "), "{said:?}");
    let logins = stage.sandbox.count("login");
    play(&stage, &[("HOME", Some(home))]);
    assert_eq!(stage.sandbox.count("login"), logins, "it is kept again");
}

#[test]
fn a_token_that_is_rejected_on_a_full_disk_is_gone_for_all() {
    let stage = Stage::new();
    let home = stage.path("home");
    let Some(_mounted) = Mounted::new(home.clone(), "size=64k,mode=700") else { return };
    let variables = [("HOME", Some(home.clone()))];
    let got = |said: Vec<String>| said.into_iter().find(|line| line.starts_with("got ")).unwrap();
    let old = got(play(&stage, &variables));
    let filler = home.join("filler");
    let _ = std::fs::write(&filler, vec![1; 512 * 1024]);
    let said = Actor::start(dress(&mut stage.command("reject user"), &variables)).finish();
    assert!(said.len() == 1 && said[0].contains("full"), "{said:?}");
    let new = got(play(&stage, &variables));
    assert_ne!(old, new);
    std::fs::remove_file(filler).unwrap();
    assert_ne!(old, got(play(&stage, &variables)));
}

/// What an actor says, which is no warning.
fn quiet(stage: &Stage, act: &str, password: Option<&str>) -> Vec<String> {
    let mut actor = Actor::start(stage.command(act).envs(password.map(|password| ("KEYFERRY_MASV_PASSWORD", password))));
    actor.try_go();
    let said = actor.end().0;
    assert!(!said.iter().any(|line| line.starts_with("log ")), "{act}: {said:?}");
    said
}

#[test]
fn a_part_of_the_store_that_was_removed_is_made_anew() {
    let stage = Stage::new();
    quiet(&stage, "get user", None);
    for part in ["tokens", "new", "locks", "refusals", "store"] {
        let path = stage.path("store").join(part);
        quiet(&stage, "reject user", None);
        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
        let before = stage.sandbox.count("login");
        (0..2).for_each(|_| assert!(quiet(&stage, "get user", None)[1].starts_with("got ")));
        assert!(path.exists(), "{part}");
        assert_eq!(stage.sandbox.count("login") - before, 1, "{part}: what was got is kept");
        stage.sandbox.clock().advance(std::time::Duration::from_secs(60));
    }
}

#[test]
fn without_the_folder_of_refusals_a_wrong_password_is_sent_once() {
    let stage = Stage::new();
    quiet(&stage, "get user", None);
    std::fs::remove_file(stage.token_file()).unwrap();
    std::fs::remove_dir_all(stage.path("store/refusals")).unwrap();
    (0..3).for_each(|_| assert!(quiet(&stage, "get user", Some("wrong"))[1].starts_with("failed BadCredentials ")));
    assert_eq!(stage.sandbox.count("login"), 2);
}

#[test]
fn a_process_that_has_the_store_open_makes_anew_what_is_removed_meanwhile() {
    let stage = Stage::new();
    let (files, key) = (stage.files(), key("01A"));
    for (generation, part) in [(1, "tokens"), (3, "new"), (5, "locks")] {
        files.save(&key, &record(&key, generation)).unwrap();
        std::fs::remove_dir_all(stage.path("store").join(part)).unwrap();
        files.save(&key, &record(&key, generation + 1)).unwrap();
        files.save(&key, &record(&key, generation + 1)).unwrap();
        assert_eq!(stage.files().load(&key).unwrap().as_ref().map(whole), Some(generation + 1), "{part}");
    }
}

#[test]
fn without_descriptors_there_is_an_error_or_a_token_and_no_abort() {
    let stage = Stage::new();
    for limit in [3_u64, 4, 5, 6, 8, 10, 12, 16, 24] {
        let mut command = stage.command("get user");
        let set = move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // SAFETY: the limit is read during the call.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, set) };
        let mut actor = Actor::start(&mut command);
        actor.try_go();
        let (said, status) = actor.end();
        let code = status.code();
        assert!(code == Some(0) || (limit < 6 && code.is_some()), "{limit}: {status} {said:?}");
    }
}
