//! The C and C++ programs of the documents, compiled and run against the sandbox.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::child;
use keyferry_testing::documents::{self, blocks};
use keyferry_testing::harness::Harness;

const LIMIT: Duration = Duration::from_secs(60);

/// The steps of docs/plugins.md are parts of one plugin: `tests/plugins/author.rs` of the programs
/// compiles and runs it.
const PLUGIN_PAGE: &str = "docs/plugins.md";

#[test]
fn every_c_and_cpp_program_runs() {
    let mut languages = Vec::new();
    for page in documents::pages()
        .iter()
        .filter(|page| *page != PLUGIN_PAGE)
    {
        for block in blocks(&documents::read(page)) {
            if !["c", "cpp"].contains(&block.language.as_str()) {
                continue;
            }
            let harness = Harness::with_library();
            let source = harness.path(&format!("block.{}", block.language));
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
            languages.push(block.language);
        }
    }
    assert!(languages.iter().filter(|name| *name == "c").count() >= 5);
    assert!(languages.iter().filter(|name| *name == "cpp").count() >= 2);
}
