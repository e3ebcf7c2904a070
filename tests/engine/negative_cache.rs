//! Wrong passwords and services that don't answer a login: how often it is tried.

use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{
    KEYFERRY_E_BAD_CREDENTIALS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
    KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_UNREACHABLE,
};
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, FaultAction, Options, Sandbox, credentials as made};

use crate::sessions::{self, TimedSession, package, session_at, together};

const WRONG: (&str, &str) = ("masv.password", "wrong");

#[test]
fn a_wrong_password_asked_a_thousand_times_is_one_request() {
    let sandbox = sessions::sandbox();
    let session = sessions::open_but(&sandbox, &[WRONG]);
    together(8, |number| {
        for n in 0..125 {
            let resource = if n % 5 == 4 {
                package(number + 1)
            } else {
                "user".into()
            };
            let failure = session.token(&resource).unwrap_err();
            assert_eq!(
                (failure.status, failure.http_status),
                (KEYFERRY_E_BAD_CREDENTIALS, 401)
            );
            assert!(
                failure.message.contains("masv.password") && !failure.message.contains("wrong"),
                "{failure:?}"
            );
        }
    });
    assert_eq!((sandbox.count("login"), sandbox.count("requests")), (1, 1));
}

/// The pauses between logins, in seconds of the virtual clock, when it is asked once a second.
fn pauses(timed: &TimedSession, resource: &str, count: usize) -> Vec<i64> {
    let mut pauses = Vec::new();
    let (mut since, mut seen) = (0, timed.sandbox().count("login"));
    while pauses.len() < count {
        timed.pass_s(1);
        since += 1;
        assert!(since < 5000, "no login any more after {pauses:?}");
        timed.token(resource).unwrap_err();
        if timed.sandbox().count("login") > seen {
            assert_eq!(timed.sandbox().count("login"), seen + 1);
            pauses.push(since);
            (since, seen) = (0, seen + 1);
        }
    }
    pauses
}

#[test]
fn a_refusal_is_remembered_for_a_minute_that_doubles_to_an_hour() {
    let timed = TimedSession::but(&[WRONG]);
    timed.token("user").unwrap_err();
    assert_eq!(
        pauses(&timed, "user", 8),
        [60, 120, 240, 480, 960, 1920, 3600, 3600]
    );
}

#[test]
fn a_500_to_a_login_is_remembered_for_five_seconds_that_double_to_five_minutes() {
    for act in [
        Fault::status(500),
        Fault::status(503),
        Fault::new(FaultAction::Lost),
        Fault::new(FaultAction::Close),
        Fault::new(FaultAction::Half),
    ] {
        let timed = TimedSession::new();
        timed.sandbox().fault(act.path("/v1/auth").forever());
        timed.token("user").unwrap_err();
        assert_eq!(
            timed.sandbox().count("login"),
            1,
            "never repeated by itself"
        );
        assert_eq!(
            pauses(&timed, "user", 8),
            [5, 10, 20, 40, 80, 160, 300, 300]
        );
    }
}

#[test]
fn a_login_by_hand_is_tried_at_once() {
    let timed = TimedSession::but(&[WRONG]);
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    let login = |password: &str| {
        let password = Secret::from(password);
        timed
            .session
            .masv_login(Some(Secret::from(made::EMAIL)), Some(password))
            .map(drop)
            .map_err(|error| error.kind)
    };
    assert_eq!(login("wrong"), Err(ErrorKind::BadCredentials));
    assert_eq!(timed.sandbox().count("login"), 2);
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    assert_eq!(timed.sandbox().count("login"), 2);
    assert_eq!(login(made::PASSWORD), Ok(()));
    assert_eq!(timed.sandbox().count("login"), 3);
    assert!(timed.token("user").is_ok() && timed.token(&package(1)).is_ok());
    assert_eq!(timed.sandbox().count("login"), 3);
}

#[test]
fn after_a_login_of_another_user_the_former_ones_packages_are_gone() {
    let timed = TimedSession::new();
    timed.token("user").unwrap();
    timed.token(&package(1)).unwrap();
    let login = |email: &str, password: &str| {
        timed
            .session
            .masv_login(Some(email.into()), Some(password.into()))
            .map(drop)
            .unwrap()
    };
    login(made::EMAIL, made::PASSWORD);
    assert!(timed.peek(&package(1)).is_ok(), "the same user again");
    login(made::SECOND_EMAIL, made::SECOND_PASSWORD);
    assert_eq!(timed.peek(&package(1)), Err(ErrorKind::NotCached));
    assert!(
        timed.token(&package(1)).is_err(),
        "it is the first user's package"
    );
}

#[test]
fn a_new_password_is_tried_at_once() {
    let sandbox = sessions::sandbox();
    assert!(
        sessions::open_but(&sandbox, &[WRONG])
            .token("user")
            .is_err()
    );
    assert!(sessions::open(&sandbox).token("user").is_ok());
    let timed = TimedSession::new();
    let url = timed.sandbox().masv_url();
    let good = [
        ("profile.good.masv.url", url),
        ("profile.good.masv.email", made::EMAIL),
        ("profile.good.masv.password", made::PASSWORD),
    ];
    let session = session_at(
        timed.clock(),
        timed.sandbox(),
        &[&[WRONG], &good[..]].concat(),
    );
    let timed = TimedSession { session, ..timed };
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    let mut good = keyferry::model::request::Request::new("user");
    good.account = Some("good".into());
    assert!(
        timed.session.token_for(&good).is_ok(),
        "another account is not shut out by this one's password"
    );
    assert_eq!(timed.sandbox().count("login"), 2);
}

#[test]
fn an_error_after_a_success_begins_at_a_minute_again() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("user", 100);
    timed.token("user").unwrap();
    timed.pass_s(100);
    timed
        .sandbox()
        .fault(Fault::status(401).path("/v1/auth").times(1));
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    timed.pass_s(60);
    assert!(timed.token("user").is_ok());
    timed.pass_s(100);
    timed
        .sandbox()
        .fault(Fault::status(401).path("/v1/auth").times(1));
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    timed.pass_s(59);
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    timed.pass_s(1);
    assert!(timed.token("user").is_ok());
}

#[test]
fn a_429_to_a_login_is_not_repeated_before_its_time() {
    for (asked, honoured) in [
        ("7", 7),
        ("120", 120),
        ("86400", 900),
        ("99999999999999999999", 900),
    ] {
        let timed = TimedSession::new();
        timed
            .sandbox()
            .fault(Fault::status(429).retry_after(asked).path("/v1/auth"));
        let error = timed.session.token("user").map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.retry_after_ms),
            (ErrorKind::Throttled, Some(honoured * 1000)),
            "{asked}"
        );
        timed.pass_s(honoured as i64 - 1);
        assert_eq!(timed.token("user").unwrap_err(), ErrorKind::Throttled);
        assert_eq!(timed.sandbox().count("login"), 1);
        timed.pass_s(1);
        assert!(timed.token("user").is_ok(), "{asked}");
        assert_eq!(timed.sandbox().count("login"), 2);
    }
}

#[test]
fn a_429_without_a_sensible_time_pauses_all_the_same() {
    for asked in [
        None,
        Some("-5"),
        Some("soon"),
        Some("Thu, 01 Jan 1970 00:00:00 GMT"),
    ] {
        let timed = TimedSession::new();
        let fault = Fault::status(429).path("/v1/auth");
        timed
            .sandbox()
            .fault(asked.map_or(fault.clone(), |asked| fault.retry_after(asked)));
        together(8, |_| {
            assert_eq!(timed.token("user").unwrap_err(), ErrorKind::Throttled)
        });
        assert_eq!(timed.sandbox().count("login"), 1, "{asked:?}");
        timed.pass_s(5);
        assert!(timed.token("user").is_ok(), "{asked:?}");
    }
}

#[test]
fn a_date_in_retry_after_is_read_by_the_service_s_clock() {
    let timed = TimedSession::new();
    // The manual clock begins at Fri, 15 Jan 2027 08:00:00 GMT.
    timed.sandbox().fault(
        Fault::status(429)
            .retry_after("Fri, 15 Jan 2027 08:01:00 GMT")
            .path("/v1/auth"),
    );
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::Throttled);
    timed.pass_s(59);
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::Throttled);
    timed.pass_s(1);
    assert!(timed.token("user").is_ok());
    assert_eq!(timed.sandbox().count("login"), 2);
}

#[test]
fn each_failure_of_a_login_has_its_status() {
    let rows = [
        (Fault::status(500), KEYFERRY_E_UNAVAILABLE),
        (Fault::status(429), KEYFERRY_E_THROTTLED),
        (Fault::status(403), KEYFERRY_E_BAD_CREDENTIALS),
        (Fault::new(FaultAction::Lost), KEYFERRY_E_NO_RESPONSE),
        (Fault::new(FaultAction::Reset), KEYFERRY_E_NO_RESPONSE),
    ];
    for (fault, status) in rows {
        let sandbox = sessions::sandbox();
        sandbox.fault(fault.path("/v1/auth").forever());
        let session = sessions::open(&sandbox);
        for _ in 0..3 {
            let failure = session.token("user").unwrap_err();
            assert_eq!(failure.status, status, "{failure:?}");
        }
        assert_eq!(sandbox.count("login"), 1);
    }
}

#[test]
fn a_lost_answer_is_no_reason_to_send_the_password_again() {
    let timed = TimedSession::new();
    timed
        .sandbox()
        .fault(Fault::new(FaultAction::Lost).path("/v1/auth"));
    together(16, |_| {
        assert_eq!(timed.token("user").unwrap_err(), ErrorKind::NoResponse)
    });
    assert_eq!(
        (
            timed.sandbox().count("login"),
            timed.sandbox().issued("user")
        ),
        (1, 1)
    );
    timed.pass_s(5);
    assert!(timed.token("user").is_ok());
}

#[test]
fn a_connection_that_fails_is_tried_once_more() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let session = sessions::open_but(
        &sessions::sandbox(),
        &[("masv.url", &format!("http://127.0.0.1:{free}"))],
    );
    let failure = session.token("user").unwrap_err();
    assert_eq!(failure.status, KEYFERRY_E_UNREACHABLE, "{failure:?}");
    let stats: serde_json::Value = serde_json::from_str(&session.stats()).unwrap();
    assert_eq!(
        (stats["logins"].as_u64(), stats["exchanges"].as_u64()),
        (Some(1), Some(2))
    );
    let begun = Instant::now();
    (0..50).for_each(|_| {
        assert_eq!(
            session.token("user").unwrap_err().status,
            KEYFERRY_E_UNREACHABLE
        )
    });
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "the pause answers, not the network"
    );
}

#[test]
fn a_service_that_comes_back_during_that_pause_is_found() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let elsewhere = sessions::sandbox();
    let session = session_at(
        &keyferry::clock::Clock::system(),
        &elsewhere,
        &[("masv.url", &format!("http://127.0.0.1:{free}"))],
    );
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| session.token("user").map(drop).map_err(|error| error.kind));
        while session.stats().exchanges == 0 {
            std::thread::yield_now();
        }
        // The first try may be under way still; at the latest the second one meets the service.
        let sandbox = Sandbox::start(Options {
            masv_port: free,
            ..Options::default()
        })
        .unwrap();
        assert_eq!(asked.join().unwrap(), Ok(()));
        assert_eq!(sandbox.count("login"), 1);
    });
}
