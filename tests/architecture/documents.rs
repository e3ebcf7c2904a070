//! What README, CHANGELOG and their kin promise is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::code;
use super::exports::unknown_names;
use keyferry_testing::compiler;

/// A fenced block: first line, language, text.
fn blocks(text: &str) -> Vec<(usize, &str, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, &str, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((number + 2, language.trim(), String::new())),
            (Some(_), Some(block)) => found.push(block),
            (None, Some((first, language, text))) => {
                open = Some((first, language, text + line + "\n"))
            }
            (None, None) => {}
        }
    }
    found
}

/// Relative links lead to files.
fn broken_links(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    for (number, line) in text.lines().enumerate() {
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let here = targets
            .map(|target| target.split('#').next().unwrap_or_default())
            .filter(|target| !target.is_empty() && !target.contains("://"));
        broken.extend(
            here.filter(|target| !code::exists(folder.join(target)))
                .map(|target| {
                    format!("{path}:{}: there is no {target}: mend the link", number + 1)
                }),
        );
    }
    broken
}

/// The table of settings in a document is the one that the library prints.
fn same_settings(text: &str, table: &str) -> Vec<String> {
    let missing = table
        .lines()
        .filter(|line| !text.lines().any(|there| there == *line));
    let mut complaints: Vec<_> = missing
        .map(|line| format!("README.md: the configuration table lacks this row of keyferry::config::markdown_table():\n{line}"))
        .collect();
    if complaints.is_empty() && !text.contains(table) {
        complaints.push(
            "README.md: the configuration table has other rows, or another order, than keyferry::config::markdown_table(): copy it".into(),
        );
    }
    complaints
}

/// The newest section is the package's version.
fn has_entry(changelog: &str, version: &str) -> Vec<String> {
    let newest = changelog
        .lines()
        .find_map(|line| line.strip_prefix("## "))
        .unwrap_or_default();
    let is_it = newest.split_whitespace().next() == Some(version);
    (!is_it)
        .then(|| {
            format!(
                "CHANGELOG.md: the newest section is '{newest}', not {version}: write what changed"
            )
        })
        .into_iter()
        .collect()
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, read};
    use keyferry_testing::child;

    const DOCUMENTS: [&str; 4] = [
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
    ];
    /// Of other worlds than the header's.
    const OTHERS: [&str; 3] = [
        "docs/plugins.md",
        "bindings/python/README.md",
        "bindings/node/README.md",
    ];

    #[test]
    fn the_two_commands_stand_at_the_top_of_the_readme() {
        let readme = read("README.md");
        let (first, language, commands) = blocks(&readme).swap_remove(0);
        assert_eq!(
            (language, commands.as_str()),
            ("sh", "cargo run --release -- demo\ncargo test\n"),
            "README.md:{first}"
        );
        assert!(
            first < 25,
            "README.md:{first}: the two commands stand too far down"
        );
    }

    #[test]
    fn the_quick_start_is_the_program_that_the_tests_run() {
        let readme = read("README.md");
        let block = blocks(&readme)
            .into_iter()
            .find(|(_, language, _)| *language == "c")
            .unwrap();
        assert_eq!(
            block.2,
            read("c-tests/quickstart.c"),
            "README.md:{}: differs from c-tests/quickstart.c: copy it",
            block.0
        );
    }

    #[test]
    fn every_c_and_cpp_block_compiles() {
        let folder = tempfile::tempdir().unwrap();
        let mut compiled = Vec::new();
        for name in DOCUMENTS {
            for (first, language, text) in blocks(&read(name))
                .into_iter()
                .filter(|(_, language, _)| ["c", "cpp"].contains(language))
            {
                let source = folder
                    .path()
                    .join(format!("{name}-line-{first}.{language}"));
                fs::write(&source, text).unwrap();
                let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
                compiler::succeed(
                    compiler::strict(&source)
                        .arg("-fsyntax-only")
                        .arg("-I")
                        .arg(include),
                );
                compiled.push(language.to_owned());
            }
        }
        assert!(compiled.contains(&"c".to_owned()) && compiled.contains(&"cpp".to_owned()));
    }

    #[test]
    fn every_toml_block_is_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        for (first, _, text) in blocks(&read("README.md"))
            .into_iter()
            .filter(|(_, language, _)| *language == "toml")
        {
            let path = folder.path().join("config.toml");
            fs::write(&path, text).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&path, private).unwrap();
            let loaded = keyferry::config::Config::load(Some(&path), std::sync::Arc::new(|_| None));
            assert!(
                loaded.is_ok(),
                "README.md:{first}: {}",
                loaded
                    .err()
                    .map(|error| error.message().to_owned())
                    .unwrap_or_default()
            );
        }
    }

    #[test]
    fn the_configuration_table_is_the_librarys() {
        let (readme, table) = (read("README.md"), keyferry::config::markdown_table());
        holds(same_settings(&readme, &table));
        breaks(&same_settings("", &table), "lacks this row");
        let swapped: String = table
            .lines()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect();
        breaks(&same_settings(&swapped, &table), "another order");
    }

    #[test]
    fn documents_name_only_what_there_is() {
        // The changelog names what was renamed.
        for name in DOCUMENTS.into_iter().filter(|name| *name != "CHANGELOG.md") {
            holds(unknown_names(name, &read(name)));
        }
        for name in DOCUMENTS.into_iter().chain(OTHERS) {
            holds(broken_links(name, &read(name)));
        }
        breaks(
            &broken_links("a", "[x](nowhere.md)"),
            "a:1: there is no nowhere.md",
        );
    }

    #[test]
    fn the_changelog_tells_of_this_version() {
        holds(has_entry(&read("CHANGELOG.md"), env!("CARGO_PKG_VERSION")));
        breaks(
            &has_entry("# Changes\n\n## 9.9.9 (2026)\n", "1.2.3"),
            "not 1.2.3",
        );
    }

    #[test]
    fn the_script_of_continuous_integration_can_be_read() {
        if child::has("bash") {
            compiler::succeed(
                Command::new("bash")
                    .arg("-n")
                    .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")),
            );
        }
    }
}
