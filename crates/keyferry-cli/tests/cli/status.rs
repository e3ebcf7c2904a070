//! `status`, `explain`, `config` and `doctor`: tables that tell everything but secrets.

use std::collections::BTreeMap;
use std::fs;

use keyferry_sandbox::{Fault, credentials as c};
use serde_json::Value;

use crate::programs::{KEYFERRY, Programs};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secrets;

fn json(output: &ProgramOutput) -> Value {
    output.assert_no_secrets();
    serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The fields of each line.
fn fields(output: &ProgramOutput) -> Vec<Vec<&str>> {
    output.assert_no_secrets();
    output
        .out
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|field| !field.is_empty())
                .collect()
        })
        .collect()
}

#[test]
fn status_says_who_is_logged_in_to_each_service_of_each_profile() {
    let harness = Harness::watching_arguments();
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        &format!("[profile.work.masv]\napi_key = \"{}\"\n", c::API_KEY),
    );
    let output = harness.keyferry(&["status"]);
    let rows = fields(&output);
    assert_eq!(rows[0], ["service", "profile", "user", "state"]);
    assert!(
        rows.iter().all(|row| row.len() == 4) && rows.len() == 5,
        "{}",
        output.out
    );
    let row = |service: &str, profile: &str| {
        let found = rows.iter().find(|row| row[..2] == [service, profile]);
        found.unwrap_or_else(|| panic!("{}", output.out))[2..].to_vec()
    };
    assert_eq!(
        row("masv", "default"),
        [
            "-",
            "logs in when needed, with masv.email from variable KEYFERRY_MASV_EMAIL and masv.password from variable KEYFERRY_MASV_PASSWORD"
        ]
    );
    assert_eq!(
        row("masv", "work"),
        [
            "-",
            "uses masv.api_key from file ~/.config/keyferry/config.toml"
        ]
    );
    let object = json(&harness.keyferry(&["status", "--json"]));
    assert_eq!(
        (
            object["store"].as_str(),
            object["services"].as_array().map(Vec::len)
        ),
        (Some("memory"), Some(4))
    );
    let bare = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["status"]),
        "",
    );
    for remedy in [
        "not logged in; run `keyferry login masv`",
        "not logged in; run `keyferry login fileverbs`",
    ] {
        assert!(bare.out.contains(remedy), "{}", bare.out);
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
    let run = |arguments: &[&str]| {
        let mut command = harness.program(KEYFERRY, arguments);
        run_with_input(command.env_remove("KEYFERRY_STORE"), "")
    };
    assert_eq!(run(&["login", "masv"]).code, Some(0));
    let output = run(&["status"]);
    let rows = fields(&output);
    let row = rows.iter().find(|row| row[..2] == ["masv", "default"]);
    let (user, state) = (row.unwrap()[2], row.unwrap()[3]);
    assert_eq!(user, c::EMAIL);
    assert!(
        state.starts_with("logged in, ") && state.ends_with(" left"),
        "{state}"
    );
    let tokens = json(&run(&["status", "--json"]));
    assert_eq!(tokens["tokens"][0]["user"], c::EMAIL);
}

/// `explain` reads the store, and says who is logged in, for how long, and what happens next.
#[test]
fn explain_says_where_the_header_comes_from_and_why_a_request_would_fail() {
    let harness = Harness::watching_arguments();
    let password = harness.write_private_file("home/pw", "wrong");
    let run = |arguments: &[&str]| {
        let mut command = harness.program_without_secrets(KEYFERRY, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("KEYFERRY_MASV_EMAIL", c::EMAIL)
            .env("KEYFERRY_MASV_PASSWORD_FILE", &password);
        let output = run_with_input(&mut command, "");
        assert_no_secrets(&output.err);
        output
    };
    let rows = |arguments: &[&str]| -> BTreeMap<String, String> {
        let output = run(arguments);
        assert_eq!(output.code, Some(0), "{output:?}");
        let rows = fields(&output).into_iter();
        rows.map(|row| (row[0].to_owned(), row[1].to_owned()))
            .collect()
    };
    let before = rows(&["explain", "user"]);
    assert_eq!(before["header"], "X-User-Token");
    assert_eq!(
        before["from"],
        "masv, in return for masv.email from variable KEYFERRY_MASV_EMAIL and masv.password from file ~/pw"
    );
    assert_eq!(before["next"], "sends these secrets to masv for a token");
    assert_eq!(harness.sandbox().count("requests"), 0);

    run(&["header", "user"]).assert_error(3, "`masv.password` from file ");
    let package = format!("packages/{}", c::PACKAGE_ID);
    for resource in ["user", &package] {
        let next = &rows(&["explain", resource])["next"];
        for part in [
            "would fail: MASV rejected the e-mail and password; check",
            "`masv.password` from file ~/pw (refused ",
            " ago; tried again in ",
        ] {
            assert!(next.contains(part), "{resource}: {next}");
        }
    }
    let explained: Value = serde_json::from_str(&run(&["explain", "user", "--json"]).out).unwrap();
    assert_eq!(
        explained["next"],
        "the last error is returned until the pause ends"
    );
    assert_eq!(
        explained["pause"]["error"],
        explained["fetch"]["failure"]["message"]
    );
    let status = run(&["status"]).out;
    assert!(
        status.contains("the last login was refused; run `keyferry doctor`"),
        "{status}"
    );
    let doctor = run(&["doctor"]);
    assert_eq!(doctor.code, Some(3), "{}", doctor.out);
    let row = doctor
        .out
        .lines()
        .find(|line| line.starts_with("masv login"));
    let row = row.unwrap_or_else(|| panic!("{}", doctor.out));
    for part in ["  BAD  ", "`masv.password` from file ~/pw (refused "] {
        assert!(row.contains(part), "{row}");
    }

    fs::write(&password, c::PASSWORD).unwrap();
    let requests = harness.sandbox().count("login");
    let doctor = run(&["doctor", "--login"]);
    let accepted = "masv accepted masv.email and masv.password";
    assert!(doctor.out.contains(accepted), "{}", doctor.out);
    assert_eq!(harness.sandbox().count("login"), requests + 1);
    assert_eq!(
        json(&run(&["status", "--json"]))["tokens"]
            .as_array()
            .unwrap()
            .len(),
        0
    );

    run(&["header", "user"]);
    let after = rows(&["explain", "user"]);
    assert_eq!(after["from"], "the store (file)");
    assert_eq!(after["user"], c::EMAIL);
    assert!(
        after["lasts"].starts_with("2 d 23 h") || after["lasts"].starts_with("3 d"),
        "{after:?}"
    );
    assert_eq!(after["next"], "returns this token, without a request");
    let verbose = rows(&["explain", "user", "--verbose"]);
    assert_eq!(verbose["store"], "file");
    assert!(verbose.contains_key("token.generation"), "{verbose:?}");

    // A pause of the user's reads.
    let throttle = Fault::status(429).path("/v1.1/teams").retry_after("600");
    harness.sandbox().fault(throttle);
    run(&["header", &package]).assert_error(4, "(429)");
    let next = &rows(&["explain", &package])["next"];
    let paused = "would fail: MASV is rate limiting requests (429); retry later (asked to pause ";
    assert!(next.starts_with(paused), "{next}");
    let doctor = run(&["doctor"]);
    assert_eq!(doctor.code, Some(4), "{}", doctor.out);
    assert!(
        doctor.out.contains("\nmasv pause ") && !doctor.out.contains("\nmasv login "),
        "a pause of reads is no login: {}",
        doctor.out
    );
}

#[test]
fn explain_takes_the_password_of_a_link() {
    let harness = Harness::watching_arguments();
    let link = format!(
        "links/{}?secret={}\n",
        c::PROTECTED_LINK_ID,
        c::PROTECTED_LINK_SECRET
    );
    let run = |arguments: &[&str]| {
        let mut command = harness.program_without_secrets(KEYFERRY, arguments);
        run_with_input(command.env_remove("KEYFERRY_STORE"), &link)
    };
    let next = |output: &ProgramOutput| {
        let rows = fields(output);
        let row = rows.iter().find(|row| row[0] == "next");
        row.unwrap_or_else(|| panic!("{output:?}"))[1].to_owned()
    };
    let file = harness.write_private_file("home/link-password", c::LINK_PASSWORD);
    let with_password = ["--link-password-file", file.to_str().unwrap(), "-"];
    let explain = |more: &[&str]| run(&[&["explain"], more].concat());
    assert_eq!(run(&["header", "-"]).code, Some(3));
    let refused = next(&explain(&["-"]));
    assert!(
        refused.starts_with("would fail: MASV rejected"),
        "{refused}"
    );
    assert_eq!(
        next(&explain(&with_password)),
        "sends the link's secret to masv for a token"
    );
    let header = run(&[&["header"], &with_password[..]].concat());
    assert_eq!(header.code, Some(0), "{header:?}");
    assert_eq!(
        next(&explain(&with_password)),
        "returns this token, without a request"
    );
}

#[test]
fn status_and_header_tell_the_same_end_whatever_the_service_s_clock_shows() {
    for ahead_s in [1800, -1800] {
        let harness = Harness::watching_arguments();
        harness.sandbox().clock().set_offset_ms(ahead_s * 1000);
        let run = |arguments: &[&str]| {
            json(&run_with_input(
                harness
                    .program(KEYFERRY, arguments)
                    .env_remove("KEYFERRY_STORE"),
                "",
            ))
        };
        let login = run(&["login", "fileverbs", "--json"]);
        let status = run(&["status", "--json"]);
        let now_s = keyferry::clock::Clock::system().now_us() / 1_000_000;
        let left_s = status["tokens"][0]["life_left_s"].as_i64().unwrap();
        let ends = login["expires_at"].as_str().unwrap();
        let ends_s =
            time::OffsetDateTime::parse(ends, &time::format_description::well_known::Rfc3339)
                .unwrap()
                .unix_timestamp();
        // The second in which status was asked, and the one after it.
        assert!(
            (left_s - (ends_s - now_s)).abs() <= 2,
            "{ahead_s} s ahead: {left_s} s left, and {ends} is in {} s",
            ends_s - now_s
        );
    }
}

#[test]
fn explain_tells_the_way_without_going_it() {
    let harness = Harness::watching_arguments();
    let resource = format!("packages/{}", c::PACKAGE_ID);
    let output = harness.keyferry(&["explain", &resource]);
    assert!(
        fields(&output)
            .iter()
            .any(|row| *row == ["header", "X-Package-Token"]),
        "{}",
        output.out
    );
    let object = json(&harness.keyferry(&["explain", "--json", &resource]));
    assert_eq!(
        (object["service"].as_str(), object["access"].as_str()),
        (Some("masv"), Some("manage"))
    );
    let link = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["explain", "-"]),
        &format!("links/{}?secret={}\n", c::LINK_ID, c::LINK_SECRET),
    );
    assert_eq!(link.code, Some(0));
    link.assert_no_secrets();
    harness
        .keyferry(&["explain", "https://other.example/"])
        .assert_error(1, "no configured service");
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn config_says_who_set_what_and_shows_no_secret() {
    let harness = Harness::watching_arguments();
    let file = "[masv]\nteam = \"from-file\"\n[fileverbs]\nrefresh_cookie = \"mine\"\n[profile.work.masv]\npassword = { command = [\"/bin/echo\", \"canary\"] }\n";
    harness.write_private_file("home/.config/keyferry/config.toml", file);
    let output = harness.keyferry(&["config"]);
    let rows = fields(&output);
    let row = |key: &str| {
        rows.iter()
            .find(|row| row[0] == key)
            .unwrap_or_else(|| panic!("{key}: {}", output.out))
            .clone()
    };
    assert_eq!(
        row("masv.password"),
        ["masv.password", "(set)", "KEYFERRY_MASV_PASSWORD"]
    );
    assert_eq!(
        row("masv.team"),
        ["masv.team", c::TEAM_ID, "KEYFERRY_MASV_TEAM"]
    );
    assert_eq!(row("masv.api_key"), ["masv.api_key", "-", "not set"]);
    assert_eq!(
        row("http.timeout_ms"),
        ["http.timeout_ms", "30000", "default"]
    );
    assert!(row("fileverbs.refresh_cookie")[2].ends_with("config.toml"));
    let work = harness.keyferry(&["config", "--profile", "work", "--json"]);
    assert!(
        !work.out.contains("canary") && work.out.contains("command /bin/echo"),
        "{}",
        work.out
    );
    let object = json(&work);
    assert_eq!(
        object["settings"].as_array().unwrap().len(),
        keyferry::config::SETTINGS.len()
    );
    harness
        .keyferry(&["config", "--profile", "none"])
        .assert_error(3, "there is no profile none");
}

#[test]
fn doctor_finds_nothing_wrong_and_can_be_shown_to_a_stranger() {
    let harness = Harness::watching_arguments();
    let output = run_with_input(
        harness
            .program(KEYFERRY, &["doctor"])
            .env("https_proxy", "http://ann:hunter2@proxy.example:3128"),
        "",
    );
    assert_eq!(output.code, Some(0), "{}", output.out);
    let rows = fields(&output);
    assert!(
        rows.iter().all(|row| row.len() == 3 && row[1] != "BAD"),
        "{}",
        output.out
    );
    for check in [
        "configuration",
        "masv.password",
        "proxy",
        "store",
        "masv",
        "agent",
        "fileverbs",
        "clock",
    ] {
        assert!(
            rows.iter().any(|row| row[0] == check),
            "{check}: {}",
            output.out
        );
    }
    for private in [
        c::EMAIL,
        "hunter2",
        "ann",
        harness.path("home").to_str().unwrap(),
    ] {
        assert!(!output.out.contains(private), "{private}: {}", output.out);
    }
    assert!(output.out.contains("http://proxy.example:3128"));
    assert_eq!(
        (
            harness.sandbox().count("login"),
            harness.sandbox().count("fileverbs_login")
        ),
        (0, 0),
        "it logs in nowhere"
    );
}

#[test]
fn doctor_names_what_is_wrong_and_what_mends_it() {
    let harness = Harness::watching_arguments();
    let bad = |code: i32, output: &ProgramOutput| {
        assert_eq!(output.code, Some(code), "{}", output.out);
        let object = json(output);
        assert_eq!(object["ok"], false);
        let checks = object["checks"].as_array().unwrap().clone();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        checks
            .iter()
            .filter(|row| row["state"] == "BAD")
            .map(|row| (text(row, "check"), text(row, "what")))
            .collect::<Vec<_>>()
    };
    let doctor = |variables: &[(&str, &str)]| {
        run_with_input(
            harness
                .program(KEYFERRY, &["doctor", "--json"])
                .envs(variables.iter().copied()),
            "",
        )
    };
    let found = bad(
        4,
        &doctor(&[("KEYFERRY_FILEVERBS_URL", "http://127.0.0.1:1")]),
    );
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "fileverbs"),
        "{found:?}"
    );
    let found = bad(
        3,
        &doctor(&[("KEYFERRY_MASV_API_KEY_FILE", "/nonexistent")]),
    );
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "masv.api_key"),
        "{found:?}"
    );
    let found = bad(3, &doctor(&[("KEYFERRY_HTTP_TIMEOUT_MS", "never")]));
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "configuration"),
        "{found:?}"
    );
    harness
        .sandbox()
        .clock()
        .advance(std::time::Duration::from_secs(3600));
    let found = bad(1, &doctor(&[]));
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "clock"),
        "{found:?}"
    );
    assert!(found[0].1.contains("set it"), "{found:?}");
    let agent = doctor(&[("KEYFERRY_AGENT_URL", "http://127.0.0.1:1")]);
    assert!(
        agent.out.contains("start the agent (`masv server start`)"),
        "{}",
        agent.out
    );
}
