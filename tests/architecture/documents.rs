//! README, CHANGELOG and docs: links lead somewhere, names exist, each block of code is run by a
//! test, and what stands in two places is the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use keyferry::config::{Config, markdown_table};
use keyferry_testing::documents::{Block, blocks, pages};
use keyferry_testing::{compiler, skip};

use super::{breaks, file, holds, holds_in, read, with_text};

/// They name Python's and Node's names, not the header's.
const BINDINGS: [&str; 2] = ["bindings/python/README.md", "bindings/node/README.md"];
const PREFIXES: [&str; 4] = ["keyferry_", "masv_", "fileverbs_", "KEYFERRY_E_"];

/// Links to files and headings that do not exist.
fn broken_links(page: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let links = line.split("](").skip(1);
        let links = links.chain(line.split("src=\"").skip(1));
        for target in links.filter_map(|rest| rest.split([')', '"']).next()) {
            if !target.contains("://") && !leads_somewhere(page, text, target) {
                broken.push(format!("{page}:{number}: no {target}: mend the link"));
            }
        }
    }
    broken
}

fn leads_somewhere(page: &str, text: &str, target: &str) -> bool {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let target = file(page).with_file_name(path);
    if heading.is_empty() {
        return target.exists();
    }
    let other = fs::read_to_string(target).unwrap_or_default();
    let text = if path.is_empty() { text } else { &other };
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|line| anchor(line) == heading)
}

/// The anchor that GitHub gives a heading.
fn anchor(line: &str) -> String {
    let heading = line.trim_start_matches('#').trim().to_lowercase();
    let mut anchor = heading.replace(' ', "-");
    anchor.retain(|c| c.is_alphanumeric() || c == '-' || c == '_');
    anchor
}

/// Names of functions, types and constants that the header does not declare.
fn unknown_names(page: &str, text: &str) -> Vec<String> {
    let header = read("include/keyferry.h") + &read("include/keyferry_plugin.h");
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let code = header.lines().filter(|line| !line.starts_with(" *"));
    let declared: BTreeSet<_> = code.flat_map(|line| line.split(is_other)).collect();
    let mut unknown = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in line.split(|c| is_other(c) && !"….*".contains(c)) {
            let word = word.trim_end_matches('.');
            let is_name = PREFIXES.iter().any(|prefix| word.starts_with(prefix))
                || page.ends_with(".h") && word.starts_with("KEYFERRY_");
            // `keyferry_token_…` stands for many, and a name with a dot is a file or a setting.
            let is_one = !word.contains(['.', '…', '*']) && !word.ends_with('_');
            if is_name && is_one && !declared.contains(word) {
                unknown.push(format!("{page}:{number}: no {word} in the API: mend it"));
            }
        }
    }
    unknown
}

/// The numbered steps of a request's path, without line breaks and comment marks.
fn steps(path: &str) -> String {
    let text = read(path).replace("//!", "");
    let steps = text.lines().map(str::trim);
    let steps = steps.skip_while(|line| !line.starts_with("1. `ffi/"));
    let steps: Vec<_> = steps.take_while(|line| !line.is_empty()).collect();
    assert!(steps.len() > 8, "{path}: the steps could not be read");
    steps.join(" ")
}

/// The first block of a page in a language.
fn first_block(page: &str, language: &str) -> Block {
    let mut blocks = blocks(&read(page)).into_iter();
    blocks.find(|block| block.language == language).unwrap()
}

/// The tests run `c-tests/quickstart.c` and the code of the bindings' READMEs.
#[test]
fn the_readme_is_short_leads_to_every_page_and_opens_with_programs_that_tests_run() {
    let (readme, first) = (read("README.md"), first_block("README.md", "sh"));
    assert_eq!(first.text, "cargo run --release -- demo\ncargo test\n");
    assert!(first.line < 25, "README.md:{}: move it up", first.line);
    let lines = readme.lines().count();
    assert!(lines <= 220, "README.md:{lines}: move details to docs/");
    for page in pages().iter().filter(|page| *page != "README.md") {
        let is_linked = readme.contains(&format!("]({page})"));
        assert!(is_linked, "README.md: link to {page}");
    }
    let pages = ["c-tests/quickstart.c", BINDINGS[0], BINDINGS[1]];
    for (language, page) in ["c", "python", "js"].into_iter().zip(pages) {
        let (block, tested) = (first_block("README.md", language), read(page));
        let is_same = tested.contains(&block.text) && (language != "c" || tested == block.text);
        assert!(is_same, "README.md:{}: copy {page}", block.line);
    }
}

/// The others: `tests/c_abi/documents.rs`, rustdoc, the suites of the bindings, and of the programs
/// `tests/cli/documents.rs`, `tests/install.rs` and `tests/plugins/author.rs`.
#[test]
fn every_block_of_code_is_run_by_a_test() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut configurations = 0;
    for page in pages() {
        for block in blocks(&read(&page)) {
            let place = format!("{page}:{}", block.line);
            let is_run = match block.language.as_str() {
                "toml" => {
                    configurations += 1;
                    fs::write(file.path(), &block.text).unwrap();
                    let config = Config::load(Some(file.path()), Arc::new(|_| None));
                    config.err().is_none_or(|error| panic!("{place}: {error}"))
                }
                "rust" | "python" | "js" => page == "README.md",
                "cmake" => block.text.contains("PRIVATE keyferry::keyferry)"),
                language => ["c", "cpp", "sh"].contains(&language),
            };
            assert!(is_run, "{place}: no test runs this: add one");
        }
    }
    assert!(configurations >= 4, "the blocks could not be read");
}

#[test]
fn what_stands_in_two_places_is_the_same() {
    let (page, table) = ("docs/configuration.md", markdown_table());
    assert!(read(page).contains(&table), "{page}: copy this:\n{table}");
    let (page, module) = ("docs/architecture.md", "src/engine/mod.rs");
    assert_eq!(steps(page), steps(module), "{page}: copy {module}");
    let (changelog, version) = (read("CHANGELOG.md"), env!("CARGO_PKG_VERSION"));
    let newest = changelog.split("\n## ").nth(1).unwrap();
    assert!(newest.starts_with(version), "CHANGELOG.md: add {version}");
}

#[test]
fn the_pictures_and_the_scripts_are_sound() {
    if !skip::without(&["python3"]) {
        let script = file("docs/images/draw.py");
        compiler::succeed(Command::new("python3").arg(script).arg("--check"));
    }
    if !skip::without(&["bash"]) {
        for script in [".ci/run", ".ci/bare-root", ".ci/deny", "install/finish"] {
            compiler::succeed(Command::new("bash").arg("-n").arg(file(script)));
        }
    }
}

#[test]
fn documents_name_only_what_exists() {
    let mut texts: Vec<_> = pages().iter().map(|page| with_text(page)).collect();
    texts.extend(BINDINGS.map(with_text));
    holds_in(&texts, broken_links);
    // They name what was renamed, and what is in the sandbox, in Python and in Node.
    let others = ["CHANGELOG.md", "docs/testing.md", BINDINGS[0], BINDINGS[1]];
    texts.retain(|(page, _)| !others.contains(&page.as_str()));
    texts.push(with_text("include/keyferry.h"));
    holds_in(&texts, unknown_names);
    breaks(broken_links("a", "[x](b.md)"), "a:1: no b.md: mend");
    let text = "# Here it is\n[x](#here-it-is) <img src=\"#there\">";
    breaks(broken_links("README.md", text), "README.md:2: no #there");
    let good = text.replace("#there", "#here-it-is");
    holds(broken_links("README.md", &good));
    breaks(unknown_names("a", "`keyferry_x`."), "a:1: no keyferry_x in");
}
