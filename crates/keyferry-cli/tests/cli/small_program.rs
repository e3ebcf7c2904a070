//! The small program under the name `keyferry`, as `make install` lays it down: it prints what the
//! full program prints, byte for byte, and is the same process to its user.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use keyferry::config::{Config, Environment};
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry_cli::commands::curl::STOP_CONFIG;
use keyferry_sandbox::credentials as c;

use crate::programs::{HELPER, KEYFERRY};
use keyferry_testing::child::{run_with_input, start_and_read};
use keyferry_testing::harness::Harness;

/// The lifetime of every token here. The last 200 s of it are the advisory refresh window, and the last 50 s
/// the mandatory one.
const LIFETIME_S: i64 = 1000;
/// A script in place of curl. It prints its configuration, and all arguments after the third.
const CURL: &str = "#!/bin/sh\ncat \"$3\"\nshift 3\nprintf '%s\\n' \"$@\"\n";
const OTHER_PROFILE: &str = "[profile.other.masv]\nteam = \"x\"\n";

/// The programs as installed below a directory. Returns the path of the small one.
fn install(harness: &Harness) -> PathBuf {
    for directory in ["prefix/bin", "prefix/libexec/keyferry"] {
        fs::create_dir_all(harness.path(directory)).unwrap();
    }
    let small = harness.path("prefix/bin/keyferry");
    // A copy that this process writes could be open in a child of another test, and would not run.
    if fs::hard_link(HELPER, &small).is_err() {
        fs::copy(HELPER, &small).unwrap();
    }
    std::os::unix::fs::symlink(KEYFERRY, full(harness)).unwrap();
    small
}

fn full(harness: &Harness) -> PathBuf {
    harness.path("prefix/libexec/keyferry/keyferry")
}

/// The files and the environment variables that a program finds when it starts.
struct State {
    name: &'static str,
    /// The age of the stored tokens. `None`: nothing is stored.
    age_s: Option<i64>,
    variables: &'static [(&'static str, &'static str)],
    /// The text and the mode of config.toml.
    config: (&'static str, u32),
    /// A change of what is stored.
    change: fn(&Harness, &Session),
    /// Whether the small program answers the plain commands by itself.
    is_warm: bool,
}

const FRESH: State = State {
    name: "fresh",
    age_s: Some(0),
    variables: &[],
    config: (OTHER_PROFILE, 0o600),
    change: |_, _| (),
    is_warm: true,
};

fn states() -> Vec<State> {
    vec![
        FRESH,
        State {
            name: "due",
            age_s: Some(LIFETIME_S - 120),
            ..FRESH
        },
        State {
            name: "to be refreshed",
            age_s: Some(LIFETIME_S - 25),
            is_warm: false,
            ..FRESH
        },
        State {
            name: "expired",
            age_s: Some(LIFETIME_S + 60),
            is_warm: false,
            ..FRESH
        },
        State {
            name: "nothing stored",
            age_s: None,
            is_warm: false,
            ..FRESH
        },
        State {
            name: "rejected",
            is_warm: false,
            change: |_, session| {
                for resource in resources() {
                    let token = session.token(&resource).unwrap();
                    session
                        .reject_value(&resource, &Secret::from(token.value()))
                        .unwrap();
                }
            },
            ..FRESH
        },
        State {
            name: "damaged records",
            is_warm: false,
            change: |harness, _| {
                for file in records(harness) {
                    fs::write(file, "damaged").unwrap();
                }
            },
            ..FRESH
        },
        State {
            name: "damaged record beside an intact one",
            is_warm: false,
            change: |harness, session| {
                let damaged: Vec<_> = records(harness).collect();
                let year_2100 = Some(4_102_444_800);
                session
                    .adopt(&resources()[1], "adopted-to-write".into(), year_2100)
                    .unwrap();
                for file in damaged {
                    fs::write(file, "damaged").unwrap();
                }
            },
            ..FRESH
        },
        State {
            name: "another store key",
            is_warm: false,
            change: |harness, _| {
                let key = harness.path("home/.local/share/keyferry/store.key");
                let mut bytes = fs::read(&key).unwrap();
                let last = bytes.len() - 2;
                bytes[last] = if bytes[last] == b'0' { b'1' } else { b'0' };
                fs::write(key, bytes).unwrap();
            },
            ..FRESH
        },
        State {
            name: "store in memory",
            variables: &[("KEYFERRY_STORE", "memory")],
            is_warm: false,
            ..FRESH
        },
        State {
            name: "misspelt variable",
            variables: &[("KEYFERRY_STOER", "file")],
            is_warm: false,
            ..FRESH
        },
        State {
            name: "known variable",
            variables: &[("KEYFERRY_SANDBOX_PID", "1")],
            ..FRESH
        },
        State {
            name: "log",
            variables: &[("KEYFERRY_LOG", "info")],
            is_warm: false,
            ..FRESH
        },
        State {
            name: "misspelt log level",
            variables: &[("KEYFERRY_LOG", "debgu")],
            is_warm: false,
            ..FRESH
        },
        State {
            name: "empty log level",
            variables: &[("KEYFERRY_LOG", "")],
            ..FRESH
        },
        State {
            name: "plugin",
            variables: &[("KEYFERRY_PLUGINS", "/nonexistent/plugin.so")],
            is_warm: false,
            ..FRESH
        },
        State {
            name: "malformed config",
            config: ("[masv\n", 0o600),
            is_warm: false,
            ..FRESH
        },
        State {
            name: "unknown setting",
            config: ("[masv]\nteem = \"x\"\n", 0o600),
            is_warm: false,
            ..FRESH
        },
        State {
            name: "config that others can write",
            config: (OTHER_PROFILE, 0o666),
            is_warm: false,
            ..FRESH
        },
    ]
}

fn resources() -> [String; 3] {
    [
        "user".to_owned(),
        format!("packages/{}", c::PACKAGE_ID),
        "fileverbs:bearer".to_owned(),
    ]
}

fn records(harness: &Harness) -> impl Iterator<Item = PathBuf> {
    let directory = fs::read_dir(harness.path("home/.local/state/keyferry/tokens")).unwrap();
    directory.map(|entry| entry.unwrap().path())
}

/// A command line, and its standard input.
struct Row {
    arguments: Vec<String>,
    input: String,
}

/// Every command with every resource and every set of options.
fn rows(harness: &Harness) -> Vec<Row> {
    let sandbox = harness.sandbox();
    let mut named = resources().to_vec();
    named.extend([
        "fileverbs:secret-key".to_owned(),
        "usre".to_owned(),
        format!("{}/v1/packages/{}/files", sandbox.masv_url(), c::PACKAGE_ID),
        format!("{}/api/v1/git", sandbox.fileverbs_url()),
        "https://unknown.example/x".to_owned(),
        "-".to_owned(),
    ]);
    let options: [&[&str]; 7] = [
        &[],
        &["--json"],
        &["--profile", "other"],
        &["--profile", "nobody"],
        &["--jsno"],
        &["-v"],
        &["--fresh"],
    ];
    let mut rows = Vec::new();
    for options in options {
        for command in ["header", "token", "curl"] {
            for resource in &named {
                let words = [&[command, resource.as_str()], options].concat();
                rows.push(Row {
                    arguments: words.iter().map(|word| (*word).to_owned()).collect(),
                    input: "fileverbs:bearer\n".to_owned(),
                });
            }
        }
    }
    let url = format!("{}/v1/teams", sandbox.masv_url());
    for words in [
        &["curl", "--", "-sS", &url][..],
        &["curl", "--profile", "other", "--", &url],
        &["curl", "--", "-L", &url],
        &["curl", "--json", "--", &url],
        &["curl", "--", "-H", "X-User-Token: mine", &url],
        &["curl"],
        &["header"],
        &["heade", "user"],
        &["token", "--help"],
        &["--version"],
        &["git", "capability"],
    ] {
        rows.push(Row {
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            input: String::new(),
        });
    }
    for uri in [
        url.clone(),
        url.replace("http://", "grpc://"),
        format!("{}/a.git", sandbox.fileverbs_url()),
        "https://unknown.example/x".to_owned(),
        "masv:user".to_owned(),
        "relative".to_owned(),
        "x\", \"uri\": \"".to_owned(),
    ] {
        for words in [
            &["get"][..],
            &["get", "--no-expires"],
            &["get", "--profile", "other"],
            &["get", "rest"],
        ] {
            rows.push(Row {
                arguments: words.iter().map(|word| (*word).to_owned()).collect(),
                input: format!("{{\"uri\": \"{uri}\"}} and more"),
            });
        }
    }
    rows
}

/// Standard output of a program, and how it is started.
#[derive(Clone, Copy)]
enum Start {
    Captured,
    WithoutReader,
    OnFullDisk,
    Closed,
    WithOtherName,
}

const STARTS: [Start; 5] = [
    Start::Captured,
    Start::WithoutReader,
    Start::OnFullDisk,
    Start::Closed,
    Start::WithOtherName,
];

fn run(
    harness: &Harness,
    program: &Path,
    state: &State,
    row: &Row,
    start: Start,
) -> (Option<i32>, String, String) {
    fs::write(harness.path("input"), &row.input).unwrap();
    let program = program.to_str().unwrap();
    let arguments: Vec<_> = row.arguments.iter().map(String::as_str).collect();
    let mut command = match start {
        Start::Closed => harness.program(
            "/bin/sh",
            &[&["-c", "exec \"$@\" >&-", "sh", program], &arguments[..]].concat(),
        ),
        _ => harness.program(program, &arguments),
    };
    match start {
        Start::WithoutReader => {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            command.stdout(writer);
        }
        Start::OnFullDisk => {
            command.stdout(File::options().write(true).open("/dev/full").unwrap());
        }
        Start::WithOtherName => {
            command.arg0("another-name");
        }
        Start::Captured | Start::Closed => {}
    }
    set_variables(harness, &mut command, state);
    let output = command
        .stdin(File::open(harness.path("input")).unwrap())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn set_variables(harness: &Harness, command: &mut Command, state: &State) {
    let path = format!(
        "{}:{}",
        harness.path("curl").display(),
        std::env::var("PATH").unwrap()
    );
    command
        .env_remove("KEYFERRY_STORE")
        .env("PATH", path)
        .envs(state.variables.iter().copied());
}

/// Stores the tokens of a state, and returns the harness. Its clock is that of the moment at which
/// the tokens were fetched.
fn prepare(state: &State) -> Harness {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros();
    let age_us = state.age_s.unwrap_or_default() * 1_000_000;
    let harness = Harness::at(i64::try_from(now).unwrap() - age_us);
    for kind in ["user", "package", "bearer"] {
        harness.sandbox().set_life(kind, LIFETIME_S);
    }
    harness.write_file("curl/curl", CURL, 0o700);
    if state.age_s.is_some() {
        let session = session(&harness);
        for resource in resources() {
            session.token_for(&Request::new(&*resource)).unwrap();
        }
        (state.change)(&harness, &session);
    }
    let (text, mode) = state.config;
    harness.write_file("home/.config/keyferry/config.toml", text, mode);
    harness
}

/// A session with the configuration of the programs.
fn session(harness: &Harness) -> Session {
    let mut command = harness.program(KEYFERRY, &[]);
    command.env_remove("KEYFERRY_STORE");
    let variables: BTreeMap<_, _> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_owned())))
        .collect();
    let environment: Environment =
        Arc::new(move |name: &str| variables.get(name).map(OsString::from));
    let options = Options {
        clock: harness.clock().clone(),
        refreshes_in_background: false,
    };
    Session::open_with(Config::load(None, environment).unwrap(), options).unwrap()
}

/// Leaves out what differs between two fetches: tokens and numbers.
fn without_values(text: &str) -> String {
    let mut masked = String::new();
    for word in
        text.split_inclusive(|byte: char| !byte.is_ascii_alphanumeric() && !"-_.:=".contains(byte))
    {
        match word.len() {
            0..=24 => masked.extend(word.chars().filter(|byte| !byte.is_ascii_digit())),
            _ => masked += "TOKEN ",
        }
    }
    masked
}

fn copy_home(harness: &Harness, from: &str, to: &str) {
    let _ = fs::remove_dir_all(harness.path(to));
    copy_directory(&harness.path(from), &harness.path(to));
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    let permissions = fs::metadata(from).unwrap().permissions();
    fs::set_permissions(to, permissions).unwrap();
}

#[test]
fn both_programs_print_the_same_in_every_state() {
    let states = states();
    let mut differences = Vec::new();
    for (number, state) in states.iter().enumerate() {
        let harness = prepare(state);
        let (small, full) = (install(&harness), full(&harness));
        copy_home(&harness, "home", "home-before");
        // Each state gets the first command line, and every 23rd of the others from another one on.
        for (row_number, row) in rows(&harness).iter().enumerate() {
            if row_number != 0 && row_number % 23 != number * 5 % 23 {
                continue;
            }
            let start = STARTS[(number + row_number) % STARTS.len()];
            let outputs = [&full, &small].map(|program| {
                copy_home(&harness, "home-before", "home");
                run(&harness, program, state, row, start)
            });
            // In these cases another token may be fetched, or a secret gets another generation.
            let differs = ["--fresh", "-v", "--profile", "fileverbs:secret-key"];
            let fetches = row
                .arguments
                .iter()
                .any(|word| differs.contains(&word.as_str()));
            let is_same = if state.is_warm && !fetches {
                outputs[0] == outputs[1]
            } else {
                let [by_full, by_small] = outputs
                    .each_ref()
                    .map(|(code, out, err)| (code, without_values(out), without_values(err)));
                by_full == by_small
            };
            if !is_same {
                differences.push(format!("{}: {:?}: {outputs:#?}", state.name, row.arguments));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_small_program_answers_alone_if_and_only_if_the_store_has_a_valid_token() {
    for state in states() {
        let harness = prepare(&state);
        let small = install(&harness);
        fs::remove_file(full(&harness)).unwrap();
        let url = format!(
            "{}/v1/packages/{}",
            harness.sandbox().masv_url(),
            c::PACKAGE_ID
        );
        let rows = [
            (&["header", "user"][..], ""),
            (&["token", "fileverbs:bearer", "--json"], ""),
            (&["curl", &url], ""),
            (&["curl", "--", "-s", &url], ""),
            (&["get"], &format!("{{\"uri\": \"{url}\"}}")),
        ];
        for (words, input) in rows {
            let row = Row {
                arguments: words.iter().map(|word| (*word).to_owned()).collect(),
                input: input.to_owned(),
            };
            let (code, out, err) = run(&harness, &small, &state, &row, Start::Captured);
            let answered = code == Some(0) && !out.is_empty() && err.is_empty();
            assert_eq!(
                answered, state.is_warm,
                "{}: {words:?}: {code:?} {out} {err}",
                state.name
            );
            let refused = code == Some(1)
                && err.contains("libexec/keyferry/keyferry does not exist; install keyferry again");
            assert_eq!(
                refused, !state.is_warm,
                "{}: {words:?}: {code:?} {out} {err}",
                state.name
            );
        }
    }
}

#[test]
fn without_the_full_program_an_error_names_it_and_curl_is_stopped() {
    let harness = Harness::new();
    let small = install(&harness);
    fs::remove_file(full(&harness)).unwrap();
    let run = |arguments: &[&str]| run_with_input(&mut harness.program(&small, arguments), "");
    let hint = "cannot start the program that runs this command: ";
    run(&["status"]).assert_error(1, hint);
    run(&["header", "user"]).assert_error(1, hint);
    run(&["status", "--json"]).assert_json_error(1, hint);
    let mut stopped = run(&["curl", "user"]);
    assert_eq!(std::mem::take(&mut stopped.out), STOP_CONFIG);
    stopped.assert_error(1, hint);
    run(&["curl", "--", "https://example.com/"]).assert_error(1, hint);
}

/// The signals that `keyferry sandbox` waits for: HUP, INT and TERM. The kernel shows them as blocked
/// only while the program does not wait.
const WAITED_FOR: u64 = 0x4003;

/// Starts `keyferry sandbox` and returns what the system says of the process: its name, arguments, blocked,
/// ignored and caught signals.
fn facts_of_process(harness: &Harness, program: &Path) -> (String, Vec<u8>, [u64; 3]) {
    let mut command = harness.program("/bin/sh", &["-c", "trap '' USR2; exec \"$@\"", "sh"]);
    command
        .arg(program)
        .arg("sandbox")
        .env("TMPDIR", harness.path("work"));
    let (mut child, printed) = start_and_read(&mut command);
    assert!(printed.contains("KEYFERRY_SANDBOX_PID"), "{printed}");
    let proc = |name: &str| fs::read(format!("/proc/{}/{name}", child.id())).unwrap();
    let status = String::from_utf8(proc("status")).unwrap();
    let signals = ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"].map(|field| {
        let found = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(found.unwrap(), 16).unwrap() & !WAITED_FOR
    });
    let (comm, arguments) = (String::from_utf8(proc("comm")).unwrap(), proc("cmdline"));
    child.kill().unwrap();
    child.wait().unwrap();
    (comm, arguments, signals)
}

#[test]
fn the_process_has_the_same_name_arguments_and_signals() {
    let harness = Harness::new();
    let small = install(&harness);
    let (comm, arguments, signals) = facts_of_process(&harness, &small);
    assert_eq!(
        arguments,
        format!("{}\0sandbox\0", small.display()).as_bytes()
    );
    let direct = facts_of_process(&harness, Path::new(KEYFERRY));
    assert_eq!((comm, signals), (direct.0, direct.2));
}

#[test]
fn the_full_program_names_the_small_one_in_the_files_that_it_writes() {
    let harness = Harness::new();
    let small = install(&harness);
    let output = run_with_input(
        &mut harness.program(&small, &["setup", "bazel", "--yes"]),
        "",
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    let file = fs::read_to_string(harness.path("home/.bazelrc")).unwrap();
    assert!(file.contains(&format!("={}\n", small.display())), "{file}");
    let alone = run_with_input(
        &mut harness.program(full(&harness), &["setup", "bazel", "--undo", "--yes"]),
        "",
    );
    assert_eq!(alone.code, Some(0), "{alone:?}");
}
