//! `docs/testing.md` names everything that a test of another program can set, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A section of the page.
fn section(heading: &str) -> String {
    let page = read("../../docs/testing.md");
    let (_, rest) = page.split_once(&format!("## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The names in the first column of the last table of a section.
fn first_column(section: &str) -> BTreeSet<String> {
    let table = section.rsplit("\n|---").next().unwrap();
    let cells = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('|').nth(1));
    cells.flat_map(names_in_backquotes).collect()
}

fn names_in_backquotes(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The strings that a `match` in a source file compares with, of those arms that contain `marker`.
fn arms(source: &str, marker: &str) -> BTreeSet<String> {
    let arm = |line: &str| {
        let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
        rest.contains(marker).then(|| name.to_owned())
    };
    read(source).lines().filter_map(arm).collect()
}

#[test]
fn the_page_names_every_behaviour() {
    let mut known = arms("src/settings.rs", "self.");
    known.extend(arms("src/settings.rs", "SettingChange::"));
    assert!(known.len() > 20);
    assert_eq!(first_column(&section("Behaviours")), known);
}

#[test]
fn the_page_names_every_kind_of_fault() {
    let known = arms("src/fault_json.rs", "FaultAction::");
    assert!(known.len() > 15);
    assert_eq!(first_column(&section("Faults")), known);
}

#[test]
fn the_page_names_every_counter_of_refusals() {
    let named: BTreeSet<_> = names_in_backquotes(&section("Counters"))
        .into_iter()
        .collect();
    let mut counted = BTreeSet::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let calls = text.split("count(\"").skip(1);
            counted.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    assert!(counted.len() > 15);
    let missing: Vec<_> = counted.difference(&named).collect();
    assert!(missing.is_empty(), "docs/testing.md lacks {missing:?}");
}
