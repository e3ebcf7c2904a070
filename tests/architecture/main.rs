//! What no compiler, lint or other test checks: the order of the folders, the shape of exported
//! functions and their comments, and the documents.
//!
//! A rule returns complaints, each with file, line and remedy. The test of a rule also applies it
//! to text that breaks it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod documents;
mod exports;
mod imports;
mod programs;

use keyferry_testing::{documents::read, files::file};

/// The path and the text of a file of the repository.
type File = (String, String);

fn with_text(path: &str) -> File {
    (path.to_owned(), read(path))
}

/// The Rust files in a folder and below it.
fn sources(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    for entry in file(folder).read_dir().unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().display());
        if file(&path).is_dir() {
            found.extend(sources(&path));
        } else if path.ends_with(".rs") {
            found.push(with_text(&path));
        }
    }
    found
}

/// Fails with all complaints of a rule about these files.
#[track_caller]
fn holds_in(files: &[File], rule: impl Fn(&str, &str) -> Vec<String>) {
    let complaints = files.iter().flat_map(|(path, text)| rule(path, text));
    holds(complaints.collect());
}

#[track_caller]
fn holds(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Fails unless a complaint contains this text.
#[track_caller]
fn breaks(complaints: Vec<String>, saying: &str) {
    let found = complaints.iter().any(|one| one.contains(saying));
    assert!(found, "no complaint says '{saying}': {complaints:?}");
}
