//! Frequent faults: each command names the cause and the remedy of each. docs/faults.md shows their
//! messages. `KEYFERRY_UPDATE=1 cargo test -p keyferry-cli --test cli faults` writes its sections.

use std::fs;
use std::process::Command;

use keyferry_sandbox::{Fault, credentials as c};
use serde_json::Value;

use crate::programs::KEYFERRY;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::documents;
use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secrets;
use keyferry_testing::skip;

/// An address at which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A fault, and the commands that meet it.
struct Scenario {
    title: &'static str,
    /// Makes the fault, and returns variables for each command.
    variables: fn(&Harness) -> Vec<(&'static str, String)>,
    /// The arguments of the command that needs the credential, and its input.
    header: &'static [&'static str],
    input: String,
    /// The resource for `keyferry explain`. Empty if the fault concerns no resource.
    explained: &'static str,
    /// The command that starts keyferry, such as strace. Empty if the test starts keyferry itself.
    wrapper: &'static [&'static str],
    /// The exit code of the first command.
    code: i32,
    /// Parts of its message: the cause and the remedy.
    parts: &'static [&'static str],
    /// A part of what `explain` says.
    explanation: &'static str,
    /// The state and a part of the row of `doctor` that names the fault. Empty if there is none.
    check: (&'static str, &'static str),
}

impl Scenario {
    fn new(title: &'static str) -> Self {
        Self {
            title,
            variables: |_| Vec::new(),
            header: &["header", "user"],
            input: String::new(),
            explained: "user",
            wrapper: &[],
            code: 3,
            parts: &[],
            explanation: "",
            check: ("", ""),
        }
    }

    fn command(&self, harness: &Harness, arguments: &[&str]) -> Command {
        let words = [self.wrapper, &[KEYFERRY], arguments].concat();
        let mut command = harness.program_without_secrets(words[0], &words[1..]);
        command.env_remove("KEYFERRY_STORE");
        for (name, value) in (self.variables)(harness) {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    fn run(&self, harness: &Harness, arguments: &[&str]) -> ProgramOutput {
        let output = run_with_input(&mut self.command(harness, arguments), &self.input);
        for text in [&output.out, &output.err] {
            // The token of a command that succeeds is a secret of the sandbox.
            if output.code != Some(0) {
                assert_no_secrets(text);
            }
        }
        output
    }
}

/// The configuration of a login whose password is in a file.
fn login(harness: &Harness) -> Vec<(&'static str, String)> {
    let file = harness.write_private_file("home/pw", c::PASSWORD);
    vec![
        ("KEYFERRY_MASV_EMAIL", c::EMAIL.to_owned()),
        ("KEYFERRY_MASV_PASSWORD_FILE", file.display().to_string()),
    ]
}

fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            variables: |harness| {
                let variables = login(harness);
                harness.write_private_file("home/pw", "wrong");
                variables
            },
            parts: &["MASV rejected the e-mail and password", "check", "home/pw"],
            explanation: "would fail: MASV rejected the e-mail and password",
            check: ("BAD", "`masv.password` from file ~/pw"),
            ..Scenario::new("Wrong password")
        },
        Scenario {
            variables: |_| vec![("MASV_API_KEY", "wrong".to_owned())],
            header: &["header", "packages/01J0SANDB0XPACKAGE00000001"],
            explained: "packages/01J0SANDB0XPACKAGE00000001",
            parts: &[
                "MASV rejected the API key",
                "check",
                "variable MASV_API_KEY",
            ],
            explanation: "would fail: MASV rejected the API key",
            check: ("BAD", "variable MASV_API_KEY"),
            ..Scenario::new("Refused API key")
        },
        Scenario {
            header: &["header", "-"],
            input: format!(
                "links/{}?secret={}\n",
                c::ARCHIVED_LINK_ID,
                c::ARCHIVED_LINK_SECRET
            ),
            explained: "-",
            code: 1,
            parts: &[
                "has expired or has no downloads left",
                "ask the sender for a new link",
            ],
            explanation: "sends the link's secret to masv",
            ..Scenario::new("Expired link")
        },
        Scenario {
            header: &["header", "-"],
            input: format!(
                "links/{}?secret={}\n",
                c::PROTECTED_LINK_ID,
                c::PROTECTED_LINK_SECRET
            ),
            explained: "-",
            parts: &["MASV rejected the link", "pass its password"],
            explanation: "would fail: MASV rejected the link",
            ..Scenario::new("Protected link without its password")
        },
        Scenario {
            variables: |harness| {
                let throttle = Fault::status(429).path("/v1/auth").retry_after("600");
                harness.sandbox().fault(throttle);
                login(harness)
            },
            code: 4,
            parts: &[
                "MASV is rate limiting requests (429)",
                "retry later",
                "wait at least",
            ],
            explanation: "would fail: MASV is rate limiting requests",
            check: ("BAD", "retry later"),
            ..Scenario::new("Too many requests (429)")
        },
        Scenario {
            variables: |harness| {
                let mut variables = login(harness);
                variables.push(("KEYFERRY_MASV_URL", NOWHERE.to_owned()));
                variables
            },
            code: 4,
            parts: &["connection refused", "check that it is running"],
            explanation: "sends these secrets to masv",
            check: ("BAD", "connection refused"),
            ..Scenario::new("Service down")
        },
        Scenario {
            variables: |_| vec![("KEYFERRY_AGENT_URL", NOWHERE.to_owned())],
            header: &["agent"],
            explained: "agent:/api/v1/session",
            code: 4,
            parts: &[
                "cannot connect to the MASV Agent",
                "start it (`masv server start`)",
            ],
            explanation: "needs no header",
            check: ("note", "start the agent (`masv server start`)"),
            ..Scenario::new("MASV Agent not running")
        },
        Scenario {
            variables: |harness| {
                let mut variables = login(harness);
                variables.push(("HOME", String::new()));
                variables
            },
            code: 0,
            parts: &[
                "neither XDG_STATE_HOME nor HOME is an absolute path",
                "set one of them",
            ],
            explanation: "sends these secrets to masv",
            check: ("BAD", "set one of them"),
            ..Scenario::new("No home directory")
        },
        Scenario {
            variables: login,
            wrapper: &[
                "strace",
                "-f",
                "-qq",
                "-o",
                "../trace",
                "-e",
                "inject=mkdirat:error=ENOSPC",
            ],
            code: 0,
            parts: &["the disk is full", "free some space"],
            explanation: "sends these secrets to masv",
            check: ("BAD", "free some space"),
            ..Scenario::new("Full disk")
        },
        Scenario {
            variables: |_| {
                vec![
                    ("KEYFERRY_MASV_EMAIL", c::EMAIL.to_owned()),
                    ("KEYFERRY_MASV_PASSWROD", "x".to_owned()),
                ]
            },
            parts: &[
                "no user is logged in",
                "set `masv.email` and `masv.password`",
            ],
            explanation: "would fail: no user is logged in",
            check: ("BAD", "set `masv.email` and `masv.password`"),
            ..Scenario::new("Misspelt variable")
        },
        Scenario {
            header: &["header", "packges/01J0SANDB0XPACKAGE00000001"],
            explained: "packges/01J0SANDB0XPACKAGE00000001",
            code: 1,
            parts: &["packages/ID"],
            explanation: "packages/ID",
            ..Scenario::new("Misspelt resource")
        },
        Scenario {
            header: &["haeder", "user"],
            explained: "",
            code: 2,
            parts: &["haeder", "a similar subcommand exists: 'header'"],
            ..Scenario::new("Misspelt command")
        },
    ]
}

/// The rows of `doctor`: name, state and explanation.
fn checks(output: &ProgramOutput) -> Vec<[String; 3]> {
    let document: Value = serde_json::from_str(&output.out).unwrap();
    let rows = document["checks"].as_array().unwrap().iter();
    rows.map(|row| ["check", "state", "what"].map(|name| row[name].as_str().unwrap().to_owned()))
        .collect()
}

/// The value of a row of `explain`, or its error.
fn explanation(output: &ProgramOutput) -> String {
    let next = output
        .out
        .lines()
        .find_map(|line| line.strip_prefix("next "));
    next.map_or_else(
        || output.err.trim_end().to_owned(),
        |next| next.trim().to_owned(),
    )
}

/// Replaces what differs between runs: the directory, the addresses and the times.
fn masked(harness: &Harness, text: &str) -> String {
    let mut text = text
        .trim_start_matches("keyferry: ")
        .replace(&harness.path("home").display().to_string(), "~")
        .replace(&harness.folder().display().to_string(), "/tmp")
        .replace(harness.sandbox().masv_url(), "https://api.massive.app")
        .trim_end()
        .replace('\n', " ")
        .replace('|', "\\|");
    for (before, after) in [
        ("(refused ", " ago"),
        ("(asked to pause ", " ago"),
        ("tried again in ", ")"),
        ("(wait at least ", ")"),
        ("\"retry_after_s\":", ","),
    ] {
        let Some((start, rest)) = text.split_once(before) else {
            continue;
        };
        let is_number = rest.starts_with(|first: char| first.is_ascii_digit());
        if let Some(end) = rest.find(after).filter(|_| is_number) {
            text = format!("{start}{before}N{}", &rest[end..]);
        }
    }
    text
}

/// The section of the page for a fault.
fn section(scenario: &Scenario) -> String {
    let harness = Harness::watching_arguments();
    let header = scenario.run(&harness, scenario.header);
    let said = [&*header.out, &*header.err].concat();
    assert_eq!(
        header.code,
        Some(scenario.code),
        "{}: {said}",
        scenario.title
    );
    for part in scenario.parts {
        assert!(
            header.err.contains(part),
            "{}: {part}: {said}",
            scenario.title
        );
    }
    let explain = scenario.run(&harness, &["explain", scenario.explained]);
    let next = explanation(&explain);
    assert!(
        next.contains(scenario.explanation),
        "{}: {next}",
        scenario.title
    );
    let doctor = scenario.run(&harness, &["doctor", "--json"]);
    // The row of the store has the warning.
    assert!(!doctor.err.contains("cannot use the store"), "{doctor:?}");
    let found: Vec<_> = checks(&doctor)
        .into_iter()
        .filter(|[_, state, what]| {
            state == "BAD" || state == scenario.check.0 && what.contains(scenario.check.1)
        })
        .collect();
    let has = |[_, state, what]: &[String; 3]| {
        *state == scenario.check.0 && what.contains(scenario.check.1)
    };
    assert_eq!(
        found.iter().any(has),
        !scenario.check.0.is_empty(),
        "{}: {}",
        scenario.title,
        doctor.out
    );
    let json = scenario.run(&harness, &[scenario.header, &["--json"]].concat());
    let explained = if scenario.explained.is_empty() {
        "-".to_owned()
    } else {
        next
    };
    let rows = [
        (
            format!("`keyferry {}`", scenario.header.join(" ")),
            format!("{}: {}", scenario.code, header.err),
        ),
        ("with `--json`".to_owned(), error_document(&json)),
        ("`keyferry explain`".to_owned(), explained),
        ("`keyferry doctor`".to_owned(), doctor_cell(&doctor, &found)),
    ];
    let rows = rows.map(|(command, said)| format!("| {command} | {} |\n", masked(&harness, &said)));
    format!(
        "\n## {}\n\n| command | exit code and message |\n|---|---|\n{}",
        scenario.title,
        rows.concat()
    )
}

/// The document on standard output of a command that fails.
fn error_document(output: &ProgramOutput) -> String {
    match output.out.trim_end() {
        document if output.code != Some(0) && !document.is_empty() => format!("`` {document} ``"),
        _ => "-".to_owned(),
    }
}

/// The exit code of `doctor`, and the rows that name the fault.
fn doctor_cell(output: &ProgramOutput, found: &[[String; 3]]) -> String {
    let row = |[name, state, what]: &[String; 3]| format!("{name} {state} {what}");
    let rows: Vec<_> = found.iter().map(row).collect();
    let code = output.code.unwrap();
    if rows.is_empty() {
        format!("{code}, no fault")
    } else {
        format!("{code}: {}", rows.join("; "))
    }
}

#[test]
fn each_fault_has_its_cause_and_its_remedy_in_each_command() {
    let page = "docs/faults.md";
    let mut text = documents::read(page);
    for scenario in scenarios() {
        if scenario.wrapper.first() == Some(&"strace") && skip::without_strace() {
            continue;
        }
        let section = section(&scenario);
        if text.contains(&section) {
            continue;
        }
        assert!(
            std::env::var_os("KEYFERRY_UPDATE").is_some(),
            "{page} differs; set KEYFERRY_UPDATE=1 to write it:\n{section}"
        );
        let start = format!("\n## {}\n", scenario.title);
        let at = text.find(&start).unwrap_or(text.len());
        let end = text[at..]
            .find("\n\n## ")
            .map_or(text.len(), |length| at + length + 1);
        text.replace_range(at..end.max(at), &section);
        fs::write(files::file(page), &text).unwrap();
    }
}
