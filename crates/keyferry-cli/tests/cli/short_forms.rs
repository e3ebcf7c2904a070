//! A misspelt short form prints no token, whichever command or protocol passes it.

use serde_json::json;

use crate::programs::{HELPER, KEYFERRY, Programs, assert_stops_curl};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;

/// Each of these printed the user's token, or the bearer, with exit code 0.
const MISSPELT: &[(&str, &str)] = &[
    ("packges/01ABC", "did you mean `packages/01ABC`?"),
    ("Packages/01ABC", "did you mean `packages/01ABC`?"),
    ("masv:foo/bar", "use one of: user, packages/ID,"),
    ("fileverbs:beerer", "did you mean `fileverbs:bearer`?"),
];

#[test]
fn every_command_refuses_a_misspelt_short_form() {
    let harness = Harness::watching_arguments();
    for (resource, said) in MISSPELT {
        for words in [
            &["header"][..],
            &["token"],
            &["header", "--json"],
            &["header", "--access", "manage"],
            &["token", "--min-valid-s", "60"],
            &["explain"],
            &["explain", "--json"],
        ] {
            let mut command = harness.program(KEYFERRY, &[words, &["-"]].concat());
            for output in [
                harness.keyferry(&[words, &[*resource]].concat()),
                run_with_input(&mut command, &format!("{resource}\n")),
            ] {
                if words.contains(&"--json") {
                    output.assert_json_error(1, said);
                } else {
                    output.assert_error(1, said);
                }
            }
        }
        assert_stops_curl(harness.keyferry(&["curl", resource]), 1, said);
        let mut command = harness.program(KEYFERRY, &["curl", "-"]);
        let output = run_with_input(&mut command, &format!("{resource}\n"));
        assert_stops_curl(output, 1, said);
        harness
            .keyferry(&["curl", "--json", resource])
            .assert_json_error(1, said);
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn a_message_does_not_repeat_the_secret_of_a_link() {
    let harness = Harness::watching_arguments();
    for resource in [
        "link/L?secret=hunter2",
        "links/L&secret=hunter2",
        "links/hunter2",
        "link/hunter2",
        "hunter2",
    ] {
        let mut command = harness.program(KEYFERRY, &["header", "-"]);
        let output = run_with_input(&mut command, resource);
        output.assert_error(1, "links/ID?secret=SECRET");
        assert!(!output.err.contains("hunter2"), "{}", output.err);
    }
}

/// Neither protocol has short forms: git and build tools pass URLs.
#[test]
fn git_and_build_tools_get_nothing_for_a_short_form() {
    let harness = Harness::watching_arguments();
    for (resource, _) in MISSPELT.iter().chain(&[("user", ""), ("masv:user", "")]) {
        for input in [
            format!("url={resource}\n\n"),
            format!("protocol=masv\nhost={resource}\n\n"),
            format!("protocol=https\nhost={resource}\n\n"),
        ] {
            for program in [
                &mut harness.program(HELPER, &["get"]),
                &mut harness.program(KEYFERRY, &["git", "get"]),
            ] {
                let output = run_with_input(program, &input);
                assert_eq!(output.out, "", "{input}");
            }
        }
        let uri = json!({ "uri": resource }).to_string();
        let output = run_with_input(&mut harness.program(KEYFERRY, &["get"]), &uri);
        assert!(
            matches!(output.out.as_str(), "" | "{\"headers\":{}}\n"),
            "{output:?}"
        );
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
}
