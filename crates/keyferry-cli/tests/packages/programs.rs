//! The programs that both packages bring, run as a user of the package runs them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyferry_testing::child::{self, ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

const LIMIT: Duration = Duration::from_secs(60);

/// The directory of the programs that cargo built for this test.
pub(crate) fn built() -> PathBuf {
    let keyferry = Path::new(env!("CARGO_BIN_EXE_keyferry"));
    assert_eq!(
        keyferry.parent(),
        Path::new(env!("CARGO_BIN_EXE_git-credential-keyferry")).parent()
    );
    keyferry.parent().unwrap().to_owned()
}

/// Runs the programs with a directory first in `PATH`, as in an activated environment.
pub(crate) fn run_from(directory: &Path) {
    let harness = Harness::new();
    let path = {
        let mut path = OsString::from(directory);
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        path
    };
    let run = |arguments: &[&str]| -> ProgramOutput {
        // The shell looks for the program in its own PATH.
        let mut command = harness.program("sh", &["-c", "exec \"$@\"", "sh"]);
        child::run(command.args(arguments).env("PATH", &path), LIMIT)
    };
    let version = run(&["keyferry", "--version"]);
    assert_eq!(
        version.out.trim_end(),
        concat!("keyferry ", env!("CARGO_PKG_VERSION")),
        "{}",
        version.said()
    );
    let found = run(&["sh", "-c", "command -v keyferry git-credential-keyferry"]).out;
    for line in found.lines() {
        assert!(Path::new(line).starts_with(directory), "{found}");
    }
    let status = run(&["keyferry", "status"]);
    assert!(
        status.status.success() && status.out.contains("masv"),
        "{}",
        status.said()
    );
    ask_git(&harness, &path);
}

/// Asks git for a credential, which the helper gets.
fn ask_git(harness: &Harness, path: &OsString) {
    let arguments = [
        "-c",
        "credential.helper=",
        "-c",
        "credential.helper=keyferry",
        "credential",
        "fill",
    ];
    let asked = format!("url={}/a.git\n\n", harness.sandbox().fileverbs_url());
    let mut git = harness.program("git", &arguments);
    let filled = run_with_input(git.env("PATH", path), &asked);
    assert_eq!(
        (filled.code, filled.line("username")),
        (Some(0), Some("default")),
        "{}",
        filled.said()
    );
}

/// Fails unless every user may read the file, and execute it if it is a program.
pub(crate) fn assert_mode(path: &Path, is_program: bool) {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let expected = if is_program { 0o755 } else { 0o644 };
    assert_eq!(mode, expected, "{}: {mode:o}", path.display());
}
