//! Tests skip themselves if a program that they start is missing, so that `cargo test` passes on a
//! machine with Rust, a C compiler and git alone. `.ci/bare-root` runs the tests on such a machine.

use super::{breaks, holds, holds_in, sources};

/// Programs that are on every machine that builds keyferry.
const ALWAYS_THERE: [&str; 9] = [
    "bash", "git", "grep", "mkfifo", "mount", "setsid", "sh", "true", "umount",
];

/// The calls that take the name of a program first.
const CALLS: [&str; 4] = [
    "Command::new(",
    ".program(",
    ".isolated_program(",
    ".program_without_secrets(",
];

/// Programs that the tests of a file start, and without which none of these tests is skipped.
fn unskipped_programs(path: &str, text: &str) -> Vec<String> {
    let starts = CALLS.iter().flat_map(|call| text.match_indices(call));
    let mut complaints = Vec::new();
    for (at, call) in starts {
        let arguments = text[at + call.len()..].trim_start();
        let name = arguments
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next());
        let Some(name) = name.filter(|name| !name.contains('/')) else {
            continue;
        };
        if !ALWAYS_THERE.contains(&name) && !has_skip(text, name) {
            let line = text[..at].matches('\n').count() + 1;
            complaints.push(format!(
                "{path}:{line}: starts {name}; call `skip::without(&[\"{name}\"])` before that"
            ));
        }
    }
    complaints
}

/// Whether a test of the file skips itself without this program.
fn has_skip(text: &str, program: &str) -> bool {
    let own = match program {
        "pkg-config" => "skip::without_libraries(".to_owned(),
        _ => format!("skip::without_{program}("),
    };
    let mut calls = text.split("skip::without(&[").skip(1);
    text.contains(&own)
        || calls.any(|rest| {
            let programs = rest.split(']').next().unwrap_or_default();
            programs.contains(&format!("\"{program}\""))
        })
}

#[test]
fn tests_are_skipped_without_the_programs_that_they_start() {
    let folders = [
        "tests",
        "crates/keyferry-cli/tests",
        "crates/keyferry-sandbox/tests",
    ];
    for folder in folders {
        let mut files = sources(folder);
        files.retain(|(path, _)| path != "tests/architecture/programs.rs");
        holds_in(&files, unskipped_programs);
    }
    let starts = "fn test() {\n    harness.program(\n        \"curl\", &[]);\n}\n";
    breaks(unskipped_programs("a.rs", starts), "a.rs:2: starts curl");
    let other = format!("{starts}fn f() {{ skip::without(&[\"curly\"]) }}");
    breaks(unskipped_programs("a.rs", &other), "a.rs:2: starts curl");
    let skipped = format!("{starts}fn f() {{ skip::without(&[\"bash\", \"curl\"]) }}");
    holds(unskipped_programs("a.rs", &skipped));
    holds(unskipped_programs(
        "a.rs",
        "Command::new(\"git\"); Command::new(program)",
    ));
}
