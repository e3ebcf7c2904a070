//! Paths where a plugin is refused before any of its constructors run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use keyferry_testing::child;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");

/// A plugin whose constructor leaves a file behind.
struct CanaryPlugin {
    harness: Harness,
    good: PathBuf,
}

impl CanaryPlugin {
    fn new() -> Self {
        let harness = Harness::new();
        fs::create_dir(harness.path("lib")).unwrap();
        let made = harness.plugin_named("canary.c", "made.so", &[]);
        let good = harness.path("lib/canary.so");
        fs::rename(made, &good).unwrap();
        Self { harness, good }
    }

    /// Requests a token of the plugin in a process of its own. Returns whether the constructor ran,
    /// and the output.
    fn request_token(&self, plugins: &str, change: impl FnOnce(&mut Command)) -> (bool, String) {
        let marker = self.harness.path("song");
        let _ = fs::remove_file(&marker);
        let mut command = self
            .harness
            .isolated_program(KEYFERRY, &["header", "canary:x"]);
        command
            .env("KEYFERRY_PLUGINS", plugins)
            .env("KEYFERRY_CANARY", &marker);
        change(&mut command);
        let ended = child::run(&mut command, std::time::Duration::from_secs(60));
        assert!(
            ended.out.is_empty() || ended.out == "X-Token: canary\n",
            "{}",
            ended.said()
        );
        (marker.exists(), ended.said())
    }

    /// The file is no plugin that this keyferry can load.
    #[track_caller]
    fn assert_refused(&self, plugins: &str, hint: &str) {
        self.assert_fails(1, plugins, hint);
    }

    /// The path is not safe to use: a person has to change it.
    #[track_caller]
    fn assert_unsafe(&self, plugins: &str, hint: &str) {
        self.assert_fails(3, plugins, hint);
    }

    #[track_caller]
    fn assert_fails(&self, code: i32, plugins: &str, hint: &str) {
        let (ran, said) = self.request_token(plugins, |_| ());
        assert!(!ran, "a constructor ran: {hint}: {said}");
        assert!(
            said.contains(&format!("exit status: {code}")) && said.contains(hint),
            "{hint}: {said}"
        );
    }

    fn good(&self) -> &str {
        self.good.to_str().unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_plugin_at_a_safe_path_is_loaded() {
    let canary = CanaryPlugin::new();
    let (ran, said) = canary.request_token(canary.good(), |_| ());
    assert!(ran && said.contains("X-Token: canary"), "{said}");
}

#[test]
fn twelve_unsafe_paths_run_no_constructor() {
    let canary = CanaryPlugin::new();
    let harness = &canary.harness;
    let at = |name: &str| harness.path(name).to_str().unwrap().to_owned();
    let copy = |name: &str| {
        fs::create_dir_all(harness.path(name).parent().unwrap()).unwrap();
        fs::copy(&canary.good, harness.path(name)).unwrap();
        set_mode(&harness.path(name), 0o755);
        at(name)
    };
    // 1 and 2: names that are looked for somewhere.
    canary.assert_unsafe("lib/canary.so", "is not a list of absolute paths");
    canary.assert_unsafe("canary.so", "is not a list of absolute paths");
    // 3: a bare name that the linker would find.
    let (ran, said) = canary.request_token("canary.so", |command| {
        command
            .env("LD_LIBRARY_PATH", harness.path("lib"))
            .current_dir(harness.path("lib"));
    });
    assert!(!ran && said.contains("absolute paths"), "{said}");
    // 4 and 5: links, to the file and on the way to it.
    symlink(&canary.good, harness.path("link.so")).unwrap();
    canary.assert_unsafe(&at("link.so"), "is a symbolic link");
    symlink(harness.path("lib"), harness.path("folder")).unwrap();
    canary.assert_unsafe(&at("folder/canary.so"), "is a symbolic link");
    // 6 and 7: files that others can change.
    let file = copy("open/canary.so");
    set_mode(Path::new(&file), 0o775);
    canary.assert_unsafe(
        &file,
        &format!("the file can be changed by other users; run `chmod go-w {file}`"),
    );
    set_mode(Path::new(&file), 0o757);
    canary.assert_unsafe(&file, "the file can be changed by other users");
    // 8 and 9: folders that others can change, near and far.
    let file = copy("near/canary.so");
    set_mode(&harness.path("near"), 0o777);
    canary.assert_unsafe(
        &file,
        &format!("the directory {} can be changed by other users", at("near")),
    );
    let file = copy("far/away/from/here/canary.so");
    set_mode(&harness.path("far"), 0o775);
    canary.assert_unsafe(
        &file,
        &format!("the directory {} can be changed by other users", at("far")),
    );
    // 10: no regular file.
    let status = Command::new("mkfifo")
        .arg(harness.path("pipe.so"))
        .status()
        .unwrap();
    assert!(status.success());
    canary.assert_unsafe(&at("pipe.so"), "is not a regular file");
    canary.assert_unsafe(&at("lib"), "is not a regular file");
    // 11 and 12: ways that are not what they look like.
    for (odd, cause) in [
        (
            format!("{}/../lib/canary.so", at("lib")),
            "contains `.` or `..`;",
        ),
        (format!("{}//canary.so", at("lib")), "contains `//`;"),
        (
            format!("{}/./canary.so", at("lib")),
            "contains `.` or `..`;",
        ),
        (format!("{}/", at("lib/canary.so")), "ends with `/`;"),
    ] {
        canary.assert_unsafe(
            &odd,
            &format!("its path {cause} use the path that `realpath` prints"),
        );
    }
    // And a plugin that is not there.
    canary.assert_refused(&at("gone.so"), "the file does not exist");
    assert!(canary.request_token(canary.good(), |_| ()).0);
}

#[test]
fn what_is_no_plugin_of_this_machine_runs_no_constructor() {
    let canary = CanaryPlugin::new();
    let harness = &canary.harness;
    let whole = fs::read(&canary.good).unwrap();
    let write_plugin = |name: &str, bytes: &[u8]| {
        fs::write(harness.path(name), bytes).unwrap();
        set_mode(&harness.path(name), 0o755);
        harness.path(name).to_str().unwrap().to_owned()
    };
    canary.assert_refused(
        &write_plugin("half.so", &whole[..whole.len() / 2]),
        "is truncated or damaged",
    );
    canary.assert_refused(
        &write_plugin("empty.so", b""),
        "is not a 64-bit ELF shared object",
    );
    canary.assert_refused(
        &write_plugin("text.so", b"#!/bin/sh\necho sang > song\n"),
        "is not a 64-bit ELF shared object",
    );
    let mut machine = whole.clone();
    machine[18] = 0xf3;
    canary.assert_refused(
        &write_plugin("machine.so", &machine),
        "compiled for another architecture",
    );
    // A library that is no plugin, whose constructors have run when a linker would find that out.
    let library = harness.plugin_named(
        "canary.c",
        "library.so",
        &["-Dkeyferry_plugin_entry=something_else"],
    );
    canary.assert_refused(
        library.to_str().unwrap(),
        "it exports no constant data `keyferry_plugin_entry`",
    );
    // A search path, and a name with a slash, lead to libraries that nobody has examined.
    let searching = harness.plugin_named("canary.c", "searching.so", &["-Wl,-rpath,/tmp"]);
    canary.assert_refused(
        searching.to_str().unwrap(),
        "has its own library search path",
    );
    let needing = harness.plugin_named(
        "canary.c",
        "needing.so",
        &["-Wl,--no-as-needed", searching.to_str().unwrap()],
    );
    canary.assert_refused(needing.to_str().unwrap(), "names a library by its path");
    // Another version of the ABI.
    let old = harness.plugin_named("canary.c", "old.so", &["-DMAJOR=0"]);
    canary.assert_refused(
        old.to_str().unwrap(),
        "it uses version 0 of the plugin ABI, and this keyferry supports version 1; build it against",
    );
}

#[test]
fn a_foreign_owner_is_refused_of_file_and_folder() {
    if skip::without_root() {
        return;
    }
    let canary = CanaryPlugin::new();
    let (other, file) = (Some(65534), canary.harness.path("theirs/canary.so"));
    fs::create_dir(canary.harness.path("theirs")).unwrap();
    fs::copy(&canary.good, &file).unwrap();
    chown(&file, other, None).unwrap();
    canary.assert_unsafe(file.to_str().unwrap(), "the file belongs to another user");
    chown(&file, Some(0), None).unwrap();
    chown(canary.harness.path("theirs"), other, None).unwrap();
    canary.assert_unsafe(file.to_str().unwrap(), "theirs belongs to another user");
}

/// Every cut, and every byte of the head and the tables spoiled: an answer, never a crash, and
/// never a song of what is not whole.
#[test]
fn no_damage_to_a_file_brings_the_host_down() {
    let harness = Harness::new();
    let whole = fs::read(harness.plugin("canary.c", &[])).unwrap();
    let spoiled = harness.path("spoiled.so");
    let load = |bytes: &[u8]| {
        fs::write(&spoiled, bytes).unwrap();
        set_mode(&spoiled, 0o755);
        keyferry::plugin::examine(&spoiled)
    };
    assert!(load(&whole).is_ok());
    for cut in (0..whole.len()).step_by(331) {
        assert!(load(&whole[..cut]).is_err(), "{cut}");
    }
    let mut accepted = 0;
    for at in (0..64)
        .chain(64..whole.len().min(1200))
        .step_by(3)
        .chain((whole.len().saturating_sub(2400)..whole.len()).step_by(7))
    {
        for value in [0xff, whole[at] ^ 0x10] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            accepted += usize::from(load(&bytes).is_ok());
        }
    }
    assert!(accepted > 0, "most bytes mean nothing to this");
}
