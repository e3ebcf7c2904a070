//! Processes one after the other, each a session that is new: what one has learned the next one knows.

use keyferry::request::Request;

use crate::together::World;

const DAY: i64 = 24 * 3600;
const BEARER: &str = "fileverbs:bearer";

#[test]
fn a_new_process_knows_the_service_s_clock() {
    for ahead_s in [600, -1200, 2 * DAY, -2 * DAY] {
        let world = World::new();
        world.sandbox.clock().set_offset_ms(ahead_s * 1000);
        world.sandbox.set_life("bearer", 600);
        for round in 0..60 {
            let got = world.session().token(BEARER).unwrap();
            let kept = world.session().kept(&Request::new(BEARER)).unwrap();
            for token in [Some(got), kept].into_iter().flatten() {
                let left_us = token.facts().expires_us - world.sandbox.clock().now_unix_ms() * 1000;
                assert!(left_us > 0, "round {round}: ended {} s ago, the service being {ahead_s} s ahead", -left_us / 1_000_000);
            }
            world.pass(20);
        }
        // 1,200 s, and each serves for 570.
        let got = world.sandbox.count("fileverbs_login") + world.sandbox.count("refresh");
        assert!(got <= 3, "{got} bearers, the service being {ahead_s} s ahead");
    }
}

#[test]
fn an_end_is_told_by_this_machine_s_clock_the_first_time_and_the_second() {
    let world = World::new();
    world.sandbox.clock().set_offset_ms(600_000);
    let told = || {
        let session = world.session();
        let token = session.token("user").unwrap();
        session.ends_here_unix_s(&token)
    };
    assert_eq!(told(), told());
    assert_eq!(world.sandbox.count("login"), 1);
}

#[test]
fn a_clock_that_was_set_back_since_makes_the_stored_difference_none() {
    let world = World::new();
    world.sandbox.set_life("bearer", 600);
    world.sandbox.clock().set_offset_ms(-1_200_000);
    world.session().token(BEARER).unwrap();
    // This machine's clock was ahead, and is right now.
    world.pass(-1_200);
    world.sandbox.clock().set_offset_ms(0);
    world.pass(601);
    let token = world.session().token(BEARER).unwrap();
    assert!(token.facts().expires_us > world.clock.now_us());
}
