//! Real git: `git credential fill`, `approve` and `reject` with `credential.helper` set to the
//! built program.

use std::fs;
use std::process::Command;

use keyferry_sandbox::credentials as c;

use crate::programs::HELPER;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::http;
use keyferry_testing::secrets::assert_no_secret_in_file;
use keyferry_testing::skip;

/// `git credential WORD` with helpers and settings.
fn git(harness: &Harness, settings: &[&str], word: &str, input: &str) -> ProgramOutput {
    run_with_input(&mut command(harness, settings, word), input)
}

fn command(harness: &Harness, settings: &[&str], word: &str) -> Command {
    let mut arguments = vec!["-c".to_owned(), "credential.helper=".to_owned()];
    for setting in settings
        .iter()
        .map(|setting| (*setting).to_owned())
        .chain([format!("credential.helper={HELPER}")])
    {
        arguments.extend(["-c".to_owned(), setting]);
    }
    arguments.extend(["credential".to_owned(), word.to_owned()]);
    harness.program(
        "git",
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

/// The oldest git that knows `password_expiry_utc`.
const WITH_EXPIRY: (u32, u32) = (2, 40);
/// The oldest git that knows capabilities, `authtype` and `ephemeral`.
const WITH_AUTHTYPE: (u32, u32) = (2, 46);

const ANNOUNCED: &str = "capability[]=authtype\n";

#[test]
fn a_fileverbs_url_is_filled_with_a_bearer_through_authtype() {
    if skip::without_git(WITH_AUTHTYPE) {
        return;
    }
    let harness = Harness::watching_arguments();
    let output = git(
        &harness,
        &[],
        "fill",
        &format!(
            "url={}/a/repo.git\n{ANNOUNCED}\n",
            harness.sandbox().fileverbs_url()
        ),
    );
    assert_eq!(
        (
            output.code,
            output.line("authtype"),
            output.line("ephemeral")
        ),
        (Some(0), Some("Bearer"), Some("1")),
        "{output:?}"
    );
    let header = format!("Bearer {}", output.line("credential").unwrap());
    assert_eq!(
        http::get(
            harness.sandbox().fileverbs_url(),
            "/api/v1/fileuploads",
            &[("Authorization", &header)]
        )
        .status,
        200
    );
    for word in ["approve", "reject"] {
        let done = git(&harness, &[], word, &output.out);
        assert_eq!(
            (done.code, done.out.as_str(), done.err.as_str()),
            (Some(0), "", ""),
            "{word}"
        );
    }
    harness.assert_no_secret_in_argv();
}

#[test]
fn without_authtype_it_is_a_password_with_an_end() {
    let harness = Harness::watching_arguments();
    let output = git(
        &harness,
        &[],
        "fill",
        &format!("url={}/a/repo.git\n\n", harness.sandbox().fileverbs_url()),
    );
    assert_eq!(
        (
            output.code,
            output.line("username"),
            output.line("authtype")
        ),
        (Some(0), Some("default"), None),
        "{output:?}"
    );
    assert!(output.line("password").is_some());
    for word in ["approve", "reject"] {
        assert_eq!(git(&harness, &[], word, &output.out).code, Some(0));
    }
    if !skip::without_git(WITH_EXPIRY) {
        assert!(output.line("password_expiry_utc").is_some());
    }
}

#[test]
fn trap_3_a_url_behind_the_capability_resets_it_in_git_itself() {
    let harness = Harness::watching_arguments();
    let output = git(
        &harness,
        &[],
        "fill",
        &format!(
            "{ANNOUNCED}url={}/a/repo.git\n\n",
            harness.sandbox().fileverbs_url()
        ),
    );
    assert_eq!(
        (
            output.code,
            output.line("authtype"),
            output.line("username")
        ),
        (Some(0), None, Some("default")),
        "{output:?}"
    );
}

#[test]
fn a_masv_package_is_chosen_by_path_with_use_http_path() {
    let harness = Harness::watching_arguments();
    let input = format!(
        "url={}/v1/packages/{}/files\n\n",
        harness.sandbox().masv_url(),
        c::PACKAGE_ID
    );
    let output = git(&harness, &["credential.useHttpPath=true"], "fill", &input);
    assert_eq!(
        (output.code, output.line("username")),
        (Some(0), Some("X-Package-Token")),
        "{output:?}"
    );
    assert!(
        !output.out.contains("header[]"),
        "git drops what it doesn't know"
    );
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(
        http::get(
            harness.sandbox().masv_url(),
            &path,
            &[("X-Package-Token", output.line("password").unwrap())]
        )
        .status,
        200
    );
    for word in ["approve", "reject"] {
        let done = git(
            &harness,
            &["credential.useHttpPath=true"],
            word,
            &output.out,
        );
        assert_eq!(
            (done.code, done.out.as_str(), done.err.as_str()),
            (Some(0), "", ""),
            "{word}"
        );
    }
}

#[test]
fn trap_9_without_use_http_path_no_package_is_chosen() {
    let harness = Harness::watching_arguments();
    let output = git(
        &harness,
        &[],
        "fill",
        &format!(
            "url={}/v1/packages/{}/files\n\n",
            harness.sandbox().masv_url(),
            c::PACKAGE_ID
        ),
    );
    assert!(
        output.code == Some(128) && output.out.is_empty() && output.err.contains("useHttpPath"),
        "{output:?}"
    );
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn trap_6_a_cr_in_the_host_ends_git_and_finds_no_credential() {
    let harness = Harness::watching_arguments();
    let output = git(
        &harness,
        &[],
        "fill",
        &format!(
            "protocol=http\nhost={}\rx\n\n",
            &harness.sandbox().fileverbs_url()[7..]
        ),
    );
    assert!(
        output.code != Some(0) && !output.out.contains("password"),
        "{output:?}"
    );
    let output = git(
        &harness,
        &[],
        "fill",
        &format!(
            "url={}/%0d%0ahost=evil.example\n\n",
            harness.sandbox().fileverbs_url()
        ),
    );
    assert!(
        output.code != Some(0) && output.out.is_empty(),
        "{output:?}"
    );
}

#[test]
fn trap_13_a_helper_that_stores_is_not_given_the_ephemeral_token() {
    if skip::without_git(WITH_AUTHTYPE) {
        return;
    }
    let harness = Harness::watching_arguments();
    let file = harness.path("kept");
    let store = format!("credential.helper=store --file={}", file.display());
    let output = git(
        &harness,
        &[&store],
        "fill",
        &format!(
            "url={}/a.git\n{ANNOUNCED}\n",
            harness.sandbox().fileverbs_url()
        ),
    );
    assert_eq!(
        git(&harness, &[&store], "approve", &output.out).code,
        Some(0)
    );
    assert_no_secret_in_file(&file);
}

#[test]
fn the_helper_is_found_by_its_short_name() {
    let harness = Harness::watching_arguments();
    let folder = std::path::Path::new(HELPER).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = harness.program(
        "git",
        &[
            "-c",
            "credential.helper=",
            "-c",
            "credential.helper=keyferry",
            "credential",
            "fill",
        ],
    );
    let output = run_with_input(
        command.env("PATH", path),
        &format!("url={}/a.git\n\n", harness.sandbox().fileverbs_url()),
    );
    assert_eq!(
        (output.code, output.line("username")),
        (Some(0), Some("default")),
        "{output:?}"
    );
    if skip::without_git(WITH_AUTHTYPE) {
        return;
    }
    let capability = run_with_input(
        &mut harness.program("git", &["credential", "capability"]),
        "",
    );
    assert!(capability.out.starts_with("version 0\n"));
}

#[test]
fn a_foreign_host_is_left_to_the_next_helper() {
    let harness = Harness::watching_arguments();
    let script = harness.write_private_file(
        "next",
        "#!/bin/sh\nprintf 'username=ann\\npassword=other\\n'\n",
    );
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let arguments = [
        "-c",
        "credential.helper=",
        "-c",
        &format!("credential.helper={HELPER}"),
        "-c",
        &format!("credential.helper={}", script.display()),
        "credential",
        "fill",
    ];
    let output = run_with_input(
        &mut harness.program("git", &arguments),
        "protocol=https\nhost=github.com\n\n",
    );
    assert_eq!(
        (output.code, output.line("username"), output.err.as_str()),
        (Some(0), Some("ann"), ""),
        "{output:?}"
    );
}
