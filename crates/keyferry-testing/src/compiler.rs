//! Compiles C and C++ programs against the headers, with warnings as errors.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::{self, ProgramOutput};

const LIMIT: Duration = Duration::from_secs(120);

/// Returns the debug compiler command that `cc` finds for this target.
pub fn debugging(cpp: bool) -> Command {
    build()
        .cpp(cpp)
        .opt_level(0)
        .debug(true)
        .get_compiler()
        .to_command()
}

/// Returns the C compiler command for this target with optimisation, for benchmarks.
///
/// # Errors
/// Returns the error of `cc` if there is no compiler.
pub fn optimizing() -> Result<Command, cc::Error> {
    build()
        .opt_level(2)
        .try_get_compiler()
        .map(|compiler| compiler.to_command())
}

fn build() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .target(env!("KEYFERRY_TESTING_TARGET"))
        .host(env!("KEYFERRY_TESTING_HOST"));
    build
}

/// Returns whether a source is C++.
pub fn is_cpp(source: &Path) -> bool {
    source
        .extension()
        .is_some_and(|extension| extension == "cpp")
}

/// Returns a command that compiles one source with all warnings as errors. The caller adds the
/// output and the libraries.
pub fn strict(source: &Path) -> Command {
    let cpp = is_cpp(source);
    let mut command = debugging(cpp);
    command.args(if cpp {
        ["-std=c++17", "-Wconversion"]
    } else {
        ["-std=c99", "-Wstrict-prototypes"]
    });
    command
        .args(["-Wall", "-Wextra", "-pedantic", "-Werror"])
        .arg(source);
    command
}

/// Runs a compiler command. Panics with the compiler's output if the command fails.
pub fn succeed(command: &mut Command) -> ProgramOutput {
    let ended = child::run(command, LIMIT);
    assert!(ended.status.success(), "{command:?}: {}", ended.said());
    ended
}
