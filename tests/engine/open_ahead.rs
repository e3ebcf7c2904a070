//! The connection of a read, which is opened while the login before the read runs.

use std::time::Duration;

use keyferry::model::request::Request;
use keyferry_sandbox::{Fault, FaultAction};

use crate::sessions::{LONG, TimedSession, package};

/// The lifetime of a user token.
const LIFE_S: i64 = 1000;

/// Requests a package while no login gets a response. Returns whether the service gets a second
/// connection beside the one of the login.
fn connects_beside_a_hung_login(timed: &TimedSession) -> bool {
    let hangs = Fault::new(FaultAction::Hang).path("/v1/auth").forever();
    timed.sandbox().fault(hangs);
    timed.sandbox().reset_counts();
    let request = Request {
        timeout: Some(Duration::from_millis(50)),
        ..Request::new(package(1))
    };
    // The flight goes on after its caller has timed out.
    timed.session.token_for(&request).unwrap_err();
    timed.sandbox().wait_for("login", 1, LONG) && timed.sandbox().wait_for("connections", 2, LONG)
}

#[test]
fn the_first_login_has_the_connection_of_the_read_beside_it() {
    assert!(connects_beside_a_hung_login(&TimedSession::new()));
}

#[test]
fn a_login_after_the_token_has_expired_has_it_too() {
    let timed = TimedSession::new();
    timed.sandbox().set_life("user", LIFE_S);
    timed.token("user").unwrap();
    timed.pass_s(LIFE_S + 1);
    assert!(connects_beside_a_hung_login(&timed));
}

#[test]
fn a_read_with_a_cached_token_has_one_connection() {
    let timed = TimedSession::new();
    timed.token("user").unwrap();
    timed.sandbox().reset_counts();
    timed.token(&package(1)).unwrap();
    timed.token(&package(2)).unwrap();
    assert_eq!(timed.sandbox().count("connections"), 1);
}
