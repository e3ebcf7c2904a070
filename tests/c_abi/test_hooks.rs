//! The feature `test-hooks` is in the library that the tests use, and in no library that is
//! released. `.ci/run` looks for the hooks in the files that `make` builds.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::{compiler, files};

const HOOKS: [&str; 3] = [
    "5panic9injection",
    "6plugin9test_host",
    "panic injected by a test",
];

fn find_hooks(library: &Path) -> ProgramOutput {
    child::run(
        Command::new(files::file(".ci/find-test-hooks")).arg(library),
        Duration::from_secs(60),
    )
}

#[test]
fn the_check_of_released_files_finds_each_hook() {
    for library in ["libkeyferry.so", "libkeyferry.a"] {
        let ended = find_hooks(&files::beside(library));
        for hook in HOOKS {
            assert!(ended.out.contains(hook), "{library}: {}", ended.said());
        }
        assert!(ended.status.success(), "{}", ended.said());
    }
    let ended = find_hooks(&files::file("Cargo.toml"));
    assert_eq!(
        (ended.status.code(), ended.out.as_str()),
        (Some(1), ""),
        "{}",
        ended.said()
    );
    let ended = find_hooks(&files::file("no-such-file"));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.said());
}

/// Returns the features of the library for each package that depends on it.
fn features_of_the_library(edges: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(files::file(""))
        .args(["tree", "--offline", "--locked", "--workspace"])
        .args(["--prefix", "none", "--no-dedupe", "--edges", edges])
        .args(["--format", "{p} {f}"]);
    let tree = compiler::succeed(&mut command).out;
    let lines = tree.lines().filter(|line| line.starts_with("keyferry v"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect()
}

/// cargo builds the library with the features that any selected package asks for, so no package
/// of the workspace may ask for the hooks as a dependency.
#[test]
fn only_dev_dependencies_enable_the_hooks() {
    let released = features_of_the_library("normal,build");
    assert!(released.len() >= 3, "{released:?}");
    for features in &released {
        assert_eq!(features, "default,wiping-alloc");
    }
    let tested = features_of_the_library("normal,build,dev");
    assert!(
        tested
            .iter()
            .any(|features| features.contains("test-hooks")),
        "{tested:?}"
    );
}
