//! Makes a C or C++ program, linked with the shared library.

use std::path::{Path, PathBuf};
use std::process::Command;

use keyferry_testing::compiler;
use keyferry_testing::files;
use keyferry_testing::harness::Harness;

/// Compiles a program of `c-tests` into the harness's folder.
pub(crate) fn compile(source: &str, harness: &Harness) -> PathBuf {
    compile_file(&files::file(&format!("c-tests/{source}")), harness)
}

/// Compiles a program into the harness's folder.
pub(crate) fn compile_file(source: &Path, harness: &Harness) -> PathBuf {
    compile_with(source, harness, &[])
}

/// Compiles a program with these options into the harness's folder.
pub(crate) fn compile_with(source: &Path, harness: &Harness, options: &[&str]) -> PathBuf {
    let program = harness.path("program");
    let mut command = compiler::strict(source);
    command
        .arg("-I")
        .arg(files::file("include"))
        .arg("-o")
        .arg(&program);
    command
        .arg("-L")
        .arg(harness.path("lib"))
        .args(["-lkeyferry", "-pthread", "-ldl"])
        .args(options);
    compiler::succeed(&mut command);
    program
}

/// Gives a command the harness's environment and its library.
pub(crate) fn set_environment<'a>(command: &'a mut Command, harness: &Harness) -> &'a mut Command {
    harness
        .set_test_environment(command)
        .env("LD_LIBRARY_PATH", harness.path("lib"))
}
