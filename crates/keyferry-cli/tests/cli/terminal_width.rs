//! Help texts and tables at terminals that are narrow.

use keyferry_testing::harness::Harness;

use crate::programs::{KEYFERRY, Programs};
use crate::terminal::TerminalSession;

/// The words of each command, with those of its subcommands.
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for below in command.get_subcommands() {
            let words = [words, &[below.get_name().to_owned()]].concat();
            add(below, &words, all);
        }
    }
    let mut all = Vec::new();
    add(&keyferry_cli::commands::command_line(), &[], &mut all);
    all
}

/// Runs keyferry at a terminal and fails if a line is wider than the terminal.
fn assert_fits(harness: &Harness, arguments: &[&str], columns: u16) -> String {
    let mut command = harness.program(KEYFERRY, arguments);
    let (seen, _) = TerminalSession::start_at_width(&mut command, columns).end();
    let seen = seen.replace("\r\n", "\n");
    let widest = seen.lines().max_by_key(|line| line.chars().count());
    let widest = widest.unwrap_or_default();
    assert!(
        widest.chars().count() <= usize::from(columns),
        "{arguments:?} at {columns} columns: {widest:?}"
    );
    seen
}

#[test]
fn the_help_of_each_command_fits_a_terminal_of_60_columns() {
    let harness = Harness::new();
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for words in &commands {
        for help in ["-h", "--help"] {
            let words: Vec<_> = words.iter().map(String::as_str).chain([help]).collect();
            let seen = assert_fits(&harness, &words, 60);
            assert!(seen.contains("Usage: keyferry"), "{words:?}: {seen}");
        }
    }
    assert_fits(&harness, &["--help"], 80);
}

#[test]
fn each_table_fits_a_terminal_of_60_columns_and_loses_nothing() {
    let harness = Harness::new();
    for words in [
        &["config"][..],
        &["doctor"],
        &["status"],
        &["explain", "packages/01EXAMPLE"],
        &["plugin", "list"],
    ] {
        for columns in [60, 80] {
            assert_fits(&harness, words, columns);
        }
    }
    let wide = harness.keyferry(&["config"]).out;
    let narrow = assert_fits(&harness, &["config"], 60);
    for setting in keyferry::config::SETTINGS {
        let is_whole = narrow.lines().any(|line| line.starts_with(setting.key));
        assert!(is_whole, "{}: {narrow}", setting.key);
    }
    assert!(
        wide.lines().any(|line| line.len() > 60),
        "the table in a pipe has one line for each setting: {wide}"
    );
}
