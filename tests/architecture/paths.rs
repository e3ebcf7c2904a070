//! The paths to other modules in a file's code, written out from the crate's root.

use super::code::{File, enclosed};

/// Whence a file names what.
pub(crate) struct Path {
    pub(crate) at: usize,
    /// `["cache", "Cache"]` for `crate::cache::Cache`.
    pub(crate) names: Vec<String>,
}

/// The module that a file is, in its package: `["services", "masv", "links"]`.
pub(crate) fn module_of(file: &str) -> Vec<String> {
    let inner = file
        .split_once("src/")
        .map_or(file, |(_, inner)| inner)
        .trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner
        .split('/')
        .map(str::to_owned)
        .filter(|name| name != "lib")
        .collect()
}

/// Every path that begins with `crate` or `super`.
pub(crate) fn paths(file: &File) -> Vec<Path> {
    let module = module_of(&file.path);
    let mut found = Vec::new();
    for at in file.words("crate") {
        spread(&file.code, at + "crate".len(), Vec::new(), &mut found);
    }
    for at in file.words("super") {
        if file.code[..at].trim_end().ends_with("super::") || file.code[..at].ends_with("pub(") {
            continue;
        }
        let mut here = module.clone();
        here.extend(inline_modules(file, at));
        let mut rest = at;
        while file.code[rest..].starts_with("super") {
            here.pop();
            rest += "super".len();
            if file.code[rest..].starts_with("::super") {
                rest += 2;
            }
        }
        spread(&file.code, rest, here, &mut found);
    }
    found
}

/// The modules written inside the file around a place.
fn inline_modules(file: &File, place: usize) -> Vec<String> {
    let around = |at: &usize| {
        let rest = &file.code[at + 3..];
        rest.find(['{', ';'])
            .is_some_and(|end| rest.as_bytes()[end] == b'{')
            && file.block(*at).contains(&place)
    };
    file.words("mod")
        .into_iter()
        .filter(around)
        .map(|at| {
            file.code[at + 3..]
                .split('{')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

/// Follows `::a::{b, c::d}` from here.
fn spread(code: &str, mut at: usize, mut names: Vec<String>, found: &mut Vec<Path>) {
    let start = at;
    while let Some(rest) = code[at..].strip_prefix("::") {
        at += 2;
        if rest.starts_with('{') {
            let group = enclosed(code, at, b'{', b'}');
            for part in parts(code, group.start + 1, group.end - 1) {
                let name = name_at(code, part);
                let names = names
                    .iter()
                    .cloned()
                    .chain((name != "self").then_some(name.clone()))
                    .collect();
                spread(code, part + name.len(), names, found);
            }
            return;
        }
        let name = name_at(code, at);
        at += name.len().max(1);
        if name.is_empty() {
            break;
        }
        names.push(name);
    }
    if !names.is_empty() {
        found.push(Path { at: start, names });
    }
}

fn name_at(code: &str, at: usize) -> String {
    code[at..]
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Where each part of a group begins.
fn parts(code: &str, from: usize, to: usize) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut depth = 0_usize;
    let mut fresh = true;
    for (at, c) in code[from..to].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                starts.push(from + at);
                fresh = false;
            }
            _ => {}
        }
    }
    starts
}

mod tests {
    use super::*;

    fn named(path: &str, text: &str) -> Vec<String> {
        paths(&File::new(path, text))
            .into_iter()
            .map(|path| path.names.join("::"))
            .collect()
    }

    #[test]
    fn paths_are_written_out_from_the_root() {
        let text = "use crate::{a::{self, B}, c}; fn f() { crate::d::e(); super::user::g(); super::super::fake::h() }";
        let found = named("src/services/masv/links.rs", text);
        assert_eq!(
            found,
            [
                "a",
                "a::B",
                "c",
                "d::e",
                "services::masv::user::g",
                "services::fake::h"
            ]
        );
        assert_eq!(
            named("src/cache.rs", "mod tests { use super::*; }"),
            ["cache"]
        );
        assert_eq!(
            named("src/a.rs", "// crate::b\nlet x = \"crate::c\";"),
            Vec::<String>::new()
        );
    }
}
