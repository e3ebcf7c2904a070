//! Reads that fail: repeated at most twice, and never before the time that the service asked for.

use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE};
use keyferry_sandbox::{Fault, FaultAction, credentials as made};

use crate::sessions::{self, TimedSession, package, together};

const LOOKUPS: &str = "/v1.1/teams/";

#[test]
fn a_read_is_repeated_at_most_twice() {
    // A read that fails on a connection that was open already is sent again at once, in addition.
    let rows = [
        (Fault::status(500), KEYFERRY_E_UNAVAILABLE, 3),
        (Fault::status(503), KEYFERRY_E_UNAVAILABLE, 3),
        (Fault::status(429), KEYFERRY_E_THROTTLED, 3),
        (Fault::new(FaultAction::Close), KEYFERRY_E_NO_RESPONSE, 4),
        (Fault::new(FaultAction::Reset), KEYFERRY_E_NO_RESPONSE, 4),
        (Fault::new(FaultAction::Lost), KEYFERRY_E_NO_RESPONSE, 4),
        (Fault::new(FaultAction::Half), KEYFERRY_E_NO_RESPONSE, 4),
    ];
    let sandbox = sessions::sandbox();
    for (fault, status, sent) in rows {
        let session = sessions::open(&sandbox);
        session.token("user").unwrap();
        sandbox.fault(fault.clone().path(LOOKUPS).times(2));
        sandbox.reset_counts();
        session.token(&package(1)).unwrap();
        assert_eq!(sandbox.count("lookup"), 3, "two failures are made up for");
        sandbox.reset_counts();
        sandbox.fault(fault.path(LOOKUPS).forever());
        let failure = session.token(&package(2)).unwrap_err();
        assert_eq!(failure.status, status, "{failure:?}");
        assert_eq!((sandbox.count("lookup"), sandbox.count("login")), (sent, 0));
        sandbox.clear_faults();
    }
}

#[test]
fn what_is_no_passing_trouble_is_not_repeated() {
    for status in [400, 403, 404, 410, 418] {
        let timed = TimedSession::new();
        timed.sandbox().fault(
            Fault::status(status)
                .path(&format!("/v1/packages/{}/transfer", made::PACKAGE_ID))
                .forever(),
        );
        let resource = format!("{}/transfers/{}", package(1), made::TRANSFER_ID);
        let error = timed.token(&resource).unwrap_err();
        assert!(
            !matches!(
                error,
                ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::NoResponse
            ),
            "{status}: {error:?}"
        );
        assert_eq!(timed.sandbox().count("transfer_list"), 1, "{status}");
    }
}

#[test]
fn no_read_is_sent_before_the_time_that_the_service_asked_for() {
    for (status, kind) in [(429, ErrorKind::Throttled), (503, ErrorKind::Unavailable)] {
        for (asked, honoured) in [("3", 3), ("120", 120), ("900", 900), ("86400", 900)] {
            let timed = TimedSession::new();
            let resource = package(1);
            timed.token("user").unwrap();
            timed
                .sandbox()
                .fault(Fault::status(status).retry_after(asked).path(LOOKUPS));
            assert_eq!(timed.token(&resource).unwrap_err(), kind);
            assert_eq!(
                timed.sandbox().count("lookup"),
                1,
                "no caller is kept waiting for {asked} s"
            );
            timed.pass_s(honoured - 1);
            together(8, |_| assert_eq!(timed.token(&resource).unwrap_err(), kind));
            assert_eq!(timed.sandbox().count("lookup"), 1, "{status} {asked}");
            timed.pass_s(1);
            assert!(timed.token(&resource).is_ok(), "{status} {asked}");
        }
    }
}

#[test]
fn a_short_retry_after_is_waited_for_in_the_flight() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    session.token("user").unwrap();
    sandbox.fault(Fault::status(503).retry_after("1").path(LOOKUPS));
    let begun = Instant::now();
    session.token(&package(1)).unwrap();
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(sandbox.count("lookup"), 2);
}

#[test]
fn a_key_that_is_throttled_is_not_sent_for_another_package_either() {
    let timed = TimedSession::but(&[("masv.api_key", made::API_KEY)]);
    timed
        .sandbox()
        .fault(Fault::status(429).retry_after("120").path(LOOKUPS).times(1));
    assert_eq!(timed.token(&package(1)).unwrap_err(), ErrorKind::Throttled);
    timed.pass_s(119);
    together(16, |number| {
        assert_eq!(
            timed.token(&package(number + 1)).unwrap_err(),
            ErrorKind::Throttled
        )
    });
    assert_eq!(timed.sandbox().count("requests"), 1);
    timed.pass_s(1);
    assert!(timed.token(&package(7)).is_ok());
}

#[test]
fn a_package_that_answers_500_does_not_shut_the_key_out_of_the_others() {
    let timed = TimedSession::but(&[("masv.api_key", made::API_KEY)]);
    let broken = format!(
        "{LOOKUPS}{}/packages/{}",
        made::TEAM_ID,
        sessions::package_id(1)
    );
    timed
        .sandbox()
        .fault(Fault::status(500).path(&broken).forever());
    assert_eq!(
        timed.token(&package(1)).unwrap_err(),
        ErrorKind::Unavailable
    );
    assert!(
        timed.token(&package(2)).is_ok(),
        "{:?}",
        timed.token(&package(2))
    );
    assert!(timed.token("user").is_ok());
}

#[test]
fn repeats_come_at_random_distances() {
    // How long the two pauses before the third try take: random below 250 ms and 500 ms.
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    session.token("user").unwrap();
    let mut times: Vec<Duration> = together(12, |number| {
        let path = format!(
            "{LOOKUPS}{}/packages/{}",
            made::TEAM_ID,
            sessions::package_id(number + 1)
        );
        sandbox.fault(Fault::status(503).path(&path).times(2));
        let begun = Instant::now();
        session.token(&package(number + 1)).unwrap();
        begun.elapsed()
    });
    times.sort();
    let spread = times[11] - times[0];
    assert!(times[11] < Duration::from_millis(1500), "{times:?}");
    assert!(
        spread > Duration::from_millis(75),
        "a tenth of the longest pause at the least: {times:?}"
    );
}

#[test]
fn a_user_s_token_that_the_service_refuses_is_renewed_once() {
    let timed = TimedSession::new();
    let first = timed.token("user").unwrap();
    timed.sandbox().reject_token(first.value());
    together(32, |number| {
        assert!(timed.token(&package(number + 1)).is_ok())
    });
    assert_eq!(timed.sandbox().count("login"), 2);
    // Now each one that it gives.
    (3..200).for_each(|generation| timed.sandbox().reject_generation("user", generation));
    timed.pass_s(20);
    timed
        .sandbox()
        .reject_token(timed.token("user").unwrap().value());
    timed.sandbox().reset_counts();
    together(64, |number| {
        assert_eq!(
            timed.token(&package(number + 100)).unwrap_err(),
            ErrorKind::BadCredentials
        )
    });
    assert_eq!(
        timed.sandbox().count("login"),
        1,
        "one new login in ten seconds"
    );
    assert!(timed.sandbox().count("lookup") <= 2 * 64);
}

#[test]
fn a_throttled_account_reads_nothing_else_either() {
    let timed = TimedSession::new();
    timed.token("user").unwrap();
    timed
        .sandbox()
        .fault(Fault::status(429).retry_after("120").path(LOOKUPS).times(1));
    assert_eq!(timed.token(&package(1)).unwrap_err(), ErrorKind::Throttled);
    timed.sandbox().reset_counts();
    timed.pass_s(119);
    together(16, |number| {
        assert_eq!(
            timed.token(&package(number + 1)).unwrap_err(),
            ErrorKind::Throttled
        )
    });
    assert!(timed.token("user").is_ok() && timed.token("fileverbs:bearer").is_ok());
    assert_eq!(timed.sandbox().count("requests_masv"), 0);
    timed.pass_s(1);
    together(16, |number| {
        assert!(timed.token(&package(number + 1)).is_ok())
    });
}
