//! Real curl: headers from a file and from a configuration, keys of the documented shape, and
//! nothing in an argument list.

use keyferry_sandbox::{Fault, FaultAction, Options, Sandbox, credentials as c};
use serde_json::Value;

use crate::programs::{KEYFERRY, Programs, assert_stops_curl};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// Runs a script of bash with `$KEYFERRY` and `$URL`.
fn bash(harness: &Harness, url: &str, script: &str, variables: &[(&str, &str)]) -> ProgramOutput {
    let mut command = harness.program("bash", &["-c", script]);
    command
        .env("KEYFERRY", KEYFERRY)
        .env("URL", url)
        .envs(variables.iter().copied());
    run_with_input(&mut command, "")
}

const FORMS: [&str; 4] = [
    r#"curl -sS -o /dev/null -w '%{http_code}' -H @<("$KEYFERRY" header "$URL") "$URL""#,
    r#"curl -sS -o /dev/null -w '%{http_code}' -K <("$KEYFERRY" curl "$URL") "$URL""#,
    r#""$KEYFERRY" header "$URL" | curl -sS -o /dev/null -w '%{http_code}' -H @- "$URL""#,
    r#""$KEYFERRY" curl "$URL" | curl -sS -o /dev/null -w '%{http_code}' -K - "$URL""#,
];

#[test]
fn protected_routes_are_reached_in_every_form() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let (masv, fileverbs) = (
        harness.sandbox().masv_url(),
        harness.sandbox().fileverbs_url(),
    );
    for url in [
        format!("{masv}/v1/teams"),
        format!("{masv}/v1/packages/{}/files", c::PACKAGE_ID),
        format!("{masv}/v1/teams/{}/packages", c::TEAM_ID),
        format!("{fileverbs}/api/v1/fileuploads"),
    ] {
        for form in FORMS {
            let output = bash(&harness, &url, form, &[]);
            assert_eq!(
                (output.out.as_str(), output.err.as_str()),
                ("200", ""),
                "{form} {url}"
            );
        }
    }
    harness.assert_no_secret_in_argv();
}

#[test]
fn keys_of_sixty_four_symbols_arrive_as_they_are() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let url = format!("{}/v1/teams", harness.sandbox().masv_url());
    for key in [c::API_KEY, c::SECOND_API_KEY] {
        for form in FORMS {
            let output = bash(&harness, &url, form, &[("KEYFERRY_MASV_API_KEY", key)]);
            assert_eq!(
                (output.out.as_str(), output.err.as_str()),
                ("200", ""),
                "{form}"
            );
        }
    }
}

#[test]
fn what_curl_reads_is_what_was_quoted() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    // Not keys that MASV makes, but all that a header may hold.
    for key in [
        r#"a"b\c\"d"#,
        r"\\\",
        r#""""#,
        "# no comment = : @ $HOME `x`",
        r"\t\n\r\v\x",
        "'single'",
        "ü東京",
    ] {
        let script = r#"exec 3<>/dev/null; "$KEYFERRY" curl masv:user > config; curl -sS -K config --libcurl code.c http://127.0.0.1:1/ || cat code.c"#;
        let output = bash(&harness, "", script, &[("KEYFERRY_MASV_API_KEY", key)]);
        // curl prints the header that it has read as the text of a C program.
        let line = output
            .out
            .lines()
            .find(|line| line.contains("curl_slist_append(slist1, \"X-API-KEY: "))
            .unwrap_or_else(|| panic!("{key}: {output:?}"));
        let written = line
            .split_once("X-API-KEY: ")
            .unwrap()
            .1
            .trim_end_matches("\");");
        assert_eq!(unescaped(written), key.as_bytes(), "{line}");
    }
}

#[test]
fn a_redirect_takes_no_key_to_another_host() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let (other, url) = (
        Sandbox::start(Options::default()).unwrap(),
        format!("{}/v1/teams", harness.sandbox().masv_url()),
    );
    let to = format!("{}/redirect-target", other.masv_url());
    harness.sandbox().fault(
        Fault::new(FaultAction::Redirect {
            status: 302,
            to: to.clone(),
        })
        .path("/v1/teams")
        .forever(),
    );
    for options in [
        "-L -K -",
        "-K - -L",
        "--location-trusted -K -",
        "-K - --location-trusted",
    ] {
        let script = format!(r#""$KEYFERRY" curl "$URL" | curl -sS -o /dev/null {options} "$URL""#);
        let output = bash(
            &harness,
            &url,
            &script,
            &[("KEYFERRY_MASV_API_KEY", c::API_KEY)],
        );
        assert_eq!(
            (output.code, other.count("redirect_target")),
            (Some(47), 0),
            "{options}: {output:?}"
        );
    }
    // What is not followed is the redirect, and not because there is none.
    assert_eq!(
        bash(&harness, &to, r#"curl -sS -o /dev/null -L "$URL""#, &[]).code,
        Some(0)
    );
    assert_eq!(other.count("redirect_target"), 1);
}

/// The bytes of a text of C.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = tail;
            }
            (b'\\', [next, tail @ ..]) => {
                bytes.push(*next);
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

#[test]
fn a_links_secret_may_come_through_standard_input() {
    let harness = Harness::watching_arguments();
    let resource = format!("links/{}?secret={}\n", c::LINK_ID, c::LINK_SECRET);
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "-"]),
        &resource,
    );
    assert!(
        output.code == Some(0) && output.out.starts_with("X-Package-Token: eyJ"),
        "{output:?}"
    );
    let object = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["token", "--json", "-"]),
        &resource,
    );
    let object: Value = serde_json::from_str(&object.out).unwrap();
    assert_eq!(
        object["resource"],
        format!("links/{}", c::LINK_ID),
        "its secret is not repeated"
    );
    harness.assert_no_secret_in_argv();
}

#[test]
fn each_form_has_the_same_object() {
    let harness = Harness::watching_arguments();
    for form in ["header", "curl", "token"] {
        let output = harness.keyferry(&[form, "--json", "user"]);
        let object: Value = serde_json::from_str(&output.out).unwrap();
        let names: Vec<_> = object
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            names,
            [
                "expires_at",
                "format",
                "generation",
                "headers",
                "resource",
                "service"
            ]
        );
        assert!(
            object["headers"]["X-User-Token"]
                .as_str()
                .unwrap()
                .starts_with("eyJ")
        );
        assert!(
            object["expires_at"].as_str().unwrap().ends_with('Z')
                && object["service"] == "masv"
                && object["resource"] == "user"
        );
    }
    let token = harness.keyferry(&["token", "fileverbs:bearer"]);
    assert!(
        token.out.starts_with("eyJ") && token.out.lines().count() == 1,
        "a bearer stands without its scheme"
    );
}

#[test]
fn a_refusal_is_one_sentence_and_nothing_else() {
    let harness = Harness::watching_arguments();
    let wrong = run_with_input(
        harness
            .program(KEYFERRY, &["header", "user"])
            .env("KEYFERRY_MASV_PASSWORD", "wrong"),
        "",
    );
    wrong.assert_error(3, "rejected");
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "user"]),
        "",
    )
    .assert_error(3, "log in with `keyferry login masv`");
    harness
        .keyferry(&["header", "https://other.example/"])
        .assert_error(1, "no configured service");
    assert_stops_curl(harness.keyferry(&["curl", "agent:session"]), 1, "no header");
    harness
        .keyferry(&["token", "packages/none"])
        .assert_error(1, "none");
    let gone = run_with_input(
        harness
            .program(KEYFERRY, &["token", "user"])
            .env("KEYFERRY_MASV_URL", "http://127.0.0.1:1"),
        "",
    );
    gone.assert_error(4, "127.0.0.1");
}
