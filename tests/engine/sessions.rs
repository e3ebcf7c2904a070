//! Sessions of a sandbox: through the C ABI, or on a manual clock that the sandbox follows.

use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::time::Duration;

use keyferry::clock::Clock;
use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::session::{Options, Session};
use keyferry_sandbox::{self, Sandbox, credentials as made};
use keyferry_testing::c_api;
use keyferry_testing::harness::Harness;
use keyferry_testing::http::claims;
use keyferry_testing::settings::{config, settings};

pub(crate) const SECOND: i64 = 1_000_000;
/// When the manual clock begins: in January 2027.
pub(crate) const START_US: i64 = 1_800_000_000 * SECOND;
/// The longest that a test waits for anything.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Starts a sandbox on the machine's clock.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start(keyferry_sandbox::Options::default()).unwrap()
}

/// Opens a session through the C ABI.
pub(crate) fn open(sandbox: &Sandbox) -> c_api::Session {
    open_but(sandbox, &[])
}

/// Opens a session through the C ABI, with some settings in place of others.
pub(crate) fn open_but(sandbox: &Sandbox, but: &[(&str, &str)]) -> c_api::Session {
    c_api::Config::new().set_all(settings(sandbox, but)).open()
}

/// Opens a session on this clock, with some settings in place of others.
pub(crate) fn session_at(clock: &Clock, sandbox: &Sandbox, but: &[(&str, &str)]) -> Session {
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    Session::open_with(config(settings(sandbox, but)), options).unwrap()
}

/// A session and a sandbox on one manual clock.
pub(crate) struct TimedSession {
    pub(crate) harness: Harness,
    pub(crate) session: Session,
}

impl TimedSession {
    pub(crate) fn new() -> Self {
        Self::but(&[])
    }

    /// Opens a session with some settings in place of others.
    pub(crate) fn but(but: &[(&str, &str)]) -> Self {
        let harness = Harness::at(START_US);
        let session = session_at(harness.clock(), harness.sandbox(), but);
        Self { harness, session }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.harness.sandbox()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.harness.clock()
    }

    pub(crate) fn pass_s(&self, seconds: i64) {
        self.harness.pass_s(seconds);
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.clock().now_us() / SECOND
    }

    pub(crate) fn token(&self, resource: &str) -> Result<Token, ErrorKind> {
        self.session
            .token(resource)
            .map(|token| *token)
            .map_err(|error| error.kind)
    }

    pub(crate) fn token_valid_for(&self, resource: &str, seconds: u64) -> Result<Token, ErrorKind> {
        let request = Request {
            min_valid: Duration::from_secs(seconds),
            ..Request::new(resource)
        };
        self.session.token_for(&request).map_err(|error| error.kind)
    }

    /// Returns the header line that `peek` writes.
    #[expect(unsafe_code, reason = "reads back what a peek has written")]
    pub(crate) fn peek(&self, resource: &str) -> Result<String, ErrorKind> {
        let mut out = [MaybeUninit::new(0_u8); 2048];
        let len = self.session.peek(resource, &mut out)?;
        // SAFETY: each byte was initialised above.
        let line = out[..len]
            .iter()
            .map(|byte| unsafe { byte.assume_init() })
            .collect();
        Ok(String::from_utf8(line).unwrap())
    }

    /// Waits until no flight is under way.
    pub(crate) fn landed(&self) {
        let deadline = std::time::Instant::now() + LONG;
        while self.session.stats().flights_under_way > 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "a flight does not land"
            );
            std::thread::yield_now();
        }
    }
}

/// Runs `work` in this many threads that begin together, and returns what each returned.
pub(crate) fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (barrier, work) = (Barrier::new(threads), &work);
    std::thread::scope(|scope| {
        let begun: Vec<_> = (0..threads)
            .map(|number| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    work(number)
                })
            })
            .collect();
        begun
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Returns the resource of the team's package of this number, from 1.
pub(crate) fn package(number: usize) -> String {
    format!("packages/{}", package_id(number))
}

pub(crate) fn package_id(number: usize) -> String {
    format!("01J0SANDB0XPACKAGE{number:08}")
}

/// Panics unless the claims of a token are those of the resource.
pub(crate) fn assert_is_for(resource: &str, header: &str, value: &str) {
    let claims = claims(value);
    let parts: Vec<&str> = resource.split(['/', '?']).collect();
    let (name, subject, level) = match parts.as_slice() {
        ["user"] => ("X-User-Token", made::USER_SUBJECT, None),
        ["fileverbs:bearer"] => {
            assert!(
                header == "Authorization" && claims["id"].is_string() && claims["nbf"].is_i64(),
                "{header} for {resource}"
            );
            return;
        }
        ["packages", _, "transfers", id] => ("X-Transfer-Token", *id, None),
        ["packages", id] => ("X-Package-Token", *id, Some("f")),
        ["links", ..] => ("X-Package-Token", made::PACKAGE_ID, Some("d")),
        _ => panic!("no test asks for {resource}"),
    };
    assert_eq!(
        (
            header,
            claims["sub"].as_str().unwrap(),
            claims["lvl"].as_str()
        ),
        (name, subject, level),
        "for {resource}"
    );
}
