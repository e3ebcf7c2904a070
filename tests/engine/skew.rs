//! Clocks that disagree. Expiry goes by the service's clock, which its `Date` tells.

use std::sync::Arc;

use keyferry::clock::Clock;
use keyferry_sandbox::{self, Sandbox};
use keyferry_testing::http::claims;

use crate::harness::{self, SECOND, session_at};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;

/// A session whose clock is behind the sandbox's by so many seconds, and both clocks run as the
/// returned one.
fn apart(ahead_s: i64, lives: &[(&str, i64)]) -> (Clock, Sandbox, keyferry::session::Session) {
    let clock = Clock::manual(1_800_000_000 * SECOND);
    let theirs = clock.clone();
    let clock_of_sandbox =
        keyferry_sandbox::Clock::from_fn(Arc::new(move || theirs.now_us() / 1000 + ahead_s * 1000));
    let sandbox = Sandbox::start(keyferry_sandbox::Options {
        clock: clock_of_sandbox,
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
        let clock = Clock::manual(1_800_000_000 * SECOND);
        let theirs = Clock::manual(1_800_000_000 * SECOND);
        let followed = theirs.clone();
        let clock_of_sandbox =
            keyferry_sandbox::Clock::from_fn(Arc::new(move || followed.now_us() / 1000));
        let sandbox = Sandbox::start(keyferry_sandbox::Options {
            clock: clock_of_sandbox,
            ..Default::default()
        })
        .unwrap();
        sandbox.set_life("user", 900);
        let session = session_at(&clock, &sandbox, &[]);
        let tick = || {
            [&clock, &theirs]
                .iter()
                .for_each(|clock| clock.advance_us(SECOND))
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
    let world = harness::World::new();
    world.token("user").unwrap();
    for skew_s in [400 * 365 * DAY, -20 * 365 * DAY] {
        let fault = keyferry_sandbox::Fault::new(keyferry_sandbox::FaultAction::Nothing)
            .date_skew_s(skew_s);
        world.sandbox.fault(fault.path("/v1.1/teams/"));
        let _ = world.token(&harness::package(1));
        world.session.forget(Some(&harness::package(1))).unwrap();
        for _ in 0..130 {
            let _ = world.token(&harness::package(2));
            world.pass_s(1);
        }
        assert!(world.token(&harness::package(3)).is_ok() && world.token("user").is_ok());
        world.session.forget(None).unwrap();
    }
    assert!(
        world.sandbox.count("requests") < 40,
        "{} requests",
        world.sandbox.count("requests")
    );
}

#[test]
fn an_answer_that_takes_long_is_no_clock_that_is_behind() {
    let world = harness::World::new();
    world.token("user").unwrap();
    let skew = || world.session.explain("user").unwrap().clock_skew_s;
    // The `Date` is written when the service has thought for 25 s, then the answer takes 25 s to
    // come.
    for kind in ["thinks", "drips"] {
        world.session.forget(Some(&harness::package(1))).unwrap();
        let act = if kind == "thinks" {
            keyferry_sandbox::FaultAction::Nothing
        } else {
            keyferry_sandbox::FaultAction::Drip(std::time::Duration::from_micros(500))
        };
        let fault =
            keyferry_sandbox::Fault::new(act).latency(std::time::Duration::from_millis(100));
        world.sandbox.reset_counts();
        world.sandbox.fault(fault.path("/v1.1/"));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| world.token(&harness::package(1)).map(drop));
            assert!(world.sandbox.wait_for("lookup", 1, harness::LONG));
            world.pass_s(25);
            assert!(world.sandbox.wait_for("status_200", 1, harness::LONG));
            world.pass_s(25);
            asked.join().unwrap().unwrap();
        });
        assert_eq!(skew(), 0, "{kind}");
    }
}
