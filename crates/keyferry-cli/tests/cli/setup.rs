//! `keyferry setup`: real git then gets its credentials from keyferry, and everything that the user
//! had written stays as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

use crate::programs::{HELPER, KEYFERRY};
use crate::terminal::TerminalSession;

const USERS_GIT_CONFIG: &str =
    "# mine\n[user]\n\tname = Me ; here\n[credential]\n\thelper = store\n";

/// The content, the permissions and the type of a file.
fn state(path: &Path) -> Option<(Vec<u8>, u32, bool)> {
    let facts = fs::symlink_metadata(path).ok()?;
    let mode = fs::metadata(path).unwrap().permissions().mode();
    Some((fs::read(path).unwrap(), mode, facts.is_symlink()))
}

fn setup(harness: &Harness, words: &[&str]) -> ProgramOutput {
    let words = [&["setup"], words].concat();
    run_with_input(&mut harness.program(KEYFERRY, &words), "")
}

/// Runs `keyferry setup` and requires success.
#[track_caller]
fn succeed(harness: &Harness, words: &[&str], saying: &str) -> String {
    let output = setup(harness, words);
    assert!(
        output.code == Some(0) && output.err.is_empty() && output.out.contains(saying),
        "{words:?}: {output:?}"
    );
    output.out
}

/// A directory with both programs, as `make install` makes it.
fn installed(harness: &Harness) -> PathBuf {
    let bin = harness.path("bin");
    fs::create_dir(&bin).unwrap();
    for program in [KEYFERRY, HELPER] {
        symlink(program, bin.join(Path::new(program).file_name().unwrap())).unwrap();
    }
    bin
}

fn path_with(dir: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let dirs = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).unwrap()
}

fn fill(harness: &Harness, url: &str) -> ProgramOutput {
    let mut command = harness.program("git", &["credential", "fill"]);
    run_with_input(
        command.env("GIT_ASKPASS", "/bin/false"),
        &format!("url={url}\n\n"),
    )
}

#[test]
fn git_gets_its_credential_after_setup_and_not_after_undo() {
    let harness = Harness::watching_arguments();
    let file = harness.write_file("home/.gitconfig", USERS_GIT_CONFIG, 0o640);
    let before = state(&file);
    let url = format!("{}/v1/user", harness.sandbox().masv_url());
    assert_ne!(fill(&harness, &url).code, Some(0));

    let said = succeed(&harness, &["git", "--yes"], "git now uses keyferry");
    let shown = format!(
        "  git config --global credential.{}.useHttpPath true",
        harness.sandbox().masv_url()
    );
    assert!(said.lines().any(|line| line == shown), "{said}");
    let filled = fill(&harness, &url);
    assert!(
        filled.code == Some(0) && filled.line("username") == Some("X-User-Token"),
        "{filled:?}"
    );
    let fileverbs = fill(&harness, harness.sandbox().fileverbs_url());
    assert_eq!(fileverbs.line("username"), Some("default"), "{fileverbs:?}");
    // git hands the token to no other helper: the file of the helper `store` is not there.
    let approve = ["credential", "approve"];
    run_with_input(&mut harness.program("git", &approve), &filled.out).assert_silent();
    assert!(!harness.path("home/.git-credentials").exists());
    // No other host is asked for.
    assert_ne!(fill(&harness, "https://elsewhere.example/x").code, Some(0));

    let changed = state(&file);
    succeed(&harness, &["git", "--yes"], "git already uses keyferry");
    assert_eq!(state(&file), changed, "a second setup changes nothing");

    succeed(
        &harness,
        &["git", "--undo", "--yes"],
        "git no longer uses keyferry",
    );
    assert_eq!(state(&file), before);
    assert_ne!(fill(&harness, &url).code, Some(0));
    succeed(&harness, &["git", "--undo", "--yes"], "nothing to undo");
    assert_eq!(state(&file), before);
    harness.assert_no_secret_in_argv();
}

#[test]
fn a_helper_on_the_path_is_set_by_its_name_and_nothing_else_is_left() {
    let harness = Harness::new();
    let bin = installed(&harness);
    let run = |words: &[&str]| {
        let mut command = harness.program(KEYFERRY, words);
        let output = run_with_input(command.env("PATH", path_with(&bin)), "");
        assert_eq!(output.code, Some(0), "{output:?}");
        output.out
    };
    let said = run(&["setup", "git", "--yes"]);
    assert!(said.contains(".helper keyferry\n"), "{said}");
    run(&["setup", "git", "--undo", "--yes"]);
    assert_eq!(state(&harness.path("home/.gitconfig")), None);

    let said = run(&["setup", "bazel", "--yes"]);
    let program = bin.join("keyferry");
    assert!(
        said.contains(&format!("={}\n", program.display())),
        "{said}"
    );
    run(&["setup", "bazel", "--undo", "--yes"]);
    assert_eq!(state(&harness.path("home/.bazelrc")), None);
}

#[test]
fn what_the_user_has_set_is_neither_changed_nor_removed() {
    let harness = Harness::new();
    let url = harness.sandbox().masv_url().to_owned();
    let path_set = format!("[credential \"{url}\"]\n\tuseHttpPath = true\n\tusername = me\n");
    let file = harness.write_file("home/.gitconfig", &path_set, 0o600);
    let before = state(&file);
    succeed(&harness, &["git", "--yes"], "now uses");
    succeed(&harness, &["git", "--undo", "--yes"], "no longer");
    assert_eq!(state(&file), before, "useHttpPath is the user's");

    for (line, hint) in [
        (
            "helper = !echo password=canary",
            "another helper is set for",
        ),
        ("useHttpPath = false", "useHttpPath is false"),
    ] {
        fs::write(&file, format!("[credential \"{url}\"]\n\t{line}\n")).unwrap();
        let before = state(&file);
        let refused = setup(&harness, &["git", "--yes"]);
        refused.assert_error(3, hint);
        assert!(
            refused.err.contains("git config --global --unset-all")
                && !refused.err.contains("canary"),
            "{refused:?}"
        );
        succeed(&harness, &["git", "--undo", "--yes"], "nothing to undo");
        assert_eq!(state(&file), before);
    }

    let option = "build --credential_helper=127.0.0.1=/other\n";
    let file = harness.write_file("home/.bazelrc", option, 0o600);
    setup(&harness, &["bazel", "--yes"]).assert_error(3, "already has a --credential_helper");
    assert_eq!(fs::read_to_string(file).unwrap(), option);

    let script = harness.write_file("home/.local/bin/kcurl", "#!/bin/sh\n# mine\n", 0o700);
    setup(&harness, &["curl", "--yes"]).assert_error(3, "keyferry did not create it");
    succeed(&harness, &["curl", "--undo", "--yes"], "nothing to undo");
    assert_eq!(fs::read_to_string(script).unwrap(), "#!/bin/sh\n# mine\n");
}

#[test]
fn bazels_file_keeps_every_byte_its_mode_and_its_link() {
    let harness = Harness::new();
    for (text, mode) in [
        ("build -c opt\n", 0o644),
        ("# no line break at the end", 0o600),
        ("build \\\n  --x\r\n\n\n", 0o664),
    ] {
        // As a manager of dotfiles links it.
        let file = harness.write_file("home/dotfiles/bazelrc", text, mode);
        let link = harness.path("home/.bazelrc");
        let _ = fs::remove_file(&link);
        symlink("dotfiles/bazelrc", &link).unwrap();
        let before = state(&link);
        let said = succeed(&harness, &["bazel", "--yes"], "Bazel now uses keyferry");
        let added = format!("common --credential_helper=127.0.0.1={KEYFERRY}\n");
        assert!(said.contains(&format!("  + {added}")), "{said}");
        let (changed, changed_mode, is_link) = state(&link).unwrap();
        let changed = String::from_utf8(changed).unwrap();
        assert!(
            changed.contains(&added) && changed.ends_with(text),
            "{changed}"
        );
        assert_eq!(state(&file).unwrap().1, changed_mode);
        assert!(is_link && changed_mode & 0o777 == mode, "{changed_mode:o}");
        succeed(&harness, &["bazel", "--yes"], "already");
        succeed(&harness, &["bazel", "--undo", "--yes"], "no longer");
        assert_eq!(state(&link), before);
        let left: Vec<_> = fs::read_dir(harness.path("home/dotfiles"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
    let link = harness.path("home/.bazelrc");
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    setup(&harness, &["bazel", "--yes"]).assert_error(3, "a file that does not exist");
    assert!(!link.exists() && fs::symlink_metadata(link).is_ok());
}

#[test]
fn bazel_gets_its_headers_from_the_program_in_the_line() {
    let harness = Harness::watching_arguments();
    succeed(&harness, &["bazel", "--yes"], "now uses");
    let text = fs::read_to_string(harness.path("home/.bazelrc")).unwrap();
    let program = text
        .lines()
        .find_map(|line| line.strip_prefix("common --credential_helper=127.0.0.1="));
    let request = format!("{{\"uri\": \"{}/v1/user\"}}", harness.sandbox().masv_url());
    let mut command = harness.program(program.unwrap(), &["get"]);
    let answer = run_with_input(&mut command, &request);
    assert!(
        answer.code == Some(0) && answer.out.contains("X-User-Token"),
        "{answer:?}"
    );
}

#[test]
fn kcurl_passes_its_arguments_to_keyferry() {
    let harness = Harness::new();
    let script = harness.path("home/.local/bin/kcurl");
    let said = succeed(&harness, &["curl", "--yes"], "kcurl is installed");
    assert!(said.contains("to PATH"), "{said}");
    let text = fs::read_to_string(&script).unwrap();
    assert!(
        text.ends_with(&format!("\nexec '{KEYFERRY}' curl -- \"$@\"\n")),
        "{text}"
    );
    let mut command = harness.program(&script, &["--help", "a b"]);
    let output = run_with_input(&mut command, "");
    assert!(!output.said().contains("kcurl:"), "{output:?}");
    succeed(&harness, &["curl", "--yes"], "already installed");
    succeed(&harness, &["curl", "--undo", "--yes"], "kcurl is removed");
    assert_eq!(state(&script), None);
}

#[test]
fn nothing_changes_without_a_yes() {
    let harness = Harness::new();
    let output = setup(&harness, &["git"]);
    assert!(
        output.code == Some(2)
            && output.err.contains("add --yes")
            && output.out.contains("git config --global --add"),
        "{output:?}"
    );
    assert_eq!(state(&harness.path("home/.gitconfig")), None);
    for (answer, code, is_changed) in [("\n", 1, false), ("n\n", 1, false), ("y\n", 0, true)] {
        let mut session =
            TerminalSession::start(&mut harness.program(KEYFERRY, &["setup", "bazel"]));
        session.expect("[y/N] ");
        session.send(answer);
        let (seen, ended) = session.end();
        assert_eq!(ended, Some(code), "{answer:?}: {seen}");
        assert_eq!(harness.path("home/.bazelrc").exists(), is_changed, "{seen}");
    }
}
