//! The table of encodings: what is made of a byte order mark, line ends, blanks, Latin-1, UTF-16 and
//! NUL, whichever way they come in, and of numbers and dates in every form. Each cell is the right
//! value, or an error that names the thing, the cause and the remedy, and never the value.
//!
//! The doors of the programs have a table of their own in `keyferry-cli`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyferry::clock::Clock;
use keyferry::config::{Config, Environment};
use keyferry::error::{Error, ErrorKind};
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry_testing::harness::Harness;
use keyferry_testing::raw_service::{RawService, response, utf_16};

/// The expected result for some bytes that come from some source.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// This password is sent.
    Sent(&'static str),
    /// Nothing is sent, and the error says this.
    Refused(&'static str),
    /// Nothing can come in this way with these bytes.
    Impossible,
}
use Cell::{Impossible, Refused, Sent};

const EMAIL: &str = "ann@example.com";
const TOKEN: &str = r#"{"token":"abc"}"#;

fn environment(variables: Vec<(&'static str, OsString)>) -> Environment {
    let map: HashMap<_, _> = variables.into_iter().collect();
    Arc::new(move |name| map.get(name).cloned())
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Loads a configuration from a file and an environment, logs in with it, and returns the password
/// that the service got.
fn password_sent(
    service: &RawService,
    file: &Path,
    mut variables: Vec<(&'static str, OsString)>,
) -> Result<String, Error> {
    variables.extend([
        ("KEYFERRY_MASV_URL", service.url().into()),
        ("KEYFERRY_MASV_EMAIL", EMAIL.into()),
        ("KEYFERRY_STORE", "memory".into()),
    ]);
    let config = Config::load(Some(file), environment(variables));
    log_in(service, config?)
}

fn log_in(service: &RawService, config: Config) -> Result<String, Error> {
    Session::open(config)?.masv_login(None, None)?;
    let requests = service.requests();
    assert_eq!(requests.len(), 1);
    Ok(requests[0].json()["password"].as_str().unwrap().to_owned())
}

fn check(what: &str, outcome: Result<String, Error>, expected: Cell) {
    match (outcome, expected) {
        (Ok(sent), Sent(password)) => assert_eq!(sent, password, "{what}"),
        (Err(error), Refused(message)) => {
            let text = error.message();
            assert!(text.contains(message), "{what}: {text}");
            assert!(text.contains("; "), "{what}: no remedy in {text}");
            assert!(!text.contains("canary"), "{what}: {text}");
        }
        (outcome, expected) => panic!("{what}: {outcome:?}, not {expected:?}"),
    }
}

/// A password in some bytes, and what comes of it if it is in a file, the output of a program, and
/// a variable.
type SecretRow = (&'static str, Vec<u8>, [Cell; 3]);

fn secrets() -> Vec<SecretRow> {
    const LINE_BREAK: Cell =
        Refused("contains a line break or another control character; copy it again without it");
    const NOT_UTF_8: Cell = Refused("is not UTF-8; convert it to UTF-8");
    const UTF_16: Cell = Refused("is UTF-16, not UTF-8; convert it to UTF-8");
    const NUL: Cell = Refused("contains a NUL byte, as UTF-16 does; convert it to UTF-8");
    const EMPTY: Cell = Refused("is empty; give it a value or remove it");
    const LOCALE: Cell = Refused("is not UTF-8; set it again in a UTF-8 locale");
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("plain", text("canary"), [Sent("canary"); 3]),
        ("UTF-8", text("canary é 東"), [Sent("canary é 東"); 3]),
        (
            "LF",
            text("canary\n"),
            [Sent("canary"), Sent("canary"), LINE_BREAK],
        ),
        (
            "CR LF",
            text("canary\r\n"),
            [Sent("canary"), Sent("canary"), LINE_BREAK],
        ),
        (
            "CR",
            text("canary\r"),
            [Sent("canary"), Sent("canary"), LINE_BREAK],
        ),
        (
            "two LF",
            text("canary\n\n"),
            [LINE_BREAK, Sent("canary"), LINE_BREAK],
        ),
        (
            "two CR",
            text("canary\r\r\n"),
            [LINE_BREAK, LINE_BREAK, LINE_BREAK],
        ),
        (
            "two lines",
            text("canary\nuser: ann\n"),
            [LINE_BREAK, Sent("canary"), LINE_BREAK],
        ),
        (
            "second line in Latin-1",
            b"canary\nJ\xfcrgen\n".to_vec(),
            [NOT_UTF_8, Sent("canary"), LOCALE],
        ),
        (
            "blanks",
            text("  canary  \n"),
            [Sent("  canary  "), Sent("  canary  "), LINE_BREAK],
        ),
        ("blanks alone", text("  "), [Sent("  "); 3]),
        (
            "no-break spaces",
            text("\u{a0}canary\u{a0}"),
            [Sent("\u{a0}canary\u{a0}"); 3],
        ),
        ("tab", text("canary\t\n"), [LINE_BREAK; 3]),
        (
            "mark",
            text("\u{feff}canary"),
            [Sent("canary"), Sent("canary"), Sent("\u{feff}canary")],
        ),
        (
            "mark and CR LF",
            text("\u{feff}canary\r\n"),
            [Sent("canary"), Sent("canary"), LINE_BREAK],
        ),
        (
            "two marks",
            text("\u{feff}\u{feff}canary"),
            [
                Sent("\u{feff}canary"),
                Sent("\u{feff}canary"),
                Sent("\u{feff}\u{feff}canary"),
            ],
        ),
        (
            "mark inside",
            text("can\u{feff}ary"),
            [Sent("can\u{feff}ary"); 3],
        ),
        ("mark alone", text("\u{feff}\n"), [EMPTY, EMPTY, LINE_BREAK]),
        (
            "replacement character",
            text("canary\u{fffd}"),
            [Sent("canary\u{fffd}"); 3],
        ),
        (
            "Latin-1",
            b"canary\xe9\n".to_vec(),
            [NOT_UTF_8, NOT_UTF_8, LOCALE],
        ),
        (
            "half a character",
            b"canary\xc3".to_vec(),
            [NOT_UTF_8, NOT_UTF_8, LOCALE],
        ),
        (
            "surrogate",
            b"canary\xed\xa0\x80".to_vec(),
            [NOT_UTF_8, NOT_UTF_8, LOCALE],
        ),
        (
            "UTF-16 LE",
            utf_16("canary\n", true),
            [UTF_16, UTF_16, Impossible],
        ),
        (
            "UTF-16 BE",
            utf_16("canary\n", false),
            [UTF_16, UTF_16, Impossible],
        ),
        (
            "UTF-16 LE without mark",
            utf_16("canary\n", true)[2..].to_vec(),
            [NUL, NUL, Impossible],
        ),
        (
            "UTF-16 BE without mark",
            utf_16("canary\n", false)[2..].to_vec(),
            [NUL, NUL, Impossible],
        ),
        ("NUL", b"can\0ary\n".to_vec(), [NUL, NUL, Impossible]),
        (
            "NUL at the end",
            b"canary\0".to_vec(),
            [NUL, NUL, Impossible],
        ),
        (
            "empty",
            Vec::new(),
            [
                EMPTY,
                EMPTY,
                Refused("`masv.password` is neither given nor set; "),
            ],
        ),
        ("empty line", text("\n"), [EMPTY, EMPTY, LINE_BREAK]),
    ]
}

#[test]
fn a_password_is_sent_as_it_was_meant_or_refused() {
    let harness = Harness::new();
    let service = RawService::start(response(200, "", TOKEN.as_bytes()));
    let (secret, file) = (harness.path("secret"), harness.path("config.toml"));
    let shown = secret.display().to_string();
    for (name, input, [in_file, of_command, in_variable]) in secrets() {
        write(&secret, &input);
        let with_config = |text: &str, variables| {
            write(&file, text.as_bytes());
            password_sent(&service, &file, variables)
        };
        let referred = format!("[masv]\npassword = {{ file = '{shown}' }}");
        check(
            &format!("{name}: file"),
            with_config(&referred, vec![]),
            in_file,
        );
        let mounted = vec![("KEYFERRY_MASV_PASSWORD_FILE", shown.clone().into())];
        check(&format!("{name}: _FILE"), with_config("", mounted), in_file);
        let command = format!("[masv]\npassword = {{ command = ['/bin/cat', '{shown}'] }}");
        check(
            &format!("{name}: command"),
            with_config(&command, vec![]),
            of_command,
        );
        if matches!(in_variable, Impossible) {
            continue;
        }
        let own = vec![("KEYFERRY_MASV_PASSWORD", os(&input))];
        check(
            &format!("{name}: variable"),
            with_config("", own),
            in_variable,
        );
        if !input.is_empty() {
            let named = vec![("NAMED", os(&input))];
            let outcome = with_config("[masv]\npassword = { env = 'NAMED' }", named);
            check(&format!("{name}: env"), outcome, in_variable);
        }
        let Ok(text) = String::from_utf8(input) else {
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let mut config = Config::new();
        for (key, value) in [("masv.url", service.url()), ("masv.email", EMAIL)] {
            config.set(key, value.into()).unwrap();
        }
        let outcome = config
            .set("masv.password", Secret::from(&*text))
            .and_then(|()| log_in(&service, config));
        check(&format!("{name}: program"), outcome, in_variable);
    }
}

#[test]
fn a_file_of_settings_is_read_whole_or_refused() {
    let harness = Harness::new();
    let service = RawService::start(response(200, "", TOKEN.as_bytes()));
    let file = harness.path("config.toml");
    let text = "# é\r\n[masv]\r\npassword = ' canary ' \r\n";
    let unix_text = text.replace('\r', "");
    for (name, bytes, expected) in [
        ("LF", unix_text.as_bytes().to_vec(), Sent(" canary ")),
        ("CR LF", text.as_bytes().to_vec(), Sent(" canary ")),
        (
            "mark",
            format!("\u{feff}{unix_text}").into_bytes(),
            Sent(" canary "),
        ),
        (
            "mark and CR LF",
            format!("\u{feff}{text}").into_bytes(),
            Sent(" canary "),
        ),
        (
            "Latin-1",
            b"# \xe9\n[masv]\npassword = 'canary'\n".to_vec(),
            Refused("config.toml is not UTF-8; save it as UTF-8"),
        ),
        (
            "UTF-16 LE",
            utf_16(text, true),
            Refused("config.toml is UTF-16, not UTF-8; save it as UTF-8"),
        ),
        (
            "UTF-16 BE",
            utf_16(text, false),
            Refused("config.toml is UTF-16, not UTF-8; save it as UTF-8"),
        ),
        (
            "UTF-16 LE without mark",
            utf_16(text, true)[2..].to_vec(),
            Refused("config.toml is not"),
        ),
        (
            "NUL",
            b"[masv]\npassword = 'can\0ary'\n".to_vec(),
            Refused("config.toml is not valid TOML at line 2"),
        ),
        (
            "mark in a value",
            "[masv]\npassword = '\u{feff}canary'\n".into(),
            Sent("\u{feff}canary"),
        ),
        (
            "mark and a fault",
            "\u{feff}password = canary\n".into(),
            Refused("line 1, column 12"),
        ),
    ] {
        write(&file, &bytes);
        check(name, password_sent(&service, &file, vec![]), expected);
    }
}

/// Returns a JWT with these claims.
fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// Logs in at a service that sends this response.
fn log_in_to(bytes: Vec<u8>) -> Result<keyferry::Token, Error> {
    let service = RawService::start(bytes);
    let mut config = Config::new();
    for (key, value) in [
        ("masv.url", service.url()),
        ("masv.email", EMAIL),
        ("masv.password", "hunter2-hunter2"),
    ] {
        config.set(key, value.into()).unwrap();
    }
    Session::open(config)?.masv_login(None, None)
}

#[test]
fn a_services_answer_is_read_or_refused_and_a_refusal_is_one_in_any_encoding() {
    const BAD: ErrorKind = ErrorKind::BadResponse;
    const WRONG: ErrorKind = ErrorKind::BadCredentials;
    let text = |text: &str| text.as_bytes().to_vec();
    let latin_1 = b"{\"token\":\"abc\",\"user\":{\"name\":\"J\xfcrgen\"}}".to_vec();
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03canary".to_vec();
    let page = b"<html>Zugriff f\xfcr canary verweigert</html>".to_vec();
    let message = b"{\"code\":17,\"message\":\"Ung\xfcltig\"}".to_vec();
    let large = "x".repeat(2 << 20).into_bytes();
    let gzipped = "Content-Encoding: gzip\r\n";
    // The status, headers and body of an answer, and the error that comes of it.
    type Row = (
        &'static str,
        u16,
        &'static str,
        Vec<u8>,
        Result<(), (ErrorKind, &'static str)>,
    );
    let rows: Vec<Row> = vec![
        ("plain", 200, "", text(TOKEN), Ok(())),
        ("mark", 200, "", text(&format!("\u{feff}{TOKEN}")), Ok(())),
        (
            "mark and CR LF",
            200,
            "",
            text(&format!("\u{feff}{TOKEN}\r\n")),
            Ok(()),
        ),
        (
            "blanks and CR LF",
            200,
            "",
            text(&format!(" \r\n\t{TOKEN} \r\n")),
            Ok(()),
        ),
        (
            "identity",
            200,
            "Content-Encoding: identity\r\n",
            text(TOKEN),
            Ok(()),
        ),
        (
            "UTF-8",
            200,
            "",
            text(r#"{"token":"abc","user":{"name":"Jürgen"}}"#),
            Ok(()),
        ),
        (
            "two marks",
            200,
            "",
            text(&format!("\u{feff}\u{feff}{TOKEN}")),
            Err((BAD, "is not JSON")),
        ),
        (
            "mark alone",
            200,
            "",
            text("\u{feff}"),
            Err((BAD, "an empty response")),
        ),
        (
            "Latin-1",
            200,
            "",
            latin_1,
            Err((BAD, "sent a response that is not UTF-8; check its URL")),
        ),
        (
            "UTF-16 LE",
            200,
            "",
            utf_16(TOKEN, true),
            Err((BAD, "sent a response that is UTF-16, not UTF-8; check")),
        ),
        (
            "UTF-16 BE",
            200,
            "",
            utf_16(TOKEN, false),
            Err((BAD, "sent a response that is UTF-16, not UTF-8; check")),
        ),
        (
            "UTF-16 without mark",
            200,
            "",
            utf_16(TOKEN, true)[2..].to_vec(),
            Err((BAD, "is not JSON")),
        ),
        (
            "NUL at the end",
            200,
            "",
            text(&format!("{TOKEN}\0")),
            Err((BAD, "is not JSON")),
        ),
        (
            "gzip",
            200,
            gzipped,
            gzip.clone(),
            Err((
                BAD,
                "sent a compressed response (gzip), although keyferry asked for none; check",
            )),
        ),
        (
            "gzip unnamed",
            200,
            "",
            gzip.clone(),
            Err((BAD, "sent a compressed response (gzip), although")),
        ),
        (
            "br",
            200,
            "Content-Encoding: br\r\n",
            vec![0x8b, 0x80],
            Err((BAD, "sent a compressed response (br), although")),
        ),
        (
            "unknown encoding",
            200,
            "Content-Encoding: canary canary canary\r\n",
            vec![1],
            Err((BAD, "sent a compressed response (unknown method)")),
        ),
        (
            "encoding of nothing",
            200,
            gzipped,
            vec![],
            Err((BAD, "an empty response")),
        ),
        (
            "401 in Latin-1",
            401,
            "",
            page.clone(),
            Err((WRONG, "rejected the e-mail and password; ")),
        ),
        (
            "401 with a message in Latin-1",
            401,
            "",
            message,
            Err((WRONG, "(service message: Ung\u{fffd}ltig)")),
        ),
        (
            "401 with a mark",
            401,
            "",
            text("\u{feff}{\"message\":\"no\"}"),
            Err((WRONG, "(service message: no)")),
        ),
        (
            "401 in UTF-16",
            401,
            "",
            utf_16("{\"message\":\"canary\"}", true),
            Err((WRONG, "rejected the e-mail and password; ")),
        ),
        (
            "401 in gzip",
            401,
            gzipped,
            gzip.clone(),
            Err((WRONG, "rejected the e-mail and password; ")),
        ),
        (
            "401 of 2 MiB",
            401,
            "",
            large.clone(),
            Err((WRONG, "rejected the e-mail and password; ")),
        ),
        (
            "503 in Latin-1",
            503,
            "",
            page,
            Err((ErrorKind::Unavailable, "503")),
        ),
        (
            "503 in gzip",
            503,
            gzipped,
            gzip,
            Err((ErrorKind::Unavailable, "503")),
        ),
        (
            "200 of 2 MiB",
            200,
            "",
            large,
            Err((BAD, "sent a response of more than 1 MiB; check its URL")),
        ),
        (
            "code in text",
            401,
            "",
            text(r#"{"code":"17"}"#),
            Err((WRONG, "")),
        ),
    ];
    for (name, status, headers, body, expected) in rows {
        match (log_in_to(response(status, headers, &body)), expected) {
            (Ok(token), Ok(())) => assert_eq!(token.value(), "abc", "{name}"),
            (Err(error), Err((kind, message))) => {
                assert_eq!(
                    (error.kind, error.http_status),
                    (kind, Some(status)),
                    "{name}: {error}"
                );
                let text = error.message();
                assert!(text.contains(message), "{name}: {text}");
                assert!(
                    text.contains("; ") && !text.contains("canary"),
                    "{name}: {text}"
                );
                if name.contains("code") {
                    assert_eq!(error.service_code, Some(17), "{name}");
                }
            }
            (outcome, expected) => panic!("{name}: {outcome:?}, not {expected:?}"),
        }
    }
}

#[test]
fn an_expiry_is_read_in_every_form_and_15_minutes_if_a_jwt_has_no_readable_one() {
    /// When the token ends.
    #[derive(Debug)]
    enum End {
        /// In 2100.
        Stated,
        /// In 15 minutes.
        Unreadable,
        Never,
    }
    use End::{Never, Stated, Unreadable};
    let rows = [
        // The claim of a JWT.
        (r#"{"exp":4102444800}"#, "null", Stated),
        (r#"{"exp":4102444800.75}"#, "null", Stated),
        (r#"{"exp":4.1024448e9}"#, "null", Stated),
        (r#"{"exp":4102444800000}"#, "null", Stated),
        (r#"{"exp":"4102444800"}"#, "null", Stated),
        (r#"{"exp":"4102444800.0"}"#, "null", Stated),
        (r#"{"exp":"2100-01-01T00:00:00Z"}"#, "null", Stated),
        (r#"{"exp":"soon"}"#, "null", Unreadable),
        (r#"{"exp":null}"#, "null", Unreadable),
        (r#"{"exp":true}"#, "null", Unreadable),
        (r#"{"exp":{}}"#, "null", Unreadable),
        (r#"{"exp":0}"#, "null", Unreadable),
        (r#"{"exp":-1}"#, "null", Unreadable),
        (r#"{"exp":1e300}"#, "null", Unreadable),
        ("{", "null", Unreadable),
        ("{}", "null", Never),
        // A JWT without a readable claim, and the answer.
        (r#"{"exp":"soon"}"#, "4102444800", Stated),
        ("{}", "4102444800", Stated),
        // The answer.
        ("", "4102444800", Stated),
        ("", "4102444800.75", Stated),
        ("", "4102444800000", Stated),
        ("", "4102444800000.5", Stated),
        ("", "4102444800000000", Stated),
        ("", r#""4102444800""#, Stated),
        ("", r#""4102444800000""#, Stated),
        ("", r#""2100-01-01T00:00:00Z""#, Stated),
        ("", r#""2100-01-01T00:00:00.1234567Z""#, Stated),
        ("", r#""2100-01-01T00:00:00""#, Stated),
        ("", r#""2100-01-01T02:00:00+0200""#, Stated),
        ("", r#""2100-01-01 00:00:00""#, Stated),
        ("", r#""2100-01-01 00:00:00 UTC""#, Stated),
        ("", r#""Fri, 01 Jan 2100 00:00:00 GMT""#, Stated),
        ("", r#""/Date(4102444800000)/""#, Stated),
        ("", r#""0001-01-01T00:00:00""#, Never),
        ("", r#""""#, Never),
        ("", "0", Never),
        ("", "null", Never),
        ("", "{}", Never),
    ];
    for (claims, expires_at, expected) in rows {
        let what = format!("{claims} {expires_at}");
        let token = match claims {
            "" => "opaque".to_owned(),
            claims => jwt(claims),
        };
        let body = format!(r#"{{"token":"{token}","expires_at":{expires_at}}}"#);
        let token = log_in_to(response(200, "", body.as_bytes())).unwrap();
        let left_s = token
            .expires_unix_s()
            .map(|at| at - Clock::system().now_us() / 1_000_000);
        match expected {
            Stated => assert_eq!(token.expires_unix_s(), Some(4_102_444_800), "{what}"),
            Unreadable => assert!(
                left_s.is_some_and(|left_s| (600..=900).contains(&left_s)),
                "{what}: {left_s:?}"
            ),
            Never => assert_eq!(left_s, None, "{what}"),
        }
    }
}

#[test]
fn directories_and_files_may_have_any_name() {
    let service = RawService::start(response(200, "", jwt_answer().as_bytes()));
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join(OsStr::from_bytes(b"h\xe9 \xff"));
    let secret = home.join(OsStr::from_bytes(b"secret\xfe"));
    let text = format!(
        "[masv]\nurl = '{}'\nemail = '{EMAIL}'\npassword = 'in-config'\n",
        service.url()
    );
    write(&home.join(".config/keyferry/config.toml"), text.as_bytes());
    write(&secret, b"in-file\n");
    let state = dir.path().join(OsStr::from_bytes(b"state\xff"));
    let joined = |prefix: &str, path: &Path| {
        let mut text = OsString::from(prefix);
        text.push(path);
        text
    };
    // The variables beside HOME, the password that is sent, and the directory of the store.
    type Row = (Vec<(&'static str, OsString)>, &'static str, PathBuf);
    let rows: [Row; 4] = [
        (vec![], "in-config", home.join(".local/state/keyferry")),
        (
            vec![("KEYFERRY_MASV_PASSWORD_FILE", secret.clone().into())],
            "in-file",
            home.join(".local/state/keyferry"),
        ),
        (
            vec![("XDG_STATE_HOME", state.clone().into())],
            "in-config",
            state.join("keyferry"),
        ),
        (
            vec![("KEYFERRY_STORE", joined("file:", &state.join("own")))],
            "in-config",
            state.join("own"),
        ),
    ];
    for (mut variables, password, store) in rows {
        variables.push(("HOME", home.clone().into()));
        let open =
            || Session::open(Config::load(None, environment(variables.clone())).unwrap()).unwrap();
        let token = open().masv_login(None, None).unwrap();
        let requests = service.requests();
        assert_eq!(requests[0].json()["password"], password, "{variables:?}");
        assert!(store.join("tokens").is_dir(), "{variables:?}");
        let stored = open().token("user").unwrap();
        assert_eq!(stored.value(), token.value(), "{variables:?}");
        assert!(
            service.requests().is_empty(),
            "{variables:?}: it was stored"
        );
    }
}

fn jwt_answer() -> String {
    format!(r#"{{"token":"{}"}}"#, jwt(r#"{"exp":4102444800}"#))
}

#[test]
fn a_setting_with_a_path_may_have_any_bytes_and_a_wrong_one_is_named() {
    let gone = |prefix: &[u8]| os(&[prefix, b"/gone/\xff\xfe"].concat());
    let service = RawService::start(response(200, "", TOKEN.as_bytes()));
    let open = |name: &'static str, value: OsString| {
        let variables = vec![
            ("KEYFERRY_STORE", "memory".into()),
            ("KEYFERRY_MASV_URL", service.url().into()),
            (name, value),
        ];
        Config::load(None, environment(variables)).and_then(Session::open)
    };
    let plugin = open("KEYFERRY_PLUGINS", gone(b"")).unwrap();
    let faults = plugin.inspect();
    assert_eq!(
        faults.plugin_faults()[0].path.as_os_str(),
        gone(b"").as_os_str()
    );
    assert!(open("KEYFERRY_HTTP_CA_FILE", gone(b"")).is_ok());
    assert!(open("KEYFERRY_STORE", gone(b"file:")).is_ok());
    for (name, value, message) in [
        (
            "KEYFERRY_HTTP_CA_FILE",
            b"gone/\xff".as_slice(),
            "KEYFERRY_HTTP_CA_FILE is not an absolute path; ",
        ),
        (
            "KEYFERRY_PLUGINS",
            b"/a\xff:b".as_slice(),
            "KEYFERRY_PLUGINS is not a list of absolute paths; ",
        ),
        (
            "KEYFERRY_STORE",
            b"file:a\xff".as_slice(),
            "KEYFERRY_STORE is not a store; ",
        ),
        (
            "KEYFERRY_STORE",
            b"file:/a\n\xff".as_slice(),
            "KEYFERRY_STORE contains a line break or another control character; ",
        ),
        (
            "KEYFERRY_MASV_PASSWORD_FILE",
            b"a\xff".as_slice(),
            "KEYFERRY_MASV_PASSWORD_FILE is not an absolute path; ",
        ),
        (
            "KEYFERRY_MASV_URL",
            b"https://\xff".as_slice(),
            "KEYFERRY_MASV_URL is not UTF-8; set it again in a UTF-8 locale",
        ),
        (
            "KEYFERRY_PROFILE",
            b"\xff".as_slice(),
            "KEYFERRY_PROFILE is not UTF-8; ",
        ),
    ] {
        let error = open(name, os(value)).err().unwrap();
        assert!(error.message().contains(message), "{error}");
    }
}
