//! A caller got a 401: who gets the token no more, and how often a new one is got.

use keyferry::error::ErrorKind;
use keyferry::ffi::status::KEYFERRY_E_BAD_CREDENTIALS;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry_sandbox::{Fault, Sandbox, credentials as made};

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
    timed.sandbox().reject_token(first.value());
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
            timed
                .session
                .is_known_value("fileverbs:bearer", &value)
                .unwrap(),
            "{scheme:?}: a reject removes nothing"
        );
        let next = timed.token("fileverbs:bearer").unwrap();
        assert!(
            next.meta().generation > token.meta().generation,
            "{scheme:?}"
        );
        timed.pass_s(10);
    }
}

const BEARER: &str = "fileverbs:bearer";

/// Bearers have no route by which the service tells whether they are alive.
#[test]
fn rejects_of_fresh_tokens_cause_one_login_in_ten_seconds() {
    let timed = TimedSession::new();
    let first = timed.token(BEARER).unwrap();
    timed.session.reject(&first).unwrap();
    let second = timed.token(BEARER).unwrap();
    timed.session.reject(&second).unwrap();
    for second in 0..10 {
        let errors = together(8, |_| timed.session.token(BEARER).map(drop).unwrap_err());
        assert!(
            errors
                .iter()
                .all(|error| error.kind == ErrorKind::BadCredentials
                    && error.is_transient()
                    && error.retry_after_ms == Some((10 - second) * 1000)),
            "at {second} s: {errors:?}"
        );
        timed.pass_s(1);
    }
    assert_eq!(bearers(&timed), 2);
    let third = timed.token(BEARER).unwrap();
    assert!(third.meta().generation > second.meta().generation);
    assert_eq!(bearers(&timed), 3);
}

/// How many bearers the service has issued.
fn bearers(timed: &TimedSession) -> u64 {
    timed.sandbox().count("fileverbs_login") + timed.sandbox().count("refresh")
}

/// How often the service was asked whether a token of the user is alive.
fn probes(sandbox: &Sandbox) -> usize {
    let requests = sandbox.requests().into_iter();
    requests
        .filter(|request| request.path == "/v1/teams")
        .count()
}

#[test]
fn whoever_rejects_every_token_gets_the_next_one_later_each_time() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("bearer", 100_000);
    let mut logins = Vec::new();
    for second in 0..8000 {
        let before = bearers(&timed);
        if let Ok(token) = timed.token(BEARER) {
            timed.session.reject(&token).unwrap();
        }
        if bearers(&timed) > before {
            logins.push(second);
        }
        timed.pass_s(1);
    }
    // The second one follows the first reject at once.
    assert_eq!(logins, [0, 1, 11, 71, 671, 4271, 7871]);
    assert_eq!(timed.sandbox().count("login"), 0);
}

#[test]
fn an_hour_without_a_reject_makes_the_next_one_count_as_the_first() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("bearer", 100_000);
    let reject = || {
        let token = timed.token(BEARER)?;
        timed.session.reject(&token).unwrap();
        timed
            .token(BEARER)
            .map(|next| assert_ne!(next.value(), token.value()))
    };
    for round in 0..3 {
        assert_eq!(reject(), Ok(()));
        timed.pass_s(9);
        assert_eq!(reject(), Err(ErrorKind::BadCredentials), "{round}");
        timed.pass_s(1);
        timed.token(BEARER).unwrap();
        timed.pass_s(3600);
    }
}

#[test]
fn whoever_rejects_every_good_token_of_the_user_causes_no_login() {
    let timed = TimedSession::new();
    let mut served = 0;
    for _ in 0..100 {
        together(4, |_| {
            if let Ok(token) = timed.token("user") {
                timed.session.reject(&token).unwrap();
            }
        });
        served += u32::from(timed.token(&package(1)).is_ok());
        timed.pass_s(1);
    }
    assert_eq!((timed.sandbox().count("login"), served), (1, 100));
    assert!(
        (5..=11).contains(&probes(timed.sandbox())),
        "{} probes in 100 s",
        probes(timed.sandbox())
    );
}

/// The resource of a route that the user's token opens.
fn route(number: usize) -> String {
    format!("masv:/v1/teams/T/things/{number}")
}

fn reject(timed: &TimedSession, resource: &str, value: &str) {
    let value = Secret::from(value);
    timed.session.reject_value(resource, &value).unwrap();
}

#[test]
fn a_revoked_token_is_replaced_by_one_login_however_young_it_is() {
    for age_s in [0, 1, 5, 60] {
        let timed = TimedSession::new();
        let old = timed.token("user").unwrap();
        timed.pass_s(age_s);
        timed.sandbox().reject_token(old.value());
        let served = together(64, |number| {
            let resource = route(number);
            let token = timed.token(&resource).unwrap();
            if token.value() != old.value() {
                return token;
            }
            reject(&timed, &resource, old.value());
            timed.token(&resource).unwrap()
        });
        assert!(
            served
                .iter()
                .all(|token| token.value() == served[0].value() && token.value() != old.value()),
            "at {age_s} s"
        );
        assert_eq!(timed.sandbox().count("login"), 2, "at {age_s} s");
        // The second one is replaced at once too. Each further one waits.
        let revoke = || {
            let token = timed.token("user").unwrap();
            timed.sandbox().reject_token(token.value());
            reject(&timed, "user", token.value());
            timed.token("user").map(drop)
        };
        assert_eq!(revoke(), Ok(()), "at {age_s} s");
        assert_eq!(revoke(), Err(ErrorKind::BadCredentials), "at {age_s} s");
        assert_eq!(timed.sandbox().count("login"), 3, "at {age_s} s");
        timed.pass_s(10);
        assert!(timed.token("user").is_ok(), "at {age_s} s");
    }
}

#[test]
fn a_thousand_forbidden_routes_stop_nobody_else() {
    let timed = TimedSession::new();
    let token = timed.token("user").unwrap();
    let neighbours = |number: usize| {
        for other in [format!("masv:/v1/teams/T/fine/{number}"), "user".to_owned()] {
            assert_eq!(timed.token(&other).unwrap().value(), token.value());
            assert!(timed.peek(&other).is_ok());
            assert!(timed.session.cached(&Request::new(&*other)).is_ok());
        }
    };
    together(8, |thread| {
        for number in 0..125 {
            let resource = route(thread * 1000 + number);
            assert_eq!(timed.token(&resource).unwrap().value(), token.value());
            reject(&timed, &resource, token.value());
            assert_eq!(
                timed.token(&resource).unwrap_err(),
                ErrorKind::InsufficientAccess
            );
            neighbours(number);
            if thread == 0 && number % 2 == 0 {
                timed.pass_s(1);
            }
        }
    });
    assert_eq!(timed.sandbox().count("login"), 1);
    assert!(probes(timed.sandbox()) <= 8, "{}", probes(timed.sandbox()));
    // Where the service can't be asked, the token is replaced now and then, but stays good.
    let begun_s = timed.now_s();
    for number in 0..1000 {
        let resource = format!("fileverbs:/api/v1/jobrequests/{number}");
        if let Ok(token) = timed.token(&resource) {
            reject(&timed, &resource, token.value());
        }
        let outcome = timed.token(&resource).map(drop);
        assert!(outcome.is_ok() || outcome == Err(ErrorKind::BadCredentials));
        assert!(timed.token(BEARER).is_ok(), "a neighbour");
        if number % 20 == 0 {
            timed.pass_s(1);
        }
    }
    assert!(timed.now_s() - begun_s <= 60);
    assert_eq!(bearers(&timed) - 1, 2);
}

#[test]
fn a_token_is_not_handed_out_again_for_the_resource_that_rejected_it() {
    let timed = TimedSession::new();
    let token = timed.token("user").unwrap();
    let url = |path: &str| format!("{}/v1/{path}", timed.sandbox().masv_url());
    reject(&timed, &url("things/1?page=2"), token.value());
    for same in [
        "masv:/v1/things/1",
        "masv:/v1.1/things/1",
        "masv:/v1/things/1?page=3",
        &url("things/1"),
        &url("things/1").replace("http", "HTTP"),
    ] {
        assert_eq!(
            timed.token(same).unwrap_err(),
            ErrorKind::InsufficientAccess,
            "{same}"
        );
        assert_eq!(timed.peek(same), Err(ErrorKind::NotCached), "{same}");
        let cached = timed.session.cached(&Request::new(same));
        assert_eq!(cached.unwrap_err().kind, ErrorKind::NotCached, "{same}");
    }
    for other in ["masv:/v1/things/3", "masv:/v1/things/2", "user"] {
        assert_eq!(timed.token(other).unwrap().value(), token.value());
        assert!(timed.peek(other).is_ok(), "{other}");
    }
    // The next token may open it.
    timed.session.masv_login(None, None).unwrap();
    assert!(timed.token("masv:/v1/things/1").is_ok());
}

#[test]
fn a_token_that_the_service_accepts_is_asked_about_once_in_ten_seconds() {
    let timed = TimedSession::new();
    let token = timed.token("user").unwrap();
    for round in 1..=3 {
        together(64, |number| {
            let resource = route(number % 8);
            reject(&timed, &resource, token.value());
            let error = timed.session.token(&resource).map(drop).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InsufficientAccess);
            assert!(!error.is_transient() && error.retry_after_ms.is_none());
        });
        timed.pass_s(9);
        assert!(timed.token(&route(0)).is_err());
        assert_eq!(probes(timed.sandbox()), round);
        timed.pass_s(1);
    }
    // It dies, and the memory of its life ends.
    timed.sandbox().reject_token(token.value());
    assert_ne!(timed.token(&route(0)).unwrap().value(), token.value());
    assert_eq!(timed.sandbox().count("login"), 2);
}

#[test]
fn an_answer_that_says_nothing_counts_like_none() {
    for status in [403, 404, 503] {
        let timed = TimedSession::new();
        timed
            .sandbox()
            .fault(Fault::status(status).path("/v1/teams").forever());
        let logins = |expected| assert_eq!(timed.sandbox().count("login"), expected, "{status}");
        let first = timed.token("user").unwrap();
        reject(&timed, "masv:/v1/things/1", first.value());
        let second = timed.token("masv:/v1/things/1").unwrap();
        logins(2);
        reject(&timed, "masv:/v1/things/1", second.value());
        assert_eq!(
            timed.token("masv:/v1/things/1").unwrap_err(),
            ErrorKind::BadCredentials
        );
        assert_eq!(timed.token("user").unwrap().value(), second.value());
        logins(2);
        timed.pass_s(10);
        assert!(timed.token("masv:/v1/things/1").is_ok(), "{status}");
        logins(3);
    }
}

#[test]
fn a_reject_after_a_login_by_hand_stops_nobody_else() {
    let timed = TimedSession::but(&[("masv.password", "")]);
    let login = |password: &str| {
        let (email, password) = (Secret::from(made::EMAIL), Secret::from(password));
        timed.session.masv_login(Some(email), Some(password))
    };
    let token = login(made::PASSWORD).unwrap();
    let neighbours = || {
        for other in ["user", "masv:/v1/things/2"] {
            assert_eq!(timed.token(other).unwrap().value(), token.value());
            assert!(timed.peek(other).is_ok());
        }
    };
    reject(&timed, "masv:/v1/things/1", token.value());
    assert_eq!(
        timed.token("masv:/v1/things/1").unwrap_err(),
        ErrorKind::InsufficientAccess
    );
    neighbours();
    assert!(timed.token(&package(1)).is_ok());
    timed.pass_s(10);
    timed.sandbox().reject_token(token.value());
    for _ in 0..3 {
        assert_eq!(
            timed.token("masv:/v1/things/1").unwrap_err(),
            ErrorKind::LoginRequired
        );
        neighbours();
    }
    assert_eq!(timed.sandbox().count("login"), 1);
}

#[test]
fn a_reject_without_a_resource_counts_until_the_service_accepts_the_token() {
    let timed = TimedSession::new();
    let token = timed.token("user").unwrap();
    timed.session.reject(&token).unwrap();
    for resource in ["user", "masv:/v1/things/1"] {
        assert_eq!(
            timed.token(resource).unwrap_err(),
            ErrorKind::InsufficientAccess
        );
        assert_eq!(timed.peek(resource), Err(ErrorKind::NotCached));
    }
    // keyferry itself still uses it, and looks at the answers.
    assert!(timed.token(&package(1)).is_ok());
    timed.pass_s(9);
    assert!(timed.token("user").is_err());
    timed.pass_s(1);
    assert_eq!(timed.token("user").unwrap().value(), token.value());
    assert_eq!(
        (timed.sandbox().count("login"), probes(timed.sandbox())),
        (1, 1)
    );
}

#[test]
fn a_look_up_that_answers_401_once_costs_no_login() {
    let timed = TimedSession::new();
    timed.token("user").unwrap();
    let lookups = format!("/v1.1/teams/{}/packages", made::TEAM_ID);
    timed
        .sandbox()
        .fault(Fault::status(401).path(&lookups).times(1));
    assert!(timed.token(&package(1)).is_ok());
    timed
        .sandbox()
        .fault(Fault::status(401).path(&lookups).forever());
    assert_eq!(
        timed.token(&package(2)).unwrap_err(),
        ErrorKind::BadCredentials
    );
    timed.sandbox().clear_faults();
    assert!(timed.token(&package(2)).is_ok());
    assert_eq!(timed.sandbox().count("login"), 1);
}

#[test]
fn a_secret_that_cannot_be_checked_is_kept_from_its_resource_alone() {
    const KEY: &str = "fileverbs:secret-key";
    let timed = TimedSession::new();
    for pause_s in [10, 60, 600, 3600, 3600] {
        let key = timed.token(KEY).unwrap();
        reject(&timed, KEY, key.value());
        let error = timed.session.token(KEY).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadCredentials);
        assert_eq!(error.retry_after_ms, Some(pause_s * 1000));
        assert!(error.is_transient());
        timed.pass_s(pause_s as i64 - 1);
        assert!(timed.token(KEY).is_err(), "{pause_s}");
        let other = session_at(timed.clock(), timed.sandbox(), &[]);
        assert_eq!(other.token(KEY).unwrap().value(), key.value());
        timed.pass_s(1);
        assert_eq!(timed.token(KEY).unwrap().value(), key.value());
    }
    assert_eq!(timed.sandbox().count("requests"), 0);
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
    timed.sandbox().reject_token(theirs.value());
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
    timed.sandbox().reject_token(made::API_KEY);
    // However many tell of it: it is one refusal, and the pause is a minute.
    together(64, |_| timed.session.reject(&key).unwrap());
    assert_eq!(timed.token("user").unwrap_err(), ErrorKind::BadCredentials);
    assert_eq!(
        timed.token(&package(1)).unwrap_err(),
        ErrorKind::BadCredentials
    );
    assert_eq!(
        (timed.sandbox().count("requests"), probes(timed.sandbox())),
        (1, 1)
    );
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
    sandbox.reject_token(made::API_KEY);
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
