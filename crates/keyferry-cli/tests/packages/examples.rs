//! The examples in Python and Node, run with the installed packages against the sandbox. They
//! transfer files, and the tests compare the bytes.

use std::process::Command;
use std::time::Duration;

use keyferry_sandbox::credentials as c;
use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::download_example::DownloadExample;
use keyferry_testing::harness::{CommandBuilder, Harness};
use keyferry_testing::skip;
use keyferry_testing::upload_example::{Input, UploadExample};

use crate::{node, python};

const LIMIT: Duration = Duration::from_secs(120);

fn upload(file: &str, input: Input) -> Option<UploadExample> {
    let command = match file.ends_with(".py") {
        true => python::example(file),
        false => node::example(file),
    };
    command.map(|command| UploadExample { command, input })
}

fn download(file: &str) -> Option<DownloadExample> {
    let command = match file.ends_with(".py") {
        true => python::example(file),
        false => node::example(file),
    };
    command.map(|command| DownloadExample { command })
}

#[test]
fn the_upload_with_requests_moves_every_byte() {
    if let Some(example) = upload("upload_folder.py", Input::Directory) {
        example.check_success();
    }
}

#[test]
fn the_upload_with_requests_sends_a_long_file_in_parts() {
    if let Some(example) = upload("upload_folder.py", Input::Directory) {
        example.check_parts();
    }
}

#[test]
fn the_upload_with_requests_replaces_a_rejected_token_once() {
    if let Some(example) = upload("upload_folder.py", Input::Directory) {
        example.check_rejected_tokens();
    }
}

#[test]
fn the_upload_with_requests_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = upload("upload_folder.py", Input::Directory) {
        example.check_failures(0, 3);
    }
}

#[test]
fn the_upload_with_requests_shows_its_progress_on_a_terminal() {
    if skip::without(&["python3"]) {
        return;
    }
    if let Some(example) = upload("upload_folder.py", Input::Directory) {
        example.check_terminal();
    }
}

#[test]
fn the_upload_with_asyncio_moves_every_byte() {
    if let Some(example) = upload("upload_async.py", Input::Files) {
        example.check_success();
    }
}

#[test]
fn the_upload_with_asyncio_sends_a_long_file_in_parts() {
    if let Some(example) = upload("upload_async.py", Input::Files) {
        example.check_parts();
    }
}

#[test]
fn the_upload_with_asyncio_replaces_a_rejected_token_once() {
    if let Some(example) = upload("upload_async.py", Input::Files) {
        example.check_rejected_tokens();
    }
}

#[test]
fn the_upload_with_asyncio_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = upload("upload_async.py", Input::Files) {
        example.check_failures(0, 3);
    }
}

#[test]
fn the_upload_with_asyncio_shows_its_progress_on_a_terminal() {
    if skip::without(&["python3"]) {
        return;
    }
    if let Some(example) = upload("upload_async.py", Input::Files) {
        example.check_terminal();
    }
}

#[test]
fn the_upload_with_node_moves_every_byte() {
    if let Some(example) = upload("upload-folder.mjs", Input::Directory) {
        example.check_success();
    }
}

#[test]
fn the_upload_with_node_sends_a_long_file_in_parts() {
    if let Some(example) = upload("upload-folder.mjs", Input::Directory) {
        example.check_parts();
    }
}

#[test]
fn the_upload_with_node_replaces_a_rejected_token_once() {
    if let Some(example) = upload("upload-folder.mjs", Input::Directory) {
        example.check_rejected_tokens();
    }
}

#[test]
fn the_upload_with_node_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = upload("upload-folder.mjs", Input::Directory) {
        example.check_failures(0, 3);
    }
}

#[test]
fn the_upload_with_node_shows_its_progress_on_a_terminal() {
    if skip::without(&["python3"]) {
        return;
    }
    if let Some(example) = upload("upload-folder.mjs", Input::Directory) {
        example.check_terminal();
    }
}

#[test]
fn the_download_with_httpx_moves_every_byte() {
    if let Some(example) = download("download.py") {
        example.check_success();
    }
}

#[test]
fn the_download_with_httpx_replaces_a_rejected_token_once() {
    if let Some(example) = download("download.py") {
        example.check_rejected_token();
    }
}

#[test]
fn the_download_with_httpx_sends_the_password_of_a_link() {
    if let Some(example) = download("download.py") {
        example.check_password();
    }
}

#[test]
fn the_download_with_httpx_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = download("download.py") {
        example.check_failures();
    }
}

#[test]
fn the_download_with_httpx_stays_inside_its_directory() {
    if let Some(example) = download("download.py") {
        example.check_paths();
    }
}

#[test]
fn the_download_with_node_moves_every_byte() {
    if let Some(example) = download("download.mjs") {
        example.check_success();
    }
}

#[test]
fn the_download_with_node_replaces_a_rejected_token_once() {
    if let Some(example) = download("download.mjs") {
        example.check_rejected_token();
    }
}

#[test]
fn the_download_with_node_sends_the_password_of_a_link() {
    if let Some(example) = download("download.mjs") {
        example.check_password();
    }
}

#[test]
fn the_download_with_node_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = download("download.mjs") {
        example.check_failures();
    }
}

#[test]
fn the_download_with_node_stays_inside_its_directory() {
    if let Some(example) = download("download.mjs") {
        example.check_paths();
    }
}

/// Runs an example that shows a job.
fn job(
    command: &dyn Fn(&Harness) -> Command,
    job: &str,
    prepare: impl Fn(&mut Command),
) -> ProgramOutput {
    let harness = Harness::with_library();
    let mut command = command(&harness);
    prepare(command.arg(job));
    let ended = child::run(&mut command, LIMIT);
    ended.assert_no_secrets();
    ended
}

/// Checks an example that shows a job.
fn check_job(command: Option<CommandBuilder>) {
    let Some(command) = command else { return };
    let done = job(&*command, c::JOB_ID, |_| {});
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "contract.pdf\n"),
        "{}",
        done.err
    );
    assert_eq!(done.err, format!("job {} is Done\n", c::JOB_ID));

    let foreign = job(&*command, c::FOREIGN_JOB_ID, |_| {});
    assert_eq!((foreign.code, foreign.out.as_str()), (Some(1), ""));
    assert!(
        foreign.err.contains("check the ID") && foreign.err.lines().count() == 1,
        "{}",
        foreign.err
    );

    let wrong = job(&*command, c::JOB_ID, |command| {
        command.env("KEYFERRY_FILEVERBS_API_KEY", "wrong");
    });
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(3), ""));
    assert!(
        wrong.err.contains("rejected") && wrong.err.lines().count() == 1,
        "{}",
        wrong.err
    );

    let down = job(&*command, c::JOB_ID, |command| {
        command.env("KEYFERRY_FILEVERBS_URL", "http://127.0.0.1:1");
    });
    assert_eq!((down.code, down.out.as_str()), (Some(4), ""));
    assert!(
        down.err.contains("127.0.0.1") && down.err.lines().count() == 1,
        "{}",
        down.err
    );
}

#[test]
fn the_job_in_python_is_shown_with_its_outputs() {
    check_job(python::example("fileverbs_job.py"));
}

#[test]
fn the_job_in_node_is_shown_with_its_outputs() {
    check_job(node::example("fileverbs-job.mjs"));
}
