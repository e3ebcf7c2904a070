//! Compiles C and C++ against the header, every warning an error.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::child::{self, Ended};
use crate::support::place;

const LIMIT: Duration = Duration::from_secs(120);

/// The compiler that `cc` finds for this target.
fn compiler(cpp: bool) -> Command {
    cc::Build::new()
        .cpp(cpp)
        .cargo_metadata(false)
        .target(env!("KEYFERRY_TARGET"))
        .host(env!("KEYFERRY_HOST"))
        .opt_level(0)
        .debug(true)
        .get_compiler()
        .to_command()
}

fn is_cpp(source: &Path) -> bool {
    source.extension().is_some_and(|extension| extension == "cpp")
}

/// A command that compiles one source with all warnings, without saying what it is to make of it.
pub fn strict(source: &Path) -> Command {
    let cpp = is_cpp(source);
    let mut command = compiler(cpp);
    command.args(if cpp { ["-std=c++17", "-Wconversion"] } else { ["-std=c99", "-Wstrict-prototypes"] });
    command.args(["-Wall", "-Wextra", "-pedantic", "-Werror"]).arg(source);
    command
}

/// Runs a compiler's command and shows what it said if it failed.
pub fn succeed(command: &mut Command) -> Ended {
    let ended = child::run(command, LIMIT);
    assert!(ended.status.success(), "{command:?}: {}", ended.said());
    ended
}

/// Makes a program of `c-tests` in `folder`, linked with the library in `libraries`.
pub fn program(name: &str, folder: &Path, libraries: &Path) -> PathBuf {
    let source = place::file(&format!("c-tests/{name}"));
    let program = folder.join(source.file_stem().unwrap());
    let mut command = strict(&source);
    command.arg("-I").arg(place::file("include")).arg("-o").arg(&program);
    command.arg("-L").arg(libraries).args(["-lkeyferry", "-pthread", "-ldl"]);
    succeed(&mut command);
    program
}
