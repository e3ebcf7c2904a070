//! Errors of the system, injected by strace: what the programs say about files, programs, streams and
//! the network. The errors of the store have a test of the library.

use std::fs;
use std::process::Command;

use keyferry_sandbox::credentials as c;

use crate::programs::KEYFERRY;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// Errors of a file that the user names, and what the message says about each.
const FILE_ERRORS: [(&str, &str); 9] = [
    (
        "EACCES",
        "permission denied; check the owner and permissions of it and of its directory with `ls -ld`",
    ),
    (
        "EPERM",
        "operation not permitted; check whether it is immutable (`lsattr`), or whether a sandbox forbids the operation",
    ),
    ("EIO", "the disk reports an error; check the disk"),
    (
        "EMFILE",
        "too many open files; raise the limit (`ulimit -n`), or close some files",
    ),
    (
        "ENFILE",
        "too many open files on this machine; raise `fs.file-max`, or end some programs",
    ),
    (
        "ENOSYS",
        "its file system or a sandbox does not implement this operation; use a file on a local disk",
    ),
    (
        "ESTALE",
        "Stale file handle (os error 116); use a file on a local disk",
    ),
    ("ENAMETOOLONG", "its path is too long; use a shorter path"),
    (
        "ENOMEM",
        "the system has no memory left; end some programs, or raise the memory limit",
    ),
];

/// Errors of a file that is written, and what the message says about each.
const WRITE_ERRORS: [(&str, &str); 6] = [
    ("ENOSPC", "the disk is full; free some space"),
    ("EDQUOT", "your disk quota is used up; free some space"),
    (
        "EROFS",
        "the file system is read-only; set XDG_CONFIG_HOME to a directory that you can write to",
    ),
    (
        "EFBIG",
        "the file size limit is reached; raise the limit (`ulimit -f`)",
    ),
    ("EIO", "the disk reports an error; check the disk"),
    (
        "EACCES",
        "permission denied; check the owner and permissions of it and of its directory with `ls -ld`",
    ),
];

/// Runs keyferry, and injects an error into a system call. `path` restricts it to calls on a file.
fn run(
    harness: &Harness,
    arguments: &[&str],
    call: &str,
    path: Option<&str>,
    error: &str,
) -> ProgramOutput {
    let inject = match path {
        Some(_) => format!("inject={call}:error={error}"),
        None => format!("inject={call}:error={error}:when=1"),
    };
    let log = harness.path("trace");
    let mut options = vec!["-f", "-qq", "-o", log.to_str().unwrap(), "-e", &inject];
    options.extend(path.iter().flat_map(|path| ["-P", path]));
    let arguments = [&options, &[KEYFERRY][..], arguments].concat();
    let mut command = harness.program_without_secrets("strace", &arguments);
    run_with_input(command.env("KEYFERRY_MASV_EMAIL", c::EMAIL), "")
}

#[test]
fn a_file_that_can_not_be_read_has_its_cause_and_its_remedy() {
    if skip::without_strace() {
        return;
    }
    let harness = Harness::watching_arguments();
    let secret = harness.write_private_file("secret", c::PASSWORD);
    let secret = secret.to_str().unwrap();
    let text = format!("[masv]\npassword = {{ file = {secret:?} }}\n");
    let config = harness.write_private_file("home/.config/keyferry/config.toml", &text);
    let config = config.to_str().unwrap();
    for (arguments, path, prefix) in [
        (&["config"][..], config, ""),
        (&["header", "user"], config, ""),
        (&["header", "user"], secret, "masv.password: "),
        (&["login", "masv", "--secret-file", secret], secret, ""),
    ] {
        for (call, verb) in [("openat", "open"), ("read", "read")] {
            for (error, what) in FILE_ERRORS {
                let output = run(&harness, arguments, call, Some(path), error);
                assert_eq!(
                    (output.code, &*output.err),
                    (
                        Some(3),
                        &*format!("keyferry: {prefix}cannot {verb} {path}: {what}\n")
                    ),
                    "{arguments:?} {call} {error}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_can_not_be_written_has_its_cause_and_its_remedy() {
    if skip::without_strace() {
        return;
    }
    for call in ["mkdirat", "fsync", "renameat"] {
        for (error, what) in WRITE_ERRORS {
            let harness = Harness::watching_arguments();
            let secret = harness.write_private_file("secret", c::PASSWORD);
            let folder = harness.path("home/.config/keyferry");
            fs::create_dir_all(&folder).unwrap();
            let arguments = [
                "login",
                "masv",
                "--secret-file",
                secret.to_str().unwrap(),
                "--save",
                "file",
            ];
            let output = run(&harness, &arguments, call, None, error);
            let shown = folder.display();
            let step = if call == "mkdirat" {
                format!("{shown}/secrets: ")
            } else {
                String::new()
            };
            assert_eq!(
                (output.code, &*output.err),
                (
                    Some(3),
                    &*format!(
                        "keyferry: cannot write {shown}/secrets/masv.password: {step}{what}\n"
                    )
                ),
                "{call} {error}"
            );
        }
    }
}

#[test]
fn a_program_that_can_not_be_started_has_its_cause_and_its_remedy() {
    let harness = Harness::watching_arguments();
    let plain = harness.write_private_file("plain", "#!/bin/sh\n");
    let script = harness.write_file("script", "#!/nonexistent/sh\n", 0o700);
    let missing = harness.path("missing");
    let in_file = plain.join("program");
    for (program, what) in [
        (
            &plain,
            "permission denied; make it executable with `chmod +x`, and check the owners and permissions of its directories",
        ),
        (
            &script,
            "it does not exist; install it or correct its path; for a script, check the path after `#!` too",
        ),
        (
            &missing,
            "it does not exist; install it or correct its path; for a script, check the path after `#!` too",
        ),
        (
            &in_file,
            "there is a link or a file at this path; correct its path",
        ),
    ] {
        let program = program.to_str().unwrap();
        let text = format!("[masv]\npassword = {{ command = [{program:?}] }}\n");
        harness.write_private_file("home/.config/keyferry/config.toml", &text);
        let mut command = harness.program_without_secrets(KEYFERRY, &["header", "user"]);
        let output = run_with_input(command.env("KEYFERRY_MASV_EMAIL", c::EMAIL), "");
        assert_eq!(
            (output.code, &*output.err),
            (
                Some(3),
                &*format!("keyferry: masv.password: cannot run {program}: {what}\n")
            )
        );
        let mut command = harness.program(KEYFERRY, &["exec", "--", program]);
        let output = run_with_input(&mut command, "");
        assert_eq!(
            &*output.err,
            &*format!("keyferry: cannot start {program}: {what}\n")
        );
    }
}

#[test]
fn a_full_output_is_named() {
    let harness = Harness::watching_arguments();
    let mut command = harness.program("sh", &["-c", "\"$0\" status > /dev/full", KEYFERRY]);
    let output = run_with_input(&mut command, "");
    assert_eq!(
        (output.code, &*output.err),
        (
            Some(1),
            "keyferry: cannot write the output: the disk is full; free some space\n"
        )
    );
}

/// A login by this command line, at a service of another machine.
fn login_elsewhere(harness: &Harness, variables: &[(&str, &str)]) -> ProgramOutput {
    let mut command: Command = harness.program(KEYFERRY, &["header", "user"]);
    command
        .env("KEYFERRY_MASV_URL", "https://192.0.2.1")
        .envs(variables.iter().copied());
    run_with_input(&mut command, "")
}

#[test]
fn a_proxy_that_is_not_there_is_named_and_a_temporary_failure() {
    let harness = Harness::watching_arguments();
    let output = login_elsewhere(
        &harness,
        &[("HTTPS_PROXY", "http://ferry:canary@127.0.0.1:1")],
    );
    assert_eq!(
        (output.code, &*output.err),
        (
            Some(4),
            "keyferry: cannot connect to 192.0.2.1 (through the proxy 127.0.0.1:1 of HTTPS_PROXY): connection refused; check that the proxy is running, and correct its host and port\n"
        )
    );
}

#[test]
fn a_stale_certificate_variable_is_named() {
    let harness = Harness::watching_arguments();
    let output = login_elsewhere(&harness, &[("SSL_CERT_FILE", "/nonexistent/ca.pem")]);
    assert_eq!(
        (output.code, &*output.err),
        (
            Some(1),
            "keyferry: cannot set up TLS: SSL_CERT_FILE names /nonexistent/ca.pem, which cannot be read (it does not exist); correct or unset SSL_CERT_FILE\n"
        )
    );
}
