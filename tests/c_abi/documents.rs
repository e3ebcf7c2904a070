//! The C and C++ programs of the documents, compiled and run against the sandbox.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::child;
use keyferry_testing::documents::{self, blocks};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

const LIMIT: Duration = Duration::from_secs(60);

/// The steps of docs/plugins.md are parts of one plugin: `tests/plugins/author.rs` of the programs
/// compiles and runs it.
const PLUGIN_PAGE: &str = "docs/plugins.md";

/// Compiles and runs the programs of all pages in one language, and returns their number.
fn run_programs_in(language: &str) -> usize {
    let mut run = 0;
    for page in documents::pages()
        .iter()
        .filter(|page| *page != PLUGIN_PAGE)
    {
        for block in blocks(&documents::read(page)) {
            if block.language != language {
                continue;
            }
            let harness = Harness::with_library();
            let source = harness.path(&format!("block.{language}"));
            let code = documents::with_sandbox(&block.text, harness.sandbox());
            fs::write(&source, code).unwrap();
            let program = program::compile_file(&source, &harness);
            let mut command = Command::new(program);
            let ended = child::run(program::set_environment(&mut command, &harness), LIMIT);
            assert!(
                ended.status.success() && !ended.out.is_empty() && ended.err.is_empty(),
                "{page}:{}: {}",
                block.line,
                ended.said()
            );
            run += 1;
        }
    }
    run
}

#[test]
fn every_c_program_runs() {
    assert!(run_programs_in("c") >= 5);
}

#[test]
fn every_cpp_program_runs() {
    if skip::without(&["c++"]) {
        return;
    }
    assert!(run_programs_in("cpp") >= 2);
}
