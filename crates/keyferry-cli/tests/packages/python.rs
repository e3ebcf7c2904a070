//! The Python package as its users have it: built into a wheel, installed, and tested where no
//! repository is in sight.
//!
//! The tools that the tests need beside Python itself (HTTP clients, type checkers, the build
//! backend) come from the package registry, once, into the build's own folder.

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
/// The checkers are of one version each, for a later one may find more; of the clients the newest
/// has to work.
const TOOLS: [&str; 9] = [
    "anyio",
    "hatchling",
    "httpx",
    "mypy==2.4.1",
    "pyinstaller",
    "pyright==1.1.414",
    "requests",
    "trio",
    "types-requests",
];

/// A virtual environment.
struct Environment {
    folder: PathBuf,
}

impl Environment {
    fn new(folder: PathBuf) -> Self {
        let created = run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        assert!(created.status.success(), "{}", created.said());
        Self { folder }
    }

    fn python(&self) -> Command {
        Command::new(self.folder.join("bin/python"))
    }

    /// Runs a module, and what it says if it fails.
    fn module(&self, arguments: &[&str]) -> ProgramOutput {
        let mut command = self.python();
        command
            .arg("-m")
            .args(arguments)
            .current_dir(repository("bindings/python"));
        command
            .env("HOME", &self.folder)
            .env("PIP_CACHE_DIR", cache("pip"))
            .env("PYRIGHT_PYTHON_CACHE_DIR", cache("pyright"));
        command
            .env("KEYFERRY_LIBRARY", files::beside("libkeyferry.so"))
            .env("KEYFERRY_PROGRAMS", programs::built());
        run(&mut command)
    }

    fn succeeds(&self, arguments: &[&str]) -> ProgramOutput {
        let ended = self.module(arguments);
        assert!(ended.status.success(), "{arguments:?}: {}", ended.said());
        ended
    }
}

fn run(command: &mut Command) -> ProgramOutput {
    child::run(
        command
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("PYTHONPATH"),
        LIMIT,
    )
}

fn repository(path: &str) -> PathBuf {
    files::file(path)
}

fn cache(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"))
}

/// What all tests share: an environment with the tools, and the wheel, which is installed there
/// too.
struct BuiltPackage {
    tools: Environment,
    wheel: PathBuf,
    _folder: TempDir,
}

/// Builds the package once for all tests. Returns `None`, and skips the test, without Python.
fn built_package() -> Option<&'static BuiltPackage> {
    static PACKAGE: OnceLock<BuiltPackage> = OnceLock::new();
    (!skip::without(&["python3"])).then(|| PACKAGE.get_or_init(build))
}

fn build() -> BuiltPackage {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    tools.succeeds(&[
        "pip",
        "wheel",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        to,
        ".",
    ]);
    let wheel = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    tools.succeeds(&[
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--force-reinstall",
        wheel.to_str().unwrap(),
    ]);
    BuiltPackage {
        tools,
        wheel,
        _folder: folder,
    }
}

/// An environment with the tools. It is kept from one run to the next, for each Python its own.
fn tools() -> Environment {
    let version = run(Command::new("python3").arg("--version")).out;
    let folder = cache(&format!("tools-{}", version.trim().replace(' ', "-")));
    let complete = folder.join("complete");
    let contents = TOOLS.join("\n");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == contents) {
        return Environment { folder };
    }
    let tools = Environment::new(folder);
    tools.succeeds(&[&["pip", "install", "--quiet"][..], &TOOLS].concat());
    fs::write(complete, contents).unwrap();
    tools
}

/// Runs modules of the package's own suite in an environment, in a folder that holds nothing else.
/// Returns the number of tests that ran. Fails if one is skipped: each test runs in an environment
/// that has what it needs.
fn suite(environment: &Environment, modules: &[&str]) -> usize {
    let harness = Harness::with_library();
    fs::create_dir(harness.path("tests")).unwrap();
    for entry in fs::read_dir(repository("bindings/python/tests"))
        .unwrap()
        .map(Result::unwrap)
    {
        if entry.path().is_file() {
            fs::copy(entry.path(), harness.path("tests").join(entry.file_name())).unwrap();
        }
    }
    let mut command = environment.python();
    command.args(["-m", "unittest", "-b"]).args(modules);
    harness
        .set_test_environment(&mut command)
        .current_dir(harness.path("tests"));
    let ended = run(&mut command);
    assert!(ended.status.success(), "{}", ended.said());
    let number = |before: &str| {
        let rest = ended.err.split(before).nth(1).unwrap_or("0");
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap()
    };
    assert_eq!(number("skipped="), 0, "{}", ended.said());
    number("\nRan ")
}

/// Returns the paths of the examples.
fn examples() -> Vec<String> {
    let files = fs::read_dir(repository("examples/python")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "py"));
    paths
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

/// Returns the command of an example, run with the installed package; `None`, after skipping the
/// test, without Python.
pub(crate) fn example(file: &str) -> Option<CommandBuilder> {
    let package = built_package()?;
    let file = repository("examples/python").join(file);
    Some(Box::new(move |harness| {
        let python = package.tools.folder.join("bin/python");
        harness.program(python, &[file.to_str().unwrap()])
    }))
}

mod tests {
    use super::*;

    /// Modules that take long. They run beside the others.
    const LONG_MODULES: [&str; 2] = ["test_bundles", "test_promises"];

    #[test]
    fn the_installed_package_passes_its_suite_with_no_repository_in_sight() {
        let Some(built_package) = built_package() else {
            return;
        };
        let files = fs::read_dir(repository("bindings/python/tests"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let modules: Vec<_> = files
            .filter_map(|name| Some(name.strip_suffix(".py")?.to_owned()))
            .filter(|name| !["support", "test_without_clients"].contains(&name.as_str()))
            .filter(|name| !LONG_MODULES.contains(&name.as_str()))
            .collect();
        let ran = suite(
            &built_package.tools,
            &modules.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        assert!(ran > 90, "only {ran} tests were found");
    }

    #[test]
    fn the_installed_package_keeps_its_promises_to_threads_and_tasks_and_can_be_bundled() {
        let Some(built_package) = built_package() else {
            return;
        };
        let ran = suite(&built_package.tools, &LONG_MODULES);
        assert!(ran > 80, "only {ran} tests were found");
    }

    #[test]
    fn pip_installs_it_into_an_empty_environment() {
        if skip::without(&["python3"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let empty = Environment::new(folder.path().join("empty"));
        empty.succeeds(&["pip", "install", "--quiet", "."]);
        let list = empty.succeeds(&["pip", "list", "--format", "freeze"]).out;
        let others: Vec<_> = list
            .lines()
            .filter(|line| {
                !["keyferry", "pip", "setuptools"].contains(&line.split("==").next().unwrap())
            })
            .collect();
        assert!(list.contains("keyferry==") && others.is_empty(), "{list}");
        // What takes long runs once, in the other environment.
        let ran = suite(
            &empty,
            &[
                "test_session",
                "test_crowds",
                "test_log",
                "test_without_clients",
            ],
        );
        assert!(ran > 45, "only {ran} tests were found");
    }

    #[test]
    fn the_programs_and_the_licences_come_with_the_wheel() {
        let Some(built_package) = built_package() else {
            return;
        };
        let bin = built_package.tools.folder.join("bin");
        programs::run_from(&bin);
        for name in ["keyferry", "git-credential-keyferry"] {
            programs::assert_mode(&bin.join(name), true);
        }
        programs::assert_mode(&bin.with_file_name("libexec/keyferry/keyferry"), true);
        let files = run(built_package.tools.python().args([
            "-c",
            "import importlib.metadata as m\nfor f in m.files('keyferry'): print(f.locate())",
        ]))
        .out;
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let file = files.lines().find(|file| file.ends_with(licence)).unwrap();
            programs::assert_mode(Path::new(file), false);
            assert_eq!(
                fs::read(file).unwrap(),
                fs::read(repository(licence)).unwrap()
            );
        }
        let library = files.lines().find(|file| file.ends_with(".so")).unwrap();
        programs::assert_mode(Path::new(library), true);
    }

    #[test]
    fn the_wheel_names_the_oldest_system_that_its_files_run_on() {
        let Some(built_package) = built_package() else {
            return;
        };
        if skip::without(&["objdump"]) {
            return;
        }
        let files = [
            files::beside("libkeyferry.so"),
            programs::built().join("keyferry"),
            programs::built().join("git-credential-keyferry"),
        ];
        let symbols = run(Command::new("objdump").arg("-T").args(files)).out;
        let versions = symbols.split("GLIBC_2.").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        let name = built_package.wheel.file_name().unwrap().to_str().unwrap();
        let tag = format!(
            "-py3-none-manylinux_2_{}_{}.whl",
            versions.max().unwrap(),
            std::env::consts::ARCH
        );
        assert!(name.ends_with(&tag), "{name} does not end with {tag}");
    }

    #[test]
    fn the_types_are_clean_under_mypy_and_pyright() {
        let Some(built_package) = built_package() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().to_str().unwrap();
        built_package
            .tools
            .succeeds(&["mypy", "--strict", "--cache-dir", cache, "keyferry"]);
        let python = built_package.tools.folder.join("bin/python");
        let pyright = ["pyright", "--pythonpath", python.to_str().unwrap()];
        built_package.tools.succeeds(&pyright);
        let examples = examples();
        let examples: Vec<_> = examples.iter().map(String::as_str).collect();
        built_package
            .tools
            .succeeds(&[&["mypy", "--strict", "--cache-dir", cache], &examples[..]].concat());
        built_package
            .tools
            .succeeds(&[&pyright, &examples[..]].concat());
        // The checkers see a mistake.
        let wrong = folder.path().join("wrong.py");
        fs::write(
            &wrong,
            "import keyferry\nkeyferry.header(1)\nkeyferry.Request('user', access='all')\n",
        )
        .unwrap();
        let wrong = wrong.to_str().unwrap();
        for checker in [
            &["mypy", "--strict", "--cache-dir", cache, wrong][..],
            &["pyright", "--pythonpath", python.to_str().unwrap(), wrong],
        ] {
            let ended = built_package.tools.module(checker);
            assert!(
                !ended.status.success()
                    && ended.out.contains("wrong.py:2")
                    && ended.out.contains("wrong.py:3"),
                "{}",
                ended.said()
            );
        }
    }

    #[test]
    fn what_lacks_the_repository_or_cargo_is_refused_in_one_sentence() {
        let Some(built_package) = built_package() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().to_str().unwrap();
        let ended = built_package
            .tools
            .module(&["hatchling", "build", "-t", "sdist", "-d", to]);
        assert!(
            !ended.status.success() && ended.err.contains("build a wheel from bindings/python"),
            "{}",
            ended.said()
        );
        for name in ["pyproject.toml", "hatch_build.py", "README.md"] {
            fs::copy(
                repository("bindings/python").join(name),
                folder.path().join(name),
            )
            .unwrap();
        }
        let ended = built_package.tools.module(&[
            "pip",
            "wheel",
            "--no-build-isolation",
            "--no-deps",
            "--wheel-dir",
            to,
            to,
        ]);
        assert!(
            !ended.status.success() && ended.said().contains("a copy of bindings/python"),
            "{}",
            ended.said()
        );
        let mut without_cargo = built_package.tools.python();
        without_cargo
            .args(["-m", "hatchling", "build", "-t", "wheel", "-d", to])
            .current_dir(repository("bindings/python"));
        let ended = run(without_cargo.env("PATH", to).env_remove("KEYFERRY_LIBRARY"));
        assert!(
            !ended.status.success() && ended.err.contains("cargo is not installed"),
            "{}",
            ended.said()
        );
        let ended = built_package.tools.module(&[
            "pip",
            "install",
            "--no-build-isolation",
            "--no-deps",
            "--editable",
            ".",
        ]);
        assert!(
            !ended.status.success() && ended.said().contains("cannot install keyferry as editable"),
            "{}",
            ended.said()
        );
    }
}
