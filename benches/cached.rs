//! Measures cache hits through the C ABI: compiles `load.c`, `hit.c` and `stall.c` against the
//! release library and runs them. Run `cargo bench --package keyferry-testing`. Compare the ratios
//! rather than the times, which depend on the machine's load.

use std::process::{Command, ExitCode};

use keyferry_testing::bench::{self, Failure};
use keyferry_testing::harness::Harness;

fn main() -> ExitCode {
    bench::run("cached", run)
}

fn run() -> Result<(), Failure> {
    let harness = Harness::with_library();
    let plugin = bench::plugin("c-tests/plugins/tables.c", &harness)?;
    for name in ["load", "hit", "stall"] {
        let mut command = Command::new(bench::program(name, &harness)?);
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
