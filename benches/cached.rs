//! Measures cache hits through the C ABI: compiles `load.c`, `hit.c` and `stall.c` against the
//! release library and runs them. Run `cargo bench --package keyferry-testing`. Compare the ratios
//! rather than the times, which depend on the machine's load.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use keyferry_testing::files::{beside, file};
use keyferry_testing::harness::Harness;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("cached: {error}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    check_is_released(&beside("libkeyferry.so"))?;
    let harness = Harness::with_library();
    let plugin = plugin(harness.folder())?;
    for name in ["load", "hit", "stall"] {
        let mut command = Command::new(compile(name, &harness)?);
        harness
            .set_test_environment(&mut command)
            .env("LD_LIBRARY_PATH", harness.path("lib"))
            .env("HIT_PLUGIN", &plugin);
        if name == "load" {
            command.arg(harness.path("lib/libkeyferry.so.0"));
        }
        // The first load reads the library from the disk, so `load` runs 5 times.
        for _ in 0..if name == "load" { 5 } else { 1 } {
            if !command.status()?.success() {
                return Err(format!("{name} failed").into());
            }
        }
    }
    Ok(())
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

fn compiler() -> Result<Command, Failure> {
    Ok(keyferry_testing::compiler::optimizing()?)
}

/// Compiles a plugin whose service has a token for each id, and returns its path.
fn plugin(folder: &Path) -> Result<PathBuf, Failure> {
    let made = folder.join("tables.so");
    let mut command = compiler()?;
    command
        .arg(file("c-tests/plugins/tables.c"))
        .args(["-shared", "-fPIC", "-o"])
        .arg(&made);
    // The header line is as long as in the rows for the built-in services: 600 bytes.
    command.arg(format!(
        "-DVALUE=\"{}\"",
        "v".repeat(600 - "X-Token: \0".len())
    ));
    let status = command
        .arg(format!("-I{}", file("include").display()))
        .status()?;
    if status.success() {
        Ok(made)
    } else {
        Err("cannot compile the plugin".into())
    }
}

fn compile(name: &str, harness: &Harness) -> Result<PathBuf, Failure> {
    let program = harness.path(name);
    let status = compiler()?
        .arg(file(&format!("benches/{name}.c")))
        .arg(format!("-I{}", file("include").display()))
        .arg(format!("-L{}", harness.path("lib").display()))
        .args(["-o".as_ref(), program.as_os_str()])
        .args([
            "-Wall",
            "-Wextra",
            "-Werror",
            "-lkeyferry",
            "-lpthread",
            "-ldl",
        ])
        .status()?;
    if status.success() {
        Ok(program)
    } else {
        Err(format!("cannot compile {name}.c").into())
    }
}
