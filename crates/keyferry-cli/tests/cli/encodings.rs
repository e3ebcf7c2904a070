//! The table of encodings for the programs: pipes, files, descriptors, askpass programs, git's and
//! EngFlow's protocols, and homes whose names are not UTF-8. `tests/encodings.rs` of the library has
//! the other doors.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use keyferry_sandbox::credentials as c;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::raw_service::{RawService, response, utf_16};
use serde_json::{Value, json};

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};

/// The expected result for some bytes that come from some source.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// This password is sent.
    Sent(&'static str),
    /// Nothing is sent, and the error says this.
    Refused(&'static str),
}
use Cell::{Refused, Sent};

const EMAIL: &str = "ann@example.com";

fn check(what: &str, service: &RawService, output: &ProgramOutput, expected: Cell) {
    let requests = service.requests();
    match expected {
        Sent(password) => {
            assert_eq!(output.code, Some(0), "{what}: {output:?}");
            assert_eq!(requests.len(), 1, "{what}");
            assert_eq!(requests[0].json()["password"], password, "{what}");
        }
        Refused(message) => {
            output.assert_error(3, message);
            assert!(requests.is_empty(), "{what}");
            assert!(
                output.err.contains("; "),
                "{what}: no remedy in {}",
                output.err
            );
        }
    }
    assert!(!output.err.contains("canary"), "{what}: {}", output.err);
}

#[test]
fn a_password_for_a_login_is_sent_as_it_was_meant_or_refused() {
    const LINE_BREAK: Cell =
        Refused("contains a line break or another control character; copy it again without it");
    const NOT_UTF_8: Cell = Refused("is not UTF-8; convert it to UTF-8");
    const UTF_16: Cell = Refused("is UTF-16, not UTF-8; convert it to UTF-8");
    const NUL: Cell = Refused("contains a NUL byte, as UTF-16 does; convert it to UTF-8");
    const EMPTY: Cell = Refused("the secret is missing or empty; ");
    let text = |text: &str| text.as_bytes().to_vec();
    let harness = Harness::new();
    let service = RawService::start(response(200, "", br#"{"token":"abc"}"#));
    let secret = harness.write_private_file("secret", "");
    let askpass = harness.write_file("askpass", "#!/bin/sh\ncat \"$SECRET\"\n", 0o700);
    let isolated = |program: &str, arguments: &[&str]| {
        let mut command = harness.isolated_program(program, arguments);
        command
            .env("KEYFERRY_MASV_URL", service.url())
            .env("KEYFERRY", KEYFERRY)
            .env("SECRET", &secret);
        command
    };
    for (name, input, expected) in [
        ("plain", text("canary"), Sent("canary")),
        ("LF", text("canary\n"), Sent("canary")),
        ("CR LF", text("canary\r\n"), Sent("canary")),
        ("blanks", text("  canary  \n"), Sent("  canary  ")),
        ("mark", text("\u{feff}canary"), Sent("canary")),
        ("mark and CR LF", text("\u{feff}canary\r\n"), Sent("canary")),
        (
            "mark inside",
            text("can\u{feff}ary"),
            Sent("can\u{feff}ary"),
        ),
        ("UTF-8", text("canary é 東\n"), Sent("canary é 東")),
        ("two CR", text("canary\r\r\n"), LINE_BREAK),
        ("tab", text("canary\t\n"), LINE_BREAK),
        ("mark alone", text("\u{feff}\n"), EMPTY),
        ("empty", text(""), EMPTY),
        ("Latin-1", b"canary\xe9\n".to_vec(), NOT_UTF_8),
        ("UTF-16 LE", utf_16("canary\n", true), UTF_16),
        ("UTF-16 BE", utf_16("canary\n", false), UTF_16),
        (
            "UTF-16 without mark",
            utf_16("canary\n", true)[2..].to_vec(),
            NUL,
        ),
        ("NUL", b"can\0ary\n".to_vec(), NUL),
    ] {
        fs::write(&secret, &input).unwrap();
        let login = ["login", "masv", "--email", EMAIL];
        let by_pipe = run_with_input(&mut isolated(KEYFERRY, &login), &input);
        check(&format!("{name}: pipe"), &service, &by_pipe, expected);
        let file = secret.to_str().unwrap();
        let by_file = [&login[..], &["--secret-file", file]].concat();
        let by_file = run_with_input(&mut isolated(KEYFERRY, &by_file), "");
        check(&format!("{name}: file"), &service, &by_file, expected);
        let script =
            format!("\"$KEYFERRY\" login masv --email {EMAIL} --secret-fd 3 3<\"$SECRET\"");
        let by_fd = run_with_input(&mut isolated("sh", &["-c", &script]), "");
        check(&format!("{name}: descriptor"), &service, &by_fd, expected);
        // git's helper asks for the password through the askpass program.
        let mut command = isolated(HELPER, &["get"]);
        command
            .env("GIT_ASKPASS", &askpass)
            .env("KEYFERRY_MASV_EMAIL", EMAIL)
            .env_remove("GIT_TERMINAL_PROMPT");
        let lines = format!("{}path=v1/teams\n\n", protocol_and_host(service.url()));
        let asked = run_with_input(&mut command, &lines);
        let sent = service.requests();
        match expected {
            Sent(password) => assert_eq!(sent[0].json()["password"], password, "{name}: askpass"),
            Refused(_) => assert!(sent.is_empty(), "{name}: askpass"),
        }
        assert!(!asked.err.contains("canary"), "{name}: {}", asked.err);
    }
}

#[test]
fn two_secrets_are_two_lines_in_any_of_these_encodings() {
    let harness = Harness::new();
    for (name, input) in [
        ("LF", format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY)),
        (
            "CR LF",
            format!("{}\r\n{}\r\n", c::SECRET_KEY, c::FV_API_KEY),
        ),
        (
            "mark",
            format!("\u{feff}{}\n{}", c::SECRET_KEY, c::FV_API_KEY),
        ),
    ] {
        let mut login = harness.program_without_secrets(KEYFERRY, &["login", "fileverbs"]);
        let output = run_with_input(&mut login, &input);
        assert_eq!(output.code, Some(0), "{name}: {output:?}");
    }
}

#[test]
fn a_line_of_git_is_read_as_git_writes_it_or_refused() {
    let harness = Harness::new();
    let lines = |rest: &str| {
        let host = protocol_and_host(harness.sandbox().masv_url());
        format!("{host}path=v1/user\n{rest}\n").into_bytes()
    };
    let prefixed = |prefix: &[u8]| [prefix, &lines("")].concat();
    let cr_lf = String::from_utf8(lines("")).unwrap().replace('\n', "\r\n");
    let utf_16 = utf_16(&String::from_utf8(lines("")).unwrap(), true);
    for (name, input, message) in [
        ("plain", lines(""), None),
        (
            "Latin-1 in an unused value",
            [
                &lines("wwwauth[]=Basic")[..lines("wwwauth[]=Basic").len() - 1],
                b"\xe9\n\n",
            ]
            .concat(),
            None,
        ),
        ("mark", prefixed(b"\xef\xbb\xbf"), Some("protocol")),
        (
            "CR LF",
            cr_lf.into_bytes(),
            Some("cannot answer the credential request: "),
        ),
        (
            "NUL",
            prefixed(b"username=a\0b\n"),
            Some("cannot answer the credential request: "),
        ),
        (
            "Latin-1",
            prefixed(b"username=\xe9\n"),
            Some("username is not UTF-8"),
        ),
        (
            "UTF-16",
            utf_16,
            Some("cannot answer the credential request: "),
        ),
    ] {
        let output = run_with_input(&mut harness.program(HELPER, &["get"]), &input);
        match message {
            None => assert!(output.out.contains("password="), "{name}: {output:?}"),
            Some(message) => {
                assert!(!output.out.contains("password="), "{name}: {output:?}");
                assert!(output.err.contains(message), "{name}: {}", output.err);
            }
        }
    }
}

#[test]
fn a_request_of_a_build_tool_is_read_or_refused() {
    let harness = Harness::new();
    let uri = format!(
        "{}/v1/packages/{}/files",
        harness.sandbox().masv_url(),
        c::PACKAGE_ID
    );
    let request = json!({ "uri": uri }).to_string();
    let bytes = request.clone().into_bytes();
    let refused = "standard input is not a JSON object in UTF-8; ";
    let latin_1 = [&bytes[..bytes.len() - 1], b",\"uri2\":\"\xe9\"}"].concat();
    for (name, input, message) in [
        ("plain", bytes.clone(), None),
        (
            "blanks and CR LF",
            format!("\r\n {request} \r\n").into_bytes(),
            None,
        ),
        ("mark", format!("\u{feff}{request}").into_bytes(), None),
        ("Latin-1 in an unused value", latin_1, None),
        (
            "two marks",
            format!("\u{feff}\u{feff}{request}").into_bytes(),
            Some(refused),
        ),
        ("mark alone", "\u{feff}".into(), Some(refused)),
        (
            "half a mark",
            b"\xef\xbb".to_vec(),
            Some("cannot answer the request: "),
        ),
        ("UTF-16 LE", utf_16(&request, true), Some(refused)),
        ("UTF-16 BE", utf_16(&request, false), Some(refused)),
        ("NUL", format!("\0{request}").into_bytes(), Some(refused)),
    ] {
        let output = run_with_input(&mut harness.program(KEYFERRY, &["get"]), &input);
        match message {
            None => {
                let answer: Value = serde_json::from_str(&output.out).unwrap();
                assert!(
                    answer["headers"]["X-Package-Token"].is_array(),
                    "{name}: {output:?}"
                );
            }
            Some(message) => output.assert_error(1, message),
        }
    }
}

/// A home whose name is not UTF-8.
fn odd_home(harness: &Harness) -> PathBuf {
    let home = harness.folder().join(OsStr::from_bytes(b"h\xe9 \xff"));
    fs::create_dir_all(home.join(".config/keyferry")).unwrap();
    home
}

#[test]
fn a_home_that_is_not_utf_8_is_like_any_other() {
    let harness = Harness::new();
    let home = odd_home(&harness);
    let config = home.join(".config/keyferry/config.toml");
    let text = format!(
        "[masv]\nurl = \"{}\"\nemail = \"{}\"\n",
        harness.sandbox().masv_url(),
        c::EMAIL
    );
    fs::write(&config, text).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let in_home = |command: &mut Command| {
        command.env("HOME", &home).env_remove("KEYFERRY_STORE");
    };
    let run = |arguments: &[&str], input: &str| {
        let mut command = harness.isolated_program(KEYFERRY, arguments);
        in_home(&mut command);
        run_with_input(&mut command, input)
    };
    let login = run(&["login", "masv", "--json"], c::PASSWORD);
    let answer: Value = serde_json::from_str(&login.out).unwrap();
    assert_eq!(answer["store"], "file", "{login:?}");
    assert!(home.join(".local/state/keyferry/tokens").is_dir());
    let token: Value = serde_json::from_str(&run(&["token", "user", "--json"], "").out).unwrap();
    assert!(
        token["headers"].is_object() || token["value"].is_string(),
        "{token}"
    );
    assert_eq!(harness.sandbox().count("login"), 1, "it was stored");
    for arguments in [["config"].as_slice(), &["status"], &["doctor"]] {
        let output = run(arguments, "");
        assert!(output.out.contains("masv"), "{arguments:?}: {output:?}");
        assert!(output.out.is_char_boundary(0) && !output.err.contains("panicked"));
    }
    let mut helper = harness.isolated_program(HELPER, &["get"]);
    in_home(&mut helper);
    let lines = format!(
        "{}path=v1/teams\n\n",
        protocol_and_host(harness.sandbox().masv_url())
    );
    let output = run_with_input(&mut helper, &lines);
    assert!(output.out.contains("password="), "{output:?}");
    assert_eq!(harness.sandbox().count("login"), 1);

    let save = ["login", "masv", "--email", c::EMAIL, "--save", "file"];
    let before = fs::read(&config).unwrap();
    run(&save, c::PASSWORD).assert_error(
        3,
        "the path is not UTF-8, so config.toml cannot refer to it; use --save keyring",
    );
    assert_eq!(
        harness.sandbox().count("login"),
        1,
        "nothing is sent that can't be saved"
    );
    assert_eq!(fs::read(&config).unwrap(), before);
}

#[test]
fn a_file_of_settings_with_a_mark_is_edited_and_one_that_is_not_utf_8_is_named() {
    let harness = Harness::new();
    let save = ["login", "masv", "--email", c::EMAIL, "--save", "file"];
    let login = || {
        run_with_input(
            &mut harness.program_without_secrets(KEYFERRY, &save),
            c::PASSWORD,
        )
    };
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        "\u{feff}# mine\r\nstore = \"memory\"\r\n",
    );
    let output = login();
    assert_eq!(output.code, Some(0), "{output:?}");
    let after = fs::read_to_string(harness.config()).unwrap();
    assert!(
        after.starts_with("# mine\r\n") && after.contains(c::EMAIL),
        "{after:?}"
    );
    for (bytes, message) in [
        (
            b"# \xe9\n".to_vec(),
            "config.toml is not UTF-8; save it as UTF-8",
        ),
        (
            utf_16("# mine\n", true),
            "config.toml is UTF-16, not UTF-8; save it as UTF-8",
        ),
    ] {
        fs::write(harness.config(), &bytes).unwrap();
        login().assert_error(3, message);
        assert_eq!(fs::read(harness.config()).unwrap(), bytes);
    }
}
