//! The Node package as its users have it: packed, installed into an empty folder, and tested where
//! no repository is in sight.
//!
//! koffi, TypeScript for the types, and the partners of the tests come from the package registry through a cache in the
//! build's own folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::files;
use keyferry_testing::harness::{CommandBuilder, Harness};
use keyferry_testing::skip;

use crate::programs;

const LIMIT: Duration = Duration::from_secs(400);
/// The oldest Node whose suite must pass. `engines` in package.json has the same series.
const OLDEST_NODE: &str = "18.20.8";
/// What the check of the types needs; 20 is the oldest Node whose types know `using`.
const TYPES: [&str; 2] = ["typescript@5.9", "@types/node@20"];

/// Other packages that the package is tested with: a bundler, the packer of Electron's archives, and
/// two implementations of `fetch`. All have the MIT licence.
const PARTNERS: [&str; 4] = [
    "esbuild@0.28",
    "@electron/asar@3",
    "node-fetch@3",
    "undici@6",
];
/// Variables for the random test of `fetch`, which are passed on: how many pairs of arguments, the
/// seed of all pairs, the seed of the only pair.
const PAIRS_VARIABLES: [&str; 3] = ["TEST_PAIRS", "TEST_SEED", "TEST_PAIR"];

/// A folder with the package in it and nothing of the repository.
struct Installed {
    folder: TempDir,
    packed: Vec<String>,
}

fn run(command: &mut Command) -> ProgramOutput {
    let ended = child::run(
        command
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("NODE_OPTIONS"),
        LIMIT,
    );
    assert!(ended.status.success(), "{command:?}: {}", ended.said());
    ended
}

fn npm(folder: &Path, arguments: &[&str]) -> ProgramOutput {
    let mut command = Command::new("npm");
    command
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("KEYFERRY_LIBRARY", files::beside("libkeyferry.so"))
        .env("KEYFERRY_PROGRAMS", programs::built());
    command
        .env(
            "npm_config_cache",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-npm"),
        )
        .env("npm_config_update_notifier", "false");
    run(command.args(["--prefer-offline", "--no-audit", "--no-fund"]))
}

/// Copies what a folder holds, as it is in the repository.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(path, target).unwrap();
        } else if !["node_modules", "native"]
            .iter()
            .any(|name| entry.file_name() == *name)
        {
            copy(&path, &target);
        }
    }
}

/// Installs the package once for all tests. Returns `None`, and skips the test, without Node.
fn installed() -> Option<&'static Installed> {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    (!skip::without(&["node", "npm"])).then(|| INSTALLED.get_or_init(install))
}

fn install() -> Installed {
    let folder = tempfile::tempdir().unwrap();
    // A copy is packed, so that nobody else who reads the repository meets what packing puts there
    // for a while.
    let (source, app) = (
        folder.path().join("source/bindings/node"),
        folder.path().join("app"),
    );
    copy(&files::file("bindings/node"), &source);
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(
            files::file(licence),
            folder.path().join("source").join(licence),
        )
        .unwrap();
    }
    let pack_json = npm(
        &source,
        &["pack", "--json", "--pack-destination", "../../.."],
    )
    .out;
    let pack_json: serde_json::Value =
        serde_json::from_str(&pack_json[pack_json.find('[').unwrap()..]).unwrap();
    let packed = pack_json[0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    let tarball = format!("../{}", pack_json[0]["filename"].as_str().unwrap());
    assert!(
        !source.join("native").exists(),
        "postpack takes away what prepack has put there"
    );
    fs::create_dir(&app).unwrap();
    fs::write(app.join("package.json"), "{}").unwrap();
    // No script runs: the binaries of koffi and esbuild are in their packages.
    npm(
        &app,
        &[&["install", "--ignore-scripts", &tarball], &PARTNERS[..]].concat(),
    );
    copy(&source.join("test"), &app.join("test"));
    copy(&files::file("examples/node"), &app.join("examples"));
    fs::remove_dir_all(folder.path().join("source")).unwrap();
    Installed { folder, packed }
}

impl Installed {
    fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }
}

/// Returns the command of an example, run with the installed package; `None`, after skipping the
/// test, without Node.
pub(crate) fn example(file: &str) -> Option<CommandBuilder> {
    let example = installed()?.app().join("examples").join(file);
    Some(Box::new(move |harness| {
        harness.program("node", &[example.to_str().unwrap()])
    }))
}

/// Runs one file of the package's suite beside a sandbox of its own; what it measured is shown.
fn suite(file: &str) {
    let Some(installed) = installed() else { return };
    suite_on(Path::new("node"), installed, file);
}

/// Runs one file of the suite on this Node, and then on the oldest one that the package supports.
fn suite_on_both(file: &str) {
    let Some(installed) = installed() else { return };
    suite_on(Path::new("node"), installed, file);
    suite_on(oldest_node(), installed, file);
}

/// Installs the oldest Node that the package supports from the package registry, once, into the build's own folder.
fn oldest_node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("node-{OLDEST_NODE}"));
        let platform = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x64"
        };
        let package = format!("node-linux-{platform}");
        let node = folder.join("node_modules").join(&package).join("bin/node");
        if !node.is_file() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("package.json"), "{}").unwrap();
            let package = format!("{package}@{OLDEST_NODE}");
            npm(&folder, &["install", "--ignore-scripts", &package]);
        }
        node
    })
}

fn suite_on(node: &Path, installed: &Installed, file: &str) {
    let harness = Harness::with_library();
    let mut command = Command::new(node);
    harness
        .set_test_environment(&mut command)
        .current_dir(installed.app())
        .envs(
            PAIRS_VARIABLES
                .iter()
                .filter_map(|name| Some((*name, env::var_os(name)?))),
        )
        .args(["--test", "--test-reporter=tap"])
        .arg(format!("test/{file}.test.mjs"));
    let ended = run(&mut command);
    let number = |what: &str| {
        ended
            .out
            .split(&format!("# {what} "))
            .nth(1)
            .and_then(|rest| rest.lines().next()?.parse().ok())
    };
    assert_eq!(
        (number("fail"), number("skipped"), number("cancelled")),
        (Some(0), Some(0), Some(0)),
        "{}",
        ended.said()
    );
    assert!(number("pass") > Some(1), "{}", ended.said());
}

#[test]
fn the_installed_package_passes_its_tests_of_sessions() {
    suite_on_both("session");
}

#[test]
fn the_installed_package_passes_its_tests_of_crowds() {
    suite_on_both("crowd");
}

#[test]
fn the_installed_package_passes_its_tests_of_waiting() {
    suite_on_both("waiting");
}

#[test]
fn the_installed_package_passes_its_tests_of_fetch() {
    suite_on_both("fetch");
}

#[test]
fn the_installed_package_passes_its_tests_of_the_log() {
    suite_on_both("log");
}

#[test]
fn the_installed_package_passes_its_tests_of_commonjs() {
    suite_on_both("commonjs");
}

#[test]
fn the_installed_package_passes_its_tests_of_random_arguments_of_fetch() {
    suite_on_both("pairs");
}

#[test]
fn the_installed_package_passes_its_tests_of_bundles() {
    suite("bundle");
}

#[test]
fn the_installed_package_passes_its_tests_of_memory() {
    suite("memory");
}

#[test]
fn the_readme_of_the_package_runs_against_the_sandbox() {
    suite("readme");
}

#[test]
fn the_types_of_the_package_are_those_that_programs_use() {
    let Some(installed) = installed() else { return };
    let folder = installed.folder.path().join("types");
    fs::create_dir(&folder).unwrap();
    copy(&installed.app().join("test"), &folder.join("test"));
    fs::write(folder.join("package.json"), "{}").unwrap();
    let tarball = fs::read_dir(installed.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tarball = tarball
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .unwrap();
    npm(
        &folder,
        &[
            &["install", "--ignore-scripts", tarball.to_str().unwrap()][..],
            &TYPES,
        ]
        .concat(),
    );
    run(Command::new(folder.join("node_modules/.bin/tsc"))
        .args(["-p", "test/types"])
        .current_dir(&folder));
}

#[test]
fn the_package_carries_the_library_and_what_belongs_to_it() {
    let Some(installed) = installed() else { return };
    for file in [
        "index.js",
        "index.d.cts",
        "cjs/index.js",
        "cjs/library.js",
        "cjs/package.json",
        "bin/keyferry",
        "bin/git-credential-keyferry",
        "libexec/keyferry/keyferry",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "lib/abi.js",
        "lib/library.js",
    ] {
        assert!(
            installed.packed.iter().any(|there| there == file),
            "{file} is missing: {:?}",
            installed.packed
        );
    }
    assert_eq!(
        installed
            .packed
            .iter()
            .filter(|file| file.ends_with("/libkeyferry.so"))
            .count(),
        1
    );
    assert!(
        installed
            .packed
            .iter()
            .all(|file| !file.starts_with("test") && !file.starts_with("scripts")),
        "{:?}",
        installed.packed
    );
}

#[test]
fn the_programs_of_the_package_run_from_its_bin_directory() {
    let Some(installed) = installed() else { return };
    programs::run_from(&installed.app().join("node_modules/.bin"));
    let package = installed.app().join("node_modules/keyferry");
    for name in ["keyferry", "git-credential-keyferry"] {
        programs::assert_mode(&package.join("bin").join(name), true);
    }
    programs::assert_mode(&package.join("libexec/keyferry/keyferry"), true);
    for name in ["index.js", "index.d.cts", "LICENSE-MIT", "LICENSE-APACHE"] {
        programs::assert_mode(&package.join(name), false);
    }
}

#[test]
fn the_package_has_the_version_of_the_library() {
    let manifest: serde_json::Value = serde_json::from_str(
        &fs::read_to_string(files::file("bindings/node/package.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(
        manifest["version"],
        env!("CARGO_PKG_VERSION"),
        "bindings/node/package.json: npm wants it there: write Cargo.toml's"
    );
    let (series, _) = OLDEST_NODE.rsplit_once('.').unwrap();
    assert_eq!(manifest["engines"]["node"], format!(">={series}"));
}
