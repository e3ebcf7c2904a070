//! The documents of `--json`: each has the fields that docs/json.md promises, and equals its golden
//! file in the directory `json`. A field may be added there, but none may be lost:
//! `KEYFERRY_UPDATE=1 cargo test -p keyferry-cli --test cli json` writes the files unless a field
//! is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use keyferry::error::{Error, ErrorKind};
use keyferry::ffi::status;
use keyferry_cli::commands::curl::STOP_CONFIG;
use keyferry_cli::exit_code::{EXIT_USAGE, of_error};
use keyferry_sandbox::{Fault, credentials as c};
use keyferry_testing::child::{ProgramOutput, run_with_input, start_and_read};
use keyferry_testing::documents::read;
use keyferry_testing::harness::Harness;
use serde_json::{Map, Value, json};

use crate::programs::{KEYFERRY, Programs};

/// Commands without `--json`: their output follows a protocol, or is a script, or they change files
/// and report nothing.
const WITHOUT_JSON: [&str; 7] = [
    "completions",
    "exec",
    "get",
    "git",
    "setup bazel",
    "setup curl",
    "setup git",
];

/// The fields in a table of docs/json.md: path and type.
struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads the table of a section.
    fn of(heading: &str) -> Self {
        let page = read("docs/json.md");
        let start = page.find(&format!("\n## {heading}\n")).unwrap();
        let section = page[start + 1..].split("\n## ").next().unwrap();
        let row = |line: &str| {
            let mut cells = line.split('|').map(str::trim);
            let path = cells.nth(1)?.strip_prefix('`')?.strip_suffix('`')?;
            Some((path.to_owned(), cells.next()?.to_owned()))
        };
        Self(section.lines().filter_map(row).collect())
    }

    /// The names of the fields of an object.
    fn children(&self, path: &str) -> BTreeSet<&str> {
        let paths = self.0.keys().filter_map(|field| {
            let name = if path.is_empty() {
                Some(field.as_str())
            } else {
                field.strip_prefix(path)?.strip_prefix('.')
            };
            name.filter(|name| !name.contains(['.', '[']))
        });
        paths.collect()
    }

    /// Checks a value, and returns it as the golden file has it: without what changes from run to
    /// run, and of arrays of objects only the first element.
    fn check(&self, path: &str, kind: &str, value: &Value) -> Value {
        let (kind, is_nullable) = match kind.strip_suffix(" or null") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        if value.is_null() {
            assert!(is_nullable, "{path} is null: see docs/json.md");
            return Value::Null;
        }
        if let Some(kind) = kind.strip_suffix("[]") {
            let elements = value
                .as_array()
                .unwrap_or_else(|| panic!("{path}: {value}"));
            let path = format!("{path}[]");
            let mut checked: Vec<_> = elements
                .iter()
                .map(|element| self.check(&path, kind, element))
                .collect();
            if kind == "object" || kind == "text" {
                checked.truncate(1);
            }
            return Value::Array(checked);
        }
        let is_right = match kind {
            "object" => return self.check_object(path, value),
            "map" => value.is_object(),
            "string" | "text" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            _ => panic!("docs/json.md: `{path}` has the unknown type {kind}"),
        };
        assert!(is_right, "{path} is {value}, but docs/json.md says {kind}");
        steady(path, kind, value)
    }

    fn check_object(&self, path: &str, value: &Value) -> Value {
        let object = value
            .as_object()
            .unwrap_or_else(|| panic!("{path}: {value}"));
        let names: BTreeSet<_> = object.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            self.children(path),
            "the fields of {path:?} are not those of docs/json.md: {value}"
        );
        let checked = object.iter().map(|(name, value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            (name.clone(), self.check(&path, &self.0[&path], value))
        });
        Value::Object(checked.collect())
    }
}

/// Replaces a value that changes from run to run, or may be worded differently in a later version.
fn steady(path: &str, kind: &str, value: &Value) -> Value {
    let name = path.rsplit('.').next().unwrap();
    let varies = [
        "generation",
        "life_left_s",
        "clock_skew_s",
        "pid",
        "time_us",
        "elapsed_ms",
    ];
    match value {
        Value::Object(map) => {
            let keys = map.keys().map(|key| (key.clone(), json!("…")));
            Value::Object(keys.collect())
        }
        Value::Number(_) if varies.contains(&name) || name.ends_with("_unix_s") => json!(0),
        Value::String(_) if kind == "text" || name.ends_with("_at") => json!("…"),
        other => other.clone(),
    }
}

/// Parses the only line that a command printed on standard output.
#[track_caller]
fn document(output: &ProgramOutput) -> Map<String, Value> {
    assert!(
        output.out.starts_with("{\"format\":1") && output.out.ends_with('\n'),
        "{output:?}"
    );
    assert_eq!(output.out.lines().count(), 1, "{output:?}");
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The exit code that belongs to the field `error` of a document.
fn exit_code(error: &Value) -> i32 {
    let numbers = status::TABLE.iter();
    let mut found = numbers.filter(|(number, ..)| json!(number) == error["status"]);
    let kind = found.next().unwrap().1.unwrap();
    match kind {
        // Only a wrong command line has this status.
        ErrorKind::InvalidValue => EXIT_USAGE.into(),
        _ => of_error(&Error::new(kind, "")).into(),
    }
}

/// Checks a document against the table in a section of docs/json.md and against its golden file.
/// `volatile` are strings that change from run to run, with their replacements.
#[track_caller]
fn check_document(name: &str, heading: &str, output: &ProgramOutput, volatile: &[(&str, &str)]) {
    let mut found = document(output);
    assert_eq!(found.remove("format"), Some(json!(1)));
    let errors = Fields::of("Errors");
    let mut golden = Map::from_iter([("format".to_owned(), json!(1))]);
    if let Some(error) = found.remove("error") {
        assert_eq!(output.code, Some(exit_code(&error)), "{output:?}");
        let message = error["message"].as_str().unwrap().to_owned();
        assert!(
            !message.is_empty() && (output.code == Some(2) || output.err.contains(&message)),
            "{output:?}"
        );
        golden.insert("error".into(), errors.check("error", "object", &error));
    }
    if !found.is_empty() || golden.len() == 1 {
        let fields = Fields::of(heading);
        let checked = fields.check("", "object", &Value::Object(found));
        golden.extend(checked.as_object().unwrap().clone());
    }
    let mut text = serde_json::to_string_pretty(&golden).unwrap() + "\n";
    for (value, replacement) in volatile {
        text = text.replace(value, replacement);
    }
    compare_golden(name, &text);
}

#[track_caller]
fn compare_golden(name: &str, text: &str) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/json/{name}.json"));
    let golden = fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("KEYFERRY_UPDATE").is_some() {
        let names = |text: &str| -> BTreeSet<String> {
            let fields = text.lines().filter_map(|line| line.split_once("\": "));
            fields.map(|(name, _)| name.to_owned()).collect()
        };
        let (old, new) = (names(&golden), names(text));
        let lost: Vec<_> = old.difference(&new).collect();
        assert!(lost.is_empty(), "{name}: fields must not be lost: {lost:?}");
        fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(
        text, golden,
        "{name}: if a field was added, set KEYFERRY_UPDATE=1 to write the file"
    );
}

/// Replaces the sandbox's URLs and the temporary directory.
fn volatile(harness: &Harness) -> Vec<(String, &'static str)> {
    let sandbox = harness.sandbox();
    vec![
        (sandbox.masv_url().to_owned(), "http://masv"),
        (sandbox.agent_url().to_owned(), "http://agent"),
        (sandbox.fileverbs_url().to_owned(), "http://fileverbs"),
        (harness.folder().display().to_string(), "/folder"),
        (env!("CARGO_PKG_VERSION").to_owned(), "VERSION"),
    ]
}

#[track_caller]
fn check_run(name: &str, heading: &str, harness: &Harness, command: &mut Command, input: &str) {
    let output = run_with_input(command, input);
    let volatile = volatile(harness);
    let volatile: Vec<_> = volatile.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    check_document(name, heading, &output, &volatile);
}

#[test]
fn json_documents_of_the_reports_keep_their_fields() {
    let harness = Harness::watching_arguments();
    let package = format!("packages/{}", c::PACKAGE_ID);
    for (name, heading, words, input) in [
        // One stored token: their order varies.
        ("login_masv", "login", &["login", "masv"][..], ""),
        ("status", "status", &["status"], ""),
        (
            "header",
            "header, curl and token",
            &["header", &package][..],
            "",
        ),
        (
            "token",
            "header, curl and token",
            &["token", "fileverbs:bearer"],
            "",
        ),
        (
            "curl",
            "header, curl and token",
            &["curl", "fileverbs:secret-key"],
            "",
        ),
        ("explain", "explain", &["explain", &package], ""),
        ("config", "config", &["config"], ""),
        ("doctor", "doctor", &["doctor"], ""),
        ("login_fileverbs", "login", &["login", "fileverbs"], ""),
        ("agent_signed_out", "agent", &["agent"], ""),
        ("agent_sign_in", "login", &["agent", "sign-in"], ""),
        ("agent", "agent", &["agent"], ""),
        ("reject", "reject", &["reject", "user"], ""),
        ("logout", "logout", &["logout"], ""),
        ("demo", "demo", &["demo"], ""),
    ] {
        let words = [words, &["--json"]].concat();
        let mut command = harness.program(KEYFERRY, &words);
        command.env("KEYFERRY_STORE", "file");
        check_run(name, heading, &harness, &mut command, input);
    }
    let key = ["login", "masv", "--with-key", "--save", "file", "--json"];
    let mut command = harness.program_without_secrets(KEYFERRY, &key);
    check_run(
        "login_with_key",
        "login",
        &harness,
        &mut command,
        c::API_KEY,
    );
}

#[test]
fn json_documents_of_plugins_keep_their_fields() {
    let harness = Harness::new();
    let (vault, old) = (
        harness.plugin("vault.c", &[]),
        harness.plugin_named("canary.c", "old.so", &["-DMAJOR=0"]),
    );
    let (vault, old) = (vault.to_str().unwrap(), old.to_str().unwrap());
    for (name, heading, words, plugins) in [
        (
            "plugin_list",
            "plugin list",
            &["list"][..],
            vault.to_owned(),
        ),
        (
            "plugin_list_fault",
            "plugin list",
            &["list"],
            format!("{vault}:{old}"),
        ),
        (
            "plugin_check",
            "plugin check",
            &["check", vault],
            String::new(),
        ),
        (
            "plugin_check_fault",
            "plugin check",
            &["check", old],
            String::new(),
        ),
    ] {
        let words = [&["plugin"], words, &["--json"]].concat();
        let mut command = harness.isolated_program(KEYFERRY, &words);
        command.env("KEYFERRY_PLUGINS", plugins);
        check_run(name, heading, &harness, &mut command, "");
    }
}

#[test]
fn json_document_of_the_sandbox_keeps_its_fields() {
    let harness = Harness::new();
    let mut command = harness.isolated_program(KEYFERRY, &["sandbox", "--json"]);
    let (mut child, out) = start_and_read(&mut command);
    let kill = format!("kill {}", child.id());
    keyferry_testing::compiler::succeed(Command::new("sh").args(["-c", &kill]));
    let status = child.wait().unwrap();
    let output = ProgramOutput {
        status,
        code: status.code(),
        out,
        err: String::new(),
    };
    let url = document(&output)["variables"]["KEYFERRY_MASV_URL"].clone();
    check_document(
        "sandbox",
        "sandbox",
        &output,
        &[(url.as_str().unwrap(), "http://masv")],
    );
}

#[test]
fn json_documents_of_errors_keep_their_fields() {
    let harness = Harness::watching_arguments();
    let header = |resource: &str| harness.program(KEYFERRY, &["header", "--json", resource]);
    let check = |name: &str, command: &mut Command| {
        check_run(&format!("error_{name}"), "Errors", &harness, command, "");
    };
    check(
        "usage",
        &mut harness.program(KEYFERRY, &["status", "--unheard", "--json"]),
    );
    check(
        "command",
        &mut harness.program(KEYFERRY, &["statu", "--json"]),
    );
    check(
        "secret_option",
        &mut harness.program(KEYFERRY, &["login", "masv", "--password=x", "--json"]),
    );
    check(
        "login_arguments",
        &mut harness.program(KEYFERRY, &["login", "masv", "x", "--json"]),
    );
    check(
        "bad_credentials",
        header("user").env("KEYFERRY_MASV_PASSWORD", "made-up"),
    );
    check(
        "not_configured",
        &mut harness.program_without_secrets(KEYFERRY, &["header", "--json", "user"]),
    );
    check(
        "unreachable",
        header("user").env("KEYFERRY_MASV_URL", "http://127.0.0.1:1"),
    );
    check("invalid_resource", &mut header("usr"));
    check("unknown_service", &mut header("https://other.example/"));
    check("not_found", &mut header("packages/01UNKNOWN"));
    harness
        .sandbox()
        .fault(Fault::status(429).retry_after("40").forever());
    check("throttled", &mut header("user"));
    harness.sandbox().clear_faults();
    harness.sandbox().fault(Fault::status(503).forever());
    check("unavailable", &mut header("user"));
    harness.write_file("home/.config/keyferry/config.toml", "", 0o666);
    check("unsafe_file", &mut header("user"));
    harness.write_file("home/.config/keyferry/config.toml", "no TOML", 0o600);
    check("config", &mut header("user"));
}

#[test]
fn every_command_has_json_and_fails_in_it() {
    let harness = Harness::watching_arguments();
    harness.write_private_file("home/.config/keyferry/config.toml", "no TOML");
    let root = keyferry_cli::commands::command_line();
    let mut commands = Vec::new();
    collect(&root, &mut Vec::new(), &mut commands);
    let mut without_json = Vec::new();
    for (words, has_json) in &commands {
        if !has_json {
            without_json.push(words.join(" "));
            continue;
        }
        let own = match words.last().unwrap().as_str() {
            "header" | "curl" | "token" | "explain" | "reject" => Some("user"),
            "login" => Some("masv"),
            // They don't read the configuration, or report it as a failed check.
            "demo" | "sandbox" | "check" | "doctor" => continue,
            _ => None,
        };
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = harness.keyferry(&[&words[..], own.as_slice(), &["--json"]].concat());
        assert_eq!(
            document(&output)["error"]["name"],
            "KEYFERRY_E_CONFIG",
            "{words:?}"
        );
        assert_eq!(
            output.code,
            Some(exit_code(&document(&output)["error"])),
            "{words:?}"
        );
        assert!(
            output.err.contains("config.toml is not valid TOML"),
            "{output:?}"
        );
        let plain = harness.keyferry(&[&words[..], own.as_slice()].concat());
        let expected = if words == ["curl"] { STOP_CONFIG } else { "" };
        assert_eq!(
            (plain.code, plain.out.as_str()),
            (output.code, expected),
            "{words:?}"
        );
        assert_eq!(plain.err, output.err, "{words:?}");
    }
    assert_eq!(without_json, WITHOUT_JSON);
    assert!(commands.len() > 12, "{commands:?}");
}

/// Collects the commands that run something: their words, and whether they take `--json`.
fn collect(command: &clap::Command, words: &mut Vec<String>, all: &mut Vec<(Vec<String>, bool)>) {
    let has_json = command
        .get_arguments()
        .any(|argument| argument.get_id() == "json");
    let mut own: Vec<_> = command.get_subcommands().collect();
    own.sort_by_key(|command| command.get_name().to_owned());
    if !words.is_empty() && (own.is_empty() || has_json) {
        all.push((words.clone(), has_json));
    }
    for command in own {
        words.push(command.get_name().to_owned());
        collect(command, words, all);
        words.pop();
    }
}

/// A failure that has nothing to do with the configuration: a port that is in use.
#[test]
fn a_sandbox_that_cannot_start_has_the_status_of_its_exit_code() {
    let harness = Harness::watching_arguments();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = harness.keyferry(&["sandbox", "--json", "--masv-port", &port]);
    let error = &document(&output)["error"];
    assert_eq!(error["name"], "KEYFERRY_E_CONFIG");
    assert_eq!(output.code, Some(exit_code(error)));
}

/// The first refusal says how long the secret is not sent again, and the next one, which sends
/// nothing, also says when it was refused.
#[test]
fn a_refusal_and_its_repetition_say_how_long_to_wait() {
    let harness = Harness::watching_arguments();
    let run = |arguments: &[&str], password: &str| {
        let mut command = harness.program(KEYFERRY, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("KEYFERRY_MASV_PASSWORD", password);
        run_with_input(&mut command, "")
    };
    let retry_after = |output: &ProgramOutput| document(output)["error"]["retry_after_s"].as_u64();
    let first = run(&["header", "user", "--json"], "made-up");
    assert_eq!(retry_after(&first), Some(60), "{first:?}");
    assert!(!first.err.contains(" ago"), "{first:?}");
    let again = run(&["header", "user", "--json"], "made-up");
    assert!(retry_after(&again).is_some_and(|left_s| left_s <= 60));
    assert!(
        again.err.contains(" (refused ") && again.err.contains(" ago; tried again in "),
        "{again:?}"
    );
    // A 429 without a `Retry-After`.
    let throttle = Fault::status(429).path("/v1/auth").forever();
    harness.sandbox().fault(throttle);
    let first = run(&["header", "user", "--json"], c::PASSWORD);
    assert_eq!(retry_after(&first), Some(5), "{first:?}");
    let again = run(&["header", "user"], c::PASSWORD);
    assert!(
        again.err.contains("(asked to pause ") && !again.err.contains("wait at least"),
        "{again:?}"
    );
}

#[test]
fn programs_with_a_protocol_print_no_document() {
    let harness = Harness::watching_arguments();
    for words in [
        &["get", "--json"][..],
        &["git", "get", "--json"],
        &["exec", "--json"],
        &["exec", "--", "false", "--json"],
    ] {
        let output = harness.keyferry(words);
        assert_eq!(output.out, "", "{words:?}");
    }
}
