//! Measures how fast a session gets tokens that it stores, through the C ABI: compiles `save.c`
//! against the release library and runs it. Run
//! `cargo bench --package keyferry-testing --bench save`. The stores are in a directory of their own
//! on the disk of temporary files, or in `KEYFERRY_BENCH_FOLDER`. Compare the file store with the
//! memory store of the same run rather than the times, which depend on the machine's load.

use std::process::{Command, ExitCode};

use keyferry_testing::bench::{self, Failure};
use keyferry_testing::harness::Harness;

fn main() -> ExitCode {
    bench::run("save", run)
}

fn run() -> Result<(), Failure> {
    let harness = Harness::with_library();
    let folder = match std::env::var_os("KEYFERRY_BENCH_FOLDER") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let mut command = Command::new(bench::program("save", &harness)?);
    let status = harness
        .set_test_environment(&mut command)
        .env("LD_LIBRARY_PATH", harness.path("lib"))
        .env(
            "SAVE_PLUGIN",
            bench::plugin("benches/save_plugin.c", &harness)?,
        )
        .arg(folder.path())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("save failed".into())
    }
}
