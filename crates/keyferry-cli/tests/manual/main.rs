//! The pages of the manual, which `make install` installs, say what the command line is.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod markdown;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use keyferry_cli::commands;
use keyferry_testing::{child, compiler, files, skip};

use page::{command_page, config_page};

/// Where git looks for the manual of `git help credential-keyferry`.
const GIT_PAGE: (&str, &str) = ("git-credential-keyferry.1", ".so man1/keyferry-git.1\n");
/// The page of the settings.
const CONFIG_PAGE: &str = "keyferry-config.5";
const LIMIT: Duration = Duration::from_secs(120);

fn pages() -> BTreeMap<String, String> {
    let mut whole = commands::command_line()
        .disable_help_subcommand(true)
        .disable_version_flag(true);
    whole.build();
    let mut pages = BTreeMap::from([
        (GIT_PAGE.0.to_owned(), GIT_PAGE.1.to_owned()),
        (CONFIG_PAGE.to_owned(), config_page()),
    ]);
    add_pages(&whole, &["keyferry"], &mut pages);
    pages
}

/// The page of a command, and those of the commands below it.
fn add_pages(command: &clap::Command, words: &[&str], pages: &mut BTreeMap<String, String>) {
    let name = format!("{}.1", words.join("-"));
    pages.insert(name, command_page(command, words));
    for below in command.get_subcommands() {
        add_pages(below, &[words, &[below.get_name()]].concat(), pages);
    }
}

/// The pages that a page names, such as `keyferry-login.1`.
fn named_pages(text: &str) -> Vec<String> {
    let text = text
        .replace("\\fR", "")
        .replace("\\fB", "")
        .replace('\\', "");
    let mut named = Vec::new();
    for section in ["1", "5"] {
        let parts: Vec<_> = text.split(&format!("({section})")).collect();
        for before in parts.split_last().unwrap().1 {
            let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '-';
            let name = before.rsplit(is_other).next().unwrap();
            if name.contains("keyferry") {
                named.push(format!("{name}.{section}"));
            }
        }
    }
    named
}

#[test]
fn every_page_that_a_page_names_is_there() {
    let pages = pages();
    let mut count = 0;
    for (page, text) in &pages {
        for named in named_pages(text) {
            assert!(
                pages.contains_key(&named),
                "{page} names {named}, which is not there"
            );
            count += 1;
        }
    }
    assert!(count > 50, "no names could be read");
}

#[test]
fn a_page_has_its_sections() {
    let pages = pages();
    let has = |page: &str, heading: &str| pages[page].contains(&format!(".SH {heading}\n"));
    for page in pages.keys().filter(|page| **page != GIT_PAGE.0) {
        assert!(has(page, "NAME") && has(page, "SEE ALSO"), "{page}");
        assert!(has(page, "EXIT STATUS") || page == CONFIG_PAGE, "{page}");
    }
    for (page, heading) in [
        ("keyferry.1", "FILES"),
        ("keyferry.1", "ENVIRONMENT"),
        (CONFIG_PAGE, "SETTINGS"),
        (CONFIG_PAGE, "FILES"),
        (CONFIG_PAGE, "ENVIRONMENT"),
        ("keyferry-sandbox.1", "CONTROL ROUTES"),
        ("keyferry-sandbox.1", "FAULTS"),
    ] {
        assert!(has(page, heading), "{page}: {heading}");
    }
    let synopsis = "[\\fB\\-\\-email\\fR \\fIADDRESS\\fR]";
    assert!(pages["keyferry-login.1"].contains(synopsis));
    let settings = keyferry::config::SETTINGS.iter();
    for setting in settings {
        let item = format!(".TP\n\\fB{}\\fR\n", setting.key);
        assert!(pages[CONFIG_PAGE].contains(&item), "{}", setting.key);
    }
}

/// Warnings of mandoc that the pages cause on purpose: a date would be typed in a second place, and
/// git's page is the page of another name.
const ACCEPTED_WARNINGS: [&str; 2] = ["missing date, using \"\"", ".so is fragile"];

/// The pages in directories as they are installed, because a page includes another by its path.
#[test]
fn man_and_mandoc_read_every_page_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, text) in pages() {
        let (_, section) = name.rsplit_once('.').unwrap();
        let directory = format!("man{section}");
        fs::create_dir_all(folder.path().join(&directory)).unwrap();
        paths.push(format!("{directory}/{name}"));
        fs::write(folder.path().join(paths.last().unwrap()), text).unwrap();
    }
    if !skip::without(&["mandoc"]) {
        let mut lint = Command::new("mandoc");
        lint.args(["-T", "lint", "-W", "warning"]).args(&paths);
        let said = child::run(lint.current_dir(folder.path()), LIMIT).said();
        let is_warning = |line: &&str| line.contains("WARNING") || line.contains("ERROR");
        let is_accepted = |line: &&str| ACCEPTED_WARNINGS.iter().any(|text| line.contains(text));
        let warnings: Vec<_> = said.lines().filter(is_warning).collect();
        let others: Vec<_> = warnings.iter().filter(|line| !is_accepted(line)).collect();
        assert!(!warnings.is_empty() && others.is_empty(), "{others:#?}");
    }
    if !skip::without(&["man"]) {
        for path in &paths {
            let mut man = Command::new("man");
            man.args(["--warnings", "-E", "UTF-8", "-l", path]);
            man.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
            let page = compiler::succeed(man.current_dir(folder.path()));
            assert!(
                page.err.is_empty() && page.out.contains("NAME"),
                "{path}: {page:?}"
            );
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command_and_each_is_up_to_date() {
    let folder = files::file("install/man");
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
