//! `status`, `explain`, `config` and `doctor`: tables that tell everything but secrets.

use keyferry_sandbox::credentials as c;
use serde_json::Value;

use crate::programs::{KEYFERRY, Programs};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

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
fn status_names_services_accounts_and_what_is_kept() {
    let harness = Harness::watching_arguments();
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        &format!("[profile.work.masv]\napi_key = \"{}\"\n", c::API_KEY),
    );
    let output = harness.keyferry(&["status"]);
    let rows = fields(&output);
    assert_eq!(
        rows[0],
        [
            "service",
            "account",
            "resource",
            "life left",
            "generation",
            "store",
            "protection"
        ]
    );
    assert!(
        rows.iter().all(|row| row.len() == 7) && rows.len() == 5,
        "{}",
        output.out
    );
    assert!(rows.iter().any(|row| row[..2] == ["masv", "work"]));
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
    assert!(bare.out.contains("not configured"));
    assert_eq!(harness.sandbox().count("requests"), 0);
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
            .any(|row| *row == ["class", "package"]),
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
    let bad = |output: &ProgramOutput| {
        assert_eq!(output.code, Some(1), "{}", output.out);
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
    let found = bad(&doctor(&[("KEYFERRY_FILEVERBS_URL", "http://127.0.0.1:1")]));
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "fileverbs"),
        "{found:?}"
    );
    let found = bad(&doctor(&[("KEYFERRY_MASV_API_KEY_FILE", "/nonexistent")]));
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "masv.api_key"),
        "{found:?}"
    );
    let found = bad(&doctor(&[("KEYFERRY_HTTP_TIMEOUT_MS", "never")]));
    assert_eq!(
        (found.len(), found[0].0.as_str()),
        (1, "configuration"),
        "{found:?}"
    );
    harness
        .sandbox()
        .clock()
        .advance(std::time::Duration::from_secs(3600));
    let found = bad(&doctor(&[]));
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
