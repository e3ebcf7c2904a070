//! The beginning of files, and numbers that stand in one place only.

use super::code::{self, File};

fn opens_with_what_it_is(file: &File) -> Vec<String> {
    let opens = file.text.starts_with("//! ");
    (!opens)
        .then(|| format!("{}:1: opens without `//! `: say what it is for", file.path))
        .into_iter()
        .collect()
}

/// A version as a word of its own, not as a part of an address.
fn holds_version(text: &str, version: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '.');
    let alone = |at: usize| {
        let after = &text[at + version.len()..];
        !is_part(text[..at].chars().next_back()) && !after.starts_with(|c: char| c.is_ascii_digit())
    };
    text.match_indices(version).any(|(at, _)| alone(at))
}

/// The places where the version is typed again.
fn typed_again(path: &str, text: &str, version: &str) -> Vec<String> {
    let comment = |line: &str| line.trim_start().starts_with(['/', '*']);
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !comment(line) && holds_version(line, version));
    lines
        .map(|(line, _)| {
            format!(
                "{path}:{}: types the version {version} again: take it from Cargo.toml",
                line + 1
            )
        })
        .collect()
}

/// The number after a mark in a text.
fn number_after(text: &str, mark: &str) -> Option<u32> {
    let rest = text.split(mark).nth(1)?;
    rest.chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .ok()
}

fn same_abi(build: &str, header: &str) -> Vec<String> {
    let soname = number_after(build, "libkeyferry.so.");
    let number = number_after(header, "#define KEYFERRY_ABI_VERSION ");
    let agree = soname.is_some() && soname == number;
    (!agree).then(|| format!("build.rs: SONAME has ABI {soname:?}, include/keyferry.h has {number:?}: make them one")).into_iter().collect()
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, read, rust};

    #[test]
    fn every_file_opens_with_what_it_is() {
        holds(
            rust(&["src", "crates", "tests", "benches", "build.rs"])
                .iter()
                .flat_map(opens_with_what_it_is)
                .collect(),
        );
        breaks(
            &opens_with_what_it_is(&File::new("src/a.rs", "use x;\n")),
            "src/a.rs:1: opens without",
        );
    }

    #[test]
    fn the_abi_number_is_the_same_everywhere() {
        let header = read("include/keyferry.h");
        holds(same_abi(&read("build.rs"), &header));
        assert_eq!(
            number_after(&header, "#define KEYFERRY_ABI_VERSION "),
            Some(keyferry::ffi::version::KEYFERRY_ABI_VERSION)
        );
        breaks(
            &same_abi("libkeyferry.so.1", "#define KEYFERRY_ABI_VERSION 0"),
            "make them one",
        );
        breaks(&same_abi("", ""), "make them one");
    }

    #[test]
    fn the_version_is_typed_once() {
        let version = env!("CARGO_PKG_VERSION");
        let folders = [
            "src", "crates", "include", "install", "c-tests", "tests", "benches", ".ci",
            "Makefile", "build.rs", "bindings",
        ];
        let all = folders
            .iter()
            .filter(|folder| code::exists(folder))
            .flat_map(|folder| code::paths(folder, ""));
        // npm reads a version nowhere else than in its manifest: a test of the bindings compares
        // it.
        let all = all.filter(|path| path != "bindings/node/package.json");
        let text = all
            .filter(|path| !path.ends_with(".pyc"))
            .map(|path| (read(&path), path));
        holds(
            text.flat_map(|(text, path)| typed_again(&path, &text, version))
                .collect(),
        );
        breaks(
            &typed_again("a", "\nlet v = \"1.2.3\";", "1.2.3"),
            "a:2: types the version",
        );
        holds(typed_again(
            "a",
            "/// as `1.2.3`\nlet address = \"127.1.2.3\";",
            "1.2.3",
        ));
    }
}
