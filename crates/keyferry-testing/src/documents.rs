//! The documents of the repository, and the code in them.

use std::fs;
use std::path::PathBuf;

use keyferry_sandbox::{Sandbox, credentials as c};

use crate::files::file;

/// A fenced block of code.
pub struct Block {
    /// The number of its first line.
    pub line: usize,
    pub language: String,
    pub text: String,
}

/// The Markdown files at the root and in `docs`, by their path in the repository.
pub fn pages() -> Vec<String> {
    let in_directory = |directory: &str| {
        let names = fs::read_dir(file(directory)).unwrap();
        let path = |name: &str| PathBuf::from(directory).join(name).display().to_string();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".md"))
            .map(|name| path(&name))
            .collect::<Vec<_>>()
    };
    let mut pages = in_directory("");
    pages.extend(in_directory("docs"));
    pages.sort();
    pages
}

/// The text of a file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of a text, in their order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block {
                    line: number + 2,
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text += &format!("{line}\n");
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    found
}

/// Returns the code with the sandbox's URLs and data instead of the made-up ones in the examples.
pub fn with_sandbox(code: &str, sandbox: &Sandbox) -> String {
    let link = format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    code.replace("https://api.massive.app", sandbox.masv_url())
        .replace("https://api.fileverbs.com", sandbox.fileverbs_url())
        .replace("links/01EXAMPLE?secret=S", &link)
        .replace("01EXAMPLE", c::PACKAGE_ID)
        .replace("me@example.com", c::EMAIL)
}
