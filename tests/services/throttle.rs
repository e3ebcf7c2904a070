//! What is left alone after a failure, for how long, and what ends that: `Retry-After`, refusals,
//! pauses, `keyferry_session_forget`.

use keyferry::ffi::status as k;
use keyferry_sandbox::{Fault, FaultAction, Sandbox, Service, credentials as c};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::checks::{self, failure, package, with_key, with_login};
use keyferry_testing::c_api::Session;
use keyferry_testing::settings::ServiceUrls;

fn throttled(retry_after: &str, service: Service, path: &str) -> Fault {
    Fault::status(429)
        .service(service)
        .path(path)
        .retry_after(retry_after)
        .forever()
}

#[test]
fn retry_after_is_told_to_the_caller_and_kept_to() {
    let sandbox = checks::sandbox();
    let date = (OffsetDateTime::now_utc() + time::Duration::seconds(40))
        .format(&Rfc2822)
        .unwrap()
        .replace("+0000", "GMT");
    let rows = [
        ("7", 6_000..=7_000),
        (date.as_str(), 30_000..=41_000),
        ("99999999999999999999", 890_000..=900_000),
    ];
    for (text, expected) in rows {
        for (path, requests) in [("/v1/auth", "login"), ("/v1.1/teams/", "lookup")] {
            let session = if requests == "login" {
                with_login(&sandbox)
            } else {
                with_key(&sandbox)
            }
            .open();
            let resource = if requests == "login" {
                "user".to_owned()
            } else {
                package(c::PACKAGE_ID)
            };
            sandbox.fault(throttled(text, Service::Masv, path));
            let before = sandbox.count(requests);
            for _ in 0..3 {
                let error = failure(session.token(&resource), k::KEYFERRY_E_THROTTLED);
                assert!(
                    expected.contains(&error.retry_after_ms),
                    "{text}: {error:?}"
                );
                assert_eq!(error.http_status, 429);
            }
            assert_eq!(
                sandbox.count(requests) - before,
                1,
                "{text}: {requests} repeated before its time"
            );
            sandbox.clear_faults();
            assert!(session.token(&resource).is_err(), "the time is not over");
            session.forget(None).unwrap();
            session.token(&resource).unwrap();
        }
    }
}

#[test]
fn a_short_retry_after_of_a_read_is_waited_for() {
    let sandbox = checks::sandbox();
    let session = with_login(&sandbox).open();
    sandbox.fault(Fault::status(429).path("/v1.1/teams/").retry_after("0"));
    session.token(&package(c::PACKAGE_ID)).unwrap();
    assert_eq!(sandbox.count("lookup"), 2);
}

#[test]
fn a_read_with_an_api_key_is_repeated_as_one_with_a_login() {
    let sandbox = checks::sandbox();
    let session = with_key(&sandbox).open();
    sandbox.fault(Fault::status(503).path("/v1.1/teams/"));
    session.token(&package(c::PACKAGE_ID)).unwrap();
    assert_eq!(sandbox.count("lookup"), 2);
}

#[test]
fn a_look_up_that_fails_with_an_api_key_does_not_keep_others_from_succeeding() {
    let sandbox = checks::sandbox();
    let session = with_key(&sandbox).open();
    sandbox.fault(
        Fault::status(503)
            .path(&format!(
                "/v1.1/teams/{}/packages/{}",
                c::TEAM_ID,
                c::PACKAGE_ID
            ))
            .forever(),
    );
    failure(
        session.token(&package(c::PACKAGE_ID)),
        k::KEYFERRY_E_UNAVAILABLE,
    );
    session.token(&package(c::OTHER_PACKAGE_ID)).unwrap();
}

#[test]
fn a_login_is_repeated_after_a_short_retry_after() {
    let sandbox = checks::sandbox();
    sandbox.fault(Fault::status(429).path("/v1/auth").retry_after("0"));
    with_login(&sandbox).open().token("user").unwrap();
    assert_eq!(sandbox.count("login"), 2);
}

#[test]
fn a_retry_after_that_says_nothing_is_passed_over() {
    let sandbox = checks::sandbox();
    for text in ["-5", "soon", "", "1.5 s", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let session = with_key(&sandbox).open();
        sandbox.fault(throttled(text, Service::Masv, "/v1.1/teams/"));
        let error = failure(
            session.token(&package(c::PACKAGE_ID)),
            k::KEYFERRY_E_THROTTLED,
        );
        assert_eq!(error.retry_after_ms, 5000, "the default pause: {text}");
        sandbox.clear_faults();
    }
}

#[test]
fn a_password_that_was_refused_is_sent_once() {
    let sandbox = checks::sandbox();
    let session = checks::config_for(&sandbox)
        .set("masv.email", c::EMAIL)
        .set("masv.password", "not-the-one")
        .open();
    for _ in 0..50 {
        let error = failure(session.token("user"), k::KEYFERRY_E_BAD_CREDENTIALS);
        assert!(
            error.message.contains("MFA") && error.message.contains("masv.api_key"),
            "{error:?}"
        );
        failure(
            session.token(&package(c::PACKAGE_ID)),
            k::KEYFERRY_E_BAD_CREDENTIALS,
        );
    }
    assert_eq!(sandbox.count("login"), 1);
    failure(session.login(None, None), k::KEYFERRY_E_BAD_CREDENTIALS);
    assert_eq!(sandbox.count("login"), 2, "somebody asked for this one");
    session.login(None, Some(c::PASSWORD)).unwrap();
    session.token("user").unwrap();
}

type MakeConfig = fn(&dyn ServiceUrls) -> keyferry_testing::c_api::Config;

/// Makes a session that was refused, or met a 503, and is asked again through `resource`.
fn session_after_fault(
    sandbox: &Sandbox,
    fault: u16,
    path: &str,
    open: MakeConfig,
    resource: &str,
) -> Session {
    let session = open(sandbox).open();
    sandbox.fault(Fault::status(fault).path(path).forever());
    session.token(resource).unwrap_err();
    sandbox.clear_faults();
    session
}

#[test]
fn forgetting_a_resource_lifts_what_was_remembered_against_it() {
    let sandbox = checks::sandbox();
    let link = checks::link(c::LINK_ID, c::LINK_SECRET);
    for fault in [401, 503] {
        let rows: [(&str, MakeConfig, &str); 4] = [
            ("/v1/auth", with_login, "user"),
            (
                "/v1.1/teams/",
                with_key,
                "packages/01J0SANDB0XPACKAGE00000001",
            ),
            ("/v1/links/", with_login, &link),
            ("/api/v1/accounts/", with_login, "fileverbs:bearer"),
        ];
        for (path, open, resource) in rows {
            let session = session_after_fault(&sandbox, fault, path, open, resource);
            session.token(resource).unwrap_err();
            session.forget(Some(resource)).unwrap();
            session.token(resource).unwrap_or_else(|error| {
                panic!("{fault} at {path}, then forget {resource}: {error:?}")
            });
        }
    }
}

#[test]
fn forgetting_the_user_lifts_the_refusal_of_an_explicit_login() {
    let sandbox = checks::sandbox();
    let session = with_login(&sandbox).open();
    sandbox.fault(Fault::status(401).path("/v1/auth"));
    session.login(None, None).unwrap_err();
    session.token("user").unwrap_err();
    session.forget(Some("user")).unwrap();
    session.token("user").unwrap();
}

#[test]
fn forgetting_the_user_lifts_the_refusal_of_an_api_key() {
    let sandbox = checks::sandbox();
    let resource = package(c::PACKAGE_ID);
    let session = session_after_fault(&sandbox, 401, "/v1.1/teams/", with_key, &resource);
    session.forget(Some("user")).unwrap();
    session.token(&resource).unwrap();
    let session = session_after_fault(&sandbox, 401, "/v1.1/teams/", with_key, &resource);
    let other = package(c::OTHER_PACKAGE_ID);
    failure(session.token(&other), k::KEYFERRY_E_BAD_CREDENTIALS);
    session.forget(Some(&other)).unwrap();
    session.token(&other).unwrap();
}

#[test]
fn forgetting_a_package_lifts_the_refusal_of_the_login_that_it_needs() {
    let sandbox = checks::sandbox();
    let resource = package(c::PACKAGE_ID);
    let session = session_after_fault(&sandbox, 401, "/v1/auth", with_login, &resource);
    session.forget(Some(&resource)).unwrap();
    session.forget(Some("user")).unwrap();
    session.token(&resource).unwrap();
}

#[test]
fn forgetting_a_protected_link_lifts_the_refusal_of_its_password() {
    let sandbox = checks::sandbox();
    let resource = checks::link(c::PROTECTED_LINK_ID, c::PROTECTED_LINK_SECRET);
    let session = checks::config_for(&sandbox).open();
    let request = keyferry_testing::c_api::Request::new(&resource).link_password(c::LINK_PASSWORD);
    sandbox.fault(Fault::new(FaultAction::Status {
        status: 401,
        body: keyferry_sandbox::BodyKind::Empty,
    }));
    session.token_for(&request).unwrap_err();
    session.forget(Some(&resource)).unwrap();
    session.token_for(&request).unwrap();
}
