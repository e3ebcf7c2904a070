//! Compiles the C programs of the benchmarks, and checks the library that they measure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::compiler;
use crate::files::{beside, file};
use crate::harness::Harness;
use crate::skip;

pub type Failure = Box<dyn std::error::Error>;

/// Runs a benchmark. Writes its error to standard error.
pub fn run(name: &str, benchmark: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    let Err(error) = check_is_released(&beside("libkeyferry.so")).and_then(|()| benchmark()) else {
        return ExitCode::SUCCESS;
    };
    let message = format_args!("{name}: {error}\n");
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), message);
    ExitCode::FAILURE
}

/// Refuses a library with the test hooks: users don't have it, and each call of it costs more.
/// `cargo bench` without `--package` builds such a library, with the features of all packages.
fn check_is_released(library: &Path) -> Result<(), Failure> {
    let hook = b"panic injected by a test";
    let bytes = std::fs::read(library)?;
    if bytes.windows(hook.len()).any(|bytes| bytes == hook) {
        return Err(
            "the library has test hooks; run `cargo bench --package keyferry-testing`".into(),
        );
    }
    Ok(())
}

/// Compiles the program `benches/NAME.c`, which is linked with the library, and returns its path.
///
/// # Errors
/// An error if there is no compiler or the program has a fault.
pub fn program(name: &str, harness: &Harness) -> Result<PathBuf, Failure> {
    let libraries = [
        format!("-L{}", harness.path("lib").display()),
        "-lkeyferry".to_owned(),
    ];
    compile(name, &libraries, harness)
}

/// Compiles the program `benches/NAME.c`, which is linked with these libraries, by their names for
/// pkg-config, and returns its path.
///
/// # Errors
/// An error if there is no compiler, a library is missing, or the program has a fault.
pub fn client(name: &str, libraries: &[&str], harness: &Harness) -> Result<PathBuf, Failure> {
    let mut flags = Vec::new();
    for library in libraries {
        let found = Command::new("pkg-config")
            .args(["--cflags", "--libs", library])
            .output()
            .ok()
            .filter(|output| output.status.success());
        let Some(found) = found else {
            let package = skip::library_package(library);
            return Err(format!(
                "cannot compile benches/{name}.c: pkg-config does not find {library}; install the packages pkg-config and {package}"
            )
            .into());
        };
        let found = String::from_utf8(found.stdout)?;
        flags.extend(found.split_whitespace().map(str::to_owned));
    }
    compile(name, &flags, harness)
}

fn compile(name: &str, flags: &[String], harness: &Harness) -> Result<PathBuf, Failure> {
    let program = harness.path(name);
    let mut command = compiler::optimizing()?;
    command
        .arg(file(&format!("benches/{name}.c")))
        .args(["-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .args(["-lpthread", "-ldl"]);
    succeed(&mut command, &program)?;
    Ok(program)
}

/// Compiles a plugin, and returns its path. Its tokens have a header line of 600 bytes, as long as
/// that of the built-in services in the benchmarks.
///
/// # Errors
/// An error if there is no compiler or the plugin has a fault.
pub fn plugin(source: &str, harness: &Harness) -> Result<PathBuf, Failure> {
    let plugin = harness.path("plugin.so");
    let value = "v".repeat(600 - "X-Token: \0".len());
    let mut command = compiler::optimizing()?;
    command
        .arg(file(source))
        .args(["-shared", "-fPIC"])
        .arg(format!("-DVALUE=\"{value}\""));
    succeed(&mut command, &plugin)?;
    Ok(plugin)
}

fn succeed(compile: &mut Command, output: &Path) -> Result<(), Failure> {
    let include = format!("-I{}", file("include").display());
    let status = compile
        .arg(include)
        .arg("-o")
        .arg(output)
        .status()
        .map_err(|error| {
            let compiler = compile.get_program().display();
            format!("cannot start the C compiler {compiler}: {error}; install gcc")
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cannot compile {}", output.display()).into())
    }
}
