//! The pages of the manual, which `make install` installs, say what the command line is.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap_mangen::Man;
use keyferry::frontends;

/// Where git looks for the manual of `git help credential-keyferry`.
const GIT_PAGE: (&str, &str) = ("git-credential-keyferry.1", ".so man1/keyferry-git.1\n");

/// A page without the version, which is typed in one place only.
fn page(command: &clap::Command, name: &str) -> String {
    // The command line holds names that live for ever.
    let forever: &'static str = name.to_owned().leak();
    let man = Man::new(command.clone().name(forever).bin_name(name.replacen('-', " ", 1))).date("").source("keyferry");
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
    let mut whole = frontends::command_line().disable_help_subcommand(true).disable_version_flag(true);
    whole.build();
    let mut pages: BTreeMap<_, _> = [("keyferry.1".to_owned(), page(&whole, "keyferry"))].into();
    for command in whole.get_subcommands() {
        let name = format!("keyferry-{}", command.get_name());
        pages.insert(format!("{name}.1"), page(command, &name));
    }
    pages.insert(GIT_PAGE.0.into(), GIT_PAGE.1.into());
    pages
}

#[test]
fn the_manual_has_a_page_for_every_command_and_each_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("install/man");
    fs::create_dir_all(&folder).unwrap();
    let pages = pages();
    assert!(pages.len() > 15 && pages["keyferry.1"].contains("keyferry\\-login"), "{:?}", pages.keys());
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
    assert!(stale.is_empty(), "install/man was not up to date and is now: commit {}", stale.join(", "));
}
