//! What README, CHANGELOG and their kin promise is there.

use std::path::Path;

use super::code;
use super::exports::unknown_names;

/// Links to files that are not there, and to headings that are not in the file.
fn broken_links(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    for (number, line) in text.lines().enumerate() {
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .chain(
                line.split("src=\"")
                    .skip(1)
                    .filter_map(|rest| rest.split('"').next()),
            );
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.into()
            } else {
                folder.join(file)
            };
            if !code::exists(&file) {
                broken.push(format!(
                    "{path}:{}: there is no {target}: mend the link",
                    number + 1
                ));
            } else if !heading.is_empty()
                && !anchors(&file, path, text).contains(&heading.to_owned())
            {
                broken.push(format!(
                    "{path}:{}: no heading is #{heading}: mend the link",
                    number + 1
                ));
            }
        }
    }
    broken
}

/// The anchors that GitHub gives the headings of a file.
fn anchors(file: &Path, path: &str, text: &str) -> Vec<String> {
    let anchor = |heading: &str| {
        let plain: String = heading
            .to_lowercase()
            .chars()
            .filter(|symbol| symbol.is_alphanumeric() || " -_".contains(*symbol))
            .collect();
        plain.trim().replace(' ', "-")
    };
    let text = if file == Path::new(path) {
        text.to_owned()
    } else {
        code::read(&file.display().to_string())
    };
    text.lines()
        .filter_map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        })
        .map(anchor)
        .collect()
}

/// The table of settings in a document is the one that the library prints.
fn same_settings(text: &str, table: &str) -> Vec<String> {
    let missing = table
        .lines()
        .filter(|line| !text.lines().any(|there| there == *line));
    let mut complaints: Vec<_> = missing
        .map(|line| format!("docs/configuration.md: the table of settings lacks this row of keyferry::config::markdown_table():\n{line}"))
        .collect();
    if complaints.is_empty() && !text.contains(table) {
        complaints.push(
            "docs/configuration.md: the table of settings has other rows, or another order, than keyferry::config::markdown_table(): copy it".into(),
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

/// The numbered steps of a request's path, without line breaks and comment marks.
fn steps(text: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("//!").unwrap_or(line);
        let is_step = line
            .trim()
            .split_once(". ")
            .is_some_and(|(number, _)| number.parse::<u8>() == Ok(steps.len() as u8 + 1));
        if is_step {
            steps.push(line.trim().to_owned());
        } else if line.trim().is_empty() || line.starts_with('#') {
            if steps.len() > 5 {
                break;
            }
            steps.clear();
        } else if let Some(step) = steps.last_mut() {
            *step += &format!(" {}", line.trim());
        }
    }
    steps
}

mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::code::{breaks, holds, read};
    use keyferry_testing::documents::{blocks, pages};
    use keyferry_testing::{child, compiler};

    /// They name Python's and Node's names, not the header's.
    const BINDINGS: [&str; 2] = ["bindings/python/README.md", "bindings/node/README.md"];

    #[test]
    fn the_two_commands_stand_at_the_top_of_the_readme() {
        let readme = read("README.md");
        let first = blocks(&readme).swap_remove(0);
        assert_eq!(
            (first.language.as_str(), first.text.as_str()),
            ("sh", "cargo run --release -- demo\ncargo test\n"),
            "README.md:{}",
            first.line
        );
        assert!(
            first.line < 25,
            "README.md:{}: the two commands stand too far down",
            first.line
        );
    }

    #[test]
    fn the_readme_is_short_and_leads_to_every_page() {
        let readme = read("README.md");
        let lines = readme.lines().count();
        assert!(
            lines <= 220,
            "README.md has {lines} lines: move what is not for newcomers to docs/"
        );
        for page in pages().iter().filter(|page| *page != "README.md") {
            assert!(
                readme.contains(&format!("]({page})")),
                "README.md: link to {page}"
            );
        }
    }

    #[test]
    fn the_quick_start_is_the_program_that_the_tests_install() {
        let readme = read("README.md");
        let block = blocks(&readme)
            .into_iter()
            .find(|block| block.language == "c")
            .unwrap();
        assert_eq!(
            block.text,
            read("c-tests/quickstart.c"),
            "README.md:{}: differs from c-tests/quickstart.c: copy it",
            block.line
        );
    }

    /// The suites of the bindings run the code of their READMEs.
    #[test]
    fn the_first_python_and_node_programs_are_those_of_the_bindings() {
        let readme = read("README.md");
        for (language, page) in [("python", BINDINGS[0]), ("js", BINDINGS[1])] {
            let found = |text: &str| {
                let mut blocks = blocks(text).into_iter();
                blocks.find(|block| block.language == language).unwrap()
            };
            let (ours, theirs) = (found(&readme), found(&read(page)));
            assert!(
                theirs.text.contains(&ours.text),
                "README.md:{}: {page} has other code",
                ours.line
            );
        }
    }

    /// What runs the code of the pages: `tests/c_abi/documents.rs`, `tests/cli/documents.rs` and
    /// `tests/plugins/author.rs` of the programs, rustdoc, the bindings' suites, and this file.
    #[test]
    fn every_block_is_in_a_language_that_a_test_runs() {
        for page in pages() {
            for block in blocks(&read(&page)) {
                let known = match block.language.as_str() {
                    "rust" | "python" | "js" => page == "README.md",
                    "cmake" => block.text.contains("PRIVATE keyferry::keyferry)"), // tests/install.rs
                    language => ["c", "cpp", "sh", "toml"].contains(&language),
                };
                assert!(known, "{page}:{}: no test runs this code", block.line);
            }
        }
    }

    #[test]
    fn every_toml_block_is_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = 0;
        for page in pages() {
            for block in blocks(&read(&page))
                .into_iter()
                .filter(|block| block.language == "toml")
            {
                let path = folder.path().join("config.toml");
                fs::write(&path, block.text).unwrap();
                let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(&path, private).unwrap();
                let result =
                    keyferry::config::Config::load(Some(&path), std::sync::Arc::new(|_| None));
                assert!(
                    result.is_ok(),
                    "{page}:{}: {:?}",
                    block.line,
                    result.err().map(|error| error.message().to_owned())
                );
                loaded += 1;
            }
        }
        assert!(loaded >= 4, "only {loaded} blocks of TOML");
    }

    #[test]
    fn the_table_of_settings_is_the_librarys() {
        let (page, table) = (
            read("docs/configuration.md"),
            keyferry::config::markdown_table(),
        );
        holds(same_settings(&page, &table));
        breaks(&same_settings("", &table), "lacks this row");
        let swapped: String = table
            .lines()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect();
        breaks(&same_settings(&swapped, &table), "another order");
    }

    #[test]
    fn the_path_of_a_request_is_told_alike_in_both_places() {
        let (page, module) = (
            steps(&read("docs/architecture.md")),
            steps(&read("src/engine/mod.rs")),
        );
        assert_eq!(
            page, module,
            "docs/architecture.md: copy the steps of src/engine/mod.rs"
        );
        assert!(module.len() >= 8);
    }

    #[test]
    fn the_pictures_are_drawn_from_what_they_show() {
        if child::has("python3") {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images/draw.py");
            compiler::succeed(Command::new("python3").arg(script).arg("--check"));
        }
    }

    #[test]
    fn documents_name_only_what_there_is() {
        for name in pages() {
            // The changelog names what was renamed, docs/plugins.md what is in the other header, and
            // docs/testing.md what is in the sandbox.
            if !["CHANGELOG.md", "docs/plugins.md", "docs/testing.md"].contains(&name.as_str()) {
                holds(unknown_names(&name, &read(&name)));
            }
            holds(broken_links(&name, &read(&name)));
        }
        for name in BINDINGS {
            holds(broken_links(name, &read(name)));
        }
        breaks(
            &broken_links("a", "[x](nowhere.md)"),
            "a:1: there is no nowhere.md",
        );
        breaks(
            &broken_links("README.md", "# Here\n[x](#here) [y](#there)"),
            "README.md:2: no heading is #there",
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
