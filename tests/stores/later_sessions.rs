//! Processes one after the other, each with a new session: what one has learned is stored for the
//! next.

use std::time::Duration;

use keyferry::error::ErrorKind;
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, credentials as c};

use crate::processes::new_harness;
use crate::two_sessions::StoreSessions;
use keyferry_testing::harness::Harness;

const DAY: i64 = 24 * 3600;
const BEARER: &str = "fileverbs:bearer";

/// Checks that neither a fetched nor a stored token has expired by the clock of the service.
fn assert_unexpired(harness: &Harness, case: &str) {
    let got = *harness.session().token(BEARER).unwrap();
    let stored = harness.session().stored(&Request::new(BEARER)).unwrap();
    for token in [Some(got), stored].into_iter().flatten() {
        let left_us = token.meta().expires_us - harness.sandbox().clock().now_unix_ms() * 1000;
        assert!(
            left_us > 0,
            "{case}: expired {} s ago",
            -left_us / 1_000_000
        );
    }
}

#[test]
fn a_new_process_knows_the_service_s_clock() {
    for ahead_s in [600, -1200, 2 * DAY, -2 * DAY] {
        let harness = new_harness();
        harness.sandbox().clock().set_offset_ms(ahead_s * 1000);
        harness.sandbox().set_life("bearer", 600);
        for round in 0..60 {
            assert_unexpired(
                &harness,
                &format!("round {round}, the service being {ahead_s} s ahead"),
            );
            harness.pass_s(20);
        }
        // 1,200 s, and each serves for 570.
        let got = harness.sandbox().count("fileverbs_login") + harness.sandbox().count("refresh");
        assert!(
            got <= 3,
            "{got} bearers, the service being {ahead_s} s ahead"
        );
    }
}

#[test]
fn an_end_is_told_by_this_machine_s_clock_the_first_time_and_the_second() {
    let harness = new_harness();
    harness.sandbox().clock().set_offset_ms(600_000);
    let told = || {
        let session = harness.session();
        let token = session.token("user").unwrap();
        session.inspect().ends_here_unix_s(&token)
    };
    assert_eq!(told(), told());
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn a_clock_that_was_set_back_since_makes_the_stored_difference_none() {
    let harness = new_harness();
    harness.sandbox().set_life("bearer", 600);
    harness.sandbox().clock().set_offset_ms(-1_200_000);
    harness.session().token(BEARER).unwrap();
    // This machine's clock was ahead, and is right now.
    harness.pass_s(-1_200);
    harness.sandbox().clock().set_offset_ms(0);
    harness.pass_s(601);
    let token = harness.session().token(BEARER).unwrap();
    assert!(token.meta().expires_us > harness.clock().now_us());
}

/// Takes the route away by which MASV tells whether a user's token is alive.
fn no_probe(harness: &Harness) {
    harness
        .sandbox()
        .fault(Fault::status(404).path("/v1/teams").forever());
}

/// What a process gets, and tells another to be refused.
fn get_and_reject(harness: &Harness, resource: &str) -> Result<(), ErrorKind> {
    let token = harness
        .session()
        .token(resource)
        .map_err(|error| error.kind)?;
    harness
        .session()
        .reject_value(resource, &Secret::from(token.value()))
        .unwrap();
    Ok(())
}

#[test]
fn processes_that_reject_each_token_cause_one_login_in_ten_seconds() {
    let harness = new_harness();
    no_probe(&harness);
    for (resource, count) in [
        ("user", "login"),
        (BEARER, "fileverbs_login"),
        (&*crate::worker::package(), "lookup"),
    ] {
        let before = harness.sandbox().count(count);
        let got: Vec<_> = (0..10)
            .map(|_| get_and_reject(&harness, resource))
            .collect();
        assert_eq!(
            got[..2],
            [Ok(()), Ok(())],
            "{resource}: the first reject is answered with a new token at once"
        );
        assert!(
            got[2..]
                .iter()
                .all(|got| *got == Err(ErrorKind::BadCredentials)),
            "{resource}: {got:?}"
        );
        harness.pass_s(9);
        let error = harness.session().token(resource).map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.retry_after_ms),
            (ErrorKind::BadCredentials, Some(1000)),
            "{resource}"
        );
        harness.pass_s(1);
        assert_eq!(get_and_reject(&harness, resource), Ok(()), "{resource}");
        assert_eq!(
            get_and_reject(&harness, resource),
            Err(ErrorKind::BadCredentials),
            "{resource}"
        );
        let renewed = if resource == BEARER {
            harness.sandbox().count("refresh")
        } else {
            0
        };
        assert_eq!(
            harness.sandbox().count(count) + renewed - before,
            3,
            "{resource}"
        );
        harness.pass_s(3600);
    }
}

#[test]
fn a_login_that_somebody_asks_for_is_made_and_begins_anew() {
    let harness = new_harness();
    no_probe(&harness);
    for _ in 0..3 {
        let _ = get_and_reject(&harness, "user");
    }
    assert_eq!(
        harness.session().token("user").map(drop).unwrap_err().kind,
        ErrorKind::BadCredentials
    );
    harness.session().masv_login(None, None).unwrap();
    assert_eq!(get_and_reject(&harness, "user"), Ok(()));
    assert_eq!(
        get_and_reject(&harness, "user"),
        Ok(()),
        "the first reject after it"
    );
    assert_eq!(
        get_and_reject(&harness, "user"),
        Err(ErrorKind::BadCredentials)
    );
    harness.session().forget(Some("user")).unwrap();
    assert!(harness.session().token("user").is_ok());
}

#[test]
fn a_login_that_failed_is_no_token_that_was_rejected() {
    let harness = new_harness();
    no_probe(&harness);
    get_and_reject(&harness, "user").unwrap();
    let session = harness.session();
    harness.sandbox().fault(Fault::status(503).path("/v1/auth"));
    assert_eq!(
        session.token("user").map(drop).unwrap_err().kind,
        ErrorKind::Unavailable
    );
    harness.pass_s(6);
    assert!(session.token("user").is_ok());
}

/// Sixteen processes' worth of asking for a bearer: what they got, or met.
fn ask(harness: &Harness) -> Vec<Result<u64, ErrorKind>> {
    let ask = || {
        harness
            .session()
            .token(BEARER)
            .map(|token| token.meta().generation)
    };
    (0..16).map(|_| ask().map_err(|error| error.kind)).collect()
}

#[test]
fn a_stored_write_token_does_not_stand_in_for_a_management_token_that_is_to_be_renewed() {
    let harness = new_harness();
    let package = format!("packages/{}", c::PACKAGE_ID);
    harness.sandbox().set_life("package", 1000);
    let first = harness.session().token(&package).unwrap();
    let ends_s = harness.clock().now_us() / 1_000_000 + 10_000;
    harness
        .session()
        .adopt(&package, Secret::from("made-up-write-token"), Some(ends_s))
        .unwrap();
    harness.pass_s(960);
    let second = harness.session().token(&package).unwrap();
    assert_eq!(second.meta().access, Access::Manage);
    assert!(second.meta().generation > first.meta().generation);
}

fn path_of(package: &str) -> String {
    format!("/v1.1/teams/{}/packages/{package}", c::TEAM_ID)
}

#[test]
fn of_two_pauses_that_are_met_at_once_the_longer_one_counts() {
    let mut met = 0;
    // Where one had its answer before the other asked, that one did not go.
    for round in 0..200 {
        if met == 20 {
            return;
        }
        let harness = new_harness();
        harness.session().token("user").unwrap();
        let packages = [(c::PACKAGE_ID, "600"), (c::OTHER_PACKAGE_ID, "3")];
        for (package, pause) in packages {
            harness.sandbox().fault(
                Fault::status(429)
                    .path(&path_of(package))
                    .retry_after(pause)
                    .latency(Duration::from_millis(30)),
            );
        }
        let ask = |package: &str| {
            harness
                .session()
                .token(&format!("packages/{package}"))
                .map(drop)
                .unwrap_err()
                .retry_after_ms
        };
        std::thread::scope(|scope| {
            for (package, _) in packages {
                scope.spawn(move || ask(package));
            }
        });
        if harness.sandbox().count("faults_hit") == 2 {
            met += 1;
            assert_eq!(ask(c::PACKAGE_ID), Some(600_000), "round {round}");
        }
    }
    panic!("only {met} times both were asked");
}

#[test]
fn an_answer_ends_no_pause_that_another_process_has_met_meanwhile() {
    for round in 0..20 {
        let harness = new_harness();
        let token = |package: &str| {
            harness
                .session()
                .token(&format!("packages/{package}"))
                .map_err(|error| error.retry_after_ms)
        };
        harness.session().token("user").unwrap();
        // One that has run out is there, so that an answer finds something to end.
        harness.sandbox().fault(
            Fault::status(429)
                .path(&path_of(c::PACKAGE_ID))
                .retry_after("3"),
        );
        assert_eq!(token(c::PACKAGE_ID).map(drop), Err(Some(3000)));
        harness.pass_s(4);
        let slow = Duration::from_millis(30);
        harness.sandbox().fault(
            Fault::status(429)
                .path(&path_of(c::PACKAGE_ID))
                .retry_after("600")
                .latency(slow),
        );
        harness
            .sandbox()
            .fault(Fault::slow(slow).path(&path_of(c::OTHER_PACKAGE_ID)));
        let (paused, answered) = std::thread::scope(|scope| {
            let [one, other] = [c::PACKAGE_ID, c::OTHER_PACKAGE_ID]
                .map(|package| scope.spawn(move || token(package).map(drop)));
            (one.join().unwrap(), other.join().unwrap())
        });
        assert_eq!(paused, Err(Some(600_000)), "round {round}");
        assert!(
            answered.is_ok() || answered == Err(Some(600_000)),
            "round {round}: {answered:?}"
        );
        assert_eq!(
            token(c::PACKAGE_ID).map(drop),
            Err(Some(600_000)),
            "round {round}"
        );
    }
}

#[test]
fn a_clock_that_is_set_back_ends_what_was_met_before() {
    let harness = new_harness();
    harness.sandbox().fault(Fault::status(503).path("/v1/auth"));
    assert_eq!(
        harness.session().token("user").map(drop).unwrap_err().kind,
        ErrorKind::Unavailable
    );
    assert_eq!(
        harness.session().token("user").map(drop).unwrap_err().kind,
        ErrorKind::Unavailable,
        "remembered"
    );
    harness.pass_s(-600);
    assert!(harness.session().token("user").is_ok());
}

#[test]
fn a_refresh_that_failed_is_not_repeated_by_the_next_process() {
    const ROUTE: &str = "/api/v1/accounts/refresh-token";
    let throttled = Fault::status(429).retry_after("120");
    // After a 429 the renewal secret is sent again. After a 503 it counts as spent, because the
    // service may have used it: a login follows.
    for (fault, kind, pause_s, logins) in [
        (throttled, ErrorKind::Throttled, 120, 1),
        (Fault::status(503), ErrorKind::Unavailable, 5, 2),
    ] {
        let harness = new_harness();
        harness.sandbox().set_life("bearer", 600);
        let old = harness.session().token(BEARER).unwrap();
        harness.sandbox().fault(fault.path(ROUTE).forever());
        let count = || {
            (
                harness.sandbox().count("requests"),
                harness.sandbox().count("fileverbs_login"),
            )
        };
        harness.pass_s(597);
        let present = vec![Ok(old.meta().generation); 16];
        assert_eq!(
            (ask(&harness), count()),
            (present, (2, 1)),
            "{kind:?}: the present token serves on"
        );
        harness.pass_s(4);
        assert_eq!(
            (ask(&harness), count()),
            (vec![Err(kind); 16], (2, 1)),
            "{kind:?}: it has ended, and the pause has not"
        );
        harness.pass_s(pause_s - 4);
        let got = ask(&harness);
        assert_eq!(count(), (3, logins), "{kind:?}: the pause is over");
        if logins == 1 {
            assert_eq!(got, vec![Err(kind); 16], "the refresh fails again");
        } else {
            assert!(got.iter().all(Result::is_ok), "{got:?}");
        }
        harness.sandbox().clear_faults();
        harness.pass_s(900);
        assert!(ask(&harness).iter().all(Result::is_ok));
        assert_eq!(count(), (4, logins), "{kind:?}");
        harness.pass_s(650);
        harness.sandbox().fault(Fault::status(503).path(ROUTE));
        assert_eq!(ask(&harness)[15], Err(ErrorKind::Unavailable));
        harness.pass_s(5);
        assert!(
            ask(&harness).iter().all(Result::is_ok),
            "a refresh that went well ended what was remembered"
        );
    }
}

#[test]
fn a_token_that_comes_expired_is_fetched_again_only_after_a_pause() {
    let harness = new_harness();
    // This machine's clock is 10 years ahead.
    let behind_ms = 10 * 365 * DAY * 1000;
    harness.sandbox().clock().set_offset_ms(-behind_ms);
    let ask = || {
        let failure = harness.session().token("user").map(drop).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::BadResponse);
        assert!(failure.message().contains("clock"), "{failure}");
    };
    ask();
    for (logins, pause_s) in (1..).zip([5, 10, 20, 40, 80, 160, 300, 300]) {
        for _ in 0..5 {
            ask();
            harness.pass_s(pause_s / 5);
            assert_eq!(harness.sandbox().count("login"), logins, "{pause_s} s");
        }
        ask();
    }
    // The clock is set right, which ends the pause.
    harness.pass_s(-behind_ms / 1000);
    harness.sandbox().clock().set_offset_ms(0);
    harness.session().token("user").unwrap();
    harness.session().token("user").unwrap();
    assert_eq!(harness.sandbox().count("login"), 10);
}

#[test]
fn a_pause_after_an_expired_token_ends_when_its_key_is_forgotten() {
    let harness = new_harness();
    let behind_ms = 10 * 365 * DAY * 1000;
    harness.sandbox().clock().set_offset_ms(-behind_ms);
    for logins in 1..4 {
        let session = harness.session();
        (0..3).for_each(|_| assert!(session.token("user").is_err()));
        assert_eq!(harness.sandbox().count("login"), logins);
        session.forget(Some("user")).unwrap();
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_no_stored_token_beyond_its_life() {
    for back_s in [60, 600, 2 * DAY, 3650 * DAY] {
        let harness = new_harness();
        harness.sandbox().set_life("bearer", 600);
        for round in 0..60 {
            if round == 20 {
                harness.pass_s(-back_s);
                harness.sandbox().clock().set_offset_ms(back_s * 1000);
            }
            assert_unexpired(
                &harness,
                &format!("round {round}, the clock being set back by {back_s} s"),
            );
            harness.pass_s(20);
        }
        let got = harness.sandbox().count("fileverbs_login") + harness.sandbox().count("refresh");
        assert!(got <= 3, "{got} bearers, {back_s} s back");
    }
}
