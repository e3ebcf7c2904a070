//! Clocks that differ: the service's counts for its tokens, whatever this machine's says.
//!
//! The C ABI has no clock, so that a session of the crate's own is asked here.

use std::time::Duration;

use keyferry::clock::Clock;
use keyferry::session::{self, Session};
use keyferry_sandbox::{Fault, FaultAction, Options, Sandbox};

use crate::checks::{fileverbs_settings, with_login};
use keyferry_testing::settings;

const START_US: i64 = 1_800_000_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A sandbox, a session whose clock is so far behind, and that clock.
fn with_clock_skew(behind_ms: i64) -> (Sandbox, Session, Clock) {
    let clock = Clock::manual(START_US);
    let services = keyferry_sandbox::Clock::manual(START_US / 1000 + behind_ms);
    let sandbox = Sandbox::start(Options {
        clock: services,
        ..Options::default()
    })
    .unwrap();
    let config = settings::config(fileverbs_settings(&sandbox));
    let options = session::Options {
        clock: clock.clone(),
        refreshes_in_background: false,
    };
    (sandbox, Session::open_with(config, options).unwrap(), clock)
}

/// A token is served for its life by the service's clock, and not a moment longer.
fn lives_as_long_as_the_service_says(behind_ms: i64) {
    let (sandbox, session, clock) = with_clock_skew(behind_ms);
    let first = session
        .token("fileverbs:bearer")
        .unwrap_or_else(|error| panic!("{behind_ms}: {error}"));
    let pass = |seconds: u64| {
        clock.advance_us(i64::try_from(seconds).unwrap() * 1_000_000);
        sandbox.clock().advance(Duration::from_secs(seconds));
    };
    pass(400);
    assert_eq!(
        session.token("fileverbs:bearer").unwrap().value(),
        first.value(),
        "{behind_ms}"
    );
    pass(501);
    assert_ne!(
        session.token("fileverbs:bearer").unwrap().value(),
        first.value(),
        "{behind_ms}: an expired token"
    );
}

#[test]
fn a_machine_that_is_hours_wrong_serves_no_expired_token_and_every_fresh_one() {
    for hours in [-23, -1, 0, 1, 23] {
        lives_as_long_as_the_service_says(hours * HOUR_MS);
    }
}

#[test]
fn a_machine_that_is_days_behind_serves_no_expired_token() {
    lives_as_long_as_the_service_says(48 * HOUR_MS);
}

#[test]
fn a_machine_that_is_days_ahead_serves_every_fresh_token() {
    lives_as_long_as_the_service_says(-48 * HOUR_MS);
}

#[test]
#[ignore = "a Date that is wrong by itself is believed up to 31 days, so that tokens of a shorter life seem to have ended"]
fn a_date_that_is_days_ahead_harms_nobody() {
    let sandbox = crate::checks::sandbox();
    sandbox.fault(
        Fault::new(FaultAction::Nothing)
            .date_skew_s(10 * 86_400)
            .forever(),
    );
    with_login(&sandbox).open().bearer().unwrap();
}
