//! The executable's first commands, as a user has them: the built program, an empty home, real
//! sockets and a real shell.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::env;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use keyferry_sandbox::credentials as c;
use keyferry_testing::child::start_and_read;
use keyferry_testing::harness::Harness;
use keyferry_testing::http;
use keyferry_testing::secrets::assert_no_secrets;
use keyferry_testing::skip;
use serde_json::Value;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");

/// Extends the harness for a program that must leave no files behind.
trait Untouched {
    /// Returns the program with an empty directory for temporary files, and the default store.
    fn keyferry(&self, arguments: &[&str]) -> Command;

    /// Panics unless the home, working and temporary directories are still empty.
    fn assert_untouched(&self);
}

impl Untouched for Harness {
    fn keyferry(&self, arguments: &[&str]) -> Command {
        let mut command = self.isolated_program(KEYFERRY, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null());
        command
    }

    fn assert_untouched(&self) {
        for name in ["home", "work", "tmp"] {
            let mut entries = fs::read_dir(self.path(name)).unwrap();
            assert!(entries.next().is_none(), "{name} was touched");
        }
    }
}

fn new_harness() -> Harness {
    let harness = Harness::new();
    fs::create_dir(harness.path("tmp")).unwrap();
    harness
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn assert_no_secret_and_no_control(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let stream = text(stream);
        assert_no_secrets(stream);
        assert!(
            !stream
                .chars()
                .any(|symbol| symbol.is_control() && symbol != '\n'),
            "a control character was printed"
        );
    }
}

#[test]
fn the_demo_works_for_programs_and_touches_nothing() {
    let harness = new_harness();
    let output = harness.keyferry(&["demo", "--json"]).output().unwrap();
    assert_no_secret_and_no_control(&output);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let failed: Vec<_> = rows.iter().filter(|row| row["ok"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(
        (report["ok"].as_bool(), output.status.code()),
        (Some(true), Some(0)),
        "{report}"
    );
    assert!(rows.len() >= 25 && report["elapsed_ms"].as_f64().unwrap() < 5_000.0);
    let has = |name: &str, wanted: &str| rows.iter().any(|row| row[name] == wanted);
    for header in [
        "X-API-KEY",
        "X-User-Token",
        "X-Package-Token",
        "X-Transfer-Token",
        "SecretKey",
        "Authorization",
    ] {
        assert!(has("header", header), "no row has {header}");
    }
    for from in [
        "settings", "login", "look-up", "list", "inbox", "link", "adopted", "memory", "renewal",
        "refused", "sign-in",
    ] {
        assert!(has("from", from), "no row comes from {from}");
    }
    for access in ["full", "manage", "read", "write"] {
        assert!(has("access", access), "no row has {access}");
    }
    assert_eq!(report["counters"]["mistakes"], 0);
    assert_eq!(text(&output.stderr), "");
    harness.assert_untouched();
}

#[test]
fn the_demo_in_a_pipe_is_plain_columns() {
    let harness = new_harness();
    // Whatever these say, nobody sits at a pipe.
    let output = harness
        .keyferry(&["demo"])
        .env("TERM", "xterm-256color")
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_no_secret_and_no_control(&output);
    let printed = text(&output.stdout);
    assert!(printed.is_ascii());
    let (table, summary) = printed.split_once("\n\n").unwrap();
    let fields = |line: &str| line.split("  ").filter(|field| !field.is_empty()).count();
    assert!(
        table.lines().count() > 25 && table.lines().all(|line| fields(line) == 10),
        "{table}"
    );
    assert!(
        summary.contains("rows, all succeeded") && summary.contains("logins"),
        "{summary}"
    );
    harness.assert_untouched();
}

#[test]
fn a_proxy_is_not_asked_and_a_reader_may_leave() {
    let harness = new_harness();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    dead.set_nonblocking(true).unwrap();
    let proxy = format!("http://127.0.0.1:{}", dead.local_addr().unwrap().port());
    let mut command = harness.keyferry(&["demo"]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, &proxy);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(dead.accept().is_err(), "the proxy was asked");
    harness.assert_untouched();
}

#[test]
fn the_command_line_is_explained() {
    let harness = new_harness();
    let run = |arguments: &[&str]| harness.keyferry(arguments).output().unwrap();
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["demo", "sandbox", "Exit codes:"] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    let version = run(&["--version"]);
    assert_eq!(
        (version.status.code(), text(&version.stdout)),
        (
            Some(0),
            concat!("keyferry ", env!("CARGO_PKG_VERSION"), "\n")
        )
    );
    for wrong in [
        &[][..],
        &["nosuch"],
        &["demo", "--nosuch"],
        &["sandbox", "--port-base", "65535"],
        &["demo", "\u{1b}[2J\u{9b}1m"],
    ] {
        let output = run(wrong);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), ""),
            "{wrong:?}"
        );
        assert!(!output.stderr.is_empty());
        assert_no_secret_and_no_control(&output);
    }
}

/// A sandbox of the executable's.
struct RunningSandbox {
    child: Child,
    printed: String,
}

impl RunningSandbox {
    /// Starts it and reads all that it prints: it closes its output behind that.
    fn start(harness: &Harness, arguments: &[&str]) -> RunningSandbox {
        let (child, printed) = start_and_read(harness.keyferry(arguments).stderr(Stdio::piped()));
        RunningSandbox { child, printed }
    }

    /// The value of a variable as `sh` has it after evaluating what was printed.
    fn variable(&self, name: &str) -> String {
        let script = format!("eval \"$1\"; printf %s \"${name}\"");
        let output = Command::new("sh")
            .args(["-c", &script, "sh", &self.printed])
            .env_clear()
            .output()
            .unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).to_owned()
    }

    /// Its end after a signal: exit code and standard error.
    fn stop(mut self, signal: libc::c_int) -> (Option<i32>, String) {
        // The program `kill` is not on every machine; the shell has its own.
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(killed.success());
        let mut printed_json = String::new();
        // Its end is the stream's.
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut printed_json)
            .unwrap();
        (self.child.wait().unwrap().code(), printed_json)
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        // After a failed assertion; one that has ended is not harmed.
        let _ = self.child.kill();
    }
}

#[test]
fn a_shell_reads_back_exactly_the_credentials_and_a_signal_ends_it() {
    let harness = new_harness();
    let running = RunningSandbox::start(&harness, &["sandbox"]);
    assert!(
        running
            .printed
            .lines()
            .all(|line| line.starts_with("export KEYFERRY_")),
        "{}",
        running.printed
    );
    for (name, value) in [
        ("KEYFERRY_MASV_EMAIL", c::EMAIL),
        ("KEYFERRY_MASV_PASSWORD", c::PASSWORD),
        ("KEYFERRY_MASV_TEAM", c::TEAM_ID),
        ("KEYFERRY_FILEVERBS_SECRET_KEY", c::SECRET_KEY),
        ("KEYFERRY_FILEVERBS_API_KEY", c::FV_API_KEY),
        ("KEYFERRY_SANDBOX_PID", &running.child.id().to_string()),
    ] {
        assert_eq!(running.variable(name), value, "{name}");
    }
    assert_eq!(
        http::get(
            &running.variable("KEYFERRY_MASV_URL"),
            "/v1/teams",
            &[("X-API-KEY", c::API_KEY)]
        )
        .status,
        200
    );
    // The storage has another origin than MASV.
    let json = http::get(
        &running.variable("KEYFERRY_MASV_URL"),
        "/sandbox/storage",
        &[],
    )
    .json();
    let storage = json["url"].as_str().unwrap();
    assert_ne!(storage, running.variable("KEYFERRY_MASV_URL"));
    assert_eq!(http::get(storage, "/sandbox/storage", &[]).json(), json);
    assert_eq!(
        http::get(
            &running.variable("KEYFERRY_AGENT_URL"),
            "/api/v1/login",
            &[]
        )
        .status,
        401
    );
    assert_eq!(
        http::get(
            &running.variable("KEYFERRY_FILEVERBS_URL"),
            "/api/v1/fileuploads",
            &[("SecretKey", c::SECRET_KEY)]
        )
        .status,
        200
    );
    assert_eq!(running.stop(libc::SIGTERM), (Some(0), String::new()));
    harness.assert_untouched();
}

#[test]
fn the_sandbox_tells_programs_in_json_and_takes_ports() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = new_harness();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let running = RunningSandbox::start(
        &harness,
        &["sandbox", "--json", "--masv-port", &port.to_string()],
    );
    let printed_json: Value = serde_json::from_str(&running.printed).unwrap();
    assert_eq!(
        printed_json["variables"]["KEYFERRY_MASV_URL"],
        format!("http://127.0.0.1:{port}")
    );
    assert_eq!(
        (
            printed_json["alternatives"]["KEYFERRY_MASV_API_KEY"].as_str(),
            printed_json["pid"].as_u64()
        ),
        (Some(c::API_KEY), Some(running.child.id().into()))
    );
    // The line to try works as it stands, in a shell that has the variables and finds keyferry. No
    // secret is an argument.
    let tried = printed_json["try"].as_str().unwrap();
    assert_no_secrets(tried);
    let variables = printed_json["variables"].as_object().unwrap().iter();
    let programs = Path::new(env!("CARGO_BIN_EXE_keyferry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    let tried = Command::new("sh")
        .args(["-c", tried])
        .envs(variables.map(|(name, value)| (name, value.as_str().unwrap())))
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(
        text(&tried.stdout).contains(c::TEAM_ID),
        "{}",
        text(&tried.stderr)
    );
    let taken = harness
        .keyferry(&["sandbox", "--masv-port", &port.to_string()])
        .output()
        .unwrap();
    assert_eq!(taken.status.code(), Some(3));
    assert!(
        text(&taken.stderr).contains("a port is in use"),
        "{}",
        text(&taken.stderr)
    );
    assert_eq!(running.stop(libc::SIGINT).0, Some(0));
    harness.assert_untouched();
}

#[test]
fn one_login_serves_every_program_of_a_shell_and_the_own_store_stays_as_it_is() {
    let harness = new_harness();
    let running = RunningSandbox::start(&harness, &["sandbox"]);
    let store = running.variable("KEYFERRY_STORE");
    let directory = Path::new(store.strip_prefix("file:").unwrap()).parent();
    assert!(
        directory.unwrap().starts_with(harness.path("tmp")),
        "{store}"
    );
    let script = r#"eval "$2"; printf '%s\n' "$KEYFERRY_MASV_PASSWORD" | "$1" login masv || exit
        unset KEYFERRY_MASV_PASSWORD; "$1" header user && "$1" status"#;
    let mut shell = harness.isolated_program("sh", &["-c", script, "sh", KEYFERRY]);
    let shell = shell
        .arg(&running.printed)
        .env_remove("KEYFERRY_STORE")
        .output()
        .unwrap();
    assert_eq!(shell.status.code(), Some(0), "{}", text(&shell.stderr));
    let printed = text(&shell.stdout);
    assert!(printed.contains("X-User-Token: "), "{printed}");
    let row = printed.lines().find(|line| line.starts_with("masv "));
    assert!(!row.unwrap().contains("no token"), "{printed}");
    let counts = http::get(
        &running.variable("KEYFERRY_MASV_URL"),
        "/sandbox/counts",
        &[],
    );
    assert_eq!(counts.json()["login"], 1);
    assert_eq!(running.stop(libc::SIGTERM).0, Some(0));
    harness.assert_untouched();
}

#[test]
fn with_tls_the_ca_is_a_file_until_the_end() {
    let harness = new_harness();
    let running = RunningSandbox::start(&harness, &["sandbox", "--tls"]);
    assert!(
        running
            .variable("KEYFERRY_MASV_URL")
            .starts_with("https://127.0.0.1:")
    );
    let ca = running.variable("KEYFERRY_HTTP_CA_FILE");
    assert!(ca.starts_with(harness.path("tmp").to_str().unwrap()));
    assert!(
        fs::read_to_string(&ca)
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert_eq!(running.stop(libc::SIGHUP).0, Some(0));
    harness.assert_untouched();
}

#[test]
fn a_script_gets_a_sandbox_in_one_line() {
    let harness = new_harness();
    let script = r#"eval "$("$1" sandbox &)"; printf '%s ' "$KEYFERRY_MASV_URL"; kill "$KEYFERRY_SANDBOX_PID""#;
    let shell = Command::new("sh")
        .args(["-c", script, "sh", KEYFERRY])
        .env("TMPDIR", harness.path("tmp"))
        .output()
        .unwrap();
    assert_eq!(shell.status.code(), Some(0), "{}", text(&shell.stderr));
    assert!(text(&shell.stdout).starts_with("http://127.0.0.1:"));
}

#[test]
fn a_sandbox_whose_variables_nobody_reads_ends() {
    let harness = new_harness();
    let mut child = harness
        .keyferry(&["sandbox", "--tls"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "keyferry: cannot print the variables: the reader closed the pipe; read all of the output\n"
    );
    harness.assert_untouched();
}
