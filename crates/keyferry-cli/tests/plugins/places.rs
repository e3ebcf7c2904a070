//! Where a plugin may not stand: refused before a single constructor has run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use keyferry_testing::child;
use keyferry_testing::plugins::harness::PluginHarness;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");

/// A canary that sings when a constructor of it runs.
struct Cage {
    stage: PluginHarness,
    good: PathBuf,
}

impl Cage {
    fn new() -> Self {
        let stage = PluginHarness::set();
        fs::create_dir(stage.path("lib")).unwrap();
        let made = stage.plugin_as("canary.c", "made.so", &[]);
        let good = stage.path("lib/canary.so");
        fs::rename(made, &good).unwrap();
        Self { stage, good }
    }

    /// Asks for a token of the canary's service in a process of its own.
    fn ask(&self, plugins: &str, change: impl FnOnce(&mut Command)) -> (bool, String) {
        let song = self.stage.path("song");
        let _ = fs::remove_file(&song);
        let mut command = self.stage.program(KEYFERRY, &["header", "canary:x"]);
        command.env("KEYFERRY_PLUGINS", plugins).env("KEYFERRY_CANARY", &song);
        change(&mut command);
        let ended = child::run(&mut command, std::time::Duration::from_secs(60));
        assert!(ended.out.is_empty() || ended.out == "X-Token: canary\n", "{}", ended.said());
        (song.exists(), ended.said())
    }

    #[track_caller]
    fn refuses(&self, plugins: &str, hint: &str) {
        let (sang, said) = self.ask(plugins, |_| ());
        assert!(!sang, "a constructor ran: {hint}: {said}");
        assert!(said.contains("exit status: 1") && said.contains(hint), "{hint}: {said}");
    }

    fn good(&self) -> &str {
        self.good.to_str().unwrap()
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_canary_sings_where_it_stands_well() {
    let cage = Cage::new();
    let (sang, said) = cage.ask(cage.good(), |_| ());
    assert!(sang && said.contains("X-Token: canary"), "{said}");
}

#[test]
fn twelve_unsafe_places_run_no_constructor() {
    let cage = Cage::new();
    let stage = &cage.stage;
    let at = |name: &str| stage.path(name).to_str().unwrap().to_owned();
    let copy = |name: &str| {
        fs::create_dir_all(stage.path(name).parent().unwrap()).unwrap();
        fs::copy(&cage.good, stage.path(name)).unwrap();
        mode(&stage.path(name), 0o755);
        at(name)
    };
    // 1 and 2: names that are looked for somewhere.
    cage.refuses("lib/canary.so", "is not a list of absolute paths");
    cage.refuses("canary.so", "is not a list of absolute paths");
    // 3: a bare name that the linker would find.
    let (sang, said) = cage.ask("canary.so", |command| {
        command.env("LD_LIBRARY_PATH", stage.path("lib")).current_dir(stage.path("lib"));
    });
    assert!(!sang && said.contains("absolute paths"), "{said}");
    // 4 and 5: links, to the file and on the way to it.
    symlink(&cage.good, stage.path("link.so")).unwrap();
    cage.refuses(&at("link.so"), "which is a link");
    symlink(stage.path("lib"), stage.path("folder")).unwrap();
    cage.refuses(&at("folder/canary.so"), "which is a link");
    // 6 and 7: files that others can change.
    let file = copy("open/canary.so");
    mode(Path::new(&file), 0o775);
    cage.refuses(&file, &format!("can be changed by others: chmod go-w {file}"));
    mode(Path::new(&file), 0o757);
    cage.refuses(&file, "can be changed by others");
    // 8 and 9: folders that others can change, near and far.
    let file = copy("near/canary.so");
    mode(&stage.path("near"), 0o777);
    cage.refuses(&file, &format!("below {}, which others can change", at("near")));
    let file = copy("far/away/from/here/canary.so");
    mode(&stage.path("far"), 0o775);
    cage.refuses(&file, &format!("below {}, which others can change", at("far")));
    // 10: no regular file.
    let status = Command::new("mkfifo").arg(stage.path("pipe.so")).status().unwrap();
    assert!(status.success());
    cage.refuses(&at("pipe.so"), "is not a regular file");
    cage.refuses(&at("lib"), "regular file");
    // 11 and 12: ways that are not what they look like.
    for odd in [format!("{}/../lib/canary.so", at("lib")), format!("{}//canary.so", at("lib")), format!("{}/./canary.so", at("lib"))] {
        cage.refuses(&odd, "no plain absolute path");
    }
    // And a plugin that is not there.
    cage.refuses(&at("gone.so"), "is not there");
    assert!(cage.ask(cage.good(), |_| ()).0);
}

#[test]
fn what_is_no_plugin_of_this_machine_runs_no_constructor() {
    let cage = Cage::new();
    let stage = &cage.stage;
    let whole = fs::read(&cage.good).unwrap();
    let spoil = |name: &str, bytes: &[u8]| {
        fs::write(stage.path(name), bytes).unwrap();
        mode(&stage.path(name), 0o755);
        stage.path(name).to_str().unwrap().to_owned()
    };
    cage.refuses(&spoil("half.so", &whole[..whole.len() / 2]), "is not whole");
    cage.refuses(&spoil("empty.so", b""), "is no shared object");
    cage.refuses(&spoil("text.so", b"#!/bin/sh\necho sang > song\n"), "is no shared object");
    let mut machine = whole.clone();
    machine[18] = 0xf3;
    cage.refuses(&spoil("machine.so", &machine), "another kind of machine");
    // A library that is no plugin, whose constructors have run when a linker would find that out.
    let library = stage.plugin_as("canary.c", "library.so", &["-Dkeyferry_plugin_entry=something_else"]);
    cage.refuses(library.to_str().unwrap(), "exports no constant data `keyferry_plugin_entry`");
    // A search path, and a name with a slash, lead to libraries that nobody has examined.
    let searching = stage.plugin_as("canary.c", "searching.so", &["-Wl,-rpath,/tmp"]);
    cage.refuses(searching.to_str().unwrap(), "has a search path of its own");
    let needing = stage.plugin_as("canary.c", "needing.so", &["-Wl,--no-as-needed", searching.to_str().unwrap()]);
    cage.refuses(needing.to_str().unwrap(), "needs a library by a path");
    // Another version of the ABI.
    let old = stage.plugin_as("canary.c", "old.so", &["-DMAJOR=0"]);
    cage.refuses(old.to_str().unwrap(), "speaks version 0 of the plugin ABI, and this keyferry takes 1: build it against");
}

#[test]
fn a_foreign_owner_is_refused_of_file_and_folder() {
    let cage = Cage::new();
    let (other, file) = (Some(65534), cage.stage.path("theirs/canary.so"));
    fs::create_dir(cage.stage.path("theirs")).unwrap();
    fs::copy(&cage.good, &file).unwrap();
    if chown(&file, other, None).is_err() {
        // Only root can give a file away; continuous integration is root.
        return;
    }
    cage.refuses(file.to_str().unwrap(), "belongs to another user");
    chown(&file, Some(0), None).unwrap();
    chown(cage.stage.path("theirs"), other, None).unwrap();
    cage.refuses(file.to_str().unwrap(), "which belongs to another user");
}

/// Every cut, and every byte of the head and the tables spoiled: an answer, never a crash, and never a song of what is not whole.
#[test]
fn no_damage_to_a_file_brings_the_host_down() {
    let stage = PluginHarness::set();
    let whole = fs::read(stage.plugin("canary.c", &[])).unwrap();
    let spoiled = stage.path("spoiled.so");
    let load = |bytes: &[u8]| {
        fs::write(&spoiled, bytes).unwrap();
        mode(&spoiled, 0o755);
        keyferry::plugin::examine(&spoiled)
    };
    assert!(load(&whole).is_ok());
    for cut in (0..whole.len()).step_by(331) {
        assert!(load(&whole[..cut]).is_err(), "{cut}");
    }
    let mut accepted = 0;
    for at in (0..64).chain(64..whole.len().min(1200)).step_by(3).chain((whole.len().saturating_sub(2400)..whole.len()).step_by(7)) {
        for value in [0xff, whole[at] ^ 0x10] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            accepted += usize::from(load(&bytes).is_ok());
        }
    }
    assert!(accepted > 0, "most bytes mean nothing to this");
}
