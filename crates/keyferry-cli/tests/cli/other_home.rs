//! Every command as root with the directories of another user, which `sudo` may keep: nothing is
//! created or changed in them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use keyferry_sandbox::credentials as c;
use keyferry_testing::skip;

use crate::programs::{HELPER, KEYFERRY, Programs, protocol_and_host};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

const OTHER_USER: u32 = 12345;

/// A command of `keyferry`, its arguments, and its input.
type Row<'a> = (&'a str, &'a [&'a str], &'a str);

const COMMANDS: [Row<'_>; 32] = [
    ("demo", &[], ""),
    ("sandbox", &["--tls"], ""),
    ("login", &["masv"], ""),
    (
        "login",
        &["masv", "--email", c::EMAIL, "--save", "file"],
        c::PASSWORD,
    ),
    (
        "login",
        &["masv", "--with-key", "--save", "file"],
        c::API_KEY,
    ),
    ("login", &["fileverbs"], ""),
    ("login", &["fileverbs", "--save", "file"], c::SECRET_KEY),
    (
        "login",
        &["masv", "--email", c::EMAIL, "--profile", "new"],
        c::PASSWORD,
    ),
    ("login", &["agent"], ""),
    ("status", &[], ""),
    ("status", &["--json"], ""),
    ("header", &["user"], ""),
    ("curl", &["user"], ""),
    ("token", &["fileverbs:bearer"], ""),
    ("reject", &["user"], ""),
    ("setup", &["git", "--yes"], ""),
    ("setup", &["bazel", "--yes"], ""),
    ("setup", &["curl", "--yes"], ""),
    ("setup", &["git", "--undo", "--yes"], ""),
    ("completions", &["bash"], ""),
    ("exec", &["--", "true"], ""),
    ("agent", &[], ""),
    ("agent", &["sign-in"], ""),
    ("explain", &["user"], ""),
    ("doctor", &[], ""),
    ("plugin", &["list"], ""),
    ("config", &[], ""),
    ("get", &[], "{\"uri\":\"http://127.0.0.1:1/\"}"),
    ("git", &["capability"], ""),
    ("help", &[], ""),
    ("logout", &[], ""),
    ("logout", &["masv"], ""),
];

/// Path, owner, inode, and time of change of all files below a directory, and of itself.
fn snapshot(path: &Path) -> Vec<(PathBuf, u32, u64, i64, i64)> {
    let facts = fs::symlink_metadata(path).unwrap();
    let (seconds, nanoseconds) = (facts.ctime(), facts.ctime_nsec());
    let mut all = vec![(
        path.to_owned(),
        facts.uid(),
        facts.ino(),
        seconds,
        nanoseconds,
    )];
    if facts.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            all.extend(snapshot(&entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

/// Gives a directory and all that is in it to the other user.
fn give_away(path: &Path) {
    for (path, ..) in snapshot(path) {
        chown(path, Some(OTHER_USER), None).unwrap();
    }
}

/// A harness with the home `theirs` of another user, which has these directories.
fn with_theirs(dirs: &[&str]) -> Harness {
    let harness = Harness::new();
    fs::create_dir(harness.path("theirs")).unwrap();
    for dir in dirs {
        fs::create_dir_all(harness.path("theirs").join(dir)).unwrap();
    }
    give_away(&harness.path("theirs"));
    harness
}

fn run(command: &mut Command, variables: &[(&str, PathBuf)], input: &str) -> ProgramOutput {
    command.env_remove("KEYFERRY_STORE");
    run_with_input(command.envs(variables.iter().cloned()), input)
}

/// Runs every command. Fails if it changes the other user's home.
fn run_all(harness: &Harness, variables: &[(&str, PathBuf)]) {
    let theirs = harness.path("theirs");
    let before = snapshot(&theirs);
    for (name, arguments, input) in COMMANDS {
        let arguments = [&[name], arguments].concat();
        let output = run(&mut harness.program(KEYFERRY, &arguments), variables, input);
        assert!(
            output.code.is_some_and(|code| code != 2),
            "{name}: {output:?}"
        );
        assert_eq!(snapshot(&theirs), before, "{arguments:?}: {output:?}");
    }
    let host = protocol_and_host(harness.sandbox().fileverbs_url());
    let stored = format!("{host}username=default\npassword=typed\n");
    for (word, input) in [("get", &host), ("store", &stored), ("erase", &stored)] {
        let output = run(&mut harness.program(HELPER, &[word]), variables, input);
        assert!(
            output.code.is_some_and(|code| code != 2),
            "{word}: {output:?}"
        );
        assert_eq!(snapshot(&theirs), before, "{word}: {output:?}");
    }
}

#[test]
fn the_list_has_every_command() {
    let help = Harness::new().keyferry(&["--help"]).out;
    let commands = help.split_once("Commands:\n").unwrap().1;
    let commands = commands.split("\n\n").next().unwrap();
    let mut count = 0;
    // The name of a command is indented by two spaces, and the rest of its text by more.
    for line in commands.lines().filter(|line| !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(
            COMMANDS.iter().any(|(command, ..)| *command == name),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 16, "{help}");
}

#[test]
fn no_command_changes_the_home_of_another_user() {
    if skip::without_root() {
        return;
    }
    let own = |harness: &Harness| ("HOME", harness.path("home"));
    let kept = |harness: &Harness, names: [&str; 4]| {
        [
            "XDG_STATE_HOME",
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
            "TMPDIR",
        ]
        .into_iter()
        .zip(names.map(|name| harness.path("theirs").join(name)))
        .collect::<Vec<_>>()
    };
    let usual = [".local/state", ".local/share", ".config", "tmp"];
    for (dirs, has_own_home) in [
        (&[][..], true),
        (&[".local"], false),
        (&usual, true),
        (
            &[
                ".local/state/keyferry",
                ".local/share/keyferry",
                ".config/keyferry",
            ],
            false,
        ),
    ] {
        let harness = with_theirs(dirs);
        let mut variables = kept(&harness, usual);
        variables.extend(has_own_home.then(|| own(&harness)));
        variables.extend((!has_own_home).then(|| ("HOME", harness.path("theirs"))));
        run_all(&harness, &variables);
        // HOME alone, as some versions of sudo keep it.
        run_all(
            &harness,
            &[
                ("HOME", harness.path("theirs")),
                ("TMPDIR", harness.path("theirs")),
            ],
        );
    }
}

#[test]
fn a_secret_is_not_saved_in_the_home_of_another_user() {
    if skip::without_root() {
        return;
    }
    let harness = with_theirs(&[]);
    let arguments = ["login", "masv", "--email", c::EMAIL, "--save", "file"];
    let config_home = ("XDG_CONFIG_HOME", harness.path("theirs/absent"));
    for variables in [&[("HOME", harness.path("theirs"))][..], &[config_home]] {
        let mut command = harness.program_without_secrets(KEYFERRY, &arguments);
        let output = run_with_input(command.envs(variables.iter().cloned()), c::PASSWORD);
        output.assert_error(3, "sudo -H");
        let owner = format!("theirs belongs to another user (uid {OTHER_USER})");
        assert!(output.err.contains(&owner), "{}", output.err);
    }
    assert_eq!(
        harness.sandbox().count("login"),
        0,
        "it fails before the login"
    );
    assert_eq!(fs::read_dir(harness.path("theirs")).unwrap().count(), 0);
}

/// `chown` would take the file from its owner.
#[test]
fn doctor_does_not_advise_root_to_take_the_configuration_of_another_user() {
    if skip::without_root() {
        return;
    }
    let harness = with_theirs(&[".config/keyferry", ".local/state/keyferry"]);
    let config = harness.path("theirs/.config/keyferry/config.toml");
    fs::write(&config, "").unwrap();
    give_away(&harness.path("theirs"));
    let mut command = harness.program(KEYFERRY, &["doctor"]);
    let output = run(&mut command, &[("HOME", harness.path("theirs"))], "");
    assert_eq!(output.code, Some(3), "{output:?}");
    let line = output.out.lines().find(|line| line.contains("config.toml"));
    let line = line.unwrap_or_else(|| panic!("{output:?}"));
    assert!(line.contains("`sudo -H`"), "{line}");
    let all = output.out + &output.err;
    assert!(!all.contains("chown"), "{all}");
}
