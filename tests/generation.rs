//! Generations: what a rejection of one token may do to the next.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

use std::sync::Arc;

use keyferry::clock::Clock;
use keyferry::config::Config;
use keyferry::sandbox::{self, Sandbox, credentials as c};
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};

/// A clock that stands still, as the coarse one does for milliseconds at a time: a login on loopback takes less.
#[test]
fn rejecting_a_token_twice_leaves_its_successor_of_the_same_tick_alone() {
    let clock = Clock::manual(1_782_864_000_000_000);
    let shared = clock.clone();
    let clock_ms = sandbox::Clock::from_fn(Arc::new(move || shared.now_us() / 1000));
    let sandbox = Sandbox::start(sandbox::Options { clock: clock_ms, ..sandbox::Options::default() }).unwrap();
    let mut config = Config::new();
    for (key, value) in [("masv.url", sandbox.masv_url()), ("masv.email", c::EMAIL), ("masv.password", c::PASSWORD)] {
        config.set(key, Secret::from(value)).unwrap();
    }
    let session = Session::open_with(config, Options { clock, refreshes_beside: false }).unwrap();
    let first = session.token("user").unwrap();
    session.reject(&first).unwrap();
    let second = session.token("user").unwrap();
    assert!(second.facts().generation > first.facts().generation);
    session.reject(&first).unwrap();
    let third = session.token("user").unwrap();
    assert_eq!(third.facts().generation, second.facts().generation, "the late rejection harmed it");
    assert_eq!(sandbox.count("login"), 2);
}
