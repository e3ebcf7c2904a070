//! `KEYFERRY_LOG`, `-v`, and the warnings about unknown variables.

use std::process::Command;
use std::thread;
use std::time::Duration;

use keyferry_sandbox::{Fault, credentials as c};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::studio::{KEY, Studio};

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};

fn debug(command: &mut Command) -> &mut Command {
    command
        .env("KEYFERRY_LOG", "debug")
        .env("KEYFERRY_STORE", "file")
}

fn header(harness: &Harness, resource: &str) -> Command {
    let mut command = harness.program(KEYFERRY, &["header", resource]);
    debug(&mut command);
    command
}

/// Runs a command with the debug log, which must contain each of `hints` and no secret.
#[track_caller]
fn assert_logs(command: &mut Command, input: &str, hints: &[&str]) -> ProgramOutput {
    let output = run_with_input(command, input);
    keyferry_testing::secrets::assert_no_secrets(&output.err);
    for hint in hints {
        assert!(output.err.contains(hint), "{hint}: {}", output.err);
    }
    output
}

#[test]
fn the_log_has_time_method_path_status_and_duration() {
    let harness = Harness::watching_arguments();
    let output = assert_logs(&mut header(&harness, "user"), "", &[]);
    let line = output
        .err
        .lines()
        .find(|line| line.contains("POST"))
        .unwrap();
    let mut words = line.split(' ');
    let (prefix, time, level) = (words.next(), words.next().unwrap(), words.next());
    assert_eq!(
        (prefix, level),
        (Some("keyferry:"), Some("debug:")),
        "{line}"
    );
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    let rest = words.collect::<Vec<_>>().join(" ");
    let start = format!(
        "masv: POST {}/v1/auth: status 200 after ",
        harness.sandbox().masv_url()
    );
    let ms = rest
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix(" ms"));
    assert!(ms.is_some_and(|ms| ms.parse::<u64>().is_ok()), "{line}");
    assert!(
        output
            .err
            .contains("masv: `masv.password` is set by KEYFERRY_MASV_PASSWORD")
    );
    assert!(output.out.starts_with("X-User-Token: "));
    assert_logs(
        &mut header(&harness, "user"),
        "",
        &["debug: masv user: using the token from the store, generation "],
    );
}

#[test]
fn each_level_shows_its_lines_and_the_default_shows_none() {
    let harness = Harness::watching_arguments();
    let run = |level: &str, words: &[&str]| {
        let mut command = harness.program(KEYFERRY, words);
        run_with_input(command.env("KEYFERRY_LOG", level), "").err
    };
    assert_eq!(run("", &["header", "user"]), "");
    assert_eq!(run("error", &["header", "user"]), "");
    assert_eq!(run("warn", &["header", "user"]), "");
    let info = run("info", &["header", "user"]);
    assert!(
        info.contains(" info: acquired a token for masv user"),
        "{info}"
    );
    assert!(!info.contains(" debug: "), "{info}");
    let misspelt = run("debgu", &["header", "user"]);
    assert_eq!(
        misspelt,
        "keyferry: warning: the value of KEYFERRY_LOG is not a level; did you mean debug? use error, warn, info or debug\n"
    );
    for words in [
        &["header", "-v", "user"][..],
        &["token", "--verbose", "user"],
        &["curl", "-v", "user"],
        &["login", "-v", "masv"],
        &["doctor", "-v"],
        &["agent", "-v"],
        &["agent", "sign-in", "-v"],
    ] {
        let err = run("", words);
        assert!(
            err.contains(" debug: ") && err.contains(" ms"),
            "{words:?}: {err}"
        );
    }
}

#[test]
fn the_log_has_no_query_no_link_password_and_no_plugin_s_path() {
    let harness = Harness::watching_arguments();
    let link = format!("links/{}?secret={}\n", c::LINK_ID, c::LINK_SECRET);
    let path = format!("/v1/links/{}", c::LINK_ID);
    assert_logs(&mut header(&harness, "-"), &link, &[&path]);
    let (plugin, studio) = (harness.plugin("template.c", &[]), Studio::start());
    let url = format!("{}/v1/library", studio.url());
    let mut command = harness.isolated_program(KEYFERRY, &["header", &url]);
    command
        .env("KEYFERRY_PLUGINS", &plugin)
        .env("KEYFERRY_TEMPLATE_URL", studio.url())
        .env("KEYFERRY_TEMPLATE_KEY", KEY);
    let hint = format!("POST {}/…: status ", studio.url());
    let output = assert_logs(debug(&mut command), "", &[&hint]);
    assert!(
        !keyferry_testing::secrets::leaks(&output.err, &[KEY]),
        "{}",
        output.err
    );
    assert!(!output.err.contains("/v1/"), "{}", output.err);
}

#[test]
fn the_log_has_pauses_recorded_failures_and_proxies() {
    let harness = Harness::watching_arguments();
    let wrong = || {
        let mut command = header(&harness, "user");
        command.env("KEYFERRY_MASV_PASSWORD", "made-up");
        command
    };
    assert_logs(&mut wrong(), "", &["/v1/auth: status 401 after "]);
    assert_logs(&mut wrong(), "", &["masv: no request for the next "]);
    let package = format!("packages/{}", c::PACKAGE_ID);
    assert_logs(&mut header(&harness, "user"), "", &[]);
    harness
        .sandbox()
        .fault(Fault::status(503).method("GET").times(1));
    assert_logs(
        &mut header(&harness, &package),
        "",
        &["status 503 after ", "masv: retry after a pause of "],
    );
    let output = assert_logs(
        header(&harness, "masv:/v1/teams")
            .env("KEYFERRY_MASV_URL", "https://masv.invalid")
            .env("HTTPS_PROXY", "http://ann:proxy-password@127.0.0.1:1"),
        "",
        &[
            "through the proxy 127.0.0.1:1 of HTTPS_PROXY",
            "failed after ",
        ],
    );
    assert!(
        !output.err.contains("proxy-password") && !output.err.contains("ann:"),
        "{}",
        output.err
    );
}

#[test]
fn the_log_tells_of_a_lock_that_another_process_holds() {
    let harness = Harness::watching_arguments();
    // The first process holds the lock until the service responds.
    let slow = Fault::slow(Duration::from_secs(5)).path("/v1/auth");
    harness.sandbox().fault(slow.times(1));
    thread::scope(|scope| {
        let first = scope.spawn(|| assert_logs(&mut header(&harness, "user"), "", &["status 200"]));
        assert!(
            harness
                .sandbox()
                .wait_for("requests", 1, Duration::from_secs(60))
        );
        assert_logs(
            &mut header(&harness, "user"),
            "",
            &[
                "masv user: waiting for the lock, because another process is fetching this token",
                "masv user: another process or call has fetched the token, generation ",
            ],
        );
        first.join().unwrap();
    });
}

#[test]
fn git_and_build_tools_get_the_log_and_no_secret() {
    let harness = Harness::watching_arguments();
    let host = protocol_and_host(harness.sandbox().fileverbs_url());
    let git = &mut harness.program(HELPER, &["get"]);
    let output = assert_logs(debug(git), &host, &["debug: fileverbs: POST "]);
    assert!(output.line("password").is_some(), "{output:?}");
    let uri = format!("{{\"uri\":\"{}/v1/teams\"}}", harness.sandbox().masv_url());
    let get = &mut harness.program(KEYFERRY, &["get"]);
    assert_logs(debug(get), &uri, &["debug: masv: POST "]);
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_name() {
    let harness = Harness::watching_arguments();
    let wrong = "keyferry: warning: keyferry has no variable KEYFERRY_MASV_PASWORD; did you mean KEYFERRY_MASV_PASSWORD?\n";
    for words in [
        &["header", "user"][..],
        &["explain", "user"],
        &["status"],
        &["doctor"],
        &["config"],
        &["plugin", "list"],
        &["logout"],
        &["exec", "--", "true"],
        &["get"],
    ] {
        let mut command = harness.program(KEYFERRY, words);
        let output = run_with_input(command.env("KEYFERRY_MASV_PASWORD", "x"), "");
        assert!(output.err.starts_with(wrong), "{words:?}: {}", output.err);
    }
    let host = protocol_and_host(harness.sandbox().fileverbs_url());
    for (program, words) in [(HELPER, &["get"][..]), (KEYFERRY, &["git", "get"])] {
        let mut command = harness.program(program, words);
        let output = run_with_input(command.env("KEYFERRY_MASV_PASWORD", "x"), &host);
        assert_eq!(
            (output.code, output.err.as_str()),
            (Some(0), ""),
            "{words:?}"
        );
    }
}

#[test]
fn a_variable_of_a_plugin_or_another_part_is_known() {
    let harness = Harness::new();
    let plugin = harness.plugin("template.c", &[]);
    let run = |plugins: &str, variable: &str| {
        let mut command = harness.isolated_program(KEYFERRY, &["config"]);
        command.env("KEYFERRY_PLUGINS", plugins).env(variable, "1");
        let output = run_with_input(&mut command, "");
        (output.code, output.err)
    };
    let plugin = plugin.to_str().unwrap();
    for known in [
        "KEYFERRY_TEMPLATE_KEY",
        "KEYFERRY_SANDBOX_PID",
        "KEYFERRY_UPDATE",
        "KEYFERRY_LIBRARY",
    ] {
        assert_eq!(run(plugin, known), (Some(0), String::new()), "{known}");
    }
    let (_, misspelt) = run(plugin, "KEYFERRY_TEMPLATE_KEI");
    assert!(
        misspelt.contains("did you mean KEYFERRY_TEMPLATE_KEY?"),
        "{misspelt}"
    );
    let (_, unknown) = run("", "KEYFERRY_TEMPLATE_KEY");
    assert!(
        unknown.contains("keyferry has no variable KEYFERRY_TEMPLATE_KEY; "),
        "{unknown}"
    );
    // The variable may belong to the plugin that cannot be loaded.
    let (_, missing) = run("/nonexistent/plugin.so", "KEYFERRY_OTHER_KEY");
    assert!(!missing.contains("has no variable"), "{missing}");
}
