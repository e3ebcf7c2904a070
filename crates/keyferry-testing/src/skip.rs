//! Skips tests that can't run on this machine. `.ci/run` counts the lines that are printed here,
//! and fails unless there are none.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

/// Each line has a program and its Debian package.
const PROGRAMS: &str = include_str!("../../../.ci/programs.txt");
/// Each line has a library, by its name for pkg-config, and its Debian package.
const LIBRARIES: &str = include_str!("../../../.ci/libraries.txt");

/// Skips the current test if one of the programs is not installed.
///
/// Panics if `.ci/programs.txt` doesn't have the program, because `.ci/run` then doesn't install it.
#[must_use = "the caller returns if the test is skipped"]
pub fn without(programs: &[&str]) -> bool {
    report_missing(programs, |name| package("programs.txt", name), is_installed)
}

/// Skips the current test if pkg-config is not installed, or does not find one of the libraries.
///
/// Panics if `.ci/libraries.txt` doesn't have the library, because `.ci/run` then doesn't install
/// it.
#[must_use = "the caller returns if the test is skipped"]
pub fn without_libraries(libraries: &[&str]) -> bool {
    let is_found = |name: &str| {
        let found = Command::new("pkg-config").args(["--exists", name]).status();
        found.is_ok_and(|status| status.success())
    };
    without(&["pkg-config"])
        || report_missing(libraries, |name| package("libraries.txt", name), is_found)
}

fn report_missing(
    names: &[&str],
    package: impl Fn(&str) -> &'static str,
    is_installed: impl Fn(&str) -> bool,
) -> bool {
    let missing = names
        .iter()
        .map(|name| (name, package(name)))
        .find(|(name, _)| !is_installed(name));
    if let Some((name, package)) = missing {
        report(&format!(
            "{name} is not installed; install the package {package}"
        ));
    }
    missing.is_some()
}

/// Skips the current test unless git has at least this major and minor version.
#[must_use = "the caller returns if the test is skipped"]
pub fn without_git(oldest: (u32, u32)) -> bool {
    let output = Command::new("git").arg("--version").output();
    let text = output.map_or_else(
        |error| format!("cannot start git: {error}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let is_new_enough = git_version(&text).is_some_and(|version| version >= oldest);
    if !is_new_enough {
        let (major, minor) = oldest;
        report(&format!(
            "git {major}.{minor} is needed, but this is: {text}; install a newer package git"
        ));
    }
    !is_new_enough
}

/// Reads the major and minor version from the output of `git --version`.
fn git_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Skips the current test unless it runs as root.
#[must_use = "the caller returns if the test is skipped"]
pub fn without_root() -> bool {
    // `/proc/self` belongs to the effective user of this process.
    let is_root = fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0);
    if !is_root {
        report("only root can change the owner of a file; run the tests as root");
    }
    !is_root
}

/// Skips the current test unless strace is installed and may trace.
#[must_use = "the caller returns if the test is skipped"]
pub fn without_strace() -> bool {
    if without(&["strace"]) {
        return true;
    }
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    let is_allowed = traced.is_ok_and(|status| status.success());
    if !is_allowed {
        report("strace may not trace; allow ptrace, for example with CAP_SYS_PTRACE");
    }
    !is_allowed
}

/// Skips the current test unless this machine has an IPv6 loopback address.
#[must_use = "the caller returns if the test is skipped"]
pub fn without_ipv6() -> bool {
    let is_there = TcpListener::bind("[::1]:0").is_ok();
    if !is_there {
        report("no address ::1; enable IPv6 on the loopback interface");
    }
    !is_there
}

/// Prints that the current test is skipped, with the reason and the remedy. The functions above
/// call this; a test calls it only for a reason that no other test has.
pub fn report(reason: &str) {
    let program = env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_string_lossy();
    let target = program
        .rsplit_once('-')
        .map_or(&*program, |(target, _)| target);
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("*** SKIPPED {target}::{test}: {reason}\n");
    // The test runner captures `eprintln!`, but not this.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Returns the Debian package of a library in `.ci/libraries.txt`.
pub fn library_package(library: &str) -> &'static str {
    package("libraries.txt", library)
}

/// Returns the Debian package that a list has for a program or a library.
fn package(list: &str, name: &str) -> &'static str {
    let lines = match list {
        "programs.txt" => PROGRAMS,
        _ => LIBRARIES,
    };
    lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(listed, _)| *listed == name)
        .map(|(_, package)| package)
        .unwrap_or_else(|| panic!("add {name} and its package to .ci/{list}"))
}

fn is_installed(program: &str) -> bool {
    let is_program = |path: &Path| {
        path.metadata()
            .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|folder| is_program(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_the_list_has_a_package() {
        let lines = PROGRAMS.lines().filter(|line| !line.starts_with('#'));
        let programs: Vec<_> = lines.map(|line| line.split_once(' ').unwrap().0).collect();
        assert!(programs.len() >= 20 && programs.is_sorted(), "{programs:?}");
        for program in programs {
            assert!(!package("programs.txt", program).is_empty(), "{program}");
        }
    }

    #[test]
    fn every_library_of_the_list_has_a_package() {
        let lines = LIBRARIES.lines().filter(|line| !line.starts_with('#'));
        let libraries: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
        assert!(libraries.is_sorted() && libraries.len() >= 3);
        assert!(
            libraries
                .iter()
                .all(|(_, package)| package.starts_with("lib") || package.ends_with("-dev"))
        );
    }

    #[test]
    #[should_panic(expected = "add libcurll and its package to .ci/libraries.txt")]
    fn a_library_that_is_not_in_the_list_is_a_mistake() {
        package("libraries.txt", "libcurll");
    }

    #[test]
    #[should_panic(expected = "add curll and its package to .ci/programs.txt")]
    fn a_program_that_is_not_in_the_list_is_a_mistake() {
        let _ = without(&["curll"]);
    }

    #[test]
    fn versions_of_git_are_compared_by_number() {
        assert_eq!(git_version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(git_version("git version 2.50.1 (Apple)"), Some((2, 50)));
        assert!(git_version("git version 2.100.0").unwrap() > (2, 46));
        assert!(git_version("git version 3.0.0").unwrap() > (2, 46));
        assert_eq!(git_version("cannot start git: not found"), None);
    }

    /// Runs itself without programs, and with output captured as in `cargo test`.
    #[test]
    fn a_skipped_test_names_itself_the_program_and_its_package_despite_the_capture() {
        const CHILD: &str = "TEST_SKIPPED";
        if env::var_os(CHILD).is_some() {
            assert!(without(&["bash", "curl"]));
            assert!(!without(&[]));
            return;
        }
        let name = thread::current().name().unwrap().to_owned();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(CHILD, "1")
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(out.contains("1 passed"), "{out}{err}");
        assert_eq!(
            err,
            format!(
                "*** SKIPPED keyferry_testing::{name}: bash is not installed; install the package bash\n"
            )
        );
    }
}
