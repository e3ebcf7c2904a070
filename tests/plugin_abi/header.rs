//! `keyferry_plugin.h`: in every dialect with both compilers, beside `keyferry.h`, and without a
//! name of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use keyferry_testing::files::file;
use keyferry_testing::{compiler, skip};

const WARNINGS: [&str; 8] = [
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wundef",
    "-Wstrict-prototypes",
    "-Werror",
];

fn compiles(tool: &str, language: &str, dialects: &[&str], text: &str, folder: &Path) {
    let source = folder.join(format!("alone.{language}"));
    fs::write(
        &source,
        format!("{text}int main(void);\nint main(void) {{ return 0; }}\n"),
    )
    .unwrap();
    for dialect in dialects {
        let mut command = Command::new(tool);
        let warnings = WARNINGS
            .iter()
            .filter(|name| language == "c" || **name != "-Wstrict-prototypes");
        command
            .arg(format!("-std={dialect}"))
            .args(warnings)
            .arg("-fsyntax-only")
            .arg("-I")
            .arg(file("include"))
            .arg(&source);
        compiler::succeed(&mut command);
    }
}

#[test]
fn the_header_compiles_alone_and_twice_in_every_dialect() {
    if skip::without(&["gcc", "g++", "clang", "clang++"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (c, cpp) in [("gcc", "g++"), ("clang", "clang++")] {
        for text in [
            "#include <keyferry_plugin.h>\n#include <keyferry_plugin.h>\n",
            "#include <keyferry_plugin.h>\n#include <keyferry.h>\n",
            "#include <keyferry.h>\n#include <keyferry_plugin.h>\n",
        ] {
            compiles(c, "c", &["c99", "c11"], text, folder.path());
            compiles(cpp, "cpp", &["c++17", "c++20"], text, folder.path());
        }
    }
}

/// A mask is inherited, and a program in which SIGPIPE is blocked writes on when nobody reads.
#[test]
fn the_header_and_the_page_say_that_programs_inherit_a_blocked_sigpipe() {
    for path in ["include/keyferry_plugin.h", "docs/plugins.md"] {
        let text = fs::read_to_string(file(path)).unwrap();
        assert!(
            text.contains("SIGPIPE") && text.contains("posix_spawnattr_setsigmask"),
            "{path}"
        );
    }
}

#[test]
fn the_template_and_the_others_compile_with_every_warning() {
    if skip::without(&["gcc", "clang"]) {
        return;
    }
    let mut sources = 0;
    for entry in fs::read_dir(file("c-tests/plugins")).unwrap() {
        let source = entry.unwrap().path();
        if source.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        sources += 1;
        for tool in ["gcc", "clang"] {
            let mut command = Command::new(tool);
            command
                .args(["-std=c11", "-fsyntax-only", "-D_GNU_SOURCE"])
                .args(WARNINGS)
                .arg("-I")
                .arg(file("include"))
                .arg(&source);
            compiler::succeed(&mut command);
        }
    }
    assert!(sources >= 9, "only {sources} plugins");
}

/// All words that a header defines or declares: its comments and the compiler's own words left out.
fn names(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(file(path)).unwrap();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['/', '*']))
        .collect::<Vec<_>>()
        .join("\n");
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // The ids of extensions begin with the bare word.
    words
        .filter(|word| word.to_ascii_lowercase().starts_with("keyferry_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn it_has_no_name_in_common_with_the_programs_header() {
    let (ours, theirs) = (
        names("include/keyferry_plugin.h"),
        names("include/keyferry.h"),
    );
    assert!(ours.len() > 50 && theirs.len() > 50);
    assert_eq!(
        ours.intersection(&theirs).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert!(
        ours.iter()
            .all(|name| name.to_ascii_lowercase().starts_with("keyferry_plugin")),
        "{ours:?}"
    );
}

#[test]
fn every_slot_says_on_which_thread() {
    let text = fs::read_to_string(file("include/keyferry_plugin.h")).unwrap();
    let slots: Vec<_> = text
        .match_indices("(*")
        .filter(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert_eq!(slots.len(), 20, "a slot came or went");
    for (at, _) in slots {
        let comment = text[..at].rsplit("/**").next().unwrap();
        let tag = comment
            .split("Threads: ")
            .nth(1)
            .map(|rest| rest.split_whitespace().next().unwrap());
        assert!(
            matches!(tag, Some("[load]" | "[call]" | "[any]")),
            "{}",
            &text[at..at + 40]
        );
    }
}

/// What a plugin was compiled against stays as it is: sizes, and where each part lies, on this
/// machine's ABI.
#[test]
fn published_tables_stay_as_they_are() {
    use keyferry::plugin::abi::{
        KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE, KEYFERRY_PLUGIN_EXTENSION_SERVICE,
    };
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("#include <keyferry_plugin.h>\n#include <stddef.h>\n");
    for (name, size) in [
        ("", 64),
        ("_setting", 32),
        ("_route", 16),
        ("_token_spec", 32),
        ("_service", 48),
        ("_secret_source", 16),
        ("_header", 16),
        ("_request", 64),
        ("_response", 24),
        ("_host", 128),
        ("_buffer", 16),
    ] {
        text += &format!(
            "_Static_assert(sizeof(keyferry_plugin{name}) == {size}, \"keyferry_plugin{name}\");\n"
        );
    }
    for (table, field, at) in [
        ("", "struct_size", 8),
        ("", "name", 16),
        ("", "get_extension", 56),
        ("_service", "routes", 24),
        ("_service", "renew", 40),
        ("_secret_source", "get", 8),
        ("_request", "path", 16),
        ("_request", "bad_credentials_status", 56),
        ("_response", "body", 8),
        ("_host", "get_setting", 16),
        ("_host", "is_cancelled", 120),
    ] {
        text += &format!(
            "_Static_assert(offsetof(keyferry_plugin{table}, {field}) == {at}, \"{field}\");\n"
        );
    }
    text += &format!(
        "_Static_assert(sizeof(KEYFERRY_PLUGIN_EXTENSION_SERVICE) == sizeof(\"{KEYFERRY_PLUGIN_EXTENSION_SERVICE}\"), \"service\");\n"
    );
    if cfg!(target_pointer_width = "64") {
        compiles("gcc", "c", &["c11"], &text, folder.path());
    }
    let header = fs::read_to_string(file("include/keyferry_plugin.h")).unwrap();
    for id in [
        format!("KEYFERRY_PLUGIN_EXTENSION_SERVICE \"{KEYFERRY_PLUGIN_EXTENSION_SERVICE}\""),
        format!(
            "KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE \"{KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE}\""
        ),
    ] {
        assert!(header.contains(&format!("#define {id}\n")), "{id}");
    }
}
