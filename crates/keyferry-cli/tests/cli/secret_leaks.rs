//! Secrets in every command under every fault: on no stream that isn't meant for them, in no file
//! in clear, in no message of the log.

use std::ffi::OsString;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};

use keyferry::config::Environment;
use keyferry::log::{self, Level};
use keyferry_cli::args;
use keyferry_cli::context::CliContext;
use keyferry_cli::json::JsonOutput;
use keyferry_cli::streams::Streams;
use keyferry_cli::terminal::{Output, TerminalCaps};
use keyferry_sandbox::{BodyKind, Fault, FaultAction, credentials as c};
use serde_json::json;

use crate::programs::{KEYFERRY, protocol_and_host};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::{SECRETS, assert_sealed, secrets_in};

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A command: its words, what it reads, and whether its standard output is meant to hold a token or
/// a key.
struct CommandCase {
    words: Vec<&'static str>,
    input: String,
    prints_token: bool,
}

fn command_cases(harness: &Harness) -> Vec<CommandCase> {
    let case = |words: &[&'static str], input: &str, prints_token| CommandCase {
        words: words.to_vec(),
        input: input.to_owned(),
        prints_token,
    };
    let link = format!(
        "links/{}?secret={}\n",
        c::PROTECTED_LINK_ID,
        c::PROTECTED_LINK_SECRET
    );
    let package = format!("packages/{}\n", c::PACKAGE_ID);
    let question = protocol_and_host(harness.sandbox().fileverbs_url());
    let of_package = format!(
        "{}path=v1/packages/{}\n",
        protocol_and_host(harness.sandbox().masv_url()),
        c::PACKAGE_ID
    );
    let uri =
        json!({ "uri": format!("{}/v1/packages/{}", harness.sandbox().masv_url(), c::PACKAGE_ID) })
            .to_string();
    let keys = format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY);
    let mut all = vec![
        case(&["get"], &uri, true),
        case(&["git", "get"], &question, true),
        case(&["git", "get"], &of_package, true),
        case(
            &["git", "store"],
            &format!(
                "{of_package}username=X-Package-Token\npassword={}\n",
                c::SECOND_PASSWORD
            ),
            false,
        ),
        case(
            &["git", "erase"],
            &format!("{question}password={}\n", c::PASSWORD),
            false,
        ),
        case(&["login", "masv", "--email", c::EMAIL], c::PASSWORD, false),
        case(
            &["login", "masv", "--email", c::EMAIL, "--save", "file"],
            c::SECOND_PASSWORD,
            false,
        ),
        case(
            &["login", "masv", "--with-key", "--save", "file"],
            c::API_KEY,
            false,
        ),
        case(&["login", "fileverbs"], &keys, false),
        case(
            &["agent", "sign-in", "--email", c::EMAIL],
            c::PASSWORD,
            false,
        ),
    ];
    for words in [
        &["login", "masv"][..],
        &["agent"],
        &["status"],
        &["doctor"],
        &["config"],
        &["logout"],
        &["login", "fileverbs"],
    ] {
        all.push(case(words, "", false));
        all.push(case(&[words, &["--json"]].concat(), "", false));
    }
    for input in [
        &link,
        &package,
        "user\n",
        "masv:/v1/users/self\n",
        "fileverbs:bearer\n",
        "fileverbs:secret-key\n",
    ] {
        for word in ["header", "curl", "token"] {
            all.push(case(&[word, "-"], input, true));
        }
        all.push(case(&["header", "-", "--json"], input, true));
        all.push(case(&["explain", "-"], input, false));
    }
    all
}

/// What a service does wrong; its own words repeat what it was told.
fn fault_actions() -> Vec<Option<FaultAction>> {
    let echo = SECRETS.join(" ");
    let says = |status, body: String| FaultAction::Literal {
        status,
        media_type: "application/json".into(),
        body,
    };
    let status = |status, body| FaultAction::Status { status, body };
    let mut all = vec![None];
    all.extend(
        [
            says(
                401,
                json!({ "message": echo, "errors": [{ "msg": echo }] }).to_string(),
            ),
            says(500, echo.clone()),
            says(
                200,
                json!({ "token": echo, "JwtToken": [echo], "user": echo }).to_string(),
            ),
            says(200, format!("{{\"token\": \"{echo}\", ")),
            status(403, BodyKind::Json),
            status(404, BodyKind::Html),
            FaultAction::Redirect {
                status: 307,
                to: format!(
                    "http://127.0.0.1:1/?secret={}",
                    c::PASSWORD.replace(' ', "+")
                ),
            },
            FaultAction::Empty,
            FaultAction::Half,
            FaultAction::WrongTypes,
            FaultAction::Token(format!("{}\r\nX: y", c::PASSWORD)),
            FaultAction::Raw(format!("HTTP/1.1 200 {}\r\n\r\n", c::PASSWORD).into_bytes()),
            FaultAction::Reset,
        ]
        .map(Some),
    );
    all
}

/// Runs a command here, with the log at its highest level; what it printed.
fn run(environment: &Environment, temporary: &Path, case: &CommandCase) -> (String, String) {
    let (mut out, mut err, mut stdin) = (
        Vec::new(),
        Vec::new(),
        Cursor::new(case.input.clone().into_bytes()),
    );
    let context = CliContext {
        environment: Arc::clone(environment),
        temp_dir: temporary.to_owned(),
        stdin_is_terminal: false,
    };
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(&mut out, TerminalCaps::PLAIN),
        stderr: Output::new(&mut err, TerminalCaps::PLAIN),
        detach_stdout: || Ok(()),
        json: JsonOutput::Off,
    };
    let words = case.words.iter().map(OsString::from).collect();
    let command = args::parse(words, &mut streams)
        .unwrap_or_else(|_| panic!("cannot parse {:?}", case.words));
    keyferry_cli::commands::run(command, &context, &mut streams);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(out), text(err))
}

#[test]
fn no_command_shows_a_secret_under_any_fault() {
    let harness = Harness::watching_arguments();
    let take = |_, text: &str| LOGGED.lock().unwrap().push(text.to_owned());
    log::install(Some(Level::Debug), Some(Box::new(take))).unwrap();
    let mut variables = harness.sandbox().variables();
    variables.retain(|(name, _)| !name.starts_with('#') && name != "KEYFERRY_STORE");
    let more = [
        ("HOME", harness.path("home").display().to_string()),
        ("GIT_TERMINAL_PROMPT", "0".into()),
    ];
    variables.extend(more.map(|(name, value)| (name.to_owned(), value)));
    variables.push(("KEYFERRY_HTTP_TIMEOUT_MS".to_owned(), "400".to_owned()));
    let environment: Environment = Arc::new(move |name| {
        variables
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into())
    });
    let mut count = 0;
    for action in fault_actions() {
        // Refusals, pauses and tokens of the one before are no part of this.
        for folder in [".local", ".config"] {
            let _ = fs::remove_dir_all(harness.path("home").join(folder));
        }
        if let Some(action) = action.clone() {
            harness.sandbox().fault(Fault::new(action).forever());
        }
        for case in command_cases(&harness) {
            let (out, err) = run(&environment, &harness.path("work"), &case);
            let why = format!("{:?} under {action:?}", case.words);
            assert!(
                secrets_in(&err).is_empty(),
                "{why}: {:?} on standard error: {err}",
                secrets_in(&err)
            );
            // What is printed is a token, a key that is one, or a link's; never what logs in.
            let never = |secret: &&str| {
                !case.prints_token
                    || [c::PASSWORD, c::SECOND_PASSWORD, c::LINK_PASSWORD].contains(secret)
            };
            let shown: Vec<_> = secrets_in(&out)
                .into_iter()
                .filter(|secret| never(secret))
                .collect();
            let is_echo = case.prints_token
                && out.contains(c::PASSWORD)
                && matches!(action, Some(FaultAction::Literal { .. }));
            assert!(
                shown.is_empty() || is_echo,
                "{why}: {shown:?} on standard output: {out}"
            );
            count += 1;
        }
        // The directory `secrets` has the secrets that the user asked to save in clear.
        for directory in ["home", "work"] {
            let context = format!("{action:?}");
            assert_sealed(&harness.path(directory), Some("secrets"), &context);
        }
        harness.sandbox().clear_faults();
    }
    let logged = LOGGED.lock().unwrap();
    assert!(
        count > 500 && logged.len() > 100,
        "{count} commands, {} messages",
        logged.len()
    );
    logged.iter().for_each(|text| {
        assert!(
            secrets_in(text).is_empty(),
            "{:?} was logged: {text}",
            secrets_in(text)
        )
    });
    harness.assert_no_secret_in_argv();
}

#[test]
fn a_program_that_is_started_for_another_end_inherits_no_secret() {
    let harness = Harness::watching_arguments();
    let script = |name: &str, prints_token: &str| {
        let text = format!(
            "#!/bin/sh\nenv >> '{}'\n{prints_token}\n",
            harness.path("seen").display()
        );
        let path = harness.write_private_file(name, &text);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        path
    };
    let password = script("password", "echo wrong");
    let askpass = script("askpass", "echo wrong");
    script("bin/git", "exit 1");
    let config = format!(
        "[masv]\npassword = {{ command = [\"{}\"] }}\n",
        password.display()
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &config);
    let host = protocol_and_host(harness.sandbox().masv_url());
    let path = format!(
        "{}:{}",
        harness.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    for (arguments, is_asked) in [(["login", "masv"], false), (["git", "get"], true)] {
        let mut command = harness.program(KEYFERRY, &arguments);
        command
            .env("PATH", &path)
            .env("GIT_ASKPASS", &askpass)
            .env_remove("GIT_TERMINAL_PROMPT")
            .env_remove("KEYFERRY_MASV_PASSWORD");
        if is_asked {
            fs::remove_file(harness.config()).unwrap();
        }
        let output = run_with_input(
            command.env("MASV_API_KEY", "").env("MINE", "stays"),
            &format!("{host}path=v1/user\n"),
        );
        assert_ne!(output.code, Some(101), "{output:?}");
    }
    let seen = fs::read_to_string(harness.path("seen")).unwrap();
    assert!(
        seen.matches("MINE=stays").count() == 3,
        "the command, git and the window were asked: {seen}"
    );
    assert!(
        secrets_in(&seen).is_empty(),
        "{:?}: {seen}",
        secrets_in(&seen)
    );
}
