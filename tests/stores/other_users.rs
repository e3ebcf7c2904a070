//! Directories in directories of another user: root creates and changes nothing there, nor does an
//! ordinary user.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keyferry::ports::store::{Reach, Store};
use keyferry::stores::file::FileStore;
use keyferry::sys::trusted_dir::{Fault, find, find_or_create, open_or_create};
use keyferry_testing::skip;

use crate::home_dirs::{is_token_and_warning, run};
use crate::processes::{empty_environment, new_harness};
use crate::worker::{generations, key, record};
use keyferry_testing::harness::Harness;

/// The user who owns `theirs`.
pub(crate) const OTHER_USER: u32 = 12345;
const ORDINARY_USER: u32 = 23456;

/// A harness with the directory `theirs`, which belongs to [`OTHER_USER`].
fn with_theirs() -> Harness {
    let harness = new_harness();
    std::fs::create_dir(harness.path("theirs")).unwrap();
    chown(harness.path("theirs"), Some(OTHER_USER), None).unwrap();
    harness
}

/// Path, owner, inode, and times of change of all files below a directory, and of itself.
fn snapshot(path: &Path) -> Vec<(PathBuf, u32, u64, i64, i64)> {
    let facts = std::fs::symlink_metadata(path).unwrap();
    let (owner, inode) = (facts.uid(), facts.ino());
    let mut all = vec![(
        path.to_owned(),
        owner,
        inode,
        facts.ctime(),
        facts.ctime_nsec(),
    )];
    if facts.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            all.extend(snapshot(&entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

#[test]
fn root_creates_no_store_and_no_key_in_a_directory_of_another_user() {
    if skip::without_root() {
        return;
    }
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
    let table: [Row<'_>; 10] = [
        (&[("HOME", "theirs")], "theirs"),
        (&[("HOME", "theirs/home")], "theirs"),
        (
            &[("XDG_STATE_HOME", "theirs/.local/state")],
            "theirs/.local",
        ),
        (&[("XDG_STATE_HOME", "theirs/absent")], "theirs"),
        (&[("XDG_DATA_HOME", "theirs/absent")], "theirs"),
        (&[("XDG_DATA_HOME", "theirs/a/b/c")], "theirs"),
        (&[("XDG_STATE_HOME", "link/absent")], "theirs"),
        (&[("XDG_STATE_HOME", "their-link/absent")], "their-link"),
        (&[("KEYFERRY_STORE", "file:theirs/store")], "theirs"),
        (&[("KEYFERRY_STORE", "file:theirs/a/b/store")], "theirs"),
    ];
    for (variables, named) in table {
        let harness = with_theirs();
        std::fs::create_dir(harness.path("theirs/.local")).unwrap();
        chown(harness.path("theirs/.local"), Some(OTHER_USER), None).unwrap();
        symlink("theirs", harness.path("link")).unwrap();
        symlink("home", harness.path("their-link")).unwrap();
        lchown(harness.path("their-link"), Some(OTHER_USER), None).unwrap();
        let before = snapshot(&harness.path("theirs"));
        let absolute = |value: &str| match value.strip_prefix("file:") {
            Some(path) => PathBuf::from(format!("file:{}", harness.path(path).display())),
            None => harness.path(value),
        };
        let mut all = vec![("HOME", Some(harness.path("home")))];
        all.extend(
            variables
                .iter()
                .map(|(name, value)| (*name, Some(absolute(value)))),
        );
        let output = run(&harness, &all);
        is_token_and_warning(&output, "sudo -H");
        let expected = format!(
            "{} belongs to another user (uid {OTHER_USER})",
            harness.path(named).display()
        );
        is_token_and_warning(&output, &expected);
        is_token_and_warning(&output, "or set `store` to file:/PATH or memory");
        assert_eq!(
            snapshot(&harness.path("theirs")),
            before,
            "{variables:?}: {output:?}"
        );
    }
}

/// Earlier releases left such a store behind.
#[test]
fn a_store_in_a_directory_of_another_user_is_read_and_not_changed() {
    if skip::without_root() {
        return;
    }
    let harness = new_harness();
    let setting = format!("file:{}", harness.path("theirs/store").display());
    let open = || FileStore::new(&setting, &empty_environment());
    open().save(&key("01A"), &record(&key("01A"), 7)).unwrap();
    open().save(&key("01B"), &record(&key("01B"), 7)).unwrap();
    chown(harness.path("theirs"), Some(OTHER_USER), None).unwrap();
    let before = snapshot(&harness.path("theirs"));
    assert!(open().load(&key("01A")).unwrap().is_some());
    assert_eq!(generations(&open()).len(), 2);
    let store = open();
    store.save(&key("01A"), &record(&key("01A"), 8)).unwrap();
    store.fingerprints();
    drop(store.turn(&key("01A"), 8).unwrap());
    for outcome in [
        store.forget(&key("01A"), u64::MAX, Reach::Here),
        open().forget_all(Reach::Here),
    ] {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains("sudo -H"), "{message}");
    }
    assert_eq!(snapshot(&harness.path("theirs")), before);
    // A damaged record is not set aside.
    for entry in std::fs::read_dir(harness.path("theirs/store/tokens")).unwrap() {
        std::fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let before = snapshot(&harness.path("theirs"));
    assert!(open().load(&key("01B")).unwrap().is_none());
    assert_eq!(snapshot(&harness.path("theirs")), before);
}

#[test]
fn the_nearest_existing_parent_belongs_to_this_user_or_root() {
    if skip::without_root() {
        return;
    }
    let harness = with_theirs();
    let path = |name: &str| harness.path(name);
    std::fs::create_dir(path("theirs/own")).unwrap();
    symlink("theirs", path("link")).unwrap();
    symlink(path("theirs/own"), path("their-link")).unwrap();
    lchown(path("their-link"), Some(OTHER_USER), None).unwrap();
    for (name, named) in [
        ("theirs", "theirs"),
        ("theirs/a", "theirs"),
        ("theirs/a/b", "theirs"),
        ("link/a", "theirs"),
        ("theirs/own/../a", "theirs"),
        ("their-link/a", "their-link"),
    ] {
        let is_expected = |fault: &Fault| matches!(fault, Fault::OtherOwner(at, OTHER_USER) if *at == path(named));
        for outcome in [
            find(&path(name)).map(drop),
            find_or_create(&path(name)).map(drop),
            open_or_create(&path(name).join("x")).map(drop),
        ] {
            let fault = outcome.expect_err(name);
            assert!(is_expected(&fault), "{name}: {fault:?}");
        }
    }
    assert_eq!(std::fs::read_dir(path("theirs")).unwrap().count(), 1);
    find_or_create(&path("theirs/own/a")).unwrap();
}

/// Runs a function in a thread whose effective user is an ordinary one.
#[expect(unsafe_code, reason = "system calls")]
fn as_ordinary_user<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let in_thread = || {
        let (unchanged, user) = (-1_i64, i64::from(ORDINARY_USER));
        // SAFETY: the call takes numbers. Unlike the function of the C library, it changes the user
        // of this thread only, and the thread ends with `run`.
        let code = unsafe { libc::syscall(libc::SYS_setresuid, unchanged, user, unchanged) };
        assert_eq!(code, 0);
        run()
    };
    std::thread::scope(|scope| scope.spawn(in_thread).join().unwrap())
}

#[test]
fn an_ordinary_user_uses_own_directories_and_those_of_root() {
    if skip::without_root() {
        return;
    }
    let harness = with_theirs();
    let path = |name: &str| harness.path(name);
    let set_mode = |name: &str, mode| {
        std::fs::set_permissions(path(name), PermissionsExt::from_mode(mode)).unwrap()
    };
    set_mode("", 0o755);
    set_mode("theirs", 0o777);
    for name in ["tmp", "own"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    set_mode("tmp", 0o1777);
    chown(path("own"), Some(ORDINARY_USER), None).unwrap();
    symlink("own", path("link")).unwrap();
    for (name, is_used) in [
        ("own/store", true),
        ("own/a/b/store", true),
        ("tmp/store", true),
        ("tmp/a/store", true),
        ("link/c/store", true),
        ("theirs/store", false),
        ("theirs/a/store", false),
    ] {
        let setting = format!("file:{}", path(name).display());
        as_ordinary_user(|| {
            let store = FileStore::new(&setting, &empty_environment());
            store.save(&key("01A"), &record(&key("01A"), 7)).unwrap();
        });
        assert_eq!(path(name).join("store").exists(), is_used, "{name}");
    }
    assert_eq!(std::fs::read_dir(path("theirs")).unwrap().count(), 0);
    let owner = std::fs::metadata(path("tmp/a")).unwrap().uid();
    assert_eq!(owner, ORDINARY_USER);
}

/// A check of a path would hold for the directory, and what is created then for the link.
#[test]
fn a_link_that_replaces_a_parent_after_the_check_leads_nowhere() {
    if skip::without_root() {
        return;
    }
    let harness = with_theirs();
    let (parent, aside) = (harness.path("parent"), harness.path("aside"));
    let (ended, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut created = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let _ = std::fs::create_dir(&parent);
                let _ = std::fs::rename(&parent, &aside);
                let is_linked = symlink(harness.path("theirs"), &parent).is_ok();
                swaps.fetch_add(u32::from(is_linked), Ordering::Relaxed);
                let _ = std::fs::remove_file(&parent);
                let _ = std::fs::remove_dir_all(&aside);
            }
        });
        while Instant::now() < deadline {
            created += u32::from(open_or_create(&parent.join("a/b/store")).is_ok());
        }
        ended.store(true, Ordering::Relaxed);
    });
    let swaps = swaps.into_inner();
    assert!(
        swaps > 10 && created > 10,
        "{swaps} swaps, {created} created"
    );
    assert_eq!(
        std::fs::read_dir(harness.path("theirs")).unwrap().count(),
        0
    );
}
