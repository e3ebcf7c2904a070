//! The programs with a store that can't be used: a wrong password is sent once, `doctor` says where
//! that is recorded, and `logout` says what it removed.

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::kernel_keyrings;

/// A program that has no store, because it has no home.
fn without_home(harness: &Harness, program: &str, arguments: &[&str]) -> Command {
    let mut command = harness.program(program, arguments);
    command.env_remove("KEYFERRY_STORE").env_remove("HOME");
    command
}

/// The checks of `doctor --json`: the state and the text of each.
fn checks(output: &ProgramOutput) -> Vec<(String, String, String)> {
    let object: Value = serde_json::from_str(&output.out).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = object["checks"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "check"), text(row, "state"), text(row, "what")))
        .collect()
}

#[test]
fn thirty_runs_without_a_store_send_a_wrong_password_once() {
    let harness = Harness::watching_arguments();
    let began = Instant::now();
    for run in 0..30 {
        let mut command = without_home(&harness, KEYFERRY, &["token", "user"]);
        let output = run_with_input(command.env("KEYFERRY_MASV_PASSWORD", "wrong"), "");
        assert_ne!(output.code, Some(0), "{run}: {output:?}");
        assert!(output.out.is_empty(), "{run}: {output:?}");
    }
    // With a store, the first failure lasts one minute too.
    let most = 1 + began.elapsed().as_secs() / 60;
    assert!((1..=most).contains(&harness.sandbox().count("login")));
    let host = protocol_and_host(harness.sandbox().fileverbs_url());
    for run in 0..5 {
        let mut command = without_home(&harness, HELPER, &["get"]);
        command.env("KEYFERRY_FILEVERBS_SECRET_KEY", "wrong");
        let output = run_with_input(&mut command, &host);
        assert!(output.line("password").is_none(), "{run}: {output:?}");
    }
    assert_eq!(harness.sandbox().count("fileverbs_login"), 1);
}

#[test]
fn doctor_names_the_place_of_the_failures_or_that_there_is_none() {
    let harness = Harness::watching_arguments();
    let doctor = |command: &mut Command| {
        let output = run_with_input(command, "");
        assert_eq!(output.code, Some(1), "{output:?}");
        let mut found = checks(&output);
        found.retain(|(name, ..)| name == "failures");
        assert_eq!(found.len(), 1, "{output:?}");
        found.remove(0)
    };
    let doctor_arguments = ["doctor", "--json"];
    let command = || without_home(&harness, KEYFERRY, &doctor_arguments);
    let (_, state, what) = doctor(&mut command());
    let place = harness.path("runtime/keyferry");
    assert_eq!(state, "note", "{what}");
    assert!(what.contains(place.to_str().unwrap()), "{what}");

    let mut without_both = command();
    kernel_keyrings::forbid(without_both.env_remove("XDG_RUNTIME_DIR"));
    let (_, state, what) = doctor(&mut without_both);
    assert_eq!(state, "BAD", "{what}");
    for part in [
        "XDG_RUNTIME_DIR is not set",
        "the kernel keyring cannot be used (operation not permitted)",
        "; make the store usable, or set XDG_RUNTIME_DIR to a directory that you own, with mode 700",
    ] {
        assert!(what.contains(part), "{what}");
    }

    // A store that can be used, and one in memory, need no other place.
    for store in ["memory", "file"] {
        let mut command = harness.program(KEYFERRY, &doctor_arguments);
        let output = run_with_input(command.env("KEYFERRY_STORE", store), "");
        let found = checks(&output);
        assert!(
            found.iter().all(|(name, ..)| name != "failures"),
            "{found:?}"
        );
    }
}

#[test]
fn logout_says_that_it_cleared_a_store_that_could_not_be_read() {
    let harness = Harness::watching_arguments();
    let run = |arguments: &[&str]| {
        let mut command = harness.program(KEYFERRY, arguments);
        run_with_input(command.env_remove("KEYFERRY_STORE"), "")
    };
    let damage_key = || {
        assert_eq!(run(&["token", "user"]).code, Some(0));
        let key = harness.path("home/.local/share/keyferry/store.key");
        fs::write(key, "damaged").unwrap();
    };
    damage_key();
    let output = run(&["logout"]);
    assert!(
        output.code == Some(0)
            && output.out.starts_with(
                "logged out of all services; the store could not be read, and all its tokens were deleted"
            ),
        "{output:?}"
    );
    damage_key();
    let output: Value = serde_json::from_str(&run(&["logout", "--json"]).out).unwrap();
    assert_eq!(output["unreadable"], true, "{output}");
    assert_eq!(run(&["token", "user"]).code, Some(0));
    let output = run(&["logout"]);
    assert!(output.out.contains("; 1 token deleted"), "{output:?}");
}
