//! Who may import whom. The floors and their order are read from the table in `src/lib.rs`: the map is the law.

use super::code::{self, File};
use super::paths::{module_of, paths};

/// A crate of ours that one folder alone names, so that its pitfalls are met in one place.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("reqwest", &["src/transport/"]),
    ("hyper", &["src/sandbox/", "src/transport/"]),
    ("libc", &["src/sys/"]),
    ("toml", &["src/config/"]),
    ("clap", &["src/frontends/"]),
];

/// The map: names by floor, in their order.
struct Map(Vec<Vec<String>>);

impl Map {
    fn read(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! | L"));
        let names = |row: &str| {
            let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        Self(rows.map(names).collect())
    }

    /// Floor and place.
    fn find(&self, name: &str) -> Option<(usize, usize)> {
        let places = self.0.iter().enumerate().map(|(floor, names)| (floor, names.iter().position(|known| known == name)));
        places.filter_map(|(floor, place)| Some((floor, place?))).next()
    }

    fn floor_of(&self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| panic!("src/lib.rs: the map has no `{name}`")).0
    }

    /// Every module stands on the map, and the map names nothing else.
    fn complete(&self, modules: &[String]) -> Vec<String> {
        let missing = modules.iter().filter(|name| self.find(name).is_none());
        let missing = missing.map(|name| format!("src/lib.rs: `{name}` is not on the map: give it a place in the table"));
        let stale = self.0.iter().flatten().filter(|name| *name != "bin" && !modules.contains(name));
        missing.chain(stale.map(|name| format!("src/lib.rs: the map names `{name}`, which is no module: take it out"))).collect()
    }

    /// The complaints about one file.
    fn judge(&self, file: &File) -> Vec<String> {
        let module = module_of(&file.path);
        let Some(own) = module.first() else { return Vec::new() };
        let (Some(here), adapters, doors) = (self.find(own), self.floor_of("services"), self.floor_of("ffi")) else {
            return vec![format!("{}: `{own}` is not on the map in src/lib.rs", file.path)];
        };
        // A person is asked for a secret, and a secret is given to a keyring, at the door: `sources` alone of its floor is for doors too.
        let judge = |at: usize, names: &[String]| {
            let name = names.first()?;
            if name == own {
                return neighbours(&module, names, here.0 == adapters);
            }
            let there = self.find(name)?;
            let what = if own == "sandbox" {
                format!("the sandbox imports nothing of the library that it is an opponent of, but names `{name}`: write it anew here")
            } else if here.0 == adapters && there.0 == adapters {
                format!("adapters never import each other, but `{own}` names `{name}`: what both need belongs to a floor below")
            } else if here.0 == doors && there.0 == adapters && name != "sources" {
                format!("a door reaches `{name}` through `session` alone: add what is missing there")
            } else if here.0 == doors && there.0 == doors && name != "sandbox" {
                format!("`{own}` and `{name}` are doors, which never import each other: what both need belongs to a floor below")
            } else if there >= here {
                format!(
                    "`{own}` (L{}) may not import `{name}` (L{}): move what is needed below, or change the map in src/lib.rs",
                    here.0, there.0
                )
            } else {
                return None;
            };
            Some(file.complain(at, &what))
        };
        paths(file).iter().filter_map(|path| judge(path.at, &path.names)).map(|what| with_place(file, what)).collect()
    }
}

fn with_place(file: &File, what: String) -> String {
    if what.starts_with(&file.path) { what } else { format!("{}: {what}", file.path) }
}

/// Inside a folder of adapters, one doesn't import the next; what all share stands in its `mod.rs`, and `fake` is the tests' own.
fn neighbours(module: &[String], names: &[String], are_adapters: bool) -> Option<String> {
    let (mine, theirs) = (module.get(1)?, names.get(1)?);
    let folder = names.first()?;
    let is_adapter = |name: &str| code::exists(format!("src/{folder}/{name}.rs")) || code::exists(format!("src/{folder}/{name}/mod.rs"));
    let refused = are_adapters && folder != "transport" && mine != theirs && theirs != "fake" && is_adapter(theirs);
    refused.then(|| format!("adapters never import each other, but `{mine}` names `{theirs}`: what both need belongs to a floor below"))
}

fn named_elsewhere(file: &File) -> Vec<String> {
    let strays = NAMED_BY.iter().filter(|(_, homes)| !homes.iter().any(|home| file.path.starts_with(home)));
    let strays = strays.flat_map(|(name, homes)| file.words(name).into_iter().map(move |at| (at, name, homes)));
    let outside = strays.filter(|(at, name, _)| file.code[at + name.len()..].starts_with("::"));
    outside
        .map(|(at, name, homes)| file.complain(at, &format!("{name} is named in {} alone: ask there for what is needed", homes.join(", "))))
        .collect()
}

/// Every adapter's file is used where its kind is listed.
fn in_its_table(folder: &str, table: &File, adapters: &[String]) -> Vec<String> {
    let has = |name: &str| match folder {
        "services" => {
            let used = table.code.lines().find_map(|line| line.trim().strip_prefix(&format!("pub use {name}::")));
            used.is_some_and(|kind| table.code.contains(&format!("{}::open(", kind.trim_end_matches(';'))))
        }
        // A person is no source of a setting: who may ask one is handed the question itself.
        "sources" if name == "prompt" => table.code.contains("pub use prompt::"),
        // A plugin is asked on an errand, which the others need not.
        "sources" if name == "plugin" => table.code.contains("plugin::get("),
        "sources" => table
            .code
            .split("const SOURCES")
            .nth(1)
            .is_some_and(|list| list.split(';').next().unwrap_or_default().contains(&format!("{name}::"))),
        _ => table.code.contains(&format!("mod {name};")),
    };
    let missing = adapters.iter().filter(|name| !has(name));
    missing.map(|name| format!("{}: `{name}` is a file of {folder} that its table does not use: add its line", table.path)).collect()
}

fn modules() -> Vec<String> {
    let lib = File::new("src/lib.rs", &code::read("src/lib.rs"));
    lib.code.lines().filter_map(|line| line.strip_prefix("pub mod ")).map(|name| name.trim_end_matches(';').to_owned()).collect()
}

mod tests {
    use super::*;
    use crate::law::code::{breaks, holds, rust};

    fn map() -> Map {
        Map::read(&code::read("src/lib.rs"))
    }

    #[test]
    fn a_file_imports_only_what_the_map_allows() {
        let map = map();
        holds(rust(&["src"]).iter().flat_map(|file| map.judge(file)).collect());
    }

    #[test]
    fn every_module_is_on_the_map() {
        holds(map().complete(&modules()));
        assert!(map().0.len() == 9 && modules().len() > 30, "the table of src/lib.rs, or its list of modules, could not be read");
        breaks(&map().complete(&["nowhere".into()]), "`nowhere` is not on the map");
        breaks(&map().complete(&modules()[1..]), "which is no module");
    }

    #[test]
    fn an_import_against_the_map_is_found() {
        let table = [
            ("src/key.rs", "use crate::service::Need;", "src/key.rs:1: `key` (L1) may not import `service` (L2)"),
            ("src/origin.rs", "\nuse crate::resource::x;", "src/origin.rs:2: `origin` (L1) may not import `resource` (L1)"),
            ("src/record.rs", "use crate::{key::Key, cache::Hit};", "may not import `cache`"),
            ("src/services/masv/user.rs", "use crate::transport::Transport;", "adapters never import each other"),
            ("src/services/masv/user.rs", "use super::super::fileverbs::FileVerbs;", "adapters never import each other"),
            ("src/sources/env.rs", "use super::file;", "adapters never import each other"),
            ("src/ffi/masv.rs", "fn f() { crate::services::open(); }", "through `session` alone"),
            ("src/ffi/masv.rs", "use crate::frontends::OK;", "doors, which never import each other"),
            ("src/frontends/serve.rs", "use crate::ffi::status;", "doors, which never import each other"),
            ("src/sandbox/masv.rs", "use crate::error::Error;", "the sandbox imports nothing"),
            ("src/sandbox/masv.rs", "mod a { use super::super::super::token; }", "the sandbox imports nothing"),
            ("src/session.rs", "use crate::demo;", "may not import `demo`"),
        ];
        for (path, text, complaint) in table {
            breaks(&map().judge(&File::new(path, text)), complaint);
        }
        for (path, text) in [("src/frontends/serve.rs", "use crate::sandbox::Sandbox;"), ("src/services/masv/user.rs", "use super::team;")]
        {
            holds(map().judge(&File::new(path, text)));
        }
    }

    #[test]
    fn a_dependency_with_pitfalls_is_named_in_one_place() {
        holds(rust(&["src"]).iter().flat_map(named_elsewhere).collect());
        breaks(
            &named_elsewhere(&File::new("src/session.rs", "\nuse reqwest::Client;")),
            "src/session.rs:2: reqwest is named in src/transport/ alone",
        );
    }

    /// A test's own service, and the source that is a person: asked by doors, never by a setting.
    const OFF_THE_TABLE: &[&str] = &["fake", "prompt"];

    #[test]
    fn every_adapter_is_in_its_table() {
        for folder in ["services", "stores", "sources"] {
            let table = File::new(&format!("src/{folder}/mod.rs"), &code::read(&format!("src/{folder}/mod.rs")));
            let files = code::paths(&format!("src/{folder}"), ".rs");
            let mut names: Vec<_> = files
                .iter()
                .filter_map(|path| module_of(path).get(1).cloned())
                .filter(|name| !OFF_THE_TABLE.contains(&name.as_str()))
                .collect();
            names.dedup();
            assert!(!names.is_empty());
            holds(in_its_table(folder, &table, &names));
            breaks(&in_its_table(folder, &table, &["forgotten".into()]), "add its line");
        }
    }
}
