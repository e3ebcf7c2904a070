//! Makes a program of `c-tests`, linked with the shared library.

use std::path::PathBuf;
use std::process::Command;

use keyferry_testing::compiler;
use keyferry_testing::files;
use keyferry_testing::host::HostHarness;

/// Compiles a program into the harness's folder.
pub(crate) fn compile(source: &str, harness: &HostHarness) -> PathBuf {
    let source = files::file(&format!("c-tests/{source}"));
    let program = harness.path("program");
    let mut command = compiler::strict(&source);
    command
        .arg("-I")
        .arg(files::file("include"))
        .arg("-o")
        .arg(&program);
    command
        .arg("-L")
        .arg(harness.path("lib"))
        .args(["-lkeyferry", "-pthread", "-ldl"]);
    compiler::succeed(&mut command);
    program
}

/// Gives a command the harness's environment and its library.
pub(crate) fn set_environment<'a>(
    command: &'a mut Command,
    harness: &HostHarness,
) -> &'a mut Command {
    harness
        .dress(command)
        .env("LD_LIBRARY_PATH", harness.path("lib"))
}
