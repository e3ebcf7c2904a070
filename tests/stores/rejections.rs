//! Rejections that processes share: who gets the token no more, and who decides whether it is dead.

use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry_sandbox::{Fault, credentials as c};
use keyferry_testing::harness::Harness;
use keyferry_testing::settings::{config, settings};

use crate::processes::{StoreProcesses, new_harness};
use crate::two_sessions::StoreSessions;

const BEARER: &str = "fileverbs:bearer";

fn reject(session: &Session, resource: &str, value: &str) {
    session
        .reject_value(resource, &Secret::from(value))
        .unwrap();
}

fn error_of(session: &Session, resource: &str) -> ErrorKind {
    session.token(resource).map(drop).unwrap_err().kind
}

/// The path of a route that the user's token opens, and that costs the sandbox little.
fn package() -> String {
    format!("v1.1/teams/{}/packages/{}", c::TEAM_ID, c::PACKAGE_ID)
}

/// `KEYFERRY_REVOKED_PROCESSES` sets the number of processes.
#[test]
fn a_revoked_token_costs_one_login_and_serves_all_threads_of_all_processes() {
    let processes = std::env::var("KEYFERRY_REVOKED_PROCESSES");
    let count = processes.map_or(6, |count| count.parse().unwrap());
    for age_s in [1, 60] {
        let harness = new_harness();
        let old = harness.session().token("user").unwrap();
        harness.pass_s(age_s);
        harness.sandbox().reject_token(old.value());
        let task = format!("use {} threads 64", package());
        for output in harness.run_together(count, &task) {
            assert_eq!(
                output.last().map(String::as_str),
                Some("served 64"),
                "at {age_s} s: {output:?}"
            );
        }
        assert_eq!(harness.sandbox().count("login"), 2, "at {age_s} s");
    }
}

#[test]
fn a_thousand_forbidden_routes_in_one_process_stop_no_other() {
    let harness = new_harness();
    harness
        .sandbox()
        .fault(Fault::status(401).path("/v1/things/").forever());
    let token = harness.session().token("user").unwrap();
    let mut forbidden = harness.worker("use-forbidden 1000");
    let task = format!("use {} threads 4", package());
    let mut rounds = 0;
    assert_eq!(forbidden.line(), "ready");
    forbidden.go();
    loop {
        for output in harness.run_together(2, &task) {
            assert_eq!(
                output.last().map(String::as_str),
                Some("served 4"),
                "{output:?}"
            );
        }
        rounds += 1;
        if rounds >= 3 {
            break;
        }
    }
    let output = forbidden.finish();
    assert_eq!(
        output.last().map(String::as_str),
        Some("forbidden 1000"),
        "{output:?}"
    );
    let next = harness.session().token("user").unwrap();
    assert_eq!(next.value(), token.value());
    assert_eq!(harness.sandbox().count("login"), 1);
    // The clock of the processes stands still, so one answer lasts.
    assert_eq!(harness.sandbox().count("teams"), 1);
}

#[test]
fn a_reject_removes_nothing_and_no_process_gets_the_token_for_that_resource() {
    let harness = new_harness();
    let (first, second) = (harness.session(), harness.session());
    for (resource, other) in [
        ("masv:/v1/things/1", "masv:/v1/things/2"),
        (BEARER, "fileverbs:/api/v1/jobrequests/1"),
    ] {
        let token = first.token(resource).unwrap();
        second.token(resource).unwrap();
        let files = harness.token_files().len();
        reject(&first, resource, token.value());
        assert_eq!(harness.token_files().len(), files, "{resource}");
        for session in [&first, &second, &harness.session()] {
            assert_eq!(session.token(other).unwrap().meta(), token.meta());
        }
        let stored = |resource: &str| {
            let stored = harness.session().stored(&Request::new(resource));
            stored.unwrap().map(|token| *token.meta())
        };
        assert_eq!(stored(other), Some(*token.meta()));
        assert_eq!(stored(resource), None);
        let again = harness.session().token(resource);
        if resource == BEARER {
            assert!(again.unwrap().meta().generation > token.meta().generation);
        } else {
            assert_eq!(
                again.map(drop).unwrap_err().kind,
                ErrorKind::InsufficientAccess
            );
        }
    }
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn a_record_has_the_last_64_resources() {
    let harness = new_harness();
    let session = harness.session();
    let token = session.token("user").unwrap();
    for number in 0..65 {
        reject(
            &session,
            &format!("masv:/v1/things/{number}"),
            token.value(),
        );
    }
    let is_open = |number: u32| {
        harness
            .session()
            .token(&format!("masv:/v1/things/{number}"))
            .is_ok_and(|other| other.value() == token.value())
    };
    assert!(is_open(0));
    assert!((1..65).all(|number| !is_open(number)));
}

#[test]
fn one_process_asks_the_service_for_all() {
    let harness = new_harness();
    harness.session().token("user").unwrap();
    let outputs: Vec<_> = (0..8)
        .map(|_| harness.worker("reject user"))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|worker| worker.finish())
        .collect();
    // A process that starts later finds the rejection and can't get the token at all.
    assert!(
        outputs
            .iter()
            .flatten()
            .all(|line| line == "then Err(InsufficientAccess)"),
        "{outputs:?}"
    );
    assert_eq!(harness.sandbox().count("teams"), 1);
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn a_reject_of_a_login_by_hand_is_noticed_by_nobody_else() {
    let harness = new_harness();
    let session = || {
        let store = harness.setting();
        let settings = settings(
            harness.sandbox(),
            &[("store", &store), ("masv.password", "")],
        );
        let options = Options {
            clock: harness.clock().clone(),
            refreshes_in_background: false,
        };
        Session::open_with(config(settings), options).unwrap()
    };
    let (first, second) = (session(), session());
    let (email, password) = (Secret::from(c::EMAIL), Secret::from(c::PASSWORD));
    let token = first.masv_login(Some(email), Some(password)).unwrap();
    second.token("user").unwrap();
    let nobody_else_notices = || {
        for other in [&first, &second, &session()] {
            assert_eq!(other.token("user").unwrap().value(), token.value());
        }
    };
    reject(&first, "masv:/v1/things/1", token.value());
    for asker in [&first, &session()] {
        assert_eq!(
            error_of(asker, "masv:/v1/things/1"),
            ErrorKind::InsufficientAccess
        );
    }
    nobody_else_notices();
    harness.pass_s(10);
    harness.sandbox().reject_token(token.value());
    for asker in [&first, &session()] {
        assert_eq!(
            error_of(asker, "masv:/v1/things/1"),
            ErrorKind::LoginRequired
        );
    }
    nobody_else_notices();
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn a_reject_without_a_resource_counts_for_its_session_alone() {
    let harness = new_harness();
    let (first, second) = (harness.session(), harness.session());
    let token = first.token("user").unwrap();
    second.token("user").unwrap();
    first.reject(&token).unwrap();
    assert_eq!(error_of(&first, "user"), ErrorKind::InsufficientAccess);
    for other in [&second, &harness.session()] {
        assert_eq!(other.token("user").unwrap().value(), token.value());
    }
}

#[test]
fn a_pause_after_a_rejection_goes_on_in_the_next_process() {
    let harness: Harness = new_harness();
    harness.sandbox().set_life("bearer", 100_000);
    for pause_s in [10, 60, 600, 3600, 3600] {
        let token = harness.session().token(BEARER).unwrap();
        reject(&harness.session(), BEARER, token.value());
        let next = harness.session().token(BEARER);
        if pause_s == 10 {
            // The first one is replaced at once.
            reject(&harness.session(), BEARER, next.unwrap().value());
        }
        harness.pass_s(pause_s - 1);
        let error = harness.session().token(BEARER).map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.retry_after_ms),
            (ErrorKind::BadCredentials, Some(1000)),
            "{pause_s}"
        );
        assert!(
            harness
                .session()
                .token("fileverbs:/api/v1/jobrequests/1")
                .is_ok(),
            "{pause_s}"
        );
        harness.pass_s(1);
    }
}
