//! The programs over the file store: what one process stores, the next one reads.

use std::fs;

use keyferry_sandbox::{Fault, credentials as c};
use serde_json::Value;

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_sealed;

/// A program with the store that users have.
fn run(harness: &Harness, program: &str, arguments: &[&str], input: &str) -> ProgramOutput {
    run_with_input(
        harness
            .program(program, arguments)
            .env_remove("KEYFERRY_STORE"),
        input,
    )
}

fn token(harness: &Harness, resource: &str) -> String {
    let output = run(harness, KEYFERRY, &["token", resource], "");
    assert_eq!(
        (output.code, output.err.as_str()),
        (Some(0), ""),
        "{output:?}"
    );
    output.out
}

fn stored_resources(harness: &Harness) -> Vec<String> {
    let status: Value =
        serde_json::from_str(&run(harness, KEYFERRY, &["status", "--json"], "").out).unwrap();
    let resources = status["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["resource"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = resources.collect();
    all.sort();
    all
}

#[test]
fn a_login_without_saved_keys_serves_every_url_of_fileverbs() {
    let harness = Harness::watching_arguments();
    let run = |program: &str, arguments: &[&str], input: &str| {
        run_with_input(
            harness
                .program_without_secrets(program, arguments)
                .env_remove("KEYFERRY_STORE"),
            input,
        )
    };
    let url = format!("{}/api/v1/jobrequests", harness.sandbox().fileverbs_url());
    let question = format!(
        "{}path=api/v1/jobrequests\n",
        protocol_and_host(harness.sandbox().fileverbs_url())
    );
    run(KEYFERRY, &["header", &url], "").assert_error(3, "keyferry login fileverbs");
    run(HELPER, &["get"], &question).assert_error(3, "keyferry login fileverbs");
    let none = run(KEYFERRY, &["doctor"], "").out;
    assert!(
        none.contains("none configured; run `keyferry login masv`"),
        "{none}"
    );

    let output = run(
        KEYFERRY,
        &["login", "fileverbs"],
        &format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY),
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    let bearer = run(KEYFERRY, &["token", "fileverbs:bearer"], "").out;
    assert_eq!(
        run(KEYFERRY, &["header", &url], "").out,
        format!("Authorization: Bearer {bearer}")
    );
    for input in [
        &question,
        &protocol_and_host(harness.sandbox().fileverbs_url()),
    ] {
        assert_eq!(
            run(HELPER, &["get"], input).line("password"),
            Some(bearer.trim_end()),
            "{input}"
        );
    }
    assert_eq!(harness.sandbox().count("fileverbs_login"), 1);
    let doctor = run(KEYFERRY, &["doctor"], "").out;
    assert!(
        doctor.contains("none configured, but logged in to fileverbs"),
        "{doctor}"
    );
}

#[test]
fn one_login_serves_every_program() {
    let harness = Harness::watching_arguments();
    for (service, resource) in [("masv", "user"), ("fileverbs", "fileverbs:bearer")] {
        let output = run(&harness, KEYFERRY, &["login", service], "");
        assert!(
            output.code == Some(0) && !output.out.contains("memory"),
            "{output:?}"
        );
        assert_eq!(token(&harness, resource), token(&harness, resource));
    }
    let host = protocol_and_host(harness.sandbox().fileverbs_url());
    let output = run(&harness, HELPER, &["get"], &host);
    assert_eq!(
        output.line("password"),
        Some(token(&harness, "fileverbs:bearer").trim_end())
    );
    assert_eq!(
        (
            harness.sandbox().count("login"),
            harness.sandbox().count("fileverbs_login")
        ),
        (1, 1)
    );
    assert_eq!(stored_resources(&harness), ["fileverbs:bearer", "user"]);
    assert_sealed(&harness.path("home"), None, "after a login");
    let doctor = run(&harness, KEYFERRY, &["doctor", "--json"], "");
    assert!(
        doctor.code == Some(0) && doctor.out.contains("read by another session"),
        "{doctor:?}"
    );
    assert_eq!(
        stored_resources(&harness),
        ["fileverbs:bearer", "user"],
        "it leaves nothing behind"
    );
}

#[test]
fn trap_10_a_reject_by_git_ends_exactly_the_token_that_it_names() {
    let harness = Harness::watching_arguments();
    let first = token(&harness, "fileverbs:bearer");
    let reject = |value: &str| {
        let helper = format!("credential.helper={HELPER}");
        let input = format!(
            "{}username=default\npassword={}\n\n",
            protocol_and_host(harness.sandbox().fileverbs_url()),
            value.trim_end()
        );
        let output = run(
            &harness,
            "git",
            &[
                "-c",
                "credential.helper=",
                "-c",
                &helper,
                "credential",
                "reject",
            ],
            &input,
        );
        assert_eq!(
            (output.code, output.out.as_str(), output.err.as_str()),
            (Some(0), "", "")
        );
    };
    reject(&first[1..]);
    assert_eq!(token(&harness, "fileverbs:bearer"), first);
    reject(&first);
    assert_eq!(
        token(&harness, "fileverbs:bearer"),
        first,
        "it goes on serving others than git"
    );
    let second = token(&harness, "fileverbs:/api/v1/git");
    assert_ne!(second, first);
    reject(&first);
    assert_eq!(token(&harness, "fileverbs:bearer"), second);
}

#[test]
fn a_rejected_token_that_is_alive_ends_with_1_and_one_that_may_be_dead_with_4() {
    let harness = Harness::watching_arguments();
    let ask = |url: &str| run(&harness, KEYFERRY, &["token", url], "");
    let erase = |base: &str, path: &str, value: &str| {
        let host = protocol_and_host(base);
        let input = format!(
            "{host}path={path}\nusername=x\npassword={}\n",
            value.trim_end()
        );
        run(&harness, HELPER, &["erase"], &input).assert_silent();
    };
    let masv = harness.sandbox().masv_url();
    let url = format!("{masv}/v1/things/1");
    erase(masv, "v1/things/1", &ask(&url).out);
    ask(&url).assert_error(1, "but the token is valid");
    assert_eq!(ask(&format!("{masv}/v1/things/2")).code, Some(0));
    let fileverbs = harness.sandbox().fileverbs_url();
    let url = format!("{fileverbs}/api/v1/jobrequests/1");
    (0..2).for_each(|_| erase(fileverbs, "api/v1/jobrequests/1", &ask(&url).out));
    ask(&url).assert_error(4, "wait at least");
    assert_eq!(ask("fileverbs:bearer").code, Some(0));
}

#[test]
fn a_token_that_the_caller_brings_is_kept_and_our_own_is_not_taken_back() {
    let harness = Harness::watching_arguments();
    let store = |id: &str, value: &str| {
        let host = protocol_and_host(harness.sandbox().masv_url());
        let input = format!(
            "{host}path=v1/packages/{id}/files\nusername=X-Package-Token\npassword={}\n",
            value.trim_end()
        );
        run(&harness, HELPER, &["store"], &input).assert_silent();
    };
    store("01BROUGHT", "brought.by.caller");
    assert_eq!(token(&harness, "packages/01BROUGHT"), "brought.by.caller\n");
    let own = format!("packages/{}", c::PACKAGE_ID);
    store(c::PACKAGE_ID, &token(&harness, &own));
    assert_eq!(
        stored_resources(&harness)
            .iter()
            .filter(|resource| **resource == own)
            .count(),
        1
    );

    let output = run(&harness, KEYFERRY, &["logout", "masv"], "");
    assert!(
        output.code == Some(0) && output.out.contains("3 tokens"),
        "{output:?}"
    );
    assert_eq!(stored_resources(&harness), [""; 0]);
}

#[test]
fn a_misspelt_profile_is_nobodys_and_not_the_default_one() {
    let harness = Harness::watching_arguments();
    token(&harness, "user");
    for (program, arguments) in [
        (KEYFERRY, ["token", "user"]),
        (KEYFERRY, ["explain", "user"]),
    ] {
        let mut command = harness.program(program, &arguments);
        run_with_input(
            command
                .env_remove("KEYFERRY_STORE")
                .env("KEYFERRY_PROFILE", "wrok"),
            "",
        )
        .assert_error(3, "there is no profile wrok");
    }
    let mut helper = harness.program(HELPER, &["get"]);
    let output = run_with_input(
        helper.env("KEYFERRY_PROFILE", "wrok"),
        &protocol_and_host(harness.sandbox().fileverbs_url()),
    );
    assert_eq!(output.out, "");
}

#[test]
fn a_login_by_hand_serves_who_names_nobody_and_nobody_else() {
    let harness = Harness::watching_arguments();
    let bare = |arguments: &[&str], more: &[(&str, &str)], input: &str| {
        let mut command = harness.program_without_secrets(KEYFERRY, arguments);
        run_with_input(
            command
                .env_remove("KEYFERRY_STORE")
                .envs(more.iter().copied()),
            input,
        )
    };
    let output = bare(
        &["login", "masv", "--email", c::SECOND_EMAIL],
        &[],
        &format!("{}\n", c::SECOND_PASSWORD),
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    let second = bare(&["token", "user"], &[], "");
    assert!(
        second.code == Some(0) && second.out.starts_with("eyJ"),
        "{second:?}"
    );
    assert_eq!(
        bare(
            &["token", "user"],
            &[("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL)],
            ""
        )
        .out,
        second.out
    );
    // Who names another user, and has no password of theirs, has to log in.
    assert_eq!(
        bare(&["token", "user"], &[("KEYFERRY_MASV_EMAIL", c::EMAIL)], "").out,
        ""
    );
    assert_ne!(token(&harness, "user"), second.out);
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn another_user_in_the_same_profile_gets_tokens_of_their_own() {
    let harness = Harness::watching_arguments();
    let as_second = |program: &str, arguments: &[&str], input: &str| {
        let mut command = harness.program(program, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("KEYFERRY_FILEVERBS_SECRET_KEY", "another")
            .env("KEYFERRY_MASV_PASSWORD", c::SECOND_PASSWORD);
        run_with_input(command.env("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL), input)
    };
    let package = format!("packages/{}", c::PACKAGE_ID);
    let first = ["user", &package, "fileverbs:bearer"].map(|resource| token(&harness, resource));
    let second = as_second(KEYFERRY, &["token", "user"], "");
    assert!(
        second.code == Some(0) && second.out != first[0],
        "{second:?}"
    );
    // The package is the first user's, and so is the SecretKey.
    assert_eq!(as_second(KEYFERRY, &["token", &package], "").out, "");
    assert_eq!(
        as_second(KEYFERRY, &["token", "fileverbs:bearer"], "").out,
        ""
    );
    assert_eq!(
        as_second(
            HELPER,
            &["get"],
            &protocol_and_host(harness.sandbox().fileverbs_url())
        )
        .out,
        ""
    );
    // Who has the keys of before goes on with what there is.
    assert_eq!(harness.sandbox().count("login"), 2);
    assert_eq!(token(&harness, &package), first[1]);
    assert_eq!(token(&harness, "fileverbs:bearer"), first[2]);
}

#[test]
fn a_store_whose_key_is_damaged_says_how_to_clear_it_and_is_cleared_so() {
    let harness = Harness::watching_arguments();
    let key = harness.path("home/.local/share/keyferry/store.key");
    token(&harness, "user");
    let whole = fs::read(&key).unwrap();
    for damaged in [&whole[..whole.len() / 2], b""] {
        fs::write(&key, damaged).unwrap();
        let output = run(&harness, KEYFERRY, &["token", "user"], "");
        assert!(
            output.code == Some(0)
                && output.err.contains("is damaged")
                && output.err.contains("`keyferry logout`"),
            "{output:?}"
        );
        let output = run(&harness, KEYFERRY, &["logout"], "");
        assert!(
            (output.code, output.err.as_str()) == (Some(0), "")
                && output.out.starts_with("logged out of all services"),
            "{output:?}"
        );
        let first = token(&harness, "user");
        assert_eq!(first, token(&harness, "user"), "what is got is kept again");
    }
}

#[test]
fn a_service_that_wants_to_be_left_alone_is_by_every_program() {
    let fault = |status, retry_after: Option<&str>| {
        let fault = Fault::status(status).path("/v1.1/teams").forever();
        retry_after.map_or(fault.clone(), |text| fault.retry_after(text))
    };
    // Without a valid `Retry-After`, the first process retries the read twice before it records the
    // throttle for the others.
    let rows = [
        (503, Some("60"), 1),
        (429, Some("60"), 1),
        (429, None, 3),
        (429, Some("soon"), 3),
    ];
    for (status, retry_after, lookups) in rows {
        for with_key in [false, true] {
            let harness = Harness::watching_arguments();
            harness.sandbox().fault(fault(status, retry_after));
            let package = format!("packages/{}", c::PACKAGE_ID);
            for number in 0..9 {
                let mut command = harness.program(KEYFERRY, &["header", &package]);
                command.env_remove("KEYFERRY_STORE");
                if with_key {
                    command.env("KEYFERRY_MASV_API_KEY", c::API_KEY);
                }
                let output = run_with_input(&mut command, "");
                output.assert_error(4, &status.to_string());
                // The first process sent the request. The others sent none, and say since when.
                let times = match number {
                    0 => ["(wait at least ", " s)"],
                    _ => [" ago; tried again in ", ")"],
                };
                assert!(
                    times.iter().all(|part| output.err.contains(part)),
                    "{status} {retry_after:?}: {}",
                    output.err
                );
            }
            assert_eq!(
                harness.sandbox().count("lookup"),
                lookups,
                "{status} {retry_after:?} {with_key}"
            );
        }
    }
}

#[test]
fn who_is_to_leave_a_service_alone_is_one_user() {
    let harness = Harness::watching_arguments();
    harness.sandbox().fault(
        Fault::status(429)
            .path(&format!("/v1.1/teams/{}", c::TEAM_ID))
            .retry_after("600")
            .forever(),
    );
    run(
        &harness,
        KEYFERRY,
        &["token", &format!("packages/{}", c::PACKAGE_ID)],
        "",
    )
    .assert_error(4, "429");
    let mut command = harness.program(
        KEYFERRY,
        &["token", &format!("packages/{}", c::SECOND_PACKAGE_ID)],
    );
    command
        .env("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL)
        .env("KEYFERRY_MASV_PASSWORD", c::SECOND_PASSWORD);
    let output = run_with_input(
        command
            .env("KEYFERRY_MASV_TEAM", c::SECOND_TEAM_ID)
            .env_remove("KEYFERRY_STORE"),
        "",
    );
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn a_service_that_is_merely_out_of_order_is_asked_by_every_program() {
    let harness = Harness::watching_arguments();
    harness.sandbox().fault(
        Fault::status(503)
            .path(&format!(
                "/v1.1/teams/{}/packages/{}",
                c::TEAM_ID,
                c::PACKAGE_ID
            ))
            .forever(),
    );
    run(
        &harness,
        KEYFERRY,
        &["token", &format!("packages/{}", c::PACKAGE_ID)],
        "",
    )
    .assert_error(4, "503");
    token(&harness, &format!("packages/{}", c::OTHER_PACKAGE_ID));
}
