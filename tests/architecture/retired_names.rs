//! Names that were retired: those of the C ABI stand in the changelog alone, those of Rust nowhere
//! in `src` and `crates`.

use super::code::{self, File};

/// Types, functions and files of before the renaming, without those that are words of their own
/// today.
const RETIRED: &[&str] = &[
    "Alone",
    "Bound",
    "Card",
    "Class",
    "Conduct",
    "Desk",
    "Draft",
    "Errand",
    "Facts",
    "Fate",
    "Flights",
    "Glance",
    "KeyKeeper",
    "Nobody",
    "Nowhere",
    "Opening",
    "Pace",
    "Peeked",
    "Rehearsal",
    "Reached",
    "Scene",
    "Scratch",
    "Shield",
    "Spot",
    "Thing",
    "Tone",
    "Wiping",
    "Wish",
    "become_whole",
    "hold_broken_pipes",
    "keep_login",
    "locate_any",
    "locate_plain",
    "note_pause",
    "end_pause",
    "saw_generation",
    "refreshes_beside",
    "set_aside",
    "speak_if_meant",
    "soft_us",
    "thing_of",
    "retoken",
    "conduct",
    "desk",
    "drawer",
    "frontends",
    "keyvalue",
    "pace",
    "wallet",
    "wish",
];

/// The names in the first column of the changelog's tables of changed names.
fn retired_in_c(changelog: &str) -> Vec<&str> {
    let rows = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"));
    rows.map(|(before, _)| before)
        .filter(|name| name.to_lowercase().starts_with("keyferry_"))
        .collect()
}

/// Where a retired name of Rust stands in a file's code, or is the file's own.
fn used_in_rust(file: &File) -> Vec<String> {
    let in_code = RETIRED
        .iter()
        .flat_map(|name| file.words(name).into_iter().map(move |at| (at, name)));
    let in_code = in_code.map(|(at, name)| {
        file.complain(
            at,
            &format!("`{name}` was retired: take the name that replaced it"),
        )
    });
    let parts: Vec<_> = file.path.trim_end_matches(".rs").split('/').collect();
    let own = RETIRED.iter().filter(|name| parts.contains(*name));
    in_code
        .chain(own.map(|name| format!("{}: `{name}` was retired as the name of a file", file.path)))
        .collect()
}

/// Where a retired name of C stands in a text.
fn used_in_text(path: &str, text: &str, retired: &[&str]) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text
        .split(|c| !is_part(c))
        .filter(|word| retired.contains(word));
    words
        .map(|word| {
            format!("{path}: {word} was retired: take the name that CHANGELOG.md has for it")
        })
        .collect()
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, read, rust};

    #[test]
    fn no_retired_name_is_in_the_rust_code() {
        holds(
            rust(&["src", "crates"])
                .iter()
                .flat_map(used_in_rust)
                .collect(),
        );
        breaks(
            &used_in_rust(&File::new("src/a.rs", "\nstruct Wish;")),
            "src/a.rs:2: `Wish` was retired",
        );
        breaks(
            &used_in_rust(&File::new("src/wish.rs", "")),
            "name of a file",
        );
        holds(used_in_rust(&File::new(
            "src/a.rs",
            "// a Wish\nstruct Wishes;",
        )));
    }

    #[test]
    fn retired_names_of_the_c_abi_stand_in_the_changelog_alone() {
        let changelog = read("CHANGELOG.md");
        let retired = retired_in_c(&changelog);
        assert!(
            retired.len() > 30 && retired.contains(&"KEYFERRY_E_NOT_MINE"),
            "{retired:?}"
        );
        let folders = [
            "src",
            "crates",
            "include",
            "c-tests",
            "tests",
            "benches",
            "bindings",
            "docs",
            "install",
            "fuzz/fuzz_targets",
        ];
        let endings = [
            ".rs", ".h", ".hpp", ".c", ".cpp", ".txt", ".py", ".pyi", ".js", ".mjs", ".ts", ".md",
            ".in", ".1", ".sh",
        ];
        let paths = folders.iter().flat_map(|folder| code::paths(folder, ""));
        let paths = paths.filter(|path| {
            endings.iter().any(|ending| path.ends_with(ending)) && !path.contains("node_modules")
        });
        let texts = paths.chain([
            "README.md".into(),
            "CONTRIBUTING.md".into(),
            "SECURITY.md".into(),
        ]);
        // This file tests the rule with one.
        let texts = texts.filter(|path| !path.ends_with("retired_names.rs"));
        holds(
            texts
                .flat_map(|path| used_in_text(&path, &read(&path), &retired))
                .collect(),
        );
        breaks(
            &used_in_text("a", "if (status == KEYFERRY_E_NOT_MINE)", &retired),
            "a: KEYFERRY_E_NOT_MINE was retired",
        );
    }
}
