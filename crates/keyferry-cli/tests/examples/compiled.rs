//! The examples in C and C++.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use keyferry_testing::download_example::DownloadExample;
use keyferry_testing::harness::Harness;
use keyferry_testing::upload_example::{Input, UploadExample};
use keyferry_testing::{compiler, files, skip};
use tempfile::TempDir;

/// Finds memory that is lost for certain. The default session stays open until the end, with threads
/// whose memory valgrind reports as possibly lost.
const VALGRIND: &[&str] = &[
    "valgrind",
    "-q",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
    "--error-exitcode=9",
];

/// Compiles an example with all warnings as errors, as its first comment says.
fn compile(source: &str, libraries: &[&str]) -> (TempDir, PathBuf) {
    let harness = Harness::with_library();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("example");
    let mut pkg_config = Command::new("pkg-config");
    let flags = compiler::succeed(pkg_config.args(["--cflags", "--libs"]).args(libraries)).out;
    let mut command = compiler::strict(&files::file(source));
    command
        .arg("-I")
        .arg(files::file("include"))
        .arg("-L")
        .arg(harness.path("lib"))
        .arg("-o")
        .arg(&program)
        .arg("-lkeyferry")
        .args(flags.split_whitespace());
    compiler::succeed(&mut command);
    (folder, program)
}

/// Returns the command of a program, with its library and the credentials of the sandbox.
fn command(harness: &Harness, runner: &[&str], program: &Path) -> Command {
    let program = program.to_str().unwrap();
    let words = [runner, &[program]].concat();
    let mut command = harness.program(words[0], &words[1..]);
    command.env("LD_LIBRARY_PATH", harness.path("lib"));
    command
}

/// Returns the example in C, run by these programs; `None`, after skipping the test, without the
/// libraries.
fn upload(runner: &'static [&'static str]) -> Option<UploadExample> {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    const LIBRARIES: [&str; 2] = ["libcurl", "jansson"];
    if skip::without_libraries(&LIBRARIES) {
        return None;
    }
    let (_, program) = PROGRAM.get_or_init(|| compile("examples/c/upload.c", &LIBRARIES));
    Some(UploadExample {
        command: Box::new(|harness| command(harness, runner, program)),
        input: Input::File,
    })
}

/// Returns the example in C++; `None`, after skipping the test, without the libraries.
fn download() -> Option<DownloadExample> {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    const LIBRARIES: [&str; 2] = ["libcurl", "nlohmann_json"];
    if skip::without(&["g++"]) || skip::without_libraries(&LIBRARIES) {
        return None;
    }
    let (_, program) = PROGRAM.get_or_init(|| compile("examples/cpp/download.cpp", &LIBRARIES));
    Some(DownloadExample {
        command: Box::new(|harness| command(harness, &[], program)),
    })
}

#[test]
fn the_upload_in_c_moves_every_byte() {
    if let Some(example) = upload(&[]) {
        example.check_success();
    }
}

#[test]
fn the_upload_in_c_sends_a_long_file_in_parts() {
    if let Some(example) = upload(&[]) {
        example.check_parts();
    }
}

#[test]
fn the_upload_in_c_replaces_a_rejected_token_once() {
    if let Some(example) = upload(&[]) {
        example.check_rejected_tokens();
    }
}

#[test]
fn the_upload_in_c_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = upload(&[]) {
        example.check_failures(0, 3);
    }
}

#[test]
fn the_upload_in_c_shows_its_progress_on_a_terminal() {
    if skip::without(&["python3"]) {
        return;
    }
    if let Some(example) = upload(&[]) {
        example.check_terminal();
    }
}

#[test]
fn the_upload_in_c_frees_all_memory() {
    if skip::without(&["valgrind"]) {
        return;
    }
    if let Some(example) = upload(VALGRIND) {
        example.check_success();
    }
}

#[test]
fn the_download_in_cpp_moves_every_byte() {
    if let Some(example) = download() {
        example.check_success();
    }
}

#[test]
fn the_download_in_cpp_replaces_a_rejected_token_once() {
    if let Some(example) = download() {
        example.check_rejected_token();
    }
}

#[test]
fn the_download_in_cpp_sends_the_password_of_a_link() {
    if let Some(example) = download() {
        example.check_password();
    }
}

#[test]
fn the_download_in_cpp_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = download() {
        example.check_failures();
    }
}

#[test]
fn the_download_in_cpp_stays_inside_its_directory() {
    if let Some(example) = download() {
        example.check_paths();
    }
}
