//! A caller got a 401: which tokens die of it, and how often a new one is got.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::KEYFERRY_E_BAD_CREDENTIALS;
use keyferry::secret::Secret;
use keyferry_sandbox::credentials as made;

use crate::sessions::{self, TimedSession, package, session_at, together};

#[test]
fn many_rejects_of_one_generation_cause_one_login() {
    for _ in 0..10 {
        let sandbox = sessions::sandbox();
        let session = sessions::open(&sandbox);
        let first = session.token("user").unwrap();
        sandbox.reject_token(first.value());
        let generations = together(64, |_| {
            session.reject(&first).unwrap();
            session.token("user").unwrap().generation()
        });
        assert!(generations.iter().all(|generation| *generation == generations[0] && *generation > first.generation()));
        assert_eq!(sandbox.count("login"), 2);
    }
}

/// A clock that stands still, as the coarse one does for milliseconds at a time: a login on
/// loopback takes less.
#[test]
fn rejecting_a_token_twice_leaves_its_successor_of_the_same_tick_alone() {
    let timed = TimedSession::new();
    let first = timed.token("user").unwrap();
    timed.session.reject(&first).unwrap();
    let second = timed.token("user").unwrap();
    assert!(second.meta().generation > first.meta().generation);
    timed.session.reject(&first).unwrap();
    assert_eq!(
        timed.token("user").unwrap().meta().generation,
        second.meta().generation,
        "the late rejection harmed it"
    );
    assert_eq!(timed.sandbox().count("login"), 2);
}

#[test]
fn a_reject_of_an_old_generation_harms_no_newer_one() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let first = session.token("user").unwrap();
    let second = session.login(None, None).unwrap();
    assert!(second.generation() > first.generation());
    together(8, |_| session.reject(&first).unwrap());
    session.reject_value("user", first.value()).unwrap();
    assert_eq!(
        session.token("user").unwrap().generation(),
        second.generation()
    );
    assert_eq!(sandbox.count("login"), 2);
}

#[test]
fn a_value_is_known_with_its_scheme_and_without_to_be_held_and_to_be_rejected() {
    let timed = TimedSession::new();
    for scheme in ["", "Bearer "] {
        let token = timed.token("fileverbs:bearer").unwrap();
        let value = Secret::new(format!("{scheme}{}", token.value()));
        assert!(
            timed
                .session
                .is_known_value("fileverbs:bearer", &value)
                .unwrap(),
            "{scheme:?}"
        );
        assert!(
            !timed.session.is_known_value("user", &value).unwrap(),
            "{scheme:?}"
        );
        timed
            .session
            .reject_value("fileverbs:bearer", &value)
            .unwrap();
        assert!(
            !timed
                .session
                .is_known_value("fileverbs:bearer", &value)
                .unwrap(),
            "{scheme:?}"
        );
    }
}

#[test]
fn rejects_of_fresh_tokens_cause_one_login_in_ten_seconds() {
    let timed = TimedSession::new();
    let first = timed.token("user").unwrap();
    timed.session.reject(&first).unwrap();
    let second = timed.token("user").unwrap();
    timed.session.reject(&second).unwrap();
    for second in 0..10 {
        let errors = together(8, |_| timed.session.token("user").map(drop).unwrap_err());
        assert!(
            errors
                .iter()
                .all(|error| error.kind == ErrorKind::BadCredentials
                    && error.retry_after_ms.is_some()),
            "at {second} s: {errors:?}"
        );
        timed.pass_s(1);
    }
    assert_eq!(timed.sandbox().count("login"), 2);
    let third = timed.token("user").unwrap();
    assert!(third.meta().generation > second.meta().generation);
    assert_eq!(timed.sandbox().count("login"), 3);
}

#[test]
fn whoever_rejects_every_token_gets_one_login_in_ten_seconds() {
    let timed = TimedSession::new();
    for _ in 0..100 {
        together(4, |_| {
            if let Ok(token) = timed.token("user") {
                timed.session.reject(&token).unwrap();
            }
        });
        timed.pass_s(1);
    }
    assert!(
        (8..=12).contains(&timed.sandbox().count("login")),
        "{} logins in 100 s",
        timed.sandbox().count("login")
    );
}

#[test]
fn a_package_whose_every_token_is_refused_is_looked_up_once_in_ten_seconds() {
    let timed = TimedSession::new();
    let resource = package(3);
    for _ in 0..30 {
        if let Ok(token) = timed.token(&resource) {
            timed.session.reject(&token).unwrap();
        }
        assert!(
            timed.token("user").is_ok(),
            "the user's token is another matter"
        );
        timed.pass_s(1);
    }
    assert!(
        (3..=5).contains(&timed.sandbox().count("lookup")),
        "{} look-ups",
        timed.sandbox().count("lookup")
    );
    assert_eq!(timed.sandbox().count("login"), 1);
}

#[test]
fn a_value_is_rejected_with_and_without_its_scheme() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    for scheme in ["", "Bearer "] {
        session.forget(None).unwrap();
        let token = session.bearer().unwrap();
        session
            .reject_value("fileverbs:bearer", "Bearer no.such.token")
            .unwrap();
        session.reject_value("fileverbs:bearer", "").unwrap();
        session.reject_value("user", token.value()).unwrap();
        assert_eq!(
            session.bearer().unwrap().generation(),
            token.generation(),
            "nothing happens unless it is the present one"
        );
        session
            .reject_value("fileverbs:bearer", &format!("{scheme}{}", token.value()))
            .unwrap();
        assert!(session.bearer().unwrap().generation() > token.generation());
    }
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    let token = session.token(&link).unwrap();
    session.reject_value(&link, token.value()).unwrap();
    assert!(session.token(&link).unwrap().generation() > token.generation());
}

#[test]
fn a_token_of_another_session_with_the_same_account_can_be_rejected() {
    let timed = TimedSession::new();
    let other = session_at(timed.clock(), timed.sandbox(), &[]);
    let theirs = other.token("user").unwrap();
    timed.session.reject(&theirs).unwrap();
    timed.pass_s(1);
    let ours = timed.token("user").unwrap();
    timed.session.reject(&theirs).unwrap();
    assert_eq!(
        timed.token("user").unwrap().value(),
        ours.value(),
        "theirs is older"
    );
    assert_eq!(
        other.token("user").unwrap().value(),
        theirs.value(),
        "nobody told them"
    );
    other.reject(&ours).unwrap();
    assert_ne!(
        other.token("user").unwrap().value(),
        theirs.value(),
        "whatever is older than a dead one is dead"
    );
    let (sandbox, strange) = (timed.sandbox(), timed.sandbox().agent_url());
    session_at(timed.clock(), sandbox, &[("masv.url", strange)])
        .reject(&ours)
        .unwrap();
    assert_eq!(timed.token("user").unwrap().value(), ours.value());
}

#[test]
fn a_rejected_api_key_is_not_handed_out_for_a_while_and_another_is() {
    let timed = TimedSession::but(&[("masv.api_key", made::API_KEY)]);
    let key = timed.token("user").unwrap();
    assert_eq!(key.value(), made::API_KEY);
    // However many tell of it: it is one refusal, and the pause is a minute.
    together(64, |_| timed.session.reject(&key).unwrap());
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    assert_eq!(
        timed.token(&package(1)).unwrap_err(),
        ErrorKind::BadCredentials
    );
    assert_eq!(timed.sandbox().count("requests"), 0);
    let other = session_at(
        timed.clock(),
        timed.sandbox(),
        &[("masv.api_key", made::SECOND_API_KEY)],
    );
    assert_eq!(other.token("user").unwrap().value(), made::SECOND_API_KEY);
    timed.pass_s(59);
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    timed.pass_s(1);
    let again = timed.token("user").unwrap();
    assert_eq!(again.value(), made::API_KEY);
    timed.session.reject(&key).unwrap();
    assert!(
        timed.token("user").is_ok(),
        "the reject of the earlier handle harms no later one"
    );
    timed.session.reject(&again).unwrap();
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    timed.pass_s(119);
    assert_eq!(
        timed.token("user").unwrap_err(),
        ErrorKind::BadCredentials,
        "the second time it is two minutes"
    );
    timed.session.forget(Some("user")).unwrap();
    assert!(timed.token("user").is_ok());
}

#[test]
fn a_rejected_key_is_refused_through_the_c_abi_too() {
    let sandbox = sessions::sandbox();
    let session = sessions::open_but(&sandbox, &[("masv.api_key", made::API_KEY)]);
    session.reject_value("user", made::API_KEY).unwrap();
    session.reject(&session.token("user").unwrap()).unwrap();
    let failure = session.token("user").unwrap_err();
    assert_eq!(failure.status, KEYFERRY_E_BAD_CREDENTIALS);
    assert!(
        (55_000..=60_000).contains(&failure.retry_after_ms),
        "{}",
        failure.retry_after_ms
    );
    assert!(!failure.message.contains(made::API_KEY));
}

#[test]
fn a_wrong_value_rejects_nothing() {
    let timed = TimedSession::new();
    let token = timed.token("user").unwrap();
    for value in [
        "",
        "Bearer ",
        "Bearer",
        "x",
        &token.value()[1..],
        &format!("{} ", token.value()),
    ] {
        timed
            .session
            .reject_value("user", &Secret::from(value))
            .unwrap();
    }
    assert_eq!(
        timed.token("user").unwrap().meta().generation,
        token.meta().generation
    );
}

#[test]
fn a_link_whose_every_token_is_refused_is_opened_once_in_ten_seconds() {
    let timed = TimedSession::new();
    let link = format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET);
    for _ in 0..30 {
        if let Ok(token) = timed.token(&link) {
            timed.session.reject(&token).unwrap();
        }
        timed.pass_s(1);
    }
    let opened = timed.sandbox().count("link");
    assert!((3..=5).contains(&opened), "{opened} times");
}
