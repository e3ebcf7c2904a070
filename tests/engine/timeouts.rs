//! Callers who give up: the flight goes on for the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::ffi::status::{KEYFERRY_E_CANCELLED, KEYFERRY_E_NOT_CACHED, KEYFERRY_E_TIMEOUT};
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry_sandbox::{Fault, FaultAction};

use crate::sessions::{self, LONG, package, together};
use keyferry_testing::c_api;

#[test]
fn a_cancelled_request_returns_at_once_and_the_flight_goes_on() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    sandbox.fault(Fault::slow(Duration::from_millis(1500)).path("/v1/auth"));
    let (mine, theirs) = (c_api::Request::new("user"), c_api::Request::new("user"));
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            let outcome = session.token_for(&mine);
            (outcome.map(drop).unwrap_err().status, Instant::now())
        });
        assert!(sandbox.wait_for("login", 1, LONG));
        let follower = scope.spawn(|| session.token_for(&theirs).unwrap().value().to_owned());
        let cancelled = Instant::now();
        mine.cancel();
        let (status, returned) = leader.join().unwrap();
        assert_eq!(status, KEYFERRY_E_CANCELLED);
        eprintln!(
            "a cancelled request returned after {:?}",
            returned - cancelled
        );
        assert!(
            returned - cancelled < Duration::from_millis(100),
            "{:?}",
            returned - cancelled
        );
        assert_eq!(sandbox.issued("user"), 0, "the flight is still under way");
        let value = follower.join().unwrap();
        assert_eq!(session.token("user").unwrap().value(), value);
    });
    assert_eq!(sandbox.count("login"), 1);
}

#[test]
fn one_request_that_many_threads_wait_with_is_cancelled_for_all() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    sandbox.fault(Fault::new(FaultAction::Hang).path("/v1/auth"));
    let request = c_api::Request::new("user");
    let statuses = together(17, |number| {
        if number == 0 {
            assert!(sandbox.wait_for("login", 1, LONG));
            request.cancel();
            return KEYFERRY_E_CANCELLED;
        }
        session.token_for(&request).map(drop).unwrap_err().status
    });
    assert!(
        statuses
            .iter()
            .all(|status| *status == KEYFERRY_E_CANCELLED),
        "{statuses:?}"
    );
}

#[test]
fn a_request_that_was_cancelled_before_asks_nobody() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    let request = c_api::Request::new("user");
    request.cancel();
    assert_eq!(
        session.token_for(&request).map(drop).unwrap_err().status,
        KEYFERRY_E_CANCELLED
    );
    assert_eq!(
        session.cached(&request).map(drop).unwrap_err().status,
        KEYFERRY_E_NOT_CACHED
    );
    assert_eq!(sandbox.count("requests"), 0);
    assert!(session.token("user").is_ok(), "others are not concerned");
}

#[test]
fn a_request_waits_as_long_as_it_says_and_the_flight_goes_on() {
    let sandbox = sessions::sandbox();
    let session = sessions::open(&sandbox);
    sandbox.fault(Fault::slow(Duration::from_millis(1200)).path("/v1/auth"));
    let begun = Instant::now();
    let times = together(4, |number| {
        let wait = 100 + 100 * number as u32;
        let failure = session
            .token_for(&c_api::Request::new("user").timeout_ms(wait))
            .map(drop)
            .unwrap_err();
        assert_eq!(failure.status, KEYFERRY_E_TIMEOUT, "{failure:?}");
        (begun.elapsed(), Duration::from_millis(wait.into()))
    });
    for (took, asked) in times {
        assert!(
            took >= asked && took < asked + Duration::from_millis(400),
            "{took:?} for {asked:?}"
        );
    }
    assert_eq!(sandbox.issued("user"), 0, "the flight is still under way");
    let token = session
        .token_for(&c_api::Request::new("user").timeout_ms(20_000))
        .unwrap();
    assert_eq!((sandbox.count("login"), sandbox.issued("user")), (1, 1));
    assert_eq!(
        session.token("user").unwrap().generation(),
        token.generation()
    );
}

#[test]
fn a_package_that_waits_for_a_hung_login_ends_in_time() {
    let sandbox = sessions::sandbox();
    let session = sessions::open_but(&sandbox, &[("http.timeout_ms", "700")]);
    sandbox.fault(Fault::new(FaultAction::Hang).path("/v1/auth").forever());
    let begun = Instant::now();
    together(8, |number| {
        session.token(&package(number + 1)).map(drop).unwrap_err()
    });
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(sandbox.count("login"), 1);
}

#[test]
fn who_can_not_wait_for_a_command_is_told_which_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(
        &path,
        "[masv]\nemail = \"a@b.example\"\npassword = { command = [\"/bin/sleep\", \"3\"] }\n",
    )
    .unwrap();
    let mut config = Config::load(Some(&path), Arc::new(|_| None)).unwrap();
    config.set("store", Secret::from("memory")).unwrap();
    config
        .set("masv.url", Secret::from("http://127.0.0.1:1"))
        .unwrap();
    let session = Session::open(config).unwrap();
    let request = Request {
        timeout: Some(Duration::from_millis(200)),
        ..Request::new("user")
    };
    let began = Instant::now();
    let error = session.token_for(&request).err().unwrap();
    assert_eq!(error.kind, ErrorKind::SecretSource);
    assert!(
        error.message().starts_with("masv.password: /bin/sleep ")
            && error.message().contains("by hand"),
        "{error}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
