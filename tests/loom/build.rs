//! Sets `cfg(loom)` for this package alone, and makes copies of source files of the library: with
//! loom's locks and atomics in place of the standard library's, without their unit tests, and with a
//! model as a child module. Further copies have a planted fault.
//!
//! Each replaced piece of text must occur exactly once. A changed source file therefore fails the
//! build until the plant is changed too.

use std::path::{Path, PathBuf};
use std::{env, fs};

const SYNC: &[(&str, &str)] = &[
    (
        "use std::sync::{self, PoisonError};",
        "use std::sync::PoisonError;\nuse loom::sync;",
    ),
    (
        "impl<T> Mutex<T> {\n    /// Creates a lock around a value.\n    pub const fn",
        "impl<T> Mutex<T> {\n    /// Creates a lock around a value.\n    pub fn",
    ),
    (
        "/// Creates a condition variable.\n    pub const fn",
        "/// Creates a condition variable.\n    pub fn",
    ),
    (
        "impl<T> RwLock<T> {\n    /// Creates a lock around a value.\n    pub const fn",
        "impl<T> RwLock<T> {\n    /// Creates a lock around a value.\n    pub fn",
    ),
];

const REQUEST: &[(&str, &str)] = &[("use std::sync::atomic::", "use loom::sync::atomic::")];

/// The types of `model/key` that `model/request` names. No model uses them.
const KEY: &str = "
    #[derive(Clone)] pub struct Access;
    #[derive(Clone, Copy)] pub struct ResourceKind;
    #[derive(Clone, Copy)] pub struct RequiredAccess;
    #[expect(dead_code, reason = \"no model reads them\")]
    pub struct KeyPrefix<'a> { pub scope: u64, pub resource_kind: ResourceKind, pub id: &'a str }
";

/// Lets loom switch threads before each system call.
const FILE_LOCK: &[(&str, &str)] = &[
    (
        "let kind = if lock {",
        "crate::before_system_call();\n    let kind = if lock {",
    ),
    (
        "let is_locked = match file.file.try_lock() {",
        "crate::before_system_call();\n                let is_locked = match file.file.try_lock() {",
    ),
    (
        "Some(file) => drop(file.file.unlock()),",
        "Some(file) => { crate::before_system_call(); drop(file.file.unlock()) }",
    ),
];

const WORKERS: &[(&str, &str)] = &[("use std::thread::Builder;", "use loom::thread::Builder;")];

/// Ends a thread's rest at once. Loom's waits never time out.
const REST_ENDS: (&str, &str) = (
    "has_rested = self.woken.wait_until(&mut state, until);",
    "drop(state);\n            let _ = until;\n            state = self.state.lock();\n            has_rested = true;",
);

/// The name of a planted fault, and the texts that plant it.
type Plant = (&'static str, &'static [(&'static str, &'static str)]);

const SINGLE_FLIGHT_PLANTS: &[Plant] = &[
    (
        "looks_and_inserts_apart",
        &[
            (
                "let mut flights = self.0.lock();\n        if let Some(flight) = flights.running.get(key) {",
                "if let Some(flight) = self.0.lock().running.get(key) {",
            ),
            (
                "if let Some(closed) = &flights.closed {",
                "if let Some(closed) = &self.0.lock().closed {",
            ),
            ("flights.running.insert(", "self.0.lock().running.insert("),
        ],
    ),
    (
        "wakes_before_the_result",
        &[(
            "*self.progress.lock() = Progress::Ended(outcome);\n        self.changed.notify_all();",
            "self.changed.notify_all();\n        *self.progress.lock() = Progress::Ended(outcome);",
        )],
    ),
    (
        "cancels_without_the_lock",
        &[("let _progress = self.progress.lock();", "")],
    ),
    (
        "offers_without_waking",
        &[(
            "drop(progress);\n        self.changed.notify_all();",
            "drop(progress);",
        )],
    ),
];

/// The first is no fault: in it, rests end.
const WORKERS_PLANTS: &[Plant] = &[
    ("whose_rests_end", &[REST_ENDS]),
    (
        "loses_work_when_a_rest_ends",
        &[
            REST_ENDS,
            (
                "if let Some(work) = state.queue.pop_front() {",
                "if let (false, Some(work)) = (has_rested, state.queue.pop_front()) {",
            ),
        ],
    ),
    (
        "hands_over_without_waking",
        &[("self.woken.notify_one();", "")],
    ),
    ("closes_without_waking", &[("self.woken.notify_all();", "")]),
];

const FILE_LOCK_PLANTS: &[Plant] = &[
    (
        "frees_before_it_unlocks",
        &[
            (
                "// Unlock before the table",
                "self.locks.held.lock().remove(&self.id);\n        // Unlock before the table",
            ),
            (
                "        }\n        self.locks.held.lock().remove(&self.id);\n    }",
                "        }\n    }",
            ),
        ],
    ),
    (
        "ignores_the_table",
        &[(
            "if !self.held.lock().insert(id) {",
            "self.held.lock().insert(id);\n        if false {",
        )],
    ),
    (
        "looks_and_inserts_apart",
        &[(
            "if !self.held.lock().insert(id) {",
            "let is_held = self.held.lock().contains(&id);\n        self.held.lock().insert(id);\n        if is_held {",
        )],
    ),
];

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
    let copies = Copies::new();
    let plain = |source: &str| copies.module(source, &[], None);
    let sys = ["file_facts", "fork", "owner", "process", "signals"]
        .map(|name| plain(&format!("sys/{name}")));
    let sources = format!(
        "{}\nmod model {{ pub mod key {{ {KEY} }}\n{} }}\n\
         mod secret {{ #[derive(Clone)] pub struct Secret; }}\n\
         mod sys {{ {}\n{}\n{} }}\n\
         mod engine {{ {}\n{} }}\n",
        plain("error"),
        copies.module("model/request", REQUEST, None),
        copies.module("sys/sync", SYNC, None),
        sys.concat(),
        copies.with_plants("sys/file_lock", FILE_LOCK, FILE_LOCK_PLANTS),
        copies.with_plants("engine/single_flight", &[], SINGLE_FLIGHT_PLANTS),
        copies.with_plants("engine/workers", WORKERS, WORKERS_PLANTS),
    );
    fs::write(copies.out.join("sources.rs"), sources).expect("OUT_DIR can be written");
}

struct Copies {
    /// The root of the library's sources.
    library: PathBuf,
    /// The directory of this package.
    package: PathBuf,
    out: PathBuf,
}

impl Copies {
    fn new() -> Self {
        let variable = |name| PathBuf::from(env::var_os(name).expect("cargo sets it"));
        let package = variable("CARGO_MANIFEST_DIR");
        Self {
            library: package.join("../../src"),
            package,
            out: variable("OUT_DIR"),
        }
    }

    /// Copies a file with other texts, once without a plant and once for each plant, each with its
    /// model. Returns the declarations of the modules.
    fn with_plants(&self, source: &str, texts: &[(&str, &str)], plants: &[Plant]) -> String {
        let plants = plants
            .iter()
            .map(|(plant, planted)| self.module(source, &[texts, planted].concat(), Some(plant)));
        self.module(source, texts, Some("")) + &plants.collect::<String>()
    }

    /// Copies a file with other texts. Returns the declaration of its module, whose name is that of
    /// the file, and that of the plant if there is one. With a plant, the copy has a model.
    fn module(&self, source: &str, texts: &[(&str, &str)], plant: Option<&str>) -> String {
        let path = self.library.join(source).with_extension("rs");
        println!("cargo::rerun-if-changed={}", path.display());
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut text = text
            .split("\n#[cfg(test)]\n")
            .next()
            .unwrap_or_default()
            .to_owned();
        for (from, to) in texts {
            let count = text.matches(from).count();
            assert_eq!(
                count,
                1,
                "{}: this text occurs {count} times, not once: {from}",
                path.display()
            );
            text = text.replace(from, to);
        }
        let mut name = source.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(plant) = plant {
            let model = self
                .package
                .join("src/models")
                .join(&name)
                .with_extension("rs");
            text += &format!("\n#[path = {model:?}]\npub(crate) mod model;\n");
            if !plant.is_empty() {
                name += &format!("_{plant}");
            }
        }
        let copy = self
            .out
            .join(source.replace('/', "_") + plant.unwrap_or_default());
        let copy: &Path = &copy.with_extension("rs");
        fs::write(copy, text).expect("OUT_DIR can be written");
        format!(
            "#[allow(dead_code, unused_imports, unfulfilled_lint_expectations)]\n#[path = {copy:?}]\npub(crate) mod {name};\n"
        )
    }
}
