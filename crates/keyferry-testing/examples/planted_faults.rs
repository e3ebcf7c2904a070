//! Shows that the tests behind the promises of SECURITY.md can fail: plants each fault of
//! `tests/planted_faults.toml` in a copy of the repository, and runs the test that must notice it.
//!
//! `cargo run -p keyferry-testing --example planted_faults [NAME...]` plants the faults with these
//! names, or all. It compiles the copy once for each fault, which takes about an hour for all.
//! Exits with 1 if a test does not notice its fault.
#![expect(clippy::print_stdout, reason = "the result of the program")]
#![expect(clippy::unwrap_used, reason = "an error ends the program")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use keyferry_testing::files;
use keyferry_testing::planted_faults::{PlantedFault, planted_faults};

/// A test that takes longer has noticed its fault: it hangs. In seconds.
const MAX_TEST_SECONDS: &str = "900";

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut faults = planted_faults();
    for name in &names {
        if faults.iter().all(|fault| fault.name != *name) {
            println!("there is no fault {name}; tests/planted_faults.toml has the names");
            return ExitCode::FAILURE;
        }
    }
    faults.retain(|fault| names.is_empty() || names.contains(&fault.name));
    let copy = tempfile::tempdir().unwrap();
    copy_repository(copy.path());
    let mut unnoticed = 0;
    for fault in faults {
        let outcome = plant(&fault, copy.path());
        unnoticed += usize::from(outcome.is_err());
        let (Ok(text) | Err(text)) = outcome;
        println!("{}: {text}", fault.name);
    }
    println!("not noticed: {unnoticed}");
    ExitCode::from(u8::from(unnoticed > 0))
}

/// Copies the files that git tracks, and those that it neither tracks nor ignores.
fn copy_repository(to: &Path) {
    let status = Command::new("sh")
        .arg("-ec")
        .arg("git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --no-dereference -t \"$0\"; git init -q \"$0\"")
        .arg(to)
        .current_dir(files::file(""))
        .status()
        .unwrap();
    assert!(status.success(), "cannot copy the repository");
}

/// Plants a fault, runs its test, and removes the fault. The error says why the fault was not
/// noticed.
fn plant(fault: &PlantedFault, copy: &Path) -> Result<String, String> {
    let path = copy.join(&fault.file);
    let sound = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, fault.planted_in(&sound)?).unwrap();
    let outcome = match fault.shell_command() {
        Some(command) => run_command(fault, command, copy),
        None => run_test(fault, copy),
    };
    std::fs::write(&path, sound).unwrap();
    outcome
}

/// Runs a shell command, which must fail and print the sign of the fault.
fn run_command(fault: &PlantedFault, command: &str, copy: &Path) -> Result<String, String> {
    let output = limited(&["bash", "-euc", command], copy);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let is_noticed = fault
        .sign
        .as_ref()
        .is_some_and(|sign| text.contains(sign.as_str()));
    if output.status.success() || !is_noticed {
        return Err(format!("NOT NOTICED by `{command}`: {text}"));
    }
    Ok(format!("noticed by `{command}`"))
}

fn run_test(fault: &PlantedFault, copy: &Path) -> Result<String, String> {
    let built = cargo_test(fault, copy, &["--no-run"]);
    let output = built.status.success().then(|| cargo_test(fault, copy, &[]));
    let Some(output) = output else {
        let errors = String::from_utf8_lossy(&built.stderr);
        let error = errors.lines().find(|line| line.starts_with("error"));
        return Err(format!("does not compile: {}", error.unwrap_or("no error")));
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("running 1 test") {
        return Err(format!("there is no test {}", fault.test));
    }
    if output.status.success() {
        return Err(format!("NOT NOTICED by {}", fault.test));
    }
    Ok(format!("noticed by {}", fault.test))
}

/// Runs `cargo test` for the test of a fault.
fn cargo_test(fault: &PlantedFault, copy: &Path, more: &[&str]) -> Output {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = [&[cargo.as_str(), "test"], more, &fault.cargo_arguments()].concat();
    limited(&arguments, copy)
}

/// Runs a program in the copy for at most [`MAX_TEST_SECONDS`].
fn limited(words: &[&str], copy: &Path) -> Output {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| files::file("target"), PathBuf::from)
        .join("planted-faults");
    Command::new("timeout")
        .arg(MAX_TEST_SECONDS)
        .args(words)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap()
}
