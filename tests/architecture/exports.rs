//! The C ABI: every export is one call of the boundary, and source, header, list and status table
//! agree.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{self, File, enclosed};

const PREFIXES: [&str; 3] = ["keyferry_", "masv_", "fileverbs_"];
/// What an export's body may be: one call of one of these.
const SHAPES: [&str; 4] = [
    "boundary::call",
    "boundary::call_with_out",
    "boundary::status_only",
    "panic::infallible",
];
/// The sections of a comment in the header, in their order.
const LABELS: [&str; 5] = ["Errors:", "Owner:", "Threads:", "Source:", "Since:"];
/// The blocks of status numbers: caller, configuration, memory, network, service, plugin.
const BLOCKS: [i32; 6] = [1, 2, 3, 6, 7, 8];

/// The exported functions of a file: place and name.
fn exports(file: &File) -> Vec<(usize, String)> {
    let marks = file
        .code
        .match_indices("#[unsafe(no_mangle)]")
        .filter_map(|(at, _)| {
            let name = at + file.code[at..].find("fn ")? + 3;
            Some((
                name,
                file.code[name..]
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ))
        });
    marks.collect()
}

/// The body of every export is one call of the boundary, under the export's own name.
fn unguarded(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, name) in exports(file) {
        if !file.path.starts_with("src/ffi/") {
            complaints.push(file.complain(
                at,
                &format!("`{name}` is exported outside src/ffi: move it there"),
            ));
        }
        if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            complaints.push(file.complain(
                at,
                &format!(
                    "`{name}` begins with none of {}: rename it",
                    PREFIXES.join(", ")
                ),
            ));
        }
        if !file.code[..at].trim_end().ends_with("extern \"C\" fn")
            && !file.text[..at].trim_end().ends_with("extern \"C\" fn")
        {
            complaints.push(file.complain(
                at,
                &format!("`{name}` is exported without extern \"C\": add it"),
            ));
        }
        if !is_one_call(file, at, &name) {
            let what = format!(
                "the body of `{name}` is not one call of {} with \"{name}\": wrap all of it",
                SHAPES.join(", ")
            );
            complaints.push(file.complain(at, &what));
        }
    }
    complaints
}

fn is_one_call(file: &File, at: usize, name: &str) -> bool {
    let block = file.block(at);
    let body = &file.code[block.start + 1..block.end - 1];
    let start = block.start + 1 + (body.len() - body.trim_start().len());
    let Some(open) = SHAPES.iter().find_map(|shape| {
        let call = format!("{shape}(");
        file.code[start..]
            .starts_with(&call)
            .then_some(start + call.len() - 1)
    }) else {
        return false;
    };
    let call = enclosed(&file.code, open, b'(', b')');
    let named = file.text[open + 1..]
        .trim_start()
        .starts_with(&format!("\"{name}\""));
    named && matches!(file.code[call.end..block.end - 1].trim(), "" | ";")
}

/// A function of the header with the comment before it.
struct DeclaredSetting {
    line: usize,
    name: String,
    comment: String,
    signature: String,
}

impl DeclaredSetting {
    /// The names of its parameters.
    fn parameters(&self) -> Vec<&str> {
        let inside = self
            .signature
            .split_once('(')
            .map_or("", |(_, rest)| rest)
            .trim_end_matches([';', ')', ' ', '\n']);
        let last = |part: &'_ str| {
            part.trim()
                .rfind([' ', '*'])
                .map_or(part.trim().len(), |at| at + 1)
        };
        inside
            .split(',')
            .map(str::trim)
            .filter(|part| *part != "void")
            .map(|part| &part[last(part)..])
            .collect()
    }

    /// Whether the caller gets or gives something that somebody has to free, or borrows.
    fn hands_over(&self) -> bool {
        let gives = self.signature.contains("**")
            || self
                .signature
                .split('(')
                .next()
                .is_some_and(|result| result.contains('*'));
        gives || self.comment.contains("Taken.")
    }
}

fn declared(header: &str) -> Vec<DeclaredSetting> {
    let mut found = Vec::new();
    for (at, _) in header.match_indices("/**") {
        let Some((comment, rest)) = header[at..].split_once("*/") else {
            continue;
        };
        let signature = rest.split(';').next().unwrap_or_default().trim();
        let name = signature
            .split('(')
            .next()
            .unwrap_or_default()
            .rsplit([' ', '*'])
            .next()
            .unwrap_or_default();
        if signature.contains('(')
            && !signature.starts_with(['#', '/'])
            && !signature.starts_with("typedef")
        {
            let line = header[..at].matches('\n').count() + comment.matches('\n').count() + 2;
            found.push(DeclaredSetting {
                line,
                name: name.into(),
                comment: comment.into(),
                signature: signature.into(),
            });
        }
    }
    found
}

/// Each function's comment says all that its caller has to know, in one order.
fn documented(header: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for function in declared(header) {
        let mut say = |what: String| {
            complaints.push(format!(
                "include/keyferry.h:{}: {} {what}, in src/ffi",
                function.line, function.name
            ))
        };
        let places: Vec<_> = LABELS
            .iter()
            .map(|label| function.comment.find(&format!("\n * {label} ")))
            .collect();
        for (label, place) in LABELS.iter().zip(&places) {
            if place.is_none() && (*label != "Owner:" || function.hands_over()) {
                say(format!("has no line {label} in its comment: add it"));
            }
        }
        if !places.iter().flatten().is_sorted() {
            say(format!(
                "has its lines in another order than {}: reorder them",
                LABELS.join(" ")
            ));
        }
        let said: Vec<_> = function
            .comment
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("* @param ")?
                    .split_whitespace()
                    .next()
            })
            .collect();
        if said != function.parameters() {
            say(format!(
                "has parameters {:?} and comments on {said:?}: one @param for each, in their order",
                function.parameters()
            ));
        }
    }
    complaints
}

/// Each status stands where a caller looks: in a function's list of errors, or among the rules that
/// hold for all of them.
fn unlisted(header: &str) -> Vec<String> {
    let errors = |function: DeclaredSetting| {
        let (_, rest) = function.comment.split_once("\n * Errors: ")?;
        let end = LABELS
            .iter()
            .filter_map(|label| rest.find(&format!("\n * {label} ")))
            .min()
            .unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    let rules = header.split("*/").next().unwrap_or_default().to_owned();
    let said: Vec<String> = declared(header)
        .into_iter()
        .filter_map(errors)
        .chain([rules])
        .collect();
    let is_said = |name: &str| {
        said.iter().any(|text| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == name)
        })
    };
    let names = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define KEYFERRY_E_")?.split(' ').next());
    let missing = names
        .map(|name| format!("KEYFERRY_E_{name}"))
        .filter(|name| !is_said(name));
    missing
        .map(|name| format!("include/keyferry.h: {name} stands in no list of errors: say which functions answer it, in src/ffi"))
        .collect()
}

fn listed(symbols: &str) -> BTreeSet<String> {
    symbols
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn differences(left: (&str, &BTreeSet<String>), right: (&str, &BTreeSet<String>)) -> Vec<String> {
    let only = |one: (&str, &BTreeSet<String>), other: (&str, &BTreeSet<String>)| {
        let lines = one.1.difference(other.1).map(|name| {
            format!(
                "{} has {name}, and {} has not: build, then bring both in step",
                one.0, other.0
            )
        });
        lines.collect::<Vec<_>>()
    };
    [only(left, right), only(right, left)].concat()
}

/// The status constants: name, number, place.
fn statuses(file: &File) -> Vec<(usize, String, i32)> {
    let lines = file
        .code
        .match_indices("pub const KEYFERRY_")
        .filter_map(|(at, _)| {
            let rest = file.code[at + "pub const ".len()..].split(';').next()?;
            let (name, number) = rest.split_once(": keyferry_status = ")?;
            Some((at, name.to_owned(), number.trim().parse().ok()?))
        });
    lines.collect()
}

fn numbered(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let table = file.code.find("pub const TABLE").map_or("", |at| {
        file.code[at..].split("];").next().unwrap_or_default()
    });
    let mut seen: BTreeMap<i32, String> = BTreeMap::new();
    let mut last = i32::MIN;
    for (at, name, number) in statuses(file) {
        if let Some(other) = seen.insert(number, name.clone()) {
            complaints.push(file.complain(
                at,
                &format!("{name} has the number of {other}: take the next free one of its block"),
            ));
        }
        if name != "KEYFERRY_OK" && !BLOCKS.contains(&(number / 100)) {
            complaints
                .push(file.complain(at, &format!("{name} is {number}, outside the blocks {BLOCKS:?} of 100: 400 and 500 look like HTTP")));
        }
        if number < last {
            complaints.push(file.complain(
                at,
                &format!("{name} stands behind a greater number: sort it in"),
            ));
        }
        if !table.contains(&format!("({name},"))
            && !table
                .split_whitespace()
                .any(|word| word == format!("{name},"))
        {
            complaints.push(file.complain(
                at,
                &format!("{name} is not in TABLE: give it its kind and its words"),
            ));
        }
        last = number;
    }
    complaints
}

/// Every status that a text names is one that there is.
pub(crate) fn unknown_names(path: &str, text: &str) -> Vec<String> {
    let header = code::read("include/keyferry.h");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known: BTreeSet<&str> = header.split(|c| !is_part(c)).collect();
    let begins = |word: &&str| {
        word.starts_with("KEYFERRY_E_") || PREFIXES.iter().any(|prefix| word.starts_with(prefix))
    };
    let mut unknown = Vec::new();
    for (line, row) in text.lines().enumerate() {
        // `keyferry_token_…` stands for many, and a name with a dot is a file or a setting.
        let words = row
            .split(|c| !is_part(c) && c != '…' && c != '.' && c != '*')
            .filter(begins);
        let odd = words.filter(|word| {
            !known.contains(word.trim_end_matches('.'))
                && !word.ends_with(['_', '…', '*'])
                && !word.contains('.')
        });
        unknown.extend(odd.map(|word| {
            format!(
                "{path}:{}: the header has no {word}: name what there is",
                line + 1
            )
        }));
    }
    unknown
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, read, rust};

    const HEADER: &str = "include/keyferry.h";

    #[test]
    fn every_export_is_one_call_of_the_boundary() {
        holds(rust(&["src"]).iter().flat_map(unguarded).collect());
        let export = |name: &str, body: &str| {
            format!(
                "#[unsafe(no_mangle)]\npub extern \"C\" fn {name}(x: u8) -> i32 {{\n    {body}\n}}\n"
            )
        };
        let table = [
            (
                "src/ffi/a.rs",
                export("keyferry_a", "boundary::call(\"keyferry_b\", || 1)"),
                "src/ffi/a.rs:2: the body of `keyferry_a`",
            ),
            (
                "src/ffi/a.rs",
                export(
                    "keyferry_a",
                    "let x = 1; boundary::call(\"keyferry_a\", || x)",
                ),
                "is not one call",
            ),
            (
                "src/ffi/a.rs",
                export("keyferry_a", "boundary::call(\"keyferry_a\", || 1) + 1"),
                "is not one call",
            ),
            (
                "src/ffi/a.rs",
                export("keyferry_a", "other(\"keyferry_a\", || 1)"),
                "is not one call",
            ),
            (
                "src/ffi/a.rs",
                export("ferry_a", "boundary::call(\"ferry_a\", || 1)"),
                "begins with none of",
            ),
            (
                "src/engine/cache/mod.rs",
                export("keyferry_a", "boundary::call(\"keyferry_a\", || 1)"),
                "outside src/ffi",
            ),
        ];
        for (path, text, complaint) in table {
            breaks(&unguarded(&File::new(path, &text)), complaint);
        }
        holds(unguarded(&File::new(
            "src/ffi/a.rs",
            &export(
                "keyferry_a",
                "panic::infallible(\n\"keyferry_a\", (), || { (1) });",
            ),
        )));
    }

    #[test]
    fn source_header_and_list_have_the_same_functions() {
        let source = rust(&["src"])
            .iter()
            .flat_map(exports)
            .map(|(_, name)| name)
            .collect();
        let header = declared(&read(HEADER))
            .into_iter()
            .map(|function| function.name)
            .collect();
        let list = listed(&read("c-tests/symbols.txt"));
        holds(
            [
                differences(("src/ffi", &source), (HEADER, &header)),
                differences((HEADER, &header), ("c-tests/symbols.txt", &list)),
            ]
            .concat(),
        );
        assert!(source.len() > 50, "the exports could not be read");
        breaks(
            &differences(("src/ffi", &source), (HEADER, &BTreeSet::new())),
            "include/keyferry.h has not",
        );
    }

    #[test]
    fn every_function_of_the_header_says_what_a_caller_has_to_know() {
        holds(documented(&read(HEADER)));
        let good = "/**\n * Does.\n *\n * @param a  x\n * @param b_out  y\n *\n * Errors:  none\n * Owner:   you\n * Threads: [any]\n * Source:  x\n * Since:   0.1\n */\nint keyferry_x(const char *a,\n   int **b_out);\n";
        holds(documented(good));
        let spoiled = [
            (" * Owner:   you\n", "", "has no line Owner:"),
            (" * Since:   0.1\n", "", "has no line Since:"),
            (" * @param a  x\n", "", "one @param for each"),
            ("@param b_out", "@param c", "one @param for each"),
            (
                " * Errors:  none\n",
                "",
                "keyferry.h:12: keyferry_x has no line Errors:",
            ),
            (
                " * Source:  x\n * Since:   0.1\n",
                " * Since:   0.1\n * Source:  x\n",
                "in another order",
            ),
        ];
        for (from, to, complaint) in spoiled {
            breaks(&documented(&good.replace(from, to)), complaint);
        }
    }

    #[test]
    fn every_status_is_among_the_errors_of_a_function_or_the_rules() {
        holds(unlisted(&read(HEADER)));
        let text = |rule: &str, list: &str, owner: &str| {
            format!(
                "/* {rule} */\n#define KEYFERRY_E_A 1\n/**\n * Errors:  {list}\n * Owner:   {owner}\n */\nint keyferry_x(void);\n"
            )
        };
        for (rule, list) in [
            ("KEYFERRY_E_A", "none"),
            ("", "KEYFERRY_E_A"),
            ("", "KEYFERRY_E_B;\n *          KEYFERRY_E_A if x"),
        ] {
            holds(unlisted(&text(rule, list, "you")));
        }
        breaks(
            &unlisted(&text("", "KEYFERRY_E_AB", "KEYFERRY_E_A")),
            "KEYFERRY_E_A stands in no list",
        );
    }

    #[test]
    fn status_numbers_are_unique_in_their_blocks_and_have_words() {
        let path = "src/ffi/status.rs";
        let file = File::new(path, &read(path));
        holds(numbered(&file));
        assert_eq!(
            statuses(&file).len(),
            keyferry::ffi::status::TABLE.len(),
            "{path}: as many constants as rows in TABLE"
        );
        let bad = |consts: &str| {
            numbered(&File::new(
                path,
                &format!("{consts}\npub const TABLE: X = &[(KEYFERRY_E_A, x)];"),
            ))
        };
        breaks(
            &bad(
                "pub const KEYFERRY_E_A: keyferry_status = 101;\npub const KEYFERRY_E_B: keyferry_status = 101;",
            ),
            "has the number of KEYFERRY_E_A",
        );
        breaks(
            &bad("pub const KEYFERRY_E_A: keyferry_status = 404;"),
            "outside the blocks",
        );
        breaks(
            &bad("\npub const KEYFERRY_E_B: keyferry_status = 101;"),
            "status.rs:2: KEYFERRY_E_B is not in TABLE",
        );
        breaks(
            &bad(
                "pub const KEYFERRY_E_A: keyferry_status = 201;\npub const KEYFERRY_E_B: keyferry_status = 101;",
            ),
            "sort it in",
        );
    }

    #[test]
    fn every_status_has_a_remedy_in_its_words() {
        for (number, kind, words) in keyferry::ffi::status::TABLE {
            let words = words.to_str().unwrap();
            let needs_none =
                kind.is_none() || *number == keyferry::ffi::status::KEYFERRY_E_CANCELLED;
            assert!(
                needs_none || words.contains("; "),
                "src/ffi/status.rs: {number} says what is wrong and not what helps: '{words}'"
            );
        }
    }

    #[test]
    fn the_header_names_only_what_there_is() {
        let header = read(HEADER);
        let comments: Vec<_> = header
            .lines()
            .map(|line| if line.starts_with(" *") { line } else { "" })
            .collect();
        let constants: BTreeSet<_> = header
            .lines()
            .filter_map(|line| line.strip_prefix("#define ")?.split(' ').next())
            .collect();
        for (line, row) in comments.iter().enumerate() {
            let words = row
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.starts_with("KEYFERRY_") && !word.ends_with('_'));
            words.for_each(|word| {
                assert!(
                    constants.contains(word),
                    "{HEADER}:{}: there is no {word}",
                    line + 1
                )
            });
        }
        breaks(
            &unknown_names("x", "call `keyferry_nothing_free`"),
            "x:1: the header has no keyferry_nothing_free",
        );
    }
}
