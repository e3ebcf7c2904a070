//! Where secrets leave, where `unsafe` stands, and what stands nowhere.

use super::code::File;

/// Where `unsafe` may stand, and why.
const UNSAFE: &[(&str, &str)] = &[
    ("src/ffi/", "pointers from C"),
    ("src/plugin/", "pointers from plugins"),
    ("src/sys/", "system calls"),
    (
        "src/engine/cache/entry.rs",
        "the copy of a hit, which fills its own memory: measured, zeroing it first costs a tenth of the hit",
    ),
    (
        "src/engine/cache/tests.rs",
        "reads back what a peek has written",
    ),
    (
        "crates/keyferry-cli/src/sys/",
        "system calls of the programs",
    ),
    (
        "crates/keyferry-cli/tests/",
        "signals and terminals of the programs",
    ),
    (
        "crates/keyferry-testing/",
        "C functions called as C calls them",
    ),
    ("tests/", "C functions called as C calls them"),
];

/// Where a secret's text is taken out, how often, and what for. Tests and stand-ins are not
/// counted.
const EXPOSED: &[(&str, usize, &str)] = &[
    (
        "src/config/declared.rs",
        2,
        "checks values of plugins' settings",
    ),
    ("src/config/entry.rs", 1, "checks values"),
    (
        "src/config/environment.rs",
        3,
        "checks values, and reads paths that stand in variables",
    ),
    (
        "src/config/profile.rs",
        1,
        "gives settings that are no secret",
    ),
    (
        "src/config/configuration.rs",
        2,
        "checks values, and reads the name of the default account",
    ),
    (
        "src/services/response.rs",
        6,
        "reads an answer's JSON, a token's expiry, and what an answer says in spite of the secret in it",
    ),
    (
        "src/engine/service_context.rs",
        1,
        "fingerprints what a login sends, and what a plugin says was refused",
    ),
    (
        "crates/keyferry-cli/src/commands/git/ask.rs",
        1,
        "the e-mail address in a question",
    ),
    (
        "crates/keyferry-cli/src/commands/doctor.rs",
        2,
        "leaves the e-mail address out, and compares a made-up token",
    ),
    (
        "crates/keyferry-cli/src/commands/exec.rs",
        1,
        "the environment of the program that asked for it",
    ),
    (
        "crates/keyferry-cli/src/secret_input.rs",
        1,
        "refuses control characters",
    ),
    (
        "crates/keyferry-cli/src/save_secret.rs",
        1,
        "writes the private file that was asked for",
    ),
    (
        "crates/keyferry-cli/src/commands/login.rs",
        2,
        "the e-mail address, in a question and in config.toml",
    ),
    (
        "crates/keyferry-cli/src/commands/git/request.rs",
        1,
        "the parts of a URL",
    ),
    (
        "crates/keyferry-cli/src/commands/config.rs",
        1,
        "settings that are no secret",
    ),
    (
        "src/engine/persistence.rs",
        1,
        "fingerprints the setting that says whose a token is",
    ),
    (
        "crates/keyferry-cli/src/git_protocol.rs",
        3,
        "the lines of the helper protocol",
    ),
    (
        "src/session/lookup.rs",
        1,
        "fingerprints what a caller rejects, or may have got itself",
    ),
    (
        "src/plugin/http_request.rs",
        1,
        "reads the URL that a plugin's exchange goes below",
    ),
    (
        "src/plugin/host.rs",
        8,
        "gives a plugin its settings, answers and texts, and keeps what it says from telling a secret",
    ),
    (
        "src/plugin/service.rs",
        2,
        "reads a plugin's URL, and gives it what renews a token",
    ),
    (
        "src/services/fileverbs.rs",
        5,
        "bodies and headers of its calls, and the cookie that came back",
    ),
    (
        "src/services/masv/links.rs",
        2,
        "the URL of a link, which carries its secret",
    ),
    (
        "src/services/masv/mod.rs",
        1,
        "refuses an adopted token that is a placeholder",
    ),
    (
        "src/services/masv/team.rs",
        1,
        "the team, which is no secret",
    ),
    ("src/services/masv/user.rs", 2, "the body of the login"),
    (
        "src/services/masv_agent.rs",
        4,
        "bodies of sign in and sign up; e-mail and password",
    ),
    (
        "src/secret_sources/keyring.rs",
        2,
        "keeps it in the keyring, by standard input or system call",
    ),
    ("src/secret_sources/mod.rs", 1, "refuses control characters"),
    (
        "crates/keyferry-cli/src/prompt.rs",
        1,
        "refuses control characters",
    ),
    ("src/stores/file/codec.rs", 1, "seals what renews a token"),
    (
        "src/stores/file/master_key.rs",
        1,
        "the digits of the store's key, out of the keyring",
    ),
    ("src/model/token.rs", 1, "lays a token's text out"),
    ("src/transport/exchange.rs", 2, "sends headers and bodies"),
    (
        "src/engine/acquisition.rs",
        2,
        "fingerprints a link's secret and password",
    ),
];

fn stands_where_it_may(file: &File) -> Vec<String> {
    let may = UNSAFE.iter().any(|(place, _)| file.path.starts_with(place));
    let mut complaints = Vec::new();
    for at in file.words("unsafe") {
        // `#[unsafe(no_mangle)]`, and a promise that a function asks for in its own comment.
        let rest = file.code[at + "unsafe".len()..].trim_start();
        if rest.starts_with('(') {
            continue;
        }
        if !may {
            let places: Vec<_> = UNSAFE.iter().map(|(place, _)| *place).collect();
            complaints.push(file.complain(
                at,
                &format!("unsafe stands only in {}: wrap it there", places.join(", ")),
            ));
        }
        if (rest.starts_with('{') || rest.starts_with("impl")) && !is_explained(file, at) {
            complaints.push(file.complain(
                at,
                "unsafe without // SAFETY: above it: name the promise, and who made it",
            ));
        }
    }
    complaints
}

/// Whether a comment above the statement says `SAFETY:`.
fn is_explained(file: &File, at: usize) -> bool {
    let line = file.line(at) - 1;
    let above: Vec<_> = file.text.lines().take(line + 1).collect();
    for (back, text) in above.iter().rev().enumerate() {
        let text = text.trim();
        if text.contains("// SAFETY:") {
            return true;
        }
        let ends_another = back > 0 && !text.starts_with("//") && text.ends_with([';', '}']);
        if text.is_empty() || ends_another || back > 12 {
            return false;
        }
    }
    false
}

fn exposed(file: &File) -> usize {
    let tests = file.tests();
    let places = file
        .words("expose")
        .into_iter()
        .filter(|at| !tests.iter().any(|range| range.contains(at)));
    places
        .filter(|at| file.code[..*at].ends_with(['.', ':']))
        .count()
}

fn counted(files: &[File], table: &[(&str, usize, &str)]) -> Vec<String> {
    let is_test = |path: &str| {
        path.contains("/tests") || path.ends_with("/test_context.rs") || path == "src/secret.rs"
    };
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !is_test(&file.path)) {
        let allowed = table
            .iter()
            .find(|(path, ..)| *path == file.path)
            .map_or(0, |(_, count, _)| *count);
        let count = exposed(file);
        if count != allowed {
            let what = "if each is where the secret leaves, say so in tests/architecture/secrets.rs, else pass the Secret on";
            complaints.push(format!(
                "{}: takes a secret out {count} times, not {allowed}: {what}",
                file.path
            ));
        }
    }
    let gone = table
        .iter()
        .filter(|(path, ..)| !files.iter().any(|file| file.path == *path));
    complaints.extend(gone.map(|(path, ..)| {
        format!("{path}: is gone: take it out of tests/architecture/secrets.rs")
    }));
    complaints
}

/// What stands nowhere: exceptions without a reason, and unfinished work.
fn forbidden(file: &File) -> Vec<String> {
    let table = [
        ("#[allow(", "write #[expect(lint, reason = \"…\")]"),
        ("#![allow(", "write #![expect(lint, reason = \"…\")]"),
        ("todo!", "finish it"),
        ("unimplemented!", "finish it"),
        ("dbg!", "take it out"),
    ];
    let found = table.iter().flat_map(|(word, remedy)| {
        file.code
            .match_indices(word)
            .map(move |(at, _)| (at, word, remedy))
    });
    let mut complaints: Vec<_> = found
        .map(|(at, word, remedy)| file.complain(at, &format!("{word} stands nowhere: {remedy}")))
        .collect();
    let bare = file.code.match_indices("[expect(").filter(|(at, _)| {
        !file.code[*at..]
            .split(']')
            .next()
            .unwrap_or_default()
            .contains("reason")
    });
    complaints.extend(
        bare.map(|(at, _)| {
            file.complain(at, "an exception without its reason: add reason = \"…\"")
        }),
    );
    complaints
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, rust};

    fn all() -> Vec<File> {
        rust(&["src", "crates", "tests", "benches", "build.rs"])
    }

    #[test]
    fn unsafe_stands_where_it_may_and_says_why_it_holds() {
        holds(all().iter().flat_map(stands_where_it_may).collect());
        let bad = |path: &str, text: &str| stands_where_it_may(&File::new(path, text));
        breaks(
            &bad(
                "src/engine/cache/mod.rs",
                "fn f() {\n    // SAFETY: x\n    unsafe { g() }\n}",
            ),
            "src/engine/cache/mod.rs:3: unsafe stands only in",
        );
        breaks(
            &bad(
                "src/sys/a.rs",
                "// SAFETY: x\nlet a = 1;\nlet b = unsafe { g() };",
            ),
            "src/sys/a.rs:3: unsafe without",
        );
        breaks(
            &bad("src/sys/a.rs", "unsafe impl Send for A {}"),
            "unsafe without",
        );
        holds(bad(
            "src/sys/a.rs",
            "// SAFETY: x,\n// and y\n#[cfg(unix)]\nlet b = f(\n    unsafe { g() });",
        ));
    }

    #[test]
    fn a_secret_is_taken_out_where_it_leaves_and_nowhere_else() {
        holds(counted(&rust(&["src", "crates/keyferry-cli/src"]), EXPOSED));
        let stray = [File::new(
            "src/a.rs",
            "fn f(s: &Secret) -> String { s.expose().into() }",
        )];
        breaks(
            &counted(&stray, &[]),
            "src/a.rs: takes a secret out 1 times, not 0",
        );
        breaks(&counted(&stray, &[("src/a.rs", 2, "")]), "1 times, not 2");
        breaks(&counted(&[], &[("src/a.rs", 2, "")]), "is gone");
    }

    #[test]
    fn nothing_is_excused_without_a_reason_or_left_unfinished() {
        holds(all().iter().flat_map(forbidden).collect());
        for bad in [
            "#[allow(dead_code)]",
            "#![allow(x)]",
            "fn f() { todo!() }",
            "dbg!(x)",
            "#[expect(dead_code)]",
        ] {
            breaks(&forbidden(&File::new("src/a.rs", bad)), "src/a.rs:1:");
        }
        holds(forbidden(&File::new(
            "src/a.rs",
            "// todo! \n#[expect(dead_code, reason = \"x\")]\nconst A: &str = \"dbg!\";",
        )));
    }
}
