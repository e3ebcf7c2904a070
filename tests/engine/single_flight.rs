//! Single flight: however many ask, each thing is got once.

use std::collections::BTreeSet;
use std::time::Duration;

use keyferry_sandbox::{Fault, credentials as made};
use serde_json::json;

use crate::sessions::{self, assert_is_for, package, together};

const CROWD: usize = 64;

#[test]
fn a_crowd_that_misses_a_token_causes_one_login() {
    for _ in 0..20 {
        let sandbox = sessions::sandbox();
        let session = sessions::open(&sandbox);
        let values = together(CROWD, |_| session.token("user").unwrap().value().to_owned());
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 1);
        assert_eq!((sandbox.count("login"), sandbox.count("requests")), (1, 1));
    }
}

#[test]
fn a_crowd_for_as_many_packages_causes_one_login_and_a_look_up_each() {
    for _ in 0..5 {
        let sandbox = sessions::sandbox();
        let session = sessions::open(&sandbox);
        together(CROWD, |number| {
            let resource = package(number + 1);
            let token = session.token(&resource).unwrap();
            assert_is_for(&resource, token.header().0, token.value());
        });
        assert_eq!(sandbox.count("login"), 1);
        assert!(
            sandbox.count("lookup") <= CROWD as u64
                && sandbox.count("requests") <= 1 + CROWD as u64
        );
    }
}

#[test]
fn without_the_single_look_up_a_crowd_causes_one_listing() {
    for _ in 0..10 {
        let sandbox = sessions::sandbox();
        sandbox.configure("single_lookup", json!(405));
        let session = sessions::open(&sandbox);
        together(CROWD, |number| {
            let resource = package(number + 1);
            let token = session.token(&resource).unwrap();
            assert_is_for(&resource, token.header().0, token.value());
        });
        // 205 packages are five pages.
        assert_eq!((sandbox.count("login"), sandbox.count("list_page")), (1, 5));
        let before = sandbox.count("requests");
        session.token(&package(205)).unwrap();
        assert_eq!(
            sandbox.count("requests"),
            before,
            "a listing fills memory for all it saw"
        );
    }
}

#[test]
fn a_latecomer_to_a_listing_does_not_begin_another() {
    let sandbox = sessions::sandbox();
    sandbox.configure("single_lookup", json!(false));
    // Each look-up of its own says 404 at another time, so that the flights reach the listing one
    // after the other.
    for number in 1..=16_u64 {
        let path = format!(
            "/v1.1/teams/{}/packages/{}",
            made::TEAM_ID,
            sessions::package_id(number as usize)
        );
        sandbox.fault(Fault::slow(Duration::from_millis(number * 25)).path(&path));
    }
    let session = sessions::open(&sandbox);
    together(16, |number| {
        session.token(&package(number + 1)).map(drop).unwrap()
    });
    assert_eq!((sandbox.count("login"), sandbox.count("list_page")), (1, 5));
}

#[test]
fn a_package_and_its_transfers_at_once_cost_one_request_each() {
    for round in 0..10 {
        let sandbox = sessions::sandbox();
        let session = sessions::open(&sandbox);
        let resources = [
            package(1),
            format!("{}/transfers/{}", package(1), made::TRANSFER_ID),
            "user".to_owned(),
        ];
        together(30, |number| {
            let resource = &resources[(number + round) % 3];
            let token = session.token(resource).unwrap();
            assert_is_for(resource, token.header().0, token.value());
        });
        let counts = (
            sandbox.count("login"),
            sandbox.count("lookup"),
            sandbox.count("transfer_list"),
        );
        assert_eq!(counts, (1, 1, 1));
    }
}

#[test]
fn flights_that_need_each_other_land_in_any_order() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    for round in 0..30_usize {
        session.forget(None).unwrap();
        sandbox.configure("single_lookup", json!(round % 2 == 0));
        sandbox.fault(Fault::slow(Duration::from_millis((round % 3) as u64 * 5)).path("/v1/auth"));
        let transfer = format!("{}/transfers/{}", package(2), made::OTHER_TRANSFER_ID);
        together(24, |number| {
            let resource = match (number + round) % 4 {
                0 => "user".to_owned(),
                1 => transfer.clone(),
                2 => package(2),
                _ => package(number + 1),
            };
            session.token(&resource).map(drop).unwrap();
        });
        sandbox.clear_faults();
    }
    assert_eq!(sandbox.count("login"), 30);
    assert_eq!(
        (
            sandbox.count("two_credentials"),
            sandbox.count("bad_token"),
            sandbox.count("status_401")
        ),
        (0, 0, 0)
    );
}

#[test]
fn tokens_that_are_got_at_the_same_moment_have_different_generations() {
    let timed = sessions::TimedSession::new();
    for _ in 0..5 {
        let generations = together(8, |_| {
            timed
                .session
                .masv_login(None, None)
                .unwrap()
                .meta()
                .generation
        });
        assert_eq!(
            generations.iter().collect::<BTreeSet<_>>().len(),
            8,
            "{generations:?}"
        );
    }
}
