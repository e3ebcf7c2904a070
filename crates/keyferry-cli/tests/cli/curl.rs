//! Real curl: headers from a file and from a configuration, keys of the documented shape, and nothing in an argument list.

use keyferry_sandbox::{Fault, FaultAction, Options, Sandbox, credentials as c};
use serde_json::Value;

use crate::harness::{KEYFERRY, Said, Stage, say};

/// Runs a script of bash with `$KEYFERRY` and `$URL`.
fn bash(stage: &Stage, url: &str, script: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = stage.program("bash", &["-c", script]);
    command.env("KEYFERRY", KEYFERRY).env("URL", url).envs(variables.iter().copied());
    say(&mut command, "")
}

const FORMS: [&str; 4] = [
    r#"curl -sS -o /dev/null -w '%{http_code}' -H @<("$KEYFERRY" header "$URL") "$URL""#,
    r#"curl -sS -o /dev/null -w '%{http_code}' -K <("$KEYFERRY" curl "$URL") "$URL""#,
    r#""$KEYFERRY" header "$URL" | curl -sS -o /dev/null -w '%{http_code}' -H @- "$URL""#,
    r#""$KEYFERRY" curl "$URL" | curl -sS -o /dev/null -w '%{http_code}' -K - "$URL""#,
];

#[test]
fn protected_routes_are_reached_in_every_form() {
    let stage = Stage::set();
    let (masv, fileverbs) = (stage.sandbox.masv_url(), stage.sandbox.fileverbs_url());
    for url in [
        format!("{masv}/v1/teams"),
        format!("{masv}/v1/packages/{}/files", c::PACKAGE_ID),
        format!("{masv}/v1/teams/{}/packages", c::TEAM_ID),
        format!("{fileverbs}/api/v1/fileuploads"),
    ] {
        for form in FORMS {
            let said = bash(&stage, &url, form, &[]);
            assert_eq!((said.out.as_str(), said.err.as_str()), ("200", ""), "{form} {url}");
        }
    }
    stage.assert_no_secret_in_argv();
}

#[test]
fn keys_of_sixty_four_symbols_arrive_as_they_are() {
    let stage = Stage::set();
    let url = format!("{}/v1/teams", stage.sandbox.masv_url());
    for key in [c::API_KEY, c::SECOND_API_KEY] {
        for form in FORMS {
            let said = bash(&stage, &url, form, &[("KEYFERRY_MASV_API_KEY", key)]);
            assert_eq!((said.out.as_str(), said.err.as_str()), ("200", ""), "{form}");
        }
    }
}

#[test]
fn what_curl_reads_is_what_was_quoted() {
    let stage = Stage::set();
    // Not keys that MASV makes, but all that a header may hold.
    for key in [r#"a"b\c\"d"#, r"\\\", r#""""#, "# no comment = : @ $HOME `x`", r"\t\n\r\v\x", "'single'", "ü東京"] {
        let script = r#"exec 3<>/dev/null; "$KEYFERRY" curl masv:user > config; curl -sS -K config --libcurl code.c http://127.0.0.1:1/ || cat code.c"#;
        let said = bash(&stage, "", script, &[("KEYFERRY_MASV_API_KEY", key)]);
        // curl prints the header that it has read as the text of a C program.
        let line = said
            .out
            .lines()
            .find(|line| line.contains("curl_slist_append(slist1, \"X-API-KEY: "))
            .unwrap_or_else(|| panic!("{key}: {said:?}"));
        let written = line.split_once("X-API-KEY: ").unwrap().1.trim_end_matches("\");");
        assert_eq!(unescaped(written), key.as_bytes(), "{line}");
    }
}

#[test]
fn a_redirect_takes_no_key_to_another_host() {
    let stage = Stage::set();
    let (other, url) = (Sandbox::start(Options::default()).unwrap(), format!("{}/v1/teams", stage.sandbox.masv_url()));
    let to = format!("{}/redirect-target", other.masv_url());
    stage.sandbox.fault(Fault::new(FaultAction::Redirect { status: 302, to: to.clone() }).path("/v1/teams").forever());
    for options in ["-L -K -", "-K - -L", "--location-trusted -K -", "-K - --location-trusted"] {
        let script = format!(r#""$KEYFERRY" curl "$URL" | curl -sS -o /dev/null {options} "$URL""#);
        let said = bash(&stage, &url, &script, &[("KEYFERRY_MASV_API_KEY", c::API_KEY)]);
        assert_eq!((said.code, other.count("redirect_target")), (Some(47), 0), "{options}: {said:?}");
    }
    // What is not followed is the redirect, and not because there is none.
    assert_eq!(bash(&stage, &to, r#"curl -sS -o /dev/null -L "$URL""#, &[]).code, Some(0));
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
    let stage = Stage::set();
    let resource = format!("links/{}?secret={}\n", c::LINK_ID, c::LINK_SECRET);
    let said = say(&mut stage.stranger(KEYFERRY, &["header", "-"]), &resource);
    assert!(said.code == Some(0) && said.out.starts_with("X-Package-Token: eyJ"), "{said:?}");
    let object = say(&mut stage.stranger(KEYFERRY, &["token", "--json", "-"]), &resource);
    let object: Value = serde_json::from_str(&object.out).unwrap();
    assert_eq!(object["resource"], format!("links/{}", c::LINK_ID), "its secret is not repeated");
    stage.assert_no_secret_in_argv();
}

#[test]
fn each_form_has_the_same_object() {
    let stage = Stage::set();
    for form in ["header", "curl", "token"] {
        let said = stage.keyferry(&[form, "--json", "user"]);
        let object: Value = serde_json::from_str(&said.out).unwrap();
        let names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["expires_at", "generation", "headers", "resource", "service"]);
        assert!(object["headers"]["X-User-Token"].as_str().unwrap().starts_with("eyJ"));
        assert!(object["expires_at"].as_str().unwrap().ends_with('Z') && object["service"] == "masv" && object["resource"] == "user");
    }
    let token = stage.keyferry(&["token", "fileverbs:bearer"]);
    assert!(token.out.starts_with("eyJ") && token.out.lines().count() == 1, "a bearer stands without its scheme");
}

#[test]
fn a_refusal_is_one_sentence_and_nothing_else() {
    let stage = Stage::set();
    let wrong = say(stage.program(KEYFERRY, &["header", "user"]).env("KEYFERRY_MASV_PASSWORD", "wrong"), "");
    wrong.assert_sentence(1, "refuses");
    say(&mut stage.stranger(KEYFERRY, &["header", "user"]), "").assert_sentence(3, "log in with `keyferry login masv`");
    stage.keyferry(&["header", "https://other.example/"]).assert_sentence(1, "no configured service");
    stage.keyferry(&["curl", "agent:session"]).assert_sentence(1, "no header");
    stage.keyferry(&["token", "packages/none"]).assert_sentence(1, "none");
    let gone = say(stage.program(KEYFERRY, &["token", "user"]).env("KEYFERRY_MASV_URL", "http://127.0.0.1:1"), "");
    gone.assert_sentence(4, "127.0.0.1");
}
