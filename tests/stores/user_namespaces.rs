//! Files and directories of users outside a user namespace, who all appear as user 65534.
//!
//! Each test prepares files as root, and runs an ignored test of this file in a namespace.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::log::{self, Level};
use keyferry::plugin;
use keyferry::ports::store::Store;
use keyferry::stores::file::FileStore;
use keyferry::sys::owner::Owner;
use keyferry::sys::private_file::{self, Privacy};
use keyferry::sys::trusted_dir;
use keyferry_testing::user_namespace;

use crate::processes::{empty_environment, new_harness};
use crate::worker::{key, record};
use keyferry_testing::harness::Harness;

/// A user whom none of the maps has.
const OUTSIDE: u32 = 123_456;
const OVERFLOW: u32 = 65534;
/// Maps root alone.
const ROOT_ONLY: &str = "0 0 1";
/// Maps root and many others, also the overflow user's ID, as rootless podman does.
const WITH_OVERFLOW: &str = "0 0 1\n1 200001 65535";
/// Maps another user than the process's own, which has no ID then.
const WITHOUT_CALLER: &str = "0 200000 1";
/// The variable with the directory of the prepared files.
const DIR: &str = "TEST_DIR";

/// Prepared files. A path that ends in `/` is a directory.
struct Files(Harness);

impl Files {
    /// `None` if this machine has no user namespaces. The test is skipped then.
    fn new() -> Option<Self> {
        if user_namespace::without() {
            return None;
        }
        let harness = new_harness();
        fs::set_permissions(harness.folder(), Permissions::from_mode(0o755)).unwrap();
        Some(Self(harness))
    }

    fn add(&self, name: &str, owner: u32, mode: u32) -> PathBuf {
        let path = self.0.path(name);
        if name.ends_with('/') {
            fs::create_dir(&path).unwrap();
        } else {
            fs::write(&path, "masv.email = \"me@example.com\"\n").unwrap();
        }
        self.finish(&path, owner, mode);
        path
    }

    fn finish(&self, path: &Path, owner: u32, mode: u32) {
        chown(path, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, test: &str, map: &str) {
        run(self.0.folder(), test, map);
    }
}

/// Runs an ignored test of this file in a namespace with this map.
fn run(dir: &Path, test: &str, map: &str) {
    let variables = [(DIR, dir.to_str().unwrap())];
    user_namespace::run(&format!("user_namespaces::{test}"), &variables, map);
}

/// Returns the path of a prepared file, in the namespace.
fn at(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(DIR).unwrap()).join(name)
}

#[track_caller]
fn assert_accepted(name: &str) {
    let owner = fs::metadata(at(name)).unwrap().uid();
    assert_eq!(owner, OVERFLOW, "{name}");
    for privacy in [Privacy::Public, Privacy::Mounted] {
        let opened = private_file::open(&at(name), privacy);
        assert!(opened.is_ok(), "{name}: {:?}", opened.err());
    }
    Config::load(Some(&at(name)), empty_environment()).unwrap();
}

#[track_caller]
fn assert_refused(name: &str) {
    for privacy in [Privacy::Public, Privacy::Private, Privacy::Mounted] {
        let error = private_file::open(&at(name), privacy).expect_err(name);
        let message = error.to_string();
        assert!(
            error.kind == ErrorKind::UnsafeFile
                && message.contains("user namespace")
                && message.contains("mount it read-only")
                && !message.contains("chown"),
            "{name}: {message}"
        );
    }
}

#[test]
fn a_file_from_outside_is_accepted_if_nobody_inside_can_change_it() {
    let Some(files) = Files::new() else {
        return;
    };
    for (dir, owner, mode) in [
        ("own/", 0, 0o755),
        ("closed/", OUTSIDE, 0o755),
        ("closed/deep/", OUTSIDE, 0o711),
        ("group/", OUTSIDE, 0o775),
        ("open/", OUTSIDE, 0o757),
        ("open/deep/", 0, 0o755),
        ("sticky/", OUTSIDE, 0o1777),
    ] {
        files.add(dir, owner, mode);
        files.add(&format!("{dir}file"), OUTSIDE, 0o644);
    }
    files.add("own/group-writable", OUTSIDE, 0o664);
    files.add("own/others-writable", OUTSIDE, 0o646);
    for (link, target) in [
        ("own/link", "../closed/link"),
        ("closed/link", "deep/file"),
        ("closed/through-open", "../open/link"),
        ("open/link", "../closed/file"),
    ] {
        symlink(target, files.0.path(link)).unwrap();
        lchown(files.0.path(link), Some(OUTSIDE), None).unwrap();
    }
    files.run("with_root_alone", ROOT_ONLY);
}

#[test]
#[ignore = "runs in a namespace"]
fn with_root_alone() {
    assert_accepted("own/file");
    assert_accepted("closed/file");
    assert_accepted("closed/deep/file");
    for name in [
        "own/group-writable",
        "own/others-writable",
        "group/file",
        "open/file",
        "open/deep/file",
        "sticky/file",
    ] {
        assert_refused(name);
    }
    let mounted = |name: &str| private_file::open(&at(name), Privacy::Mounted);
    assert!(mounted("own/link").is_ok() && mounted("closed/link").is_ok());
    for name in ["closed/through-open", "open/link"] {
        let error = mounted(name).expect_err(name);
        assert!(error.to_string().contains("user namespace"), "{error}");
    }
    // A relative path is the same.
    std::env::set_current_dir(at("closed")).unwrap();
    assert!(private_file::open(Path::new("file"), Privacy::Public).is_ok());
    std::env::set_current_dir(at("open")).unwrap();
    assert!(private_file::open(Path::new("file"), Privacy::Public).is_err());
    std::env::set_current_dir("/").unwrap();
    // The path must be that of the open file.
    let outside = Owner::of(OVERFLOW);
    let file = fs::File::open(at("closed/file")).unwrap();
    for (name, is_trusted) in [
        ("closed/file", true),
        ("closed/deep/file", false),
        ("closed/deep", false),
    ] {
        let found = trusted_dir::is_unmapped_trusted(&at(name), &file, outside);
        assert_eq!(found, is_trusted, "{name}");
    }
    // Other users can read the file, and its owner can't be asked to change that.
    let error = private_file::open(&at("own/file"), Privacy::Private).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("_FILE") && !message.contains("chmod"),
        "{message}"
    );
    // On a mount that is read-only, nobody can change them.
    for name in ["group", "open", "sticky"] {
        user_namespace::mount_read_only(&at(name));
    }
    for name in ["group/file", "open/file", "open/deep/file", "sticky/file"] {
        assert_accepted(name);
    }
    // But outside, other users still can.
    user_namespace::mount_read_only(&at("own/others-writable"));
    assert!(private_file::open(&at("own/others-writable"), Privacy::Mounted).is_err());
}

#[test]
fn a_file_that_may_be_another_users_needs_a_read_only_mount() {
    let Some(files) = Files::new() else {
        return;
    };
    files.add("closed/", OUTSIDE, 0o755);
    files.add("closed/file", OUTSIDE, 0o644);
    // This user has the ID 65534 in the namespace.
    files.add("inside/", 0, 0o755);
    files.add("inside/file", 200_001 + OVERFLOW - 1, 0o644);
    files.run("with_a_mapped_overflow_user", WITH_OVERFLOW);
}

#[test]
#[ignore = "runs in a namespace"]
fn with_a_mapped_overflow_user() {
    for (name, is_trusted) in [("inside", true), ("closed", false)] {
        let found = trusted_dir::find(&at(name)).map(drop);
        assert_eq!(found.is_ok(), is_trusted, "{name}: {found:?}");
    }
    for name in ["closed/file", "inside/file"] {
        assert_eq!(fs::metadata(at(name)).unwrap().uid(), OVERFLOW, "{name}");
        assert_refused(name);
        user_namespace::mount_read_only(&at(name));
        assert_accepted(name);
    }
}

#[test]
fn a_file_that_the_caller_can_change_is_refused() {
    if user_namespace::without() {
        return;
    }
    // No other user can write to this directory or to those above it.
    let dir = tempfile::tempdir_in("/run").unwrap();
    fs::write(dir.path().join("callers"), "text").unwrap();
    fs::set_permissions(dir.path().join("callers"), Permissions::from_mode(0o600)).unwrap();
    run(dir.path(), "without_an_id", WITHOUT_CALLER);
}

/// The caller is an unmapped user too, as after `unshare -U`. Its own files can't be told from
/// those of all other users.
#[test]
#[ignore = "runs in a namespace"]
fn without_an_id() {
    assert_refused("callers");
}

#[test]
fn a_plugin_from_outside_needs_a_read_only_mount() {
    let Some(files) = Files::new() else {
        return;
    };
    let made = files.0.plugin("canary.c", &[]);
    for (dir, dir_owner, owner) in [("own/", 0, OUTSIDE), ("closed/", OUTSIDE, 0)] {
        files.add(dir, dir_owner, 0o755);
        let copy = files.0.path(dir).join("plugin.so");
        fs::copy(&made, &copy).unwrap();
        files.finish(&copy, owner, 0o755);
    }
    files.add("group/", OUTSIDE, 0o775);
    let copy = files.0.path("group/plugin.so");
    fs::copy(&made, &copy).unwrap();
    files.finish(&copy, OUTSIDE, 0o755);
    files.run("plugins", ROOT_ONLY);
}

#[test]
#[ignore = "runs in a namespace"]
fn plugins() {
    let examine = |name: &str| plugin::examine(&at(name));
    for (name, named) in [
        ("own/plugin.so", "the file belongs to a user outside"),
        ("closed/plugin.so", "closed belongs to a user outside"),
        ("group/plugin.so", "group belongs to a user outside"),
    ] {
        let error = examine(name).expect_err(name);
        let message = error.to_string();
        assert!(
            error.kind == ErrorKind::UnsafeFile
                && message.contains(named)
                && message.contains("user namespace; mount it read-only")
                && !message.contains("chown"),
            "{message}"
        );
    }
    for name in ["own", "closed", "group"] {
        user_namespace::mount_read_only(&at(name));
    }
    assert!(examine("own/plugin.so").is_ok() && examine("closed/plugin.so").is_ok());
    let error = examine("group/plugin.so").err().unwrap();
    assert!(
        error.to_string().contains("can be changed by other users"),
        "{error}"
    );
}

#[test]
fn directories_from_outside_are_named_with_a_remedy() {
    let Some(files) = Files::new() else {
        return;
    };
    for (dir, owner, mode) in [
        ("closed/", OUTSIDE, 0o755),
        ("closed/own/", 0, 0o755),
        ("open/", OUTSIDE, 0o777),
        ("open/own/", 0, 0o755),
        ("open/keyferry/", OUTSIDE, 0o755),
        ("links-closed/", OUTSIDE, 0o755),
        ("links-open/", OUTSIDE, 0o777),
    ] {
        files.add(dir, owner, mode);
    }
    for dir in ["links-closed", "links-open"] {
        let link = files.0.path(dir).join("link");
        symlink("../closed/own", &link).unwrap();
        lchown(&link, Some(OUTSIDE), None).unwrap();
    }
    files.run("directories", ROOT_ONLY);
}

#[test]
#[ignore = "runs in a namespace"]
fn directories() {
    for (name, is_trusted) in [
        ("closed", true),
        ("closed/absent", true),
        ("closed/own", true),
        ("links-closed/link/x", true),
        ("open", false),
        ("open/absent", false),
        // The directory itself is this user's.
        ("open/own", true),
        ("links-open/link/x", false),
    ] {
        let found = trusted_dir::find(&at(name)).map(drop);
        assert_eq!(found.is_ok(), is_trusted, "{name}: {found:?}");
    }
    let is_named = |message: &str| {
        assert!(
            message.contains("belongs to a user outside this user namespace")
                && message.contains("directories of a user of this namespace")
                && !message.contains("sudo")
                && !message.contains("chown"),
            "{message}"
        )
    };
    let (sender, warnings) = std::sync::mpsc::channel();
    let log_warning = move |_, text: &str| sender.send(text.to_owned()).unwrap();
    log::install(Some(Level::Warn), Some(Box::new(log_warning))).unwrap();
    for name in ["open/keyferry", "open/x/store"] {
        let setting = format!("file:{}", at(name).display());
        let store = FileStore::new(&setting, &empty_environment());
        store.save(&key("01A"), &record(&key("01A"), 7)).unwrap();
        is_named(&warnings.recv().unwrap());
    }
    for name in ["open/x/file", "open/keyferry/file"] {
        let error = private_file::replace(&at(name), b"x").unwrap_err();
        is_named(&error.to_string());
    }
    let error = private_file::check_replace(&at("open/x/file")).unwrap_err();
    is_named(&error.to_string());
    // Nobody inside can change a mount that is read-only.
    for name in ["open", "links-open"] {
        user_namespace::mount_read_only(&at(name));
    }
    for name in ["open", "open/absent", "links-open/link/x"] {
        trusted_dir::find(&at(name)).map(drop).unwrap();
    }
}

/// In the machine's first namespace, 65534 is an ordinary user.
#[test]
fn outside_of_namespaces_the_user_65534_is_another_user() {
    let Some(files) = Files::new() else {
        return;
    };
    let file = files.add("file", OVERFLOW, 0o644);
    let error = private_file::open(&file, Privacy::Public).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("belongs to another user") && !message.contains("namespace"),
        "{message}"
    );
}
