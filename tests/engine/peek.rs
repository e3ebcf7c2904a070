//! The look-up that never blocks.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{
    KEYFERRY_E_BUFFER_TOO_SMALL, KEYFERRY_E_NOT_CACHED, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_OK,
};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, credentials as made};

use crate::harness::{self, World, package, together};

#[test]
fn the_advisory_point_is_told_to_one_of_many() {
    for _ in 0..20 {
        let world = World::new();
        world.sandbox.set_life("user", 1000);
        let first = world.token("user").unwrap().meta().generation;
        assert!(world.peek("user").unwrap().starts_with("X-User-Token: ey"));
        world.pass_s(821);
        let told = together(16, |_| {
            (0..50)
                .filter(|_| world.peek("user") == Err(ErrorKind::NotCached))
                .count()
        });
        assert_eq!(told.iter().sum::<usize>(), 1);
        assert_eq!(world.sandbox.count("login"), 1, "a peek goes nowhere");
        assert_eq!(world.token("user").unwrap().meta().generation, first);
        world.landed();
        assert_eq!(world.sandbox.count("login"), 2);
        world.peek("user").unwrap();
        world.pass_s(821);
        assert_eq!(
            [world.peek("user").is_err(), world.peek("user").is_err()],
            [true, false],
            "the next point is told again"
        );
    }
}

#[test]
fn a_failed_refresh_is_told_again_after_half_a_minute() {
    let world = World::new();
    world.sandbox.set_life("user", 10_000);
    world.token("user").unwrap();
    world
        .sandbox
        .fault(Fault::status(503).path("/v1/auth").forever());
    world.pass_s(10_000 - 1700);
    let mut told = 0;
    for _ in 0..600 {
        if world.peek("user").is_err() {
            told += 1;
            world.token("user").unwrap();
            world.landed();
        }
        world.pass_s(1);
    }
    assert!((2..=20).contains(&told), "{told} times");
}

#[test]
fn nothing_is_peeked_past_the_mandatory_point_or_after_a_reject() {
    let world = World::new();
    world.sandbox.set_life("user", 1000);
    let token = world.token("user").unwrap();
    world.session.reject(&token).unwrap();
    assert_eq!(world.peek("user"), Err(ErrorKind::NotCached));
    world.token("user").unwrap();
    world.pass_s(951);
    assert_eq!(
        [world.peek("user").is_err(), world.peek("user").is_err()],
        [true, true]
    );
}

#[test]
fn a_buffer_that_is_too_small_learns_the_length() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    assert_eq!(session.peek("user", 4096).0, KEYFERRY_E_NOT_CACHED);
    let token = session.token_for("user").unwrap();
    let line = format!("{}: {}", token.header().0, token.header().1);
    assert_eq!(
        session.peek("user", 4096),
        (KEYFERRY_OK, line.len(), line.clone())
    );
    assert_eq!(
        session.peek("user", line.len() + 1),
        (KEYFERRY_OK, line.len(), line.clone())
    );
    for capacity in [0, 1, 7, 8, line.len() - 1, line.len()] {
        let (status, len, _) = session.peek("user", capacity);
        assert_eq!(
            (status, len),
            (KEYFERRY_E_BUFFER_TOO_SMALL, line.len()),
            "{capacity}"
        );
    }
    assert_eq!(
        session
            .peek(&format!("{}/v1/users/me", sandbox.masv_url()), 4096)
            .2,
        line,
        "by full URL too"
    );
    assert_eq!(
        session.peek("https://elsewhere.example/v1/user", 4096).0,
        KEYFERRY_E_UNKNOWN_SERVICE
    );
}

#[test]
fn a_write_token_does_not_stand_in_for_a_management_token_that_is_to_be_renewed() {
    let world = World::new();
    world.sandbox.set_life("package", 1000);
    let first = world.token(&package(1)).unwrap();
    world
        .session
        .adopt(
            &package(1),
            Secret::from("made-up-write-token"),
            Some(world.now_s() + 10_000),
        )
        .unwrap();
    world.pass_s(821);
    assert_eq!(
        world.peek(&package(1)),
        Err(ErrorKind::NotCached),
        "one is told"
    );
    assert_eq!(
        world.token(&package(1)).unwrap().meta().generation,
        first.meta().generation
    );
    world.landed();
    let second = world.token(&package(1)).unwrap();
    assert!(
        second.meta().generation > first.meta().generation
            && second.meta().access == Access::Manage
    );
    assert_eq!(
        world.peek(&package(1)).unwrap(),
        format!("X-Package-Token: {}", second.value())
    );
}

#[test]
fn what_a_url_may_hold_in_its_path_a_path_may_hold_alone() {
    let world = World::new();
    for odd in ["it's", "a|b", "a[1]", "a^b"] {
        let path = format!("packages/{odd}");
        let url = format!("{}/v1/{path}", world.sandbox.masv_url());
        world
            .session
            .adopt(&url, Secret::from("made-up-write-token"), None)
            .unwrap();
        for resource in [&path, &url] {
            assert!(
                world.peek(resource).is_ok() && world.token(resource).is_ok(),
                "{resource}"
            );
            assert!(
                world.session.cached(&Request::new(resource)).is_ok()
                    && world.session.explain(resource).is_ok(),
                "{resource}"
            );
        }
        world.session.forget(Some(&path)).unwrap();
        assert_eq!(world.peek(&url), Err(ErrorKind::NotCached));
    }
}

#[test]
fn a_link_is_peeked_by_each_of_its_spellings() {
    let sandbox = harness::sandbox();
    let session = harness::open(&sandbox);
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    assert_eq!(session.peek(&link, 4096).0, KEYFERRY_E_NOT_CACHED);
    let token = session.token_for(&link).unwrap();
    let page = format!(
        "https://get.massive.io/{}?secret={}",
        made::LINK_ID,
        made::LINK_SECRET
    );
    let api = format!("{}/v1/{link}", sandbox.masv_url());
    let download = format!(
        "{}/v1/{}/files/{}/download",
        sandbox.masv_url(),
        package(1),
        made::FILE_ID
    );
    for spelling in [&link, &page, &api, &download] {
        let (status, _, line) = session.peek(spelling, 4096);
        assert_eq!(
            (status, line),
            (KEYFERRY_OK, format!("X-Package-Token: {}", token.value())),
            "{spelling}"
        );
    }
    let other_secret = format!("links/{}?secret=other", made::LINK_ID);
    assert_eq!(session.peek(&other_secret, 4096).0, KEYFERRY_E_NOT_CACHED);
    assert_eq!(
        session.peek(&package(1), 4096).0,
        KEYFERRY_E_NOT_CACHED,
        "a read token manages nothing"
    );
    session.reject(&token).unwrap();
    assert_eq!(session.peek(&link, 4096).0, KEYFERRY_E_NOT_CACHED);
}
