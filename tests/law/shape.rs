//! The size and the beginning of files, and numbers that stand in one place only.

use super::code::{self, File};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
/// What rustfmt holds code to, and leaves comments alone with.
const COLUMNS: usize = 140;

fn too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let whole = (lines > FILE_LINES).then(|| format!("{}: has {lines} lines, more than {FILE_LINES}: split it by ideas", file.path));
    let long = functions(file).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES);
    let long =
        long.map(|(at, name, lines)| file.complain(at, &format!("`{name}` has {lines} lines, more than {FUNCTION_LINES}: split it")));
    whole.into_iter().chain(long).collect()
}

/// Functions with a body: place, name, lines.
fn functions(file: &File) -> Vec<(usize, String, usize)> {
    let with_body = |at: &usize| {
        let mut depth = 0_i32;
        let ends = file.code[*at..].chars().find(|c| {
            depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
            depth == 0 && matches!(c, '{' | ';')
        });
        let name = file.code[at + 2..].trim_start();
        name.starts_with(|c: char| c.is_alphabetic() || c == '_') && ends.is_some_and(|c| c != ';')
    };
    let measure = |at: usize| {
        let block = file.block(at);
        let name = file.code[at + 2..].trim_start().split(['(', '<']).next().unwrap_or_default().to_owned();
        (at, name, file.line(block.end - 1) - file.line(at) + 1)
    };
    file.words("fn").into_iter().filter(with_body).map(measure).collect()
}

/// Comments that are too wide. A row of a table can't be broken.
fn too_wide(path: &str, text: &str) -> Vec<String> {
    let is_comment = |line: &str| ["//", "/*", "* "].iter().any(|mark| line.starts_with(mark));
    let is_row = |line: &str| line.trim_start_matches(['/', '!', '*', ' ']).starts_with('|');
    let lines = text.lines().enumerate().filter(|(_, line)| is_comment(line.trim_start()) && !is_row(line.trim_start()));
    let wide = lines.map(|(at, line)| (at + 1, line.chars().count())).filter(|(_, columns)| *columns > COLUMNS);
    wide.map(|(at, columns)| format!("{path}:{at}: a comment of {columns} columns, more than {COLUMNS}: wrap it")).collect()
}

fn opens_with_what_it_is(file: &File) -> Vec<String> {
    let opens = file.text.starts_with("//! ");
    (!opens)
        .then(|| format!("{}:1: opens without `//! `: say what it is, what it imports, what it doesn't do", file.path))
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
    let lines = text.lines().enumerate().filter(|(_, line)| !comment(line) && holds_version(line, version));
    lines.map(|(line, _)| format!("{path}:{}: types the version {version} again: take it from Cargo.toml", line + 1)).collect()
}

/// The number after a mark in a text.
fn number_after(text: &str, mark: &str) -> Option<u32> {
    let rest = text.split(mark).nth(1)?;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn same_abi(build: &str, header: &str) -> Vec<String> {
    let soname = number_after(build, "libkeyferry.so.");
    let number = number_after(header, "#define KEYFERRY_ABI_VERSION ");
    let agree = soname.is_some() && soname == number;
    (!agree).then(|| format!("build.rs: SONAME has ABI {soname:?}, include/keyferry.h has {number:?}: make them one")).into_iter().collect()
}

mod tests {
    use super::*;
    use crate::law::code::{breaks, holds, read, rust};

    #[test]
    fn files_and_functions_are_short() {
        let all = rust(&["src", "tests", "benches", "build.rs"]);
        assert!(all.iter().map(|file| functions(file).len()).sum::<usize>() > 1000, "the functions could not be counted");
        holds(all.iter().flat_map(too_long).collect());
        breaks(&too_long(&File::new("src/a.rs", &"\n".repeat(401))), "src/a.rs: has 401 lines");
        let long = format!("trait T {{ fn a(); }}\nfn b(x: fn(u8) -> u8) -> [u8; 1] {{\n{}}}\n", "    c();\n".repeat(59));
        breaks(&too_long(&File::new("src/a.rs", &long)), "src/a.rs:2: `b` has 61 lines");
    }

    #[test]
    fn comments_are_no_wider_than_code() {
        let folders = ["src", "include", "c-tests", "tests", "benches", "bindings", "build.rs"];
        let is_text = |path: &String| [".rs", ".h", ".hpp", ".c", ".cpp", ".js", ".mjs", ".ts"].iter().any(|ending| path.ends_with(ending));
        let all = folders.iter().flat_map(|folder| code::paths(folder, "")).filter(is_text);
        holds(all.flat_map(|path| too_wide(&path, &read(&path))).collect());
        let wide = "x".repeat(COLUMNS);
        breaks(&too_wide("a", &format!("\n    // {wide}")), "a:2: a comment of 147 columns");
        breaks(&too_wide("a", &format!("/** {wide} */")), "a:1:");
        holds(too_wide("a", &format!("let a = \"{wide}\";\n//! | {wide} |\n// {}", &wide[3..])));
    }

    #[test]
    fn every_file_opens_with_what_it_is() {
        holds(rust(&["src", "tests", "benches", "build.rs"]).iter().flat_map(opens_with_what_it_is).collect());
        breaks(&opens_with_what_it_is(&File::new("src/a.rs", "use x;\n")), "src/a.rs:1: opens without");
    }

    #[test]
    fn the_abi_number_is_the_same_everywhere() {
        let header = read("include/keyferry.h");
        holds(same_abi(&read("build.rs"), &header));
        assert_eq!(number_after(&header, "#define KEYFERRY_ABI_VERSION "), Some(keyferry::ffi::version::KEYFERRY_ABI_VERSION));
        breaks(&same_abi("libkeyferry.so.1", "#define KEYFERRY_ABI_VERSION 0"), "make them one");
        breaks(&same_abi("", ""), "make them one");
    }

    #[test]
    fn the_version_is_typed_once() {
        let version = env!("CARGO_PKG_VERSION");
        let folders = ["src", "include", "install", "c-tests", "tests", "benches", ".ci", "Makefile", "build.rs", "bindings"];
        let all = folders.iter().filter(|folder| code::exists(folder)).flat_map(|folder| code::paths(folder, ""));
        // npm reads a version nowhere else than in its manifest: a test of the bindings compares it.
        let all = all.filter(|path| path != "bindings/node/package.json");
        let text = all.filter(|path| !path.ends_with(".pyc")).map(|path| (read(&path), path));
        holds(text.flat_map(|(text, path)| typed_again(&path, &text, version)).collect());
        breaks(&typed_again("a", "\nlet v = \"1.2.3\";", "1.2.3"), "a:2: types the version");
        holds(typed_again("a", "/// as `1.2.3`\nlet address = \"127.1.2.3\";", "1.2.3"));
    }
}
