//! Real git: `git credential fill`, `approve` and `reject` with `credential.helper` set to the built program.

use std::fs;
use std::process::Command;

use keyferry_sandbox::credentials as c;

use crate::harness::{HELPER, Said, Stage, assert_clean_file, call, say};

/// `git credential WORD` with helpers and settings.
fn git(stage: &Stage, settings: &[&str], word: &str, input: &str) -> Said {
    say(&mut command(stage, settings, word), input)
}

fn command(stage: &Stage, settings: &[&str], word: &str) -> Command {
    let mut arguments = vec!["-c".to_owned(), "credential.helper=".to_owned()];
    for setting in settings.iter().map(|setting| (*setting).to_owned()).chain([format!("credential.helper={HELPER}")]) {
        arguments.extend(["-c".to_owned(), setting]);
    }
    arguments.extend(["credential".to_owned(), word.to_owned()]);
    stage.program("git", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

const ANNOUNCED: &str = "capability[]=authtype\n";

#[test]
fn a_fileverbs_url_is_filled_with_a_bearer_through_authtype() {
    let stage = Stage::set();
    let said = git(&stage, &[], "fill", &format!("url={}/a/repo.git\n{ANNOUNCED}\n", stage.sandbox.fileverbs_url()));
    assert_eq!((said.code, said.line("authtype"), said.line("ephemeral")), (Some(0), Some("Bearer"), Some("1")), "{said:?}");
    let header = format!("Bearer {}", said.line("credential").unwrap());
    assert_eq!(call(stage.sandbox.fileverbs_url(), "/api/v1/fileuploads", &[("Authorization", &header)]), 200);
    for word in ["approve", "reject"] {
        let done = git(&stage, &[], word, &said.out);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "", ""), "{word}");
    }
    stage.assert_no_secret_in_argv();
}

#[test]
fn without_authtype_it_is_a_password_with_an_end() {
    let stage = Stage::set();
    let said = git(&stage, &[], "fill", &format!("url={}/a/repo.git\n\n", stage.sandbox.fileverbs_url()));
    assert_eq!((said.code, said.line("username"), said.line("authtype")), (Some(0), Some("default"), None), "{said:?}");
    assert!(said.line("password").is_some() && said.line("password_expiry_utc").is_some());
    for word in ["approve", "reject"] {
        assert_eq!(git(&stage, &[], word, &said.out).code, Some(0));
    }
}

#[test]
fn trap_3_a_url_behind_the_capability_resets_it_in_git_itself() {
    let stage = Stage::set();
    let said = git(&stage, &[], "fill", &format!("{ANNOUNCED}url={}/a/repo.git\n\n", stage.sandbox.fileverbs_url()));
    assert_eq!((said.code, said.line("authtype"), said.line("username")), (Some(0), None, Some("default")), "{said:?}");
}

#[test]
fn a_masv_package_is_chosen_by_path_with_use_http_path() {
    let stage = Stage::set();
    let input = format!("url={}/v1/packages/{}/files\n\n", stage.sandbox.masv_url(), c::PACKAGE_ID);
    let said = git(&stage, &["credential.useHttpPath=true"], "fill", &input);
    assert_eq!((said.code, said.line("username")), (Some(0), Some("X-Package-Token")), "{said:?}");
    assert!(!said.out.contains("header[]"), "git drops what it doesn't know");
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(call(stage.sandbox.masv_url(), &path, &[("X-Package-Token", said.line("password").unwrap())]), 200);
    for word in ["approve", "reject"] {
        let done = git(&stage, &["credential.useHttpPath=true"], word, &said.out);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "", ""), "{word}");
    }
}

#[test]
fn trap_9_without_use_http_path_no_package_is_chosen() {
    let stage = Stage::set();
    let said = git(&stage, &[], "fill", &format!("url={}/v1/packages/{}/files\n\n", stage.sandbox.masv_url(), c::PACKAGE_ID));
    assert!(said.code == Some(128) && said.out.is_empty() && said.err.contains("useHttpPath"), "{said:?}");
    assert_eq!(stage.sandbox.count("requests"), 0);
}

#[test]
fn trap_6_a_cr_in_the_host_ends_git_and_finds_no_credential() {
    let stage = Stage::set();
    let said = git(&stage, &[], "fill", &format!("protocol=http\nhost={}\rx\n\n", &stage.sandbox.fileverbs_url()[7..]));
    assert!(said.code != Some(0) && !said.out.contains("password"), "{said:?}");
    let said = git(&stage, &[], "fill", &format!("url={}/%0d%0ahost=evil.example\n\n", stage.sandbox.fileverbs_url()));
    assert!(said.code != Some(0) && said.out.is_empty(), "{said:?}");
}

#[test]
fn trap_13_a_helper_that_stores_is_not_given_the_ephemeral_token() {
    let stage = Stage::set();
    let file = stage.path("kept");
    let store = format!("credential.helper=store --file={}", file.display());
    let said = git(&stage, &[&store], "fill", &format!("url={}/a.git\n{ANNOUNCED}\n", stage.sandbox.fileverbs_url()));
    assert_eq!(git(&stage, &[&store], "approve", &said.out).code, Some(0));
    assert_clean_file(&file);
}

#[test]
fn the_helper_is_found_by_its_short_name() {
    let stage = Stage::set();
    let folder = std::path::Path::new(HELPER).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = stage.program("git", &["-c", "credential.helper=", "-c", "credential.helper=keyferry", "credential", "fill"]);
    let said = say(command.env("PATH", path), &format!("url={}/a.git\n\n", stage.sandbox.fileverbs_url()));
    assert_eq!((said.code, said.line("username")), (Some(0), Some("default")), "{said:?}");
    let capability = say(&mut stage.program("git", &["credential", "capability"]), "");
    assert!(capability.out.starts_with("version 0\n"));
}

#[test]
fn a_foreign_host_is_left_to_the_next_helper() {
    let stage = Stage::set();
    let script = stage.private("next", "#!/bin/sh\nprintf 'username=ann\\npassword=other\\n'\n");
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
    let said = say(&mut stage.program("git", &arguments), "protocol=https\nhost=github.com\n\n");
    assert_eq!((said.code, said.line("username"), said.err.as_str()), (Some(0), Some("ann"), ""), "{said:?}");
}
