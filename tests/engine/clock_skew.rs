//! Clocks that disagree. Expiry goes by the service's clock, which its `Date` tells.

use keyferry::clock::Clock;
use keyferry_sandbox::{self, Sandbox};
use keyferry_testing::harness::Harness;
use keyferry_testing::http::claims;
use keyferry_testing::settings::sandbox_clock;

use crate::sessions::{self, SECOND, START_US, session_at};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;

/// A session whose clock is behind the sandbox's by so many seconds, and both clocks run as the
/// returned one.
fn apart(ahead_s: i64, lives: &[(&str, i64)]) -> (Clock, Sandbox, keyferry::session::Session) {
    let clock = Clock::manual(START_US);
    let sandbox = Sandbox::start(keyferry_sandbox::Options {
        clock: sandbox_clock(&clock, ahead_s * 1000),
        ..Default::default()
    })
    .unwrap();
    lives
        .iter()
        .for_each(|(kind, life)| sandbox.set_life(kind, *life));
    let session = session_at(&clock, &sandbox, &[]);
    (clock, sandbox, session)
}

#[test]
fn no_token_is_handed_out_that_has_ended_by_the_service_s_clock() {
    for ahead_s in [10 * MINUTE, -10 * MINUTE, 2 * DAY, -2 * DAY, 30, -30] {
        let (clock, sandbox, session) =
            apart(ahead_s, &[("user", 900), ("package", 300), ("bearer", 120)]);
        for _ in 0..400 {
            for resource in [
                "user",
                "fileverbs:bearer",
                "packages/01J0SANDB0XPACKAGE00000001",
            ] {
                let token = session
                    .token(resource)
                    .unwrap_or_else(|error| panic!("{ahead_s} s ahead: {error}"));
                let ends_s = claims(token.value())["exp"].as_i64().unwrap();
                let now_s = clock.now_us() / SECOND + ahead_s;
                assert!(
                    now_s < ends_s,
                    "{resource} ended {} s ago, the service being {ahead_s} s ahead",
                    now_s - ends_s
                );
            }
            clock.advance_us(5 * SECOND);
        }
        // 2,000 s: a user's token lasts 720 s and more, a package's 240, a bearer 60.
        let requests = sandbox.count("requests");
        assert!(
            requests < 80,
            "{requests} requests, the service being {ahead_s} s ahead"
        );
        assert_eq!(
            (sandbox.count("expired_token"), sandbox.count("status_401")),
            (0, 0)
        );
    }
}

#[test]
fn a_clock_that_is_set_while_it_runs_costs_a_login_and_no_storm() {
    for step_s in [10 * MINUTE, 2 * DAY] {
        let clock = Clock::manual(START_US);
        let harness = Harness::at(START_US);
        let sandbox = harness.sandbox();
        sandbox.set_life("user", 900);
        let session = session_at(&clock, sandbox, &[]);
        let tick = || {
            clock.advance_us(SECOND);
            harness.pass_s(1);
        };
        session.token("user").unwrap();
        clock.advance_us(step_s * SECOND);
        for _ in 0..60 {
            session.token("user").unwrap();
            tick();
        }
        assert!(
            sandbox.count("login") <= 2,
            "{} logins",
            sandbox.count("login")
        );
    }
}

#[test]
fn a_date_that_is_nonsense_passes_with_the_next_answer() {
    let timed = sessions::TimedSession::new();
    timed.token("user").unwrap();
    for skew_s in [400 * 365 * DAY, -20 * 365 * DAY] {
        let fault = keyferry_sandbox::Fault::new(keyferry_sandbox::FaultAction::Nothing)
            .date_skew_s(skew_s);
        timed.sandbox().fault(fault.path("/v1.1/teams/"));
        let _ = timed.token(&sessions::package(1));
        timed.session.forget(Some(&sessions::package(1))).unwrap();
        for _ in 0..130 {
            let _ = timed.token(&sessions::package(2));
            timed.pass_s(1);
        }
        assert!(timed.token(&sessions::package(3)).is_ok() && timed.token("user").is_ok());
        timed.session.forget(None).unwrap();
    }
    assert!(
        timed.sandbox().count("requests") < 40,
        "{} requests",
        timed.sandbox().count("requests")
    );
}

#[test]
fn an_answer_that_takes_long_is_no_clock_that_is_behind() {
    let timed = sessions::TimedSession::new();
    timed.token("user").unwrap();
    let skew = || timed.session.explain("user").unwrap().clock_skew_s;
    // The `Date` is written when the service has thought for 25 s, then the answer takes 25 s to
    // come.
    for kind in ["thinks", "drips"] {
        timed.session.forget(Some(&sessions::package(1))).unwrap();
        let act = if kind == "thinks" {
            keyferry_sandbox::FaultAction::Nothing
        } else {
            keyferry_sandbox::FaultAction::Drip(std::time::Duration::from_micros(500))
        };
        let fault =
            keyferry_sandbox::Fault::new(act).latency(std::time::Duration::from_millis(100));
        timed.sandbox().reset_counts();
        timed.sandbox().fault(fault.path("/v1.1/"));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| timed.token(&sessions::package(1)).map(drop));
            assert!(timed.sandbox().wait_for("lookup", 1, sessions::LONG));
            timed.pass_s(25);
            assert!(timed.sandbox().wait_for("status_200", 1, sessions::LONG));
            timed.pass_s(25);
            asked.join().unwrap().unwrap();
        });
        assert_eq!(skew(), 0, "{kind}");
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_no_token_beyond_its_life() {
    for back_s in [60, 600, 2 * DAY, 3650 * DAY] {
        let (clock, real) = (Clock::manual(START_US), Clock::manual(START_US));
        let sandbox = Sandbox::start(keyferry_sandbox::Options {
            clock: sandbox_clock(&real, 0),
            ..Default::default()
        })
        .unwrap();
        sandbox.set_life("user", 900);
        sandbox.set_life("bearer", 900);
        let session = session_at(&clock, &sandbox, &[]);
        for round in 0..400 {
            if round == 60 {
                clock.set_us(clock.now_us() - back_s * SECOND);
            }
            for resource in ["user", "fileverbs:bearer"] {
                let token = session
                    .token(resource)
                    .unwrap_or_else(|error| panic!("{back_s} s back: {error}"));
                let left_s =
                    claims(token.value())["exp"].as_i64().unwrap() - real.now_us() / SECOND;
                assert!(
                    left_s > 0,
                    "{resource} ended {} s ago, the clock being set back by {back_s} s",
                    -left_s
                );
            }
            clock.advance_us(5 * SECOND);
            real.advance_us(5 * SECOND);
        }
        let requests = sandbox.count("requests");
        assert!(requests < 20, "{requests} requests, {back_s} s back");
    }
}

#[test]
fn a_clock_that_was_years_ahead_and_is_set_right_serves_again() {
    let (clock, real) = (
        Clock::manual(START_US + 3650 * DAY * SECOND),
        Clock::manual(START_US),
    );
    let sandbox = Sandbox::start(keyferry_sandbox::Options {
        clock: sandbox_clock(&real, 0),
        ..Default::default()
    })
    .unwrap();
    let session = session_at(&clock, &sandbox, &[]);
    assert!(session.token("user").is_err());
    clock.set_us(real.now_us());
    let first = session.token("user").unwrap();
    assert_eq!(session.token("user").unwrap().value(), first.value());
    let skew_s = session.explain("user").unwrap().clock_skew_s;
    assert_eq!(skew_s, 0);
}
