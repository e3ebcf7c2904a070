//! The doors over the file store: what one process does, the next one sees.

use std::fs;
use std::path::Path;

use keyferry_sandbox::{Fault, credentials as c};
use serde_json::Value;

use crate::harness::{HELPER, KEYFERRY, SECRETS, Said, Stage, say};

/// A program with the store that users have.
fn run(stage: &Stage, program: &str, arguments: &[&str], input: &str) -> Said {
    say(stage.program(program, arguments).env_remove("KEYFERRY_STORE"), input)
}

fn token(stage: &Stage, resource: &str) -> String {
    let said = run(stage, KEYFERRY, &["token", resource], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out
}

fn kept(stage: &Stage) -> Vec<String> {
    let status: Value = serde_json::from_str(&run(stage, KEYFERRY, &["status", "--json"], "").out).unwrap();
    let resources = status["tokens"].as_array().unwrap().iter().map(|row| row["resource"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = resources.collect();
    all.sort();
    all
}

/// No file below a folder holds a secret in clear.
fn assert_sealed(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            assert_sealed(&entry.path());
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let holds = |secret: &&str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        // Three bytes are found in noise every now and then.
        let found: Vec<_> = SECRETS.iter().filter(|secret| secret.len() > 3).filter(|secret| holds(secret)).collect();
        assert!(found.is_empty() && !holds(&"eyJhbGci"), "{found:?} in {}", entry.path().display());
    }
}

#[test]
fn a_login_without_saved_keys_serves_every_url_of_fileverbs() {
    let stage = Stage::set();
    let run = |program: &str, arguments: &[&str], input: &str| say(stage.stranger(program, arguments).env_remove("KEYFERRY_STORE"), input);
    let url = format!("{}/api/v1/jobrequests", stage.sandbox.fileverbs_url());
    let question = format!("{}path=api/v1/jobrequests\n", stage.host(stage.sandbox.fileverbs_url()));
    run(KEYFERRY, &["header", &url], "").assert_sentence(3, "keyferry login fileverbs");
    run(HELPER, &["get"], &question).assert_sentence(3, "keyferry login fileverbs");
    let none = run(KEYFERRY, &["doctor"], "").out;
    assert!(none.contains("none is configured: keyferry login masv"), "{none}");

    let said = run(KEYFERRY, &["login", "fileverbs"], &format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY));
    assert_eq!(said.code, Some(0), "{said:?}");
    let bearer = run(KEYFERRY, &["token", "fileverbs:bearer"], "").out;
    assert_eq!(run(KEYFERRY, &["header", &url], "").out, format!("Authorization: Bearer {bearer}"));
    for input in [&question, &stage.host(stage.sandbox.fileverbs_url())] {
        assert_eq!(run(HELPER, &["get"], input).line("password"), Some(bearer.trim_end()), "{input}");
    }
    assert_eq!(stage.sandbox.count("fileverbs_login"), 1);
    let doctor = run(KEYFERRY, &["doctor"], "").out;
    assert!(doctor.contains("none is configured; logged in to fileverbs"), "{doctor}");
}

#[test]
fn one_login_serves_every_program() {
    let stage = Stage::set();
    for (service, resource) in [("masv", "user"), ("fileverbs", "fileverbs:bearer")] {
        let said = run(&stage, KEYFERRY, &["login", service], "");
        assert!(said.code == Some(0) && !said.out.contains("memory"), "{said:?}");
        assert_eq!(token(&stage, resource), token(&stage, resource));
    }
    let host = stage.host(stage.sandbox.fileverbs_url());
    let said = run(&stage, HELPER, &["get"], &host);
    assert_eq!(said.line("password"), Some(token(&stage, "fileverbs:bearer").trim_end()));
    assert_eq!((stage.sandbox.count("login"), stage.sandbox.count("fileverbs_login")), (1, 1));
    assert_eq!(kept(&stage), ["fileverbs:bearer", "user"]);
    assert_sealed(&stage.path("home"));
    let doctor = run(&stage, KEYFERRY, &["doctor", "--json"], "");
    assert!(doctor.code == Some(0) && doctor.out.contains("read by another session"), "{doctor:?}");
    assert_eq!(kept(&stage), ["fileverbs:bearer", "user"], "it leaves nothing behind");
}

#[test]
fn trap_10_a_reject_by_git_ends_exactly_the_token_that_it_names() {
    let stage = Stage::set();
    let first = token(&stage, "fileverbs:bearer");
    let reject = |value: &str| {
        let helper = format!("credential.helper={HELPER}");
        let input = format!("{}username=default\npassword={}\n\n", stage.host(stage.sandbox.fileverbs_url()), value.trim_end());
        let said = run(&stage, "git", &["-c", "credential.helper=", "-c", &helper, "credential", "reject"], &input);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
    };
    reject(&first[1..]);
    assert_eq!(token(&stage, "fileverbs:bearer"), first);
    reject(&first);
    let second = token(&stage, "fileverbs:bearer");
    assert_ne!(second, first);
    reject(&first);
    assert_eq!(token(&stage, "fileverbs:bearer"), second);
}

#[test]
fn a_token_that_the_caller_brings_is_kept_and_our_own_is_not_taken_back() {
    let stage = Stage::set();
    let store = |id: &str, value: &str| {
        let host = stage.host(stage.sandbox.masv_url());
        let input = format!("{host}path=v1/packages/{id}/files\nusername=X-Package-Token\npassword={}\n", value.trim_end());
        run(&stage, HELPER, &["store"], &input).assert_quiet();
    };
    store("01BROUGHT", "brought.by.caller");
    assert_eq!(token(&stage, "packages/01BROUGHT"), "brought.by.caller\n");
    let own = format!("packages/{}", c::PACKAGE_ID);
    store(c::PACKAGE_ID, &token(&stage, &own));
    assert_eq!(kept(&stage).iter().filter(|resource| **resource == own).count(), 1);

    let said = run(&stage, KEYFERRY, &["logout", "masv"], "");
    assert!(said.code == Some(0) && said.out.contains("3 tokens"), "{said:?}");
    assert_eq!(kept(&stage), [""; 0]);
}

#[test]
fn a_misspelt_profile_is_nobodys_and_not_the_default_one() {
    let stage = Stage::set();
    token(&stage, "user");
    for (program, arguments) in [(KEYFERRY, ["token", "user"]), (KEYFERRY, ["explain", "user"])] {
        let mut command = stage.program(program, &arguments);
        say(command.env_remove("KEYFERRY_STORE").env("KEYFERRY_PROFILE", "wrok"), "").assert_sentence(3, "there is no profile wrok");
    }
    let mut helper = stage.program(HELPER, &["get"]);
    let said = say(helper.env("KEYFERRY_PROFILE", "wrok"), &stage.host(stage.sandbox.fileverbs_url()));
    assert_eq!(said.out, "");
}

#[test]
fn a_login_by_hand_serves_who_names_nobody_and_nobody_else() {
    let stage = Stage::set();
    let bare = |arguments: &[&str], more: &[(&str, &str)], input: &str| {
        let mut command = stage.stranger(KEYFERRY, arguments);
        say(command.env_remove("KEYFERRY_STORE").envs(more.iter().copied()), input)
    };
    let said = bare(&["login", "masv", "--email", c::SECOND_EMAIL], &[], &format!("{}\n", c::SECOND_PASSWORD));
    assert_eq!(said.code, Some(0), "{said:?}");
    let second = bare(&["token", "user"], &[], "");
    assert!(second.code == Some(0) && second.out.starts_with("eyJ"), "{second:?}");
    assert_eq!(bare(&["token", "user"], &[("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL)], "").out, second.out);
    // Who names another user, and has no password of theirs, has to log in.
    assert_eq!(bare(&["token", "user"], &[("KEYFERRY_MASV_EMAIL", c::EMAIL)], "").out, "");
    assert_ne!(token(&stage, "user"), second.out);
    assert_eq!(stage.sandbox.count("login"), 2);
}

#[test]
fn another_user_in_the_same_profile_gets_tokens_of_their_own() {
    let stage = Stage::set();
    let as_second = |program: &str, arguments: &[&str], input: &str| {
        let mut command = stage.program(program, arguments);
        command
            .env_remove("KEYFERRY_STORE")
            .env("KEYFERRY_FILEVERBS_SECRET_KEY", "another")
            .env("KEYFERRY_MASV_PASSWORD", c::SECOND_PASSWORD);
        say(command.env("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL), input)
    };
    let package = format!("packages/{}", c::PACKAGE_ID);
    let first = ["user", &package, "fileverbs:bearer"].map(|resource| token(&stage, resource));
    let second = as_second(KEYFERRY, &["token", "user"], "");
    assert!(second.code == Some(0) && second.out != first[0], "{second:?}");
    // The package is the first user's, and so is the SecretKey.
    assert_eq!(as_second(KEYFERRY, &["token", &package], "").out, "");
    assert_eq!(as_second(KEYFERRY, &["token", "fileverbs:bearer"], "").out, "");
    assert_eq!(as_second(HELPER, &["get"], &stage.host(stage.sandbox.fileverbs_url())).out, "");
    // Who has the keys of before goes on with what there is.
    assert_eq!(stage.sandbox.count("login"), 2);
    assert_eq!(token(&stage, &package), first[1]);
    assert_eq!(token(&stage, "fileverbs:bearer"), first[2]);
}

#[test]
fn a_store_whose_key_is_damaged_says_how_to_clear_it_and_is_cleared_so() {
    let stage = Stage::set();
    let key = stage.path("home/.local/share/keyferry/store.key");
    token(&stage, "user");
    let whole = fs::read(&key).unwrap();
    for damaged in [&whole[..whole.len() / 2], b""] {
        fs::write(&key, damaged).unwrap();
        let said = run(&stage, KEYFERRY, &["token", "user"], "");
        assert!(said.code == Some(0) && said.err.contains("is damaged") && said.err.contains("`keyferry logout`"), "{said:?}");
        let said = run(&stage, KEYFERRY, &["logout"], "");
        assert!((said.code, said.err.as_str()) == (Some(0), "") && said.out.starts_with("everything is forgotten"), "{said:?}");
        let first = token(&stage, "user");
        assert_eq!(first, token(&stage, "user"), "what is got is kept again");
    }
}

#[test]
fn a_service_that_wants_to_be_left_alone_is_by_every_program() {
    let fault = |status, retry_after: Option<&str>| {
        let fault = Fault::status(status).path("/v1.1/teams").forever();
        retry_after.map_or(fault.clone(), |text| fault.retry_after(text))
    };
    // What names no time, or no right one, is tried again as any read is before the others hear of it.
    let rows = [(503, Some("60"), 1), (429, Some("60"), 1), (429, None, 3), (429, Some("soon"), 3)];
    for (status, retry_after, lookups) in rows {
        for with_key in [false, true] {
            let stage = Stage::set();
            stage.sandbox.fault(fault(status, retry_after));
            let package = format!("packages/{}", c::PACKAGE_ID);
            for number in 0..9 {
                let mut command = stage.program(KEYFERRY, &["header", &package]);
                command.env_remove("KEYFERRY_STORE");
                if with_key {
                    command.env("KEYFERRY_MASV_API_KEY", c::API_KEY);
                }
                let said = say(&mut command, "");
                said.assert_sentence(4, &status.to_string());
                let tells_when = said.err.contains("not before ") && said.err.contains(" s from now");
                assert!(tells_when || (number == 0 && retry_after != Some("60")), "{status} {retry_after:?}: {}", said.err);
            }
            assert_eq!(stage.sandbox.count("lookup"), lookups, "{status} {retry_after:?} {with_key}");
        }
    }
}

#[test]
fn who_is_to_leave_a_service_alone_is_one_user() {
    let stage = Stage::set();
    stage.sandbox.fault(Fault::status(429).path(&format!("/v1.1/teams/{}", c::TEAM_ID)).retry_after("600").forever());
    run(&stage, KEYFERRY, &["token", &format!("packages/{}", c::PACKAGE_ID)], "").assert_sentence(4, "429");
    let mut command = stage.program(KEYFERRY, &["token", &format!("packages/{}", c::SECOND_PACKAGE_ID)]);
    command.env("KEYFERRY_MASV_EMAIL", c::SECOND_EMAIL).env("KEYFERRY_MASV_PASSWORD", c::SECOND_PASSWORD);
    let said = say(command.env("KEYFERRY_MASV_TEAM", c::SECOND_TEAM_ID).env_remove("KEYFERRY_STORE"), "");
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_service_that_is_merely_out_of_order_is_asked_by_every_program() {
    let stage = Stage::set();
    stage.sandbox.fault(Fault::status(503).path(&format!("/v1.1/teams/{}/packages/{}", c::TEAM_ID, c::PACKAGE_ID)).forever());
    run(&stage, KEYFERRY, &["token", &format!("packages/{}", c::PACKAGE_ID)], "").assert_sentence(4, "503");
    token(&stage, &format!("packages/{}", c::OTHER_PACKAGE_ID));
}
