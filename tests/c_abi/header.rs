//! The headers compile alone and twice, in every dialect that they promise, with both compilers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use keyferry_testing::{compiler, files, skip};

const C: [&str; 2] = ["c99", "c11"];
const CPP: [&str; 2] = ["c++17", "c++20"];
const WARNINGS: [&str; 7] = [
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wundef",
    "-Werror",
];

/// Includes each header twice, and nothing before it.
fn compiles(tool: &str, language: &str, dialects: &[&str], header: &str, folder: &Path) {
    let source = folder.join(format!("{tool}-{header}.{language}"));
    fs::write(&source, format!("#include <{header}>\n#include <{header}>\nint main(void);\nint main(void) {{ return 0; }}\n")).unwrap();
    for dialect in dialects {
        let mut command = Command::new(tool);
        command
            .arg(format!("-std={dialect}"))
            .args(WARNINGS)
            .arg("-fsyntax-only")
            .arg("-I")
            .arg(files::file("include"))
            .arg(&source);
        compiler::succeed(&mut command);
    }
}

fn compiles_with(c: &str, cpp: &str) {
    if skip::without(&[c, cpp]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    compiles(c, "c", &C, "keyferry.h", folder.path());
    compiles(cpp, "cpp", &CPP, "keyferry.h", folder.path());
    compiles(cpp, "cpp", &CPP, "keyferry.hpp", folder.path());
}

#[test]
fn the_headers_compile_alone_and_twice_with_gcc() {
    compiles_with("gcc", "g++");
}

#[test]
fn the_headers_compile_alone_and_twice_with_clang() {
    compiles_with("clang", "clang++");
}

/// The names before a bracket that a text declares or calls, comments left out.
fn functions(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/']))
        .collect::<Vec<_>>()
        .join("\n");
    let before_bracket = code.match_indices('(').map(|(at, _)| {
        code[..at]
            .rsplit(|c| !is_word(c))
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    before_bracket
        .filter(|name| {
            ["keyferry_", "masv_", "fileverbs_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

/// The list of exported functions, each with the version that it came in.
pub(crate) fn symbols() -> BTreeSet<String> {
    let text = fs::read_to_string(files::file("c-tests/symbols.txt")).unwrap();
    let names: Vec<_> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap().0.to_owned())
        .collect();
    assert!(names.is_sorted());
    names.into_iter().collect()
}

#[test]
fn the_header_declares_exactly_the_listed_functions() {
    assert_eq!(
        functions(&fs::read_to_string(files::file("include/keyferry.h")).unwrap()),
        symbols()
    );
}

#[test]
fn each_function_says_the_version_that_the_list_says() {
    let header = fs::read_to_string(files::file("include/keyferry.h")).unwrap();
    let list = fs::read_to_string(files::file("c-tests/symbols.txt")).unwrap();
    for (name, version) in list.lines().map(|line| line.split_once(' ').unwrap()) {
        let before = header
            .split(&format!("{name}("))
            .find(|part| part.contains("Since:"))
            .unwrap();
        let since = before
            .rsplit("Since:")
            .next()
            .unwrap()
            .split_whitespace()
            .next();
        assert_eq!(since, Some(version), "{name}");
    }
}

#[test]
fn every_function_is_called_with_null() {
    let called = functions(&fs::read_to_string(files::file("c-tests/null_arguments.c")).unwrap());
    assert_eq!(
        symbols().difference(&called).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn the_cpp_wrapper_reaches_every_function() {
    let text = fs::read_to_string(files::file("include/keyferry.hpp")).unwrap();
    // The status that the call returned is the same, and is there also where no object could be
    // made.
    let needless = "keyferry_error_status";
    for name in symbols().iter().filter(|name| *name != needless) {
        assert!(
            text.contains(name.as_str()),
            "{name} has no place in keyferry.hpp"
        );
    }
}
