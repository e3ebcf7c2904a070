//! Which folder may import which, by the table in `src/lib.rs`; and no imports form a circle.

use std::collections::BTreeSet;
use std::mem::take;

use proc_macro2::{TokenStream, TokenTree};

use super::{File, breaks, holds, holds_in, read, sources};

/// Crates whose pitfalls one folder knows, so that only its files use them.
const HOMES: [(&str, &str); 4] = [
    ("reqwest", "src/transport/"),
    ("hyper", "src/transport/"),
    ("libc", "src/sys/"),
    ("toml", "src/config/"),
];

/// `["services", "masv", "links"]` for `src/services/masv/links.rs`.
type Module = Vec<String>;

fn module_of(path: &str) -> Module {
    let (_, path) = path.split_once("src/").unwrap();
    let names = path.trim_end_matches(".rs").split('/');
    let names = names.filter(|name| !["lib", "mod"].contains(name));
    names.map(str::to_owned).collect()
}

/// A path in the code: its line, its names from the root of the package, and whether a test has it.
type Use = (usize, Module, bool);

/// The paths of a file, also those in the arguments of macros.
fn uses(path: &str, text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    walk(text.parse().unwrap(), &module_of(path), None, &mut found);
    found
}

/// Collects the paths with `::` in a module. `before` is the path in front of a group of a `use`.
fn walk(tokens: TokenStream, module: &Module, before: Option<&Module>, found: &mut Vec<Use>) {
    let is_test = module.contains(&"tests".to_owned());
    let (mut names, mut colons, mut inner) = (Module::new(), 0, None);
    // Whether a path of the group begins here, and whether the last path found may go on.
    let (mut begins, mut is_open) = (before.is_some(), false);
    for token in tokens {
        let line = token.span().start().line;
        if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') {
            colons += 1;
            continue;
        }
        let follows = take(&mut colons) == 2;
        let is_module = names.last().is_some_and(|name| name == "mod");
        if !follows {
            (names, is_open) = (before.unwrap_or(module).clone(), false);
        }
        match token {
            TokenTree::Ident(name) => {
                match name.to_string().as_str() {
                    "crate" => names.clear(),
                    "super" => drop(names.pop()),
                    "self" => {}
                    name => names.push(name.to_owned()),
                }
                inner = is_module.then(|| names.clone());
                if take(&mut begins) || follows {
                    found.truncate(found.len() - usize::from(is_open));
                    found.push((line, names.clone(), is_test));
                    is_open = true;
                }
            }
            TokenTree::Group(group) => {
                found.truncate(found.len() - usize::from(follows && is_open));
                let module = take(&mut inner).unwrap_or(module.clone());
                walk(group.stream(), &module, follows.then_some(&names), found);
            }
            // The path is `super::*`, or has ended.
            _ if follows && !is_open => found.push((line, names.clone(), is_test)),
            _ => (begins, inner) = (before.is_some(), None),
        }
    }
}

/// The names in the table of `src/lib.rs`, each with its row: 1 foundations, 2 adapters.
fn layers() -> Vec<(usize, String)> {
    let (text, mut layers) = (read("src/lib.rs"), Vec::new());
    let rows = text.lines().filter(|line| line.starts_with("//! | "));
    for (row, line) in rows.enumerate() {
        let names = line.split('`').skip(1).step_by(2);
        layers.extend(names.map(|name| (row, name.to_owned())));
    }
    layers
}

/// What a file uses against the table, or outside the home of a crate.
fn against_the_order(layers: &[(usize, String)], path: &str, text: &str) -> Vec<String> {
    let find = |module: &Module| {
        let name = module.first()?;
        let place = layers.iter().position(|(_, known)| known == name)?;
        Some((layers[place].0, place, name.clone()))
    };
    let Some((row, place, own)) = find(&module_of(path)) else {
        let what = format!("{path}:1: its module is not in the table of src/lib.rs: add it");
        return Vec::from_iter((path != "src/lib.rs").then_some(what));
    };
    let mut complaints = Vec::new();
    for (line, names, _) in uses(path, text) {
        let mut say = |what| complaints.push(format!("{path}:{line}: {what}"));
        for (name, home) in HOMES {
            if names.iter().any(|used| used == name) && !path.starts_with(home) {
                say(format!("only {home} uses `{name}`: move it there"));
            }
        }
        match find(&names) {
            Some((2, _, name)) if row == 2 && name != own => {
                say(format!("adapters `{own}` and `{name}`: use a foundation"));
            }
            Some((_, there, name)) if there > place => {
                say(format!("`{own}` may not import `{name}`: move it up"));
            }
            _ => {}
        }
    }
    complaints
}

/// The imports of a circle, if there is one.
fn circle(files: &[File]) -> Vec<String> {
    let files = files.iter().filter(|(path, _)| !path.contains("/tests"));
    let modules: BTreeSet<_> = files.clone().map(|(path, _)| module_of(path)).collect();
    let mut imports = Vec::new();
    for (path, text) in files {
        for (line, names, is_test) in uses(path, text) {
            let mut parents = (0..=names.len()).rev();
            let to = parents.find_map(|end| modules.get(&names[..end]));
            let (from, place) = (module_of(path), format!("{path}:{line}"));
            let to = to.filter(|to| **to != from && !is_test);
            imports.extend(to.map(|to| (from, to.clone(), place)));
        }
    }
    // What imports nothing is in no circle, nor, round by round, what imports only that.
    for _ in &modules {
        let from: BTreeSet<_> = imports.iter().map(|import| import.0.clone()).collect();
        imports.retain(|import| from.contains(&import.1));
    }
    let (mut way, mut next) = (Vec::new(), imports.first());
    while let Some(import) = next.filter(|import| !way.contains(import)) {
        way.push(import);
        next = imports.iter().find(|other| other.0 == import.1);
    }
    let way = way.into_iter().skip_while(|import| Some(*import) != next);
    let remedy = "in a circle: move what both need to a third file";
    let say = |import: &(Module, Module, String)| {
        format!("{}: imports {} {remedy}", import.2, import.1.join("/"))
    };
    way.map(say).collect()
}

#[test]
fn a_file_imports_only_what_the_table_allows() {
    let (layers, text) = (layers(), read("src/lib.rs"));
    let check = |path: &str, text: &str| against_the_order(&layers, path, text);
    holds_in(&sources("src"), check);
    for (_, name) in &layers {
        let is_module = text.contains(&format!("\npub mod {name};\n"));
        assert!(is_module, "src/lib.rs: `{name}` is no module: delete it");
    }
    let broken = "\
src/model/a.rs > use crate::ports::X; > src/model/a.rs:1: `model` may not import `ports`
src/clock.rs > fn f() { crate::log::x() } > src/clock.rs:1: `clock` may not import `log`
src/model/a.rs > use crate::{error::E, engine::b::C}; > may not import `engine`
src/model/a.rs > fn f() { g!(0, [crate::engine::C]) } > may not import `engine`
src/services/masv/a.rs > use crate::transport::T; > adapters `services` and `transport`
src/services/masv/a.rs > use super::super::super::plugin::l; > adapters `services` and `plugin`
src/nowhere.rs > > src/nowhere.rs:1: its module is not in the table
src/session/a.rs > use reqwest::C; > src/session/a.rs:1: only src/transport/ uses `reqwest`";
    for row in broken.lines() {
        let row: Vec<_> = row.split('>').map(str::trim).collect();
        breaks(check(row[0], row[1]), row[2]);
    }
}

#[test]
fn no_two_modules_import_each_other() {
    holds(circle(&sources("src")));
    for package in ["keyferry-cli", "keyferry-sandbox", "keyferry-testing"] {
        holds(circle(&sources(&format!("crates/{package}/src"))));
    }
    let check = |a: &str, b: &str, d: &str| {
        let files = [("src/a/mod.rs", a), ("src/a/b.rs", b), ("src/a/d.rs", d)];
        circle(&files.map(|(path, text)| (path.to_owned(), text.to_owned())))
    };
    let two = check("pub use b::C;", "\nuse crate::a::d::E;", "use super::b::C;");
    breaks(two, "src/a/b.rs:2: imports a/d in a circle");
    let child = check("fn f() { b::g() }", "use super::X;", "");
    breaks(child, "src/a/b.rs:1: imports a in a circle");
    let tests = "pub(super) fn f() {}\nmod tests { use super::super::*; }";
    holds(check("mod b; pub use b::{C as D, d::E};", tests, ""));
}
