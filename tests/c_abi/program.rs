//! Makes a program of `c-tests`, linked with the shared library.

use std::path::PathBuf;
use std::process::Command;

use keyferry_testing::compiler;
use keyferry_testing::host::{self, HostHarness};

/// The program, ready to run in a place.
pub(crate) fn compile(source: &str, place: &HostHarness) -> PathBuf {
    let source = host::file(&format!("c-tests/{source}"));
    let program = place.path("program");
    let mut command = compiler::strict(&source);
    command.arg("-I").arg(host::file("include")).arg("-o").arg(&program);
    command.arg("-L").arg(place.path("lib")).args(["-lkeyferry", "-pthread", "-ldl"]);
    compiler::succeed(&mut command);
    program
}

/// Gives a command the place's environment and its library.
pub(crate) fn dress<'a>(command: &'a mut Command, place: &HostHarness) -> &'a mut Command {
    place.dress(command).env("LD_LIBRARY_PATH", place.path("lib"))
}
