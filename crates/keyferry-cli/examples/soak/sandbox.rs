//! The sandbox of the soak, in a process of its own, so that its memory is not measured.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::http;
use serde_json::{Map, Value, json};

/// Which part of the responses must have been spoilt, in percent.
const FAULT_PERCENT: std::ops::RangeInclusive<u64> = 15..=25;
/// Counters of requests that only a mistake of the library causes. `expired_token` is not one of
/// them: a token may expire on its way to the sandbox.
const MISTAKES: [&str; 12] = [
    "two_credentials",
    "missing_credential",
    "foreign_credential",
    "needless_credential",
    "stray_cookie",
    "stray_link_password",
    "bad_token",
    "foreign_token",
    "wrong_variant",
    "foreign_team",
    "login_refused",
    "fileverbs_login_refused",
];

/// The program `keyferry sandbox`. It is killed on drop.
pub(crate) struct SandboxProgram {
    child: Child,
    /// The environment variables that point keyferry at the sandbox.
    pub(crate) variables: Map<String, Value>,
}

impl SandboxProgram {
    /// Starts a sandbox whose tokens expire after `lifetime_s`, and which spoils every fifth
    /// response.
    pub(crate) fn start(harness: &Harness, lifetime_s: u64) -> Self {
        let mut command = Command::new(program("keyferry"));
        let mut child = harness
            .isolate(command.args(["sandbox", "--json"]))
            .env("TMPDIR", harness.folder())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program `keyferry`; build it with `cargo build`");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let mut document: Value = serde_json::from_str(&line).unwrap();
        let Value::Object(variables) = document["variables"].take() else {
            panic!("no variables: {line}")
        };
        let sandbox = Self { child, variables };
        let life = json!({"user": lifetime_s, "package": lifetime_s, "transfer": lifetime_s, "bearer": lifetime_s});
        sandbox.control("/sandbox/life", &life);
        // Each of these hits every 22nd request that those before it let pass: together a fifth.
        let kinds = [
            json!({"status": 503, "body": "html"}),
            json!({"kind": "reset"}),
            json!({"kind": "half"}),
            json!({"kind": "wrong_types"}),
            json!({"kind": "lost"}),
        ];
        for mut fault in kinds {
            fault["every"] = 22.into();
            fault["times"] = "forever".into();
            sandbox.control("/sandbox/fault", &fault);
        }
        sandbox
    }

    /// Returns a variable's value.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables[name].as_str().unwrap()
    }

    fn control(&self, path: &str, body: &Value) {
        let response = http::post(self.variable("KEYFERRY_MASV_URL"), path, &[], body);
        assert_eq!(response.status, 200, "{body}");
    }

    pub(crate) fn counts(&self) -> Value {
        http::get(self.variable("KEYFERRY_MASV_URL"), "/sandbox/counts", &[]).json()
    }
}

impl Drop for SandboxProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a program that cargo built.
pub(crate) fn program(name: &str) -> std::path::PathBuf {
    files::beside("..").join(name)
}

/// Prints what the sandbox counted, and returns what is wrong with it.
pub(crate) fn failures(counts: &Value) -> Vec<String> {
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    let (requests, faults) = (count("requests"), count("faults_hit"));
    println!(
        "sandbox: {requests} requests, {faults} spoilt, {} logins, {} with an expired token",
        count("login"),
        count("expired_token")
    );
    let mistakes = MISTAKES.iter().filter(|name| count(name) > 0);
    let mut failures: Vec<_> = mistakes
        .map(|name| format!("the sandbox counted {} {name}", count(name)))
        .collect();
    let percent = faults * 100 / requests.max(1);
    if !FAULT_PERCENT.contains(&percent) {
        failures.push(format!("{percent} % of the responses were spoilt"));
    }
    failures
}
