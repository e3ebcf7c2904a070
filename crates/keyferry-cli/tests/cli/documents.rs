//! The shell code of the documents, run by a real shell against the sandbox. Each page is one
//! script, with an empty home.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use keyferry_sandbox::credentials as c;
use keyferry_testing::documents::{self, Block, blocks};
use keyferry_testing::skip;

use super::programs::{HELPER, KEYFERRY};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;

/// Blocks that build or install something: their first words, and what runs them instead.
const RUN_ELSEWHERE: [(&str, &str); 7] = [
    ("cargo run --release -- demo\ncargo test\n", ".ci/run"),
    ("make\nsudo make install", "tests/install.rs and .ci/run"),
    ("c++ -std=c++17 quickstart.cpp", "tests/install.rs"),
    ("cc quickstart.c", "tests/install.rs"),
    ("cc -std=c99 -shared", "tests/plugins/author.rs"),
    ("sudo install -D", "tests/plugins/author.rs"),
    ("pip install", "tests/packages"),
];

fn is_run_here(block: &Block) -> bool {
    block.language == "sh"
        && !RUN_ELSEWHERE
            .iter()
            .any(|(words, _)| block.text.starts_with(words))
}

/// A script with a page's blocks. Commands that ask for a password read it from a file.
fn script(blocks: &[Block], harness: &Harness) -> String {
    let url = format!(
        "{}/v1/packages/{}/files",
        harness.sandbox().masv_url(),
        c::PACKAGE_ID
    );
    let link = format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    let mut script = format!("set -euo pipefail\nurl='{url}'\nlink='{link}'\n");
    for block in blocks.iter().filter(|block| is_run_here(block)) {
        for line in documents::with_sandbox(&block.text, harness.sandbox()).lines() {
            let command = line.split("  #").next().unwrap_or(line);
            if command.starts_with("keyferry login ") {
                script += &format!("{command} < ../password\n");
            } else {
                script += &format!("{line}\n");
            }
        }
    }
    script
}

#[test]
fn every_shell_block_runs() {
    if skip::without(&["curl"]) {
        return;
    }
    let mut run = 0;
    for page in documents::pages() {
        let blocks = blocks(&documents::read(&page));
        if !blocks.iter().any(is_run_here) {
            continue;
        }
        let harness = Harness::watching_arguments();
        let programs = harness.path("bin");
        fs::create_dir(&programs).unwrap();
        for program in [KEYFERRY, HELPER] {
            let name = std::path::Path::new(program).file_name().unwrap();
            symlink(program, programs.join(name)).unwrap();
        }
        // Stands for the reader's own program.
        let quickstart = harness.path("work/quickstart");
        fs::write(&quickstart, "#!/bin/sh\nexec keyferry header \"$1\"\n").unwrap();
        fs::set_permissions(&quickstart, PermissionsExt::from_mode(0o755)).unwrap();
        harness.write_private_file("password", c::PASSWORD);

        let path = std::env::join_paths(
            std::iter::once(programs)
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        // A file: the script contains a secret, which must not be in an argument list.
        let script = script(&blocks, &harness);
        let file = harness.write_private_file("script", &script);
        let mut command = harness.program("bash", &[file.to_str().unwrap()]);
        command
            .env("PATH", path.unwrap())
            .env("KEYFERRY_STORE", "file");
        let output = run_with_input(&mut command, "");
        assert_eq!(output.code, Some(0), "{page}: {}\n{script}", output.err);
        run += 1;
    }
    assert!(run >= 4, "only {run} pages have shell code");
}

#[test]
fn the_picture_of_the_demo_shows_what_the_demo_prints() {
    if skip::without(&["python3"]) {
        return;
    }
    let script = keyferry_testing::files::file("docs/images/draw.py");
    let mut draw = std::process::Command::new("python3");
    keyferry_testing::compiler::succeed(draw.arg(script).args(["demo", KEYFERRY, "--check"]));
}
