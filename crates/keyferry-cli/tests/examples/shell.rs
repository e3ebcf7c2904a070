//! The examples for the shell and for CI jobs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use keyferry_sandbox::{Fault, credentials as c};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::upload_example::{Input, UploadExample};
use keyferry_testing::{documents, files, masv_packages, skip};
use serde_json::json;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");

/// curl adds one line to some messages.
const CURL_NOTICES: usize = 1;

/// Returns a command with keyferry in its `PATH` and the credentials of the sandbox.
fn command(harness: &Harness, program: impl AsRef<OsStr>) -> Command {
    let programs = harness.path("bin");
    let link = programs.join(Path::new(KEYFERRY).file_name().unwrap());
    if !link.exists() {
        fs::create_dir(&programs).unwrap();
        symlink(KEYFERRY, link).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)));
    let mut command = harness.program(program, &[]);
    command
        .env("PATH", path.unwrap())
        .env("KEYFERRY_STORE", "file");
    command
}

/// Returns the script; `None`, after skipping the test, without the programs that it runs.
fn upload() -> Option<UploadExample> {
    (!without_programs()).then(|| UploadExample {
        command: Box::new(|harness| command(harness, files::file("examples/shell/upload.sh"))),
        input: Input::File,
    })
}

fn without_programs() -> bool {
    skip::without(&["bash", "curl", "jq"])
}

#[test]
fn the_script_moves_every_byte() {
    if let Some(example) = upload() {
        example.check_success();
    }
}

#[test]
fn the_script_sends_a_long_file_in_parts() {
    if let Some(example) = upload() {
        example.check_parts();
    }
}

#[test]
fn the_script_replaces_a_rejected_token_once() {
    if let Some(example) = upload() {
        example.check_rejected_tokens();
    }
}

#[test]
fn the_script_names_the_cause_and_the_remedy_of_each_failure() {
    if let Some(example) = upload() {
        example.check_failures(CURL_NOTICES, 3);
    }
}

#[test]
fn the_script_shows_its_progress_on_a_terminal() {
    if skip::without(&["python3"]) {
        return;
    }
    if let Some(example) = upload() {
        example.check_terminal();
    }
}

/// Runs the shell code of `examples/README.md` in a directory with the examples.
#[test]
fn the_script_runs_as_the_page_says() {
    if without_programs() {
        return;
    }
    let harness = Harness::new();
    symlink(files::file("examples"), harness.path("work/examples")).unwrap();
    let page = documents::read("examples/README.md");
    let blocks = documents::blocks(&page).into_iter();
    let code: String = blocks
        .filter(|block| block.language == "sh")
        .map(|block| block.text)
        .collect();
    let script = harness.write_private_file("script", &format!("set -euo pipefail\n{code}"));
    let mut bash = command(&harness, "bash");
    let ended = run_with_input(bash.arg(script), "");
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (Some(0), ""),
        "{}",
        ended.out
    );
    assert!(ended.out.starts_with("packages/"), "{}", ended.out);
}

/// Checks that the trace of the shell, which people turn on to find a fault, shows no credential.
#[test]
fn the_script_has_no_secret_in_a_trace() {
    if without_programs() {
        return;
    }
    let script = files::file("examples/shell/upload.sh");
    let harness = Harness::new();
    fs::write(harness.path("work/hello.txt"), "hello\n").unwrap();
    let token = run_with_input(command(&harness, KEYFERRY).args(["token", "user"]), "");
    for key in [Some(c::API_KEY), None] {
        let mut bash = command(&harness, "bash");
        bash.arg("-x").arg(&script).arg("hello.txt");
        bash.envs(key.map(|key| ("KEYFERRY_MASV_API_KEY", key)));
        let ended = run_with_input(&mut bash, "");
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let secret = key.unwrap_or(token.out.trim_end());
        assert!(secret.len() > 10 && !ended.err.contains(secret));
        assert!(!ended.err.contains("ignature="), "{}", ended.err);
        ended.assert_no_secrets();
    }
}

/// Checks which team the script uses if the account has two.
#[test]
fn the_script_uses_the_configured_team() {
    if without_programs() {
        return;
    }
    let harness = Harness::new();
    harness.sandbox().configure("teams", json!(2));
    fs::write(harness.path("work/hello.txt"), "hello\n").unwrap();
    let upload = |setting: &str| {
        let mut script = command(&harness, files::file("examples/shell/upload.sh"));
        script.arg("hello.txt").env("KEYFERRY_MASV_TEAM", setting);
        run_with_input(&mut script, "")
    };
    let created_in = |team: &str| {
        let path = format!("/v1/teams/{team}/packages");
        let requests = harness.sandbox().requests();
        requests.iter().filter(|sent| sent.path == path).count()
    };
    for setting in [c::TEAM_ID, "SANDBOX"] {
        let ended = upload(setting);
        assert_eq!(ended.code, Some(0), "{setting}: {}", ended.err);
    }
    assert_eq!(created_in(c::TEAM_ID), 2);

    let unknown = upload("elsewhere");
    assert_eq!(unknown.code, Some(3), "{}", unknown.err);
    assert!(unknown.err.contains("no team elsewhere"), "{}", unknown.err);
    let several = upload("");
    assert_eq!(several.code, Some(2), "{}", several.err);
    assert!(several.err.contains("set `masv.team`"), "{}", several.err);
    assert_eq!(created_in(c::TEAM_ID), 2);
}

/// Runs the shell code of the CI job with an API key. Returns what it printed.
fn deliver(
    harness: &Harness,
    prepare: impl Fn(&mut Command),
) -> keyferry_testing::child::ProgramOutput {
    fs::write(harness.path("work/delivery.zip"), "PK\u{3}\u{4}").unwrap();
    let mut command = command(harness, files::file("examples/ci/deliver.sh"));
    for name in [
        "KEYFERRY_MASV_EMAIL",
        "KEYFERRY_MASV_PASSWORD",
        "KEYFERRY_STORE",
    ] {
        command.env_remove(name);
    }
    command
        .arg("delivery.zip")
        .env("DELIVER_DELAYS", "0 0 0")
        .env("KEYFERRY_MASV_API_KEY", c::API_KEY);
    prepare(&mut command);
    run_with_input(&mut command, "")
}

#[test]
fn the_job_uploads_with_a_key_in_a_variable_or_a_file_and_leaves_nothing_behind() {
    if without_programs() {
        return;
    }
    for in_file in [false, true] {
        let harness = Harness::watching_arguments();
        let key = harness.write_private_file("key", c::API_KEY);
        let output = harness.path("github-output");
        let ended = deliver(&harness, |command| {
            command.env("GITHUB_OUTPUT", &output);
            command.env("TMPDIR", harness.path("runtime"));
            if in_file {
                command
                    .env_remove("KEYFERRY_MASV_API_KEY")
                    .env("KEYFERRY_MASV_API_KEY_FILE", &key);
            }
        });
        ended.assert_silent();
        let output = fs::read_to_string(output).unwrap();
        let package = output.strip_prefix("package=packages/").unwrap().trim_end();
        let stored = masv_packages::download(harness.sandbox(), package);
        assert_eq!(stored["delivery.zip"], b"PK\x03\x04");
        harness.assert_no_secret_in_argv();
        for folder in ["home", "runtime"] {
            assert_eq!(
                fs::read_dir(harness.path(folder)).unwrap().count(),
                0,
                "{folder}"
            );
        }
    }
}

#[test]
fn the_job_retries_while_masv_is_unavailable_and_stops_at_a_wrong_key() {
    if without_programs() {
        return;
    }
    let harness = Harness::new();
    harness
        .sandbox()
        .fault(Fault::status(503).path("/v1/teams/").times(2));
    let ended = deliver(&harness, |_| {});
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    assert_eq!(
        ended.err.matches("retrying in 0 s").count(),
        2,
        "{}",
        ended.err
    );

    let harness = Harness::new();
    harness
        .sandbox()
        .fault(Fault::status(503).path("/v1/teams/").forever());
    let ended = deliver(&harness, |_| {});
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(4), ""),
        "{}",
        ended.err
    );
    assert_eq!(ended.err.matches("retrying").count(), 3, "{}", ended.err);
    assert!(
        ended.err.ends_with("run this job again later\n"),
        "{}",
        ended.err
    );

    let harness = Harness::new();
    let ended = deliver(&harness, |command| {
        command.env("KEYFERRY_MASV_API_KEY", "wrong");
    });
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(3), ""),
        "{}",
        ended.err
    );
    let says_who_acts = ended.err.contains("correct the secret MASV_API_KEY");
    assert!(says_who_acts, "{}", ended.err);
    assert!(
        ended.err.contains("rejected") && !ended.err.contains("retrying"),
        "{}",
        ended.err
    );
    ended.assert_no_secrets();

    let ended = deliver(&harness, |command| {
        command.env_remove("KEYFERRY_MASV_API_KEY");
    });
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(
        ended.err.contains("set the secret MASV_API_KEY"),
        "{}",
        ended.err
    );
    let is_variable_named = ended.err.contains("as KEYFERRY_MASV_API_KEY\n");
    assert!(is_variable_named, "{}", ended.err);
}

#[test]
fn the_job_takes_the_key_from_each_variable_of_the_setting() {
    if without_programs() {
        return;
    }
    let harness = Harness::new();
    let key = harness.write_private_file("key", c::API_KEY);
    for (name, value) in [
        ("MASV_API_KEY", OsStr::new(c::API_KEY)),
        ("MASV_API_KEY_FILE", key.as_os_str()),
    ] {
        let ended = deliver(&harness, |command| {
            command.env_remove("KEYFERRY_MASV_API_KEY").env(name, value);
        });
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
        assert!(ended.out.starts_with("package=packages/"), "{}", ended.out);
    }
}

/// Without `GITHUB_OUTPUT`, the job prints its output. A log that it shares keeps all its lines.
#[test]
fn the_job_overwrites_no_log() {
    if without_programs() {
        return;
    }
    let harness = Harness::new();
    let log = harness.path("log");
    let ended = deliver(&harness, |job| {
        let deliver = job.get_program().to_owned();
        let variables: Vec<_> = job
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(OsStr::to_owned)))
            .collect();
        *job = command(&harness, "bash");
        let script = r#"exec > "$2"; echo before; "$1" delivery.zip; echo after"#;
        job.args(["-c", script, "bash"]);
        job.arg(deliver).arg(&log);
        for (name, value) in variables {
            match value {
                Some(value) => job.env(name, value),
                None => job.env_remove(name),
            };
        }
    });
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log:?}");
    assert_eq!((lines[0], lines[2]), ("before", "after"));
    assert!(lines[1].starts_with("package=packages/"), "{log:?}");
}

/// `Retry-After` arrives in a response to curl, or in a response to keyferry, which fetches the
/// package's token. keyferry itself waits for a short pause.
#[test]
fn the_job_waits_as_long_as_masv_asks() {
    if without_programs() {
        return;
    }
    let throttle = |path: &str, seconds: &str| {
        let harness = Harness::new();
        let fault = Fault::status(429).path(path).retry_after(seconds);
        harness.sandbox().fault(fault);
        deliver(&harness, |_| {})
    };
    let ended = throttle("/v1/teams/", "1");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("retrying in 1 s"), "{}", ended.err);

    // keyferry remembers a pause for at most 900 s.
    for (path, pause) in [("/v1/teams/", 1800), ("/v1.1/teams/", 900)] {
        let ended = throttle(path, "1800");
        assert_eq!(ended.code, Some(4), "{path}: {}", ended.err);
        let is_pause_named = ended.err.contains(&format!("a pause of {pause} s"));
        assert!(is_pause_named, "{path}: {}", ended.err);
        assert!(!ended.err.contains("retrying"), "{path}: {}", ended.err);
    }
}

/// The job is a file for GitHub. This test finds what that file runs: if a script moves, or a
/// secret is given to another step, it fails.
#[test]
fn the_job_runs_the_script_and_gives_the_key_to_this_step_alone() {
    let job = documents::read("examples/ci/deliver.yml");
    let steps: Vec<_> = job.split("\n      - ").skip(1).collect();
    assert_eq!(steps.len(), 4);
    let with_secret: Vec<_> = steps
        .iter()
        .filter(|step| step.contains("secrets."))
        .collect();
    assert_eq!(with_secret.len(), 1);
    let upload = with_secret[0];
    assert!(upload.contains("KEYFERRY_MASV_API_KEY: ${{ secrets.MASV_API_KEY }}\n"));
    assert!(upload.contains("/examples/ci/deliver.sh\" delivery.zip\n"));
    // GitHub fills these in before the shell reads the line, so that a value could be code.
    let code = job.lines().filter(|line| line.contains("run:"));
    assert!(code.clone().count() == 3 && !code.into_iter().any(|line| line.contains("${{")));
}
