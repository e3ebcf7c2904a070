//! The pages of the manual, which `make install` installs, say what the command line is.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap_mangen::Man;
use keyferry_cli::args;

/// Where git looks for the manual of `git help credential-keyferry`.
const GIT_PAGE: (&str, &str) = ("git-credential-keyferry.1", ".so man1/keyferry-git.1\n");

/// A page without the version, which is typed in one place only. `words` call the command.
fn page(command: &clap::Command, words: &[&str]) -> String {
    // The command line holds names that live for ever.
    let forever: &'static str = words.join("-").leak();
    let man = Man::new(command.clone().name(forever).bin_name(words.join(" ")))
        .date("")
        .source("keyferry");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text).unwrap();
    }
    man.render_extra_section(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn pages() -> BTreeMap<String, String> {
    let mut whole = args::command_line()
        .disable_help_subcommand(true)
        .disable_version_flag(true);
    whole.build();
    let mut pages = BTreeMap::from([(GIT_PAGE.0.to_owned(), GIT_PAGE.1.to_owned())]);
    add_pages(&whole, &["keyferry"], &mut pages);
    pages
}

/// The page of a command, and those of the commands below it.
fn add_pages(command: &clap::Command, words: &[&str], pages: &mut BTreeMap<String, String>) {
    pages.insert(format!("{}.1", words.join("-")), page(command, words));
    for below in command.get_subcommands() {
        add_pages(below, &[words, &[below.get_name()]].concat(), pages);
    }
}

#[test]
fn every_page_that_a_page_names_is_there() {
    let pages = pages();
    let mut named = 0;
    for (name, text) in &pages {
        let text = text.replace('\\', "");
        for before in text
            .split("(1)")
            .collect::<Vec<_>>()
            .split_last()
            .unwrap()
            .1
        {
            let other = before
                .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .next()
                .unwrap();
            assert!(
                pages.contains_key(&format!("{other}.1")),
                "{name} names {other}(1), which is not there"
            );
            named += 1;
        }
    }
    assert!(named > 15, "no names could be read");
}

#[test]
fn the_manual_has_a_page_for_every_command_and_each_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../install/man");
    fs::create_dir_all(&folder).unwrap();
    let pages = pages();
    assert!(
        pages.len() > 15 && pages["keyferry.1"].contains("keyferry\\-login"),
        "{:?}",
        pages.keys()
    );
    let mut stale = Vec::new();
    for (name, text) in &pages {
        if fs::read_to_string(folder.join(name)).unwrap_or_default() != *text {
            fs::write(folder.join(name), text).unwrap();
            stale.push(name.clone());
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if !pages.contains_key(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).unwrap();
            stale.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    assert!(
        stale.is_empty(),
        "install/man was not up to date and is now: commit {}",
        stale.join(", ")
    );
}
