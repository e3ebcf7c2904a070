//! Which folder may import which, by the table in `src/lib.rs`; and no two modules import each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{self, File};
use super::paths::{module_of, paths};

/// A crate of ours that one folder alone names, so that its pitfalls are met in one place.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("reqwest", &["src/transport/"]),
    ("hyper", &["src/transport/"]),
    ("libc", &["src/sys/"]),
    ("toml", &["src/config/"]),
];

/// The table of folders in `src/lib.rs`: the names of each row, in their order.
struct Layers(Vec<Vec<String>>);

impl Layers {
    fn read(text: &str) -> Self {
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "))
            .filter(|row| row.contains('`'));
        let names = |row: &str| {
            row.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        Self(rows.map(names).collect())
    }

    /// Row and place in the row.
    fn find(&self, name: &str) -> Option<(usize, usize)> {
        let places = self
            .0
            .iter()
            .enumerate()
            .map(|(row, names)| (row, names.iter().position(|known| known == name)));
        places.filter_map(|(row, place)| Some((row, place?))).next()
    }

    /// Every module stands in the table, and the table names nothing else.
    fn complete(&self, modules: &[String]) -> Vec<String> {
        let missing = modules.iter().filter(|name| self.find(name).is_none());
        let missing = missing
            .map(|name| format!("src/lib.rs: `{name}` is not in the table: give it a place"));
        let stale = self
            .0
            .iter()
            .flatten()
            .filter(|name| !modules.contains(name));
        missing
            .chain(stale.map(|name| {
                format!("src/lib.rs: the table names `{name}`, which is no module: take it out")
            }))
            .collect()
    }

    /// The complaints about one file.
    fn judge(&self, file: &File) -> Vec<String> {
        let module = module_of(&file.path);
        let Some(own) = module.first() else {
            return Vec::new();
        };
        let Some(here) = self.find(own) else {
            return vec![format!(
                "{}: `{own}` is not in the table of src/lib.rs",
                file.path
            )];
        };
        let adapters = self.find("services").map(|(row, _)| row);
        let judge = |at: usize, names: &[String]| {
            let name = names.first()?;
            if name == own {
                return None;
            }
            let there = self.find(name)?;
            let are_adapters = Some(here.0) == adapters && here.0 == there.0;
            let what = if are_adapters {
                format!(
                    "adapters never import each other, but `{own}` names `{name}`: move what both need into a foundation"
                )
            } else if there >= here {
                format!(
                    "`{own}` may not import `{name}`: move what is needed up, or change the table in src/lib.rs"
                )
            } else {
                return None;
            };
            Some(file.complain(at, &what))
        };
        paths(file)
            .iter()
            .filter_map(|path| judge(path.at, &path.names))
            .collect()
    }
}

/// The modules of one package, and what each imports. A `mod.rs` is a module like any other.
struct Imports(BTreeMap<Vec<String>, BTreeSet<Vec<String>>>);

impl Imports {
    fn read(files: &[File]) -> Self {
        let is_test =
            |file: &&File| file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        let files: Vec<_> = files
            .iter()
            .filter(|file| !is_test(file))
            .map(|file| (module_of(&file.path), file))
            .collect();
        let modules: BTreeSet<_> = files.iter().map(|(module, _)| module.clone()).collect();
        let imports = files.iter().map(|(module, file)| {
            let tests = file.tests();
            let is_code = |at: usize| !tests.iter().any(|range| range.contains(&at));
            let named = paths(file)
                .into_iter()
                .filter(|path| is_code(path.at))
                .map(|path| path.names);
            let children = modules.iter().filter(|child| {
                child
                    .split_last()
                    .is_some_and(|(_, parent)| parent == module)
            });
            let used = children
                .filter(|child| child.last().is_some_and(|name| file.starts_a_path(name)))
                .cloned();
            let nearest = |names: Vec<String>| {
                (0..=names.len())
                    .rev()
                    .find_map(|end| modules.get(&names[..end]).cloned())
            };
            let imported = named
                .filter_map(nearest)
                .chain(used)
                .filter(|other| other != module)
                .collect();
            (module.clone(), imported)
        });
        Self(imports.collect())
    }

    /// Each module that can be reached from itself, by the shortest way.
    fn circles(&self) -> Vec<String> {
        let name = |module: &Vec<String>| {
            if module.is_empty() {
                "lib.rs".to_owned()
            } else {
                module.join("/")
            }
        };
        let circle = |start: &Vec<String>| {
            let mut ways = vec![vec![start.clone()]];
            let mut seen = BTreeSet::new();
            while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
                for next in &self.0[way.last()?] {
                    if next == start {
                        let way: Vec<_> = way.iter().chain([start]).map(name).collect();
                        return Some(format!(
                            "{}: a circle of imports: move what both need into a file of its own",
                            way.join(" -> ")
                        ));
                    }
                    if seen.insert(next.clone()) {
                        ways.push(way.iter().chain([next]).cloned().collect());
                    }
                }
            }
            None
        };
        self.0.keys().filter_map(circle).collect()
    }
}

fn named_elsewhere(file: &File) -> Vec<String> {
    let strays = NAMED_BY
        .iter()
        .filter(|(_, homes)| !homes.iter().any(|home| file.path.starts_with(home)));
    let strays = strays.flat_map(|(name, homes)| {
        file.words(name)
            .into_iter()
            .map(move |at| (at, name, homes))
    });
    let outside = strays.filter(|(at, name, _)| file.code[at + name.len()..].starts_with("::"));
    outside
        .map(|(at, name, homes)| {
            file.complain(
                at,
                &format!(
                    "{name} is named in {} alone: ask there for what is needed",
                    homes.join(", ")
                ),
            )
        })
        .collect()
}

/// Every adapter's file is used where its kind is listed.
fn in_its_table(folder: &str, table: &File, adapters: &[String]) -> Vec<String> {
    let has = |name: &str| match folder {
        "services" => {
            let used = table
                .code
                .lines()
                .find_map(|line| line.trim().strip_prefix(&format!("pub use {name}::")));
            used.is_some_and(|kind| {
                table
                    .code
                    .contains(&format!("{}::open(", kind.trim_end_matches(';')))
            })
        }
        // A plugin is asked on an errand, which the others need not.
        "secret_sources" if name == "plugin" => table.code.contains("plugin::get("),
        "secret_sources" => table
            .code
            .split("const SOURCES")
            .nth(1)
            .is_some_and(|list| {
                list.split(';')
                    .next()
                    .unwrap_or_default()
                    .contains(&format!("{name}::"))
            }),
        _ => table.code.contains(&format!("mod {name};")),
    };
    let missing = adapters.iter().filter(|name| !has(name));
    missing
        .map(|name| {
            format!(
                "{}: `{name}` is a file of {folder} that its table does not use: add its line",
                table.path
            )
        })
        .collect()
}

fn modules() -> Vec<String> {
    let lib = File::new("src/lib.rs", &code::read("src/lib.rs"));
    lib.code
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect()
}

mod tests {
    use super::*;
    use crate::code::{breaks, holds, rust};

    fn layers() -> Layers {
        Layers::read(&code::read("src/lib.rs"))
    }

    #[test]
    fn a_file_imports_only_what_the_table_allows() {
        let layers = layers();
        holds(
            rust(&["src"])
                .iter()
                .flat_map(|file| layers.judge(file))
                .collect(),
        );
    }

    #[test]
    fn every_module_is_in_the_table() {
        holds(layers().complete(&modules()));
        assert!(
            layers().0.len() == 4 && modules().len() > 10,
            "the table of src/lib.rs, or its list of modules, could not be read"
        );
        breaks(
            &layers().complete(&["nowhere".into()]),
            "`nowhere` is not in the table",
        );
        breaks(&layers().complete(&modules()[1..]), "which is no module");
    }

    #[test]
    fn an_import_against_the_table_is_found() {
        let table = [
            (
                "src/model/key.rs",
                "use crate::ports::service::Need;",
                "src/model/key.rs:1: `model` may not import `ports`",
            ),
            (
                "src/clock.rs",
                "\nuse crate::log::x;",
                "src/clock.rs:2: `clock` may not import `log`",
            ),
            (
                "src/model/token.rs",
                "use crate::{error::Error, engine::cache::Hit};",
                "may not import `engine`",
            ),
            (
                "src/services/masv/user.rs",
                "use crate::transport::Transport;",
                "adapters never import each other",
            ),
            (
                "src/services/masv/user.rs",
                "use super::super::super::plugin::load;",
                "adapters never import each other",
            ),
            (
                "src/session/mod.rs",
                "fn f() { crate::ffi::masv::masv_login(); }",
                "may not import `ffi`",
            ),
        ];
        for (path, text, complaint) in table {
            breaks(&layers().judge(&File::new(path, text)), complaint);
        }
        holds(layers().judge(&File::new("src/services/masv/user.rs", "use super::team;")));
    }

    #[test]
    fn no_two_modules_import_each_other() {
        for root in [
            "src",
            "crates/keyferry-cli/src",
            "crates/keyferry-sandbox/src",
            "crates/keyferry-testing/src",
        ] {
            let imports = Imports::read(&rust(&[root]));
            assert!(
                imports.0.values().flatten().next().is_some(),
                "{root}: the imports could not be read"
            );
            holds(imports.circles());
        }
        let files = |files: &[(&str, &str)]| {
            files
                .iter()
                .map(|(path, text)| File::new(path, text))
                .collect::<Vec<_>>()
        };
        let two = files(&[
            ("src/a/mod.rs", "pub use b::C;"),
            ("src/a/b.rs", "use crate::a::d::E;"),
            ("src/a/d.rs", "use super::b::C;"),
        ]);
        breaks(
            &Imports::read(&two).circles(),
            "a/b -> a/d -> a/b: a circle",
        );
        let child = files(&[
            ("src/a/mod.rs", "fn f() { b::g() }"),
            ("src/a/b.rs", "use super::X;"),
        ]);
        breaks(&Imports::read(&child).circles(), "a -> a/b -> a: a circle");
        let none = files(&[
            ("src/a/mod.rs", "mod b; pub use b::C;"),
            ("src/a/b.rs", "mod tests { use super::*; }"),
            ("src/lib.rs", "mod a;"),
        ]);
        holds(Imports::read(&none).circles());
    }

    #[test]
    fn a_dependency_with_pitfalls_is_named_in_one_place() {
        holds(rust(&["src"]).iter().flat_map(named_elsewhere).collect());
        breaks(
            &named_elsewhere(&File::new("src/session.rs", "\nuse reqwest::Client;")),
            "src/session.rs:2: reqwest is named in src/transport/ alone",
        );
    }

    /// Files of `services` that are no service.
    const OFF_THE_TABLE: &[&str] = &["jwt", "response", "test_context"];

    #[test]
    fn every_adapter_is_in_its_table() {
        for folder in ["services", "stores", "secret_sources"] {
            let table = File::new(
                &format!("src/{folder}/mod.rs"),
                &code::read(&format!("src/{folder}/mod.rs")),
            );
            let files = code::paths(&format!("src/{folder}"), ".rs");
            let mut names: Vec<_> = files
                .iter()
                .filter_map(|path| module_of(path).get(1).cloned())
                .filter(|name| !OFF_THE_TABLE.contains(&name.as_str()))
                .collect();
            names.dedup();
            assert!(!names.is_empty());
            holds(in_its_table(folder, &table, &names));
            breaks(
                &in_its_table(folder, &table, &["forgotten".into()]),
                "add its line",
            );
        }
    }
}
