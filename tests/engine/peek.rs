//! The look-up that never blocks.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::{
    KEYFERRY_E_BUFFER_TOO_SMALL, KEYFERRY_E_NOT_CACHED, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_OK,
};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, credentials as made};

use crate::sessions::{self, TimedSession, package, together};

#[test]
fn the_advisory_point_is_told_to_one_of_many() {
    for _ in 0..20 {
        let timed = TimedSession::new();
        timed.sandbox().set_life("user", 1000);
        let first = timed.token("user").unwrap().meta().generation;
        assert!(timed.peek("user").unwrap().starts_with("X-User-Token: ey"));
        timed.pass_s(821);
        let told = together(16, |_| {
            (0..50)
                .filter(|_| timed.peek("user") == Err(ErrorKind::NotCached))
                .count()
        });
        assert_eq!(told.iter().sum::<usize>(), 1);
        assert_eq!(timed.sandbox().count("login"), 1, "a peek goes nowhere");
        assert_eq!(timed.token("user").unwrap().meta().generation, first);
        timed.landed();
        assert_eq!(timed.sandbox().count("login"), 2);
        timed.peek("user").unwrap();
        timed.pass_s(821);
        assert_eq!(
            [timed.peek("user").is_err(), timed.peek("user").is_err()],
            [true, false],
            "the next point is told again"
        );
    }
}

#[test]
fn a_failed_refresh_is_told_again_after_half_a_minute() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("user", 10_000);
    timed.token("user").unwrap();
    timed
        .sandbox()
        .fault(Fault::status(503).path("/v1/auth").forever());
    timed.pass_s(10_000 - 1700);
    let mut told = 0;
    for _ in 0..600 {
        if timed.peek("user").is_err() {
            told += 1;
            timed.token("user").unwrap();
            timed.landed();
        }
        timed.pass_s(1);
    }
    assert!((2..=20).contains(&told), "{told} times");
}

#[test]
fn nothing_is_peeked_past_the_mandatory_point_or_after_a_reject() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("user", 1000);
    let token = timed.token("user").unwrap();
    timed.sandbox().reject_token(token.value());
    timed.session.reject(&token).unwrap();
    assert_eq!(timed.peek("user"), Err(ErrorKind::NotCached));
    timed.token("user").unwrap();
    timed.pass_s(951);
    assert_eq!(
        [timed.peek("user").is_err(), timed.peek("user").is_err()],
        [true, true]
    );
}

#[test]
fn a_buffer_that_is_too_small_learns_the_length() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    assert_eq!(session.peek_into("user", 4096).0, KEYFERRY_E_NOT_CACHED);
    let token = session.token("user").unwrap();
    let line = format!("{}: {}", token.header().0, token.header().1);
    assert_eq!(
        session.peek_into("user", 4096),
        (KEYFERRY_OK, line.len(), line.clone())
    );
    assert_eq!(
        session.peek_into("user", line.len() + 1),
        (KEYFERRY_OK, line.len(), line.clone())
    );
    for capacity in [0, 1, 7, 8, line.len() - 1, line.len()] {
        let (status, len, _) = session.peek_into("user", capacity);
        assert_eq!(
            (status, len),
            (KEYFERRY_E_BUFFER_TOO_SMALL, line.len()),
            "{capacity}"
        );
    }
    assert_eq!(
        session
            .peek_into(&format!("{}/v1/users/me", sandbox.masv_url()), 4096)
            .2,
        line,
        "by full URL too"
    );
    assert_eq!(
        session
            .peek_into("https://elsewhere.example/v1/user", 4096)
            .0,
        KEYFERRY_E_UNKNOWN_SERVICE
    );
}

#[test]
fn a_write_token_does_not_stand_in_for_a_management_token_that_is_to_be_renewed() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("package", 1000);
    let first = timed.token(&package(1)).unwrap();
    timed
        .session
        .adopt(
            &package(1),
            Secret::from("made-up-write-token"),
            Some(timed.now_s() + 10_000),
        )
        .unwrap();
    timed.pass_s(821);
    assert_eq!(
        timed.peek(&package(1)),
        Err(ErrorKind::NotCached),
        "one is told"
    );
    assert_eq!(
        timed.token(&package(1)).unwrap().meta().generation,
        first.meta().generation
    );
    timed.landed();
    let second = timed.token(&package(1)).unwrap();
    assert!(
        second.meta().generation > first.meta().generation
            && second.meta().access == Access::Manage
    );
    assert_eq!(
        timed.peek(&package(1)).unwrap(),
        format!("X-Package-Token: {}", second.value())
    );
}

#[test]
fn what_a_url_may_hold_in_its_path_a_path_may_hold_alone() {
    let timed = TimedSession::new();
    for odd in ["it's", "a|b", "a[1]", "a^b"] {
        let path = format!("packages/{odd}");
        let url = format!("{}/v1/{path}", timed.sandbox().masv_url());
        timed
            .session
            .adopt(&url, Secret::from("made-up-write-token"), None)
            .unwrap();
        for resource in [&path, &url] {
            assert!(
                timed.peek(resource).is_ok() && timed.token(resource).is_ok(),
                "{resource}"
            );
            assert!(
                timed.session.cached(&Request::new(resource)).is_ok()
                    && timed.session.explain(resource).is_ok(),
                "{resource}"
            );
        }
        timed.session.forget(Some(&path)).unwrap();
        assert_eq!(timed.peek(&url), Err(ErrorKind::NotCached));
    }
}

#[test]
fn a_link_is_peeked_by_each_of_its_spellings() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    assert_eq!(session.peek_into(&link, 4096).0, KEYFERRY_E_NOT_CACHED);
    let token = session.token(&link).unwrap();
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
        let (status, _, line) = session.peek_into(spelling, 4096);
        assert_eq!(
            (status, line),
            (KEYFERRY_OK, format!("X-Package-Token: {}", token.value())),
            "{spelling}"
        );
    }
    let other_secret = format!("links/{}?secret=other", made::LINK_ID);
    assert_eq!(
        session.peek_into(&other_secret, 4096).0,
        KEYFERRY_E_NOT_CACHED
    );
    assert_eq!(
        session.peek_into(&package(1), 4096).0,
        KEYFERRY_E_NOT_CACHED,
        "a read token manages nothing"
    );
    session.reject(&token).unwrap();
    assert_eq!(session.peek_into(&link, 4096).0, KEYFERRY_E_NOT_CACHED);
}
