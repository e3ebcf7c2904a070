//! `make install` into a folder of its own, then a C and a C++ program outside the tree, by
//! pkg-config and by CMake.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::{child, compiler, documents, skip};

const LIMIT: Duration = Duration::from_secs(120);

const CPP: &str = r#"#include <keyferry.hpp>
#include <iostream>
int main() {
    try {
        std::cout << keyferry::session().token_for("user").header().name << "\n";
    } catch (const keyferry::error &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
"#;

const CMAKE: &str = r#"cmake_minimum_required(VERSION 3.13)
project(outside C CXX)
find_package(Keyferry @SERIES@ REQUIRED)
add_executable(shared quickstart.c)
target_link_libraries(shared PRIVATE keyferry::keyferry)
add_executable(static quickstart.c)
target_link_libraries(static PRIVATE keyferry::keyferry-static)
add_executable(wrapper wrapper.cpp)
target_compile_features(wrapper PRIVATE cxx_std_17)
target_link_libraries(wrapper PRIVATE keyferry::keyferry)
"#;

/// What is installed, and sources beside it that know nothing of this tree.
struct Installed {
    harness: Harness,
}

impl Installed {
    /// The caller skips its test without `make`.
    fn new() -> Self {
        let harness = Harness::with_library();
        make("install", &harness.path("prefix"), &[]);
        fs::copy(
            files::file("c-tests/quickstart.c"),
            harness.path("quickstart.c"),
        )
        .unwrap();
        fs::write(harness.path("wrapper.cpp"), CPP).unwrap();
        Self { harness }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.harness.path(name)
    }

    fn flags(&self, options: &[&str]) -> Vec<OsString> {
        let mut command = Command::new("pkg-config");
        command
            .args(options)
            .arg("keyferry")
            .env("PKG_CONFIG_PATH", self.path("prefix/lib/pkgconfig"));
        compiler::succeed(&mut command)
            .out
            .split_whitespace()
            .map(OsString::from)
            .collect()
    }

    fn compile(&self, source: &str, flags: &[OsString]) -> PathBuf {
        let program = self.path(source).with_extension("program");
        compiler::succeed(
            compiler::strict(&self.path(source))
                .args(flags)
                .arg("-o")
                .arg(&program),
        );
        program
    }

    /// Runs it and looks for the header's name in what it says.
    fn assert_prints_header(&self, program: &Path, libraries: Option<PathBuf>) {
        let mut command = Command::new(program);
        self.harness
            .set_test_environment(&mut command)
            .envs(libraries.map(|folder| ("LD_LIBRARY_PATH", folder)));
        let ended = child::run(&mut command, LIMIT);
        assert!(
            ended.status.success() && ended.out.starts_with("X-User-Token"),
            "{}",
            ended.said()
        );
    }
}

/// Runs a target of the Makefile with the files of this build, and returns its output.
fn make(target: &str, prefix: &Path, settings: &[String]) -> String {
    let mut command = Command::new("make");
    command
        .current_dir(files::file(""))
        .env_remove("MAKEFLAGS")
        .args(["--silent", target]);
    command
        .arg(format!("PREFIX={}", prefix.display()))
        .arg(format!("LIBRARY_DIR={}", files::beside("").display()));
    let programs = Path::new(env!("CARGO_BIN_EXE_keyferry")).parent().unwrap();
    command
        .arg(format!("PROGRAM_DIR={}", programs.display()))
        .arg(format!("HELPER_DIR={}", programs.display()))
        .args(settings);
    compiler::succeed(&mut command).out
}

/// All files and links below a folder, by their path in it.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(
                    entry
                        .path()
                        .strip_prefix(folder)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_c_and_a_cpp_program_are_built_with_pkg_config() {
    if skip::without(&["make", "pkg-config", "c++"]) {
        return;
    }
    let installed = Installed::new();
    let libraries = Some(installed.path("prefix/lib"));
    assert_eq!(
        installed.flags(&["--modversion"]),
        [env!("CARGO_PKG_VERSION")]
    );
    let flags = installed.flags(&["--cflags", "--libs"]);
    installed.assert_prints_header(
        &installed.compile("quickstart.c", &flags),
        libraries.clone(),
    );
    installed.assert_prints_header(&installed.compile("wrapper.cpp", &flags), libraries);
}

/// As where a distribution installs the static library alone: the linker has no other to take.
#[test]
fn a_program_is_linked_statically_with_pkg_config() {
    if skip::without(&["make", "pkg-config"]) {
        return;
    }
    let installed = Installed::new();
    for name in files_below(&installed.path("prefix/lib"))
        .iter()
        .filter(|name| name.contains(".so"))
    {
        fs::remove_file(installed.path("prefix/lib").join(name)).unwrap();
    }
    let program = installed.compile(
        "quickstart.c",
        &installed.flags(&["--static", "--cflags", "--libs"]),
    );
    installed.assert_prints_header(&program, None);
}

#[test]
fn programs_are_built_with_cmake() {
    if skip::without(&["make", "cmake", "c++"]) {
        return;
    }
    let installed = Installed::new();
    let (series, _) = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap();
    fs::write(
        installed.path("CMakeLists.txt"),
        CMAKE.replace("@SERIES@", series),
    )
    .unwrap();
    let mut command = Command::new("cmake");
    command.args(["-S", ".", "-B", "build"]).arg(format!(
        "-DCMAKE_PREFIX_PATH={}",
        installed.path("prefix").display()
    ));
    compiler::succeed(command.current_dir(installed.path("")));
    compiler::succeed(
        Command::new("cmake")
            .args(["--build", "build"])
            .current_dir(installed.path("")),
    );
    // CMake writes the library's folder into what it builds, so nothing has to be said at run time.
    for program in ["shared", "static", "wrapper"] {
        installed.assert_prints_header(&installed.path("build").join(program), None);
    }
}

#[test]
fn the_installed_programs_run_and_the_helper_finds_its_elder() {
    if skip::without(&["make"]) {
        return;
    }
    let installed = Installed::new();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(installed.path("prefix/bin").join(program));
        child::run(
            installed
                .harness
                .set_test_environment(&mut command)
                .args(arguments),
            LIMIT,
        )
    };
    let version = run("keyferry", &["--version"]);
    assert_eq!(
        version.out.trim_end(),
        concat!("keyferry ", env!("CARGO_PKG_VERSION")),
        "{}",
        version.said()
    );
    let capability = run("git-credential-keyferry", &["capability"]);
    assert!(
        capability.status.success() && capability.out.starts_with("version 0"),
        "{}",
        capability.said()
    );
    // Both names are the small program, which needs the full one.
    fs::remove_file(installed.path("prefix/libexec/keyferry/keyferry")).unwrap();
    for (program, arguments) in [
        ("keyferry", &["--version"][..]),
        ("git-credential-keyferry", &["erase"]),
    ] {
        let small = run(program, arguments);
        assert!(
            !small.status.success()
                && small.out.is_empty()
                && small
                    .err
                    .contains("libexec/keyferry/keyferry does not exist; install keyferry again"),
            "{}",
            small.said()
        );
    }
    fs::remove_file(installed.path("prefix/bin/keyferry")).unwrap();
    let alone = run("git-credential-keyferry", &["erase"]);
    assert!(
        !alone.status.success()
            && alone.out.is_empty()
            && alone
                .err
                .contains("install both programs in the same directory"),
        "{}",
        alone.said()
    );
}

#[test]
fn cmake_is_refused_another_series() {
    if skip::without(&["make", "cmake"]) {
        return;
    }
    let installed = Installed::new();
    for (wanted, found) in [
        ("0", true),
        (env!("CARGO_PKG_VERSION"), true),
        ("999.0", false),
        ("0.0.1", false),
    ] {
        let text = format!(
            "cmake_minimum_required(VERSION 3.13)\nproject(outside NONE)\nfind_package(Keyferry {wanted} REQUIRED)\n"
        );
        fs::write(installed.path("CMakeLists.txt"), text).unwrap();
        let mut command = Command::new("cmake");
        command.args(["-S", ".", "-B", "asked"]).arg(format!(
            "-DCMAKE_PREFIX_PATH={}",
            installed.path("prefix").display()
        ));
        let ended = child::run(command.current_dir(installed.path("")), LIMIT);
        assert_eq!(ended.status.success(), found, "{wanted}: {}", ended.said());
    }
}

/// A program that stands for ldconfig. It searches one directory, and writes `ran` to a file if it
/// updates its cache.
fn fake_ldconfig(harness: &Harness, searched: &Path, can_write: bool) -> PathBuf {
    let script = format!(
        "#!/bin/sh\nif [ \"$*\" = '-N -X -v' ]; then\n    echo '{}: (from test)'\n    exit\nfi\n{can_write} && echo ran >> '{}'\n",
        searched.display(),
        harness.path("ldconfig.log").display()
    );
    harness.write_file("ldconfig", &script, 0o700)
}

#[test]
fn make_install_updates_the_cache_of_the_loader_or_prints_the_command() {
    if skip::without(&["make"]) {
        return;
    }
    let harness = Harness::new();
    let prefix = harness.path("prefix");
    let abi = keyferry::ffi::version::KEYFERRY_ABI_VERSION;
    let install = |can_write, pkg_config: &str| {
        let ldconfig = fake_ldconfig(&harness, &prefix.join("lib"), can_write);
        let settings = [
            format!("LDCONFIG={}", ldconfig.display()),
            format!("PKG_CONFIG={pkg_config}"),
        ];
        make("install", &prefix, &settings)
    };
    let printed = install(true, "/nonexistent");
    let expected = format!("Programs now find libkeyferry.so.{abi}: ldconfig has run.\n");
    assert_eq!(printed, expected);
    let log = harness.path("ldconfig.log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "ran\n");

    let printed = install(false, "/nonexistent");
    let expected =
        format!("\nPrograms do not find libkeyferry.so.{abi} yet. Run:\n\n    sudo ldconfig\n");
    assert_eq!(printed, expected);
    assert_eq!(fs::read_to_string(&log).unwrap(), "ran\n");

    // `true` stands for a pkg-config that does not find keyferry.
    let printed = install(true, "true");
    let hint = format!(
        "export PKG_CONFIG_PATH=\"{}",
        prefix.join("lib/pkgconfig").display()
    );
    assert!(printed.contains(&hint), "{printed}");
}

/// Returns the commands of README.md that begin with this word, in one block.
fn readme_commands(first_word: &str) -> String {
    let blocks = documents::blocks(&documents::read("README.md"));
    let mut commands = blocks.into_iter().filter(|block| block.language == "sh");
    let found = commands.find(|block| block.text.split(' ').next() == Some(first_word));
    found
        .unwrap_or_else(|| panic!("README.md has no command `{first_word}`"))
        .text
}

/// Saves the first program of README.md in a language, and runs README.md's commands for it as
/// printed. The shell has the programs of this machine, the variables of the sandbox, and the
/// variables that `make install` prints for a directory that nothing searches.
fn run_quick_start(language: &str, compiler: &str) {
    let harness = Harness::new();
    let settings = ["LDCONFIG=/nonexistent".to_owned()];
    let printed = make("install", &harness.path("prefix"), &settings);
    let exports = printed
        .lines()
        .filter(|line| line.starts_with("    export "));
    let exports: Vec<_> = exports.collect();
    assert_eq!(exports.len(), 5, "{printed}");

    let mut programs = documents::blocks(&documents::read("README.md")).into_iter();
    let program = programs.find(|block| block.language == language).unwrap();
    fs::write(
        harness.path(&format!("work/quickstart.{language}")),
        program.text,
    )
    .unwrap();
    let script = format!(
        "set -e\n{}\n{}",
        exports.join("\n"),
        readme_commands(compiler)
    );
    let ended = child::run(&mut harness.program("sh", &["-c", &script]), LIMIT);
    assert!(
        ended.status.success() && ended.out.starts_with("X-User-Token") && ended.err.is_empty(),
        "{script}{}",
        ended.said()
    );
}

#[test]
fn the_c_quick_start_of_the_readme_runs_as_printed() {
    if !skip::without(&["make"]) {
        run_quick_start("c", "cc");
    }
}

#[test]
fn the_cpp_quick_start_of_the_readme_runs_as_printed() {
    if !skip::without(&["make", "c++"]) {
        run_quick_start("cpp", "c++");
    }
}

#[test]
fn what_is_installed_is_staged_and_removed_whole() {
    if skip::without(&["make"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let prefix = Path::new("/opt/keyferry");
    let settings = [
        format!("DESTDIR={}", folder.path().display()),
        "LIBDIR=/opt/keyferry/lib64".to_owned(),
    ];
    let printed = make("install", prefix, &settings);
    assert_eq!(printed, "", "ldconfig is the business of the package");
    let abi = keyferry::ffi::version::KEYFERRY_ABI_VERSION;
    let version = env!("CARGO_PKG_VERSION");
    let mut expected = vec![
        "bin/git-credential-keyferry".to_owned(),
        "bin/keyferry".to_owned(),
        "include/keyferry.h".to_owned(),
        "include/keyferry.hpp".to_owned(),
        "include/keyferry_plugin.h".to_owned(),
        "libexec/keyferry/keyferry".to_owned(),
        "lib64/cmake/Keyferry/KeyferryConfig.cmake".to_owned(),
        "lib64/cmake/Keyferry/KeyferryConfigVersion.cmake".to_owned(),
        "lib64/libkeyferry.a".to_owned(),
        "lib64/libkeyferry.so".to_owned(),
        format!("lib64/libkeyferry.so.{abi}"),
        format!("lib64/libkeyferry.so.{version}"),
        "lib64/pkgconfig/keyferry.pc".to_owned(),
    ];
    expected.extend(
        [
            "bash-completion/completions/keyferry",
            "fish/vendor_completions.d/keyferry.fish",
            "zsh/site-functions/_keyferry",
        ]
        .map(|script| format!("share/{script}")),
    );
    let documents = files_below(&files::file("docs")).into_iter();
    let documents = documents
        .filter(|name| name.ends_with(".md") || name.ends_with(".svg"))
        .map(|name| format!("docs/{name}"));
    let at_root = [
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ];
    let documents = documents.chain(at_root.map(str::to_owned));
    expected.extend(documents.map(|name| format!("share/doc/keyferry/{name}")));
    let pages = files_below(&files::file("install/man")).into_iter();
    expected.extend(pages.map(|page| {
        let (_, section) = page.rsplit_once('.').unwrap();
        format!("share/man/man{section}/{page}")
    }));
    expected.sort();
    let found = files_below(&folder.path().join("opt/keyferry"));
    assert_eq!(found, expected);
    assert!(found.contains(&"share/man/man1/keyferry.1".to_owned()));
    assert!(found.contains(&"share/man/man5/keyferry-config.5".to_owned()));
    let libraries = folder.path().join("opt/keyferry/lib64");
    assert_eq!(
        fs::read_link(libraries.join("libkeyferry.so")).unwrap(),
        Path::new(&format!("libkeyferry.so.{abi}"))
    );
    assert_eq!(
        fs::read_link(libraries.join(format!("libkeyferry.so.{abi}"))).unwrap(),
        Path::new(&format!("libkeyferry.so.{version}"))
    );
    let written = [
        "pkgconfig/keyferry.pc",
        "cmake/Keyferry/KeyferryConfig.cmake",
        "cmake/Keyferry/KeyferryConfigVersion.cmake",
    ];
    for text in written.map(|name| fs::read_to_string(libraries.join(name)).unwrap()) {
        // The place where it was staged is in no file, and nothing of the templates is left open.
        assert!(
            !text.contains('@') && !text.contains(&*folder.path().to_string_lossy()),
            "{text}"
        );
    }
    let completions = folder
        .path()
        .join("opt/keyferry/share/bash-completion/completions");
    let script = fs::read_to_string(completions.join("keyferry")).unwrap();
    assert!(script.contains("complete -F _keyferry"), "{script}");
    make("uninstall", prefix, &settings);
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}
