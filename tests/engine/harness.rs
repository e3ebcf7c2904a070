//! A sandbox and its sessions; one clock for both where time matters.

use std::mem::MaybeUninit;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use keyferry::clock::Clock;
use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry_sandbox::{self, Sandbox, credentials as made};
use keyferry_testing::http::claims;
use serde_json::Value;

use crate::c;

pub(crate) const SECOND: i64 = 1_000_000;
/// When the manual clock begins: in January 2027.
const START_US: i64 = 1_800_000_000 * SECOND;
/// No test waits longer for anything.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Sandbox and session on one manual clock.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) session: Session,
}

/// A sandbox on the machine's clock.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start(keyferry_sandbox::Options::default()).unwrap()
}

/// The settings that lead to a sandbox, with e-mail, password and both keys of FileVerbs.
pub(crate) fn settings(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let all = [
        ("masv.url", sandbox.masv_url()),
        ("masv.email", made::EMAIL),
        ("masv.password", made::PASSWORD),
        ("masv.team", made::TEAM_ID),
        ("agent.url", sandbox.agent_url()),
        ("fileverbs.url", sandbox.fileverbs_url()),
        ("fileverbs.secret_key", made::SECRET_KEY),
        ("fileverbs.api_key", made::FV_API_KEY),
    ];
    all.map(|(key, value)| (key, value.to_owned())).to_vec()
}

/// The same with some in place of others; an empty value leaves one out.
pub(crate) fn settings_but(
    sandbox: &Sandbox,
    but: &[(&'static str, &str)],
) -> Vec<(&'static str, String)> {
    let mut all = settings(sandbox);
    all.retain(|(key, _)| but.iter().all(|(other, _)| key != other));
    all.extend(
        but.iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (*key, (*value).to_owned())),
    );
    all
}

/// A session through the C ABI.
pub(crate) fn open(sandbox: &Sandbox) -> c::Session {
    open_but(sandbox, &[])
}

/// A session through the C ABI with other settings.
pub(crate) fn open_but(sandbox: &Sandbox, but: &[(&'static str, &str)]) -> c::Session {
    let settings = settings_but(sandbox, but);
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    c::open(&settings)
}

/// A session that shows this clock.
pub(crate) fn session_at(
    clock: &Clock,
    sandbox: &Sandbox,
    but: &[(&'static str, &str)],
) -> Session {
    let mut config = Config::new();
    settings_but(sandbox, but)
        .into_iter()
        .for_each(|(key, value)| config.set(key, Secret::new(value)).unwrap());
    Session::open_with(
        config,
        Options {
            clock: clock.clone(),
            ..Options::default()
        },
    )
    .unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::but(&[])
    }

    /// A world with other settings.
    pub(crate) fn but(but: &[(&'static str, &str)]) -> Self {
        let clock = Clock::manual(START_US);
        let theirs = clock.clone();
        let clock_of_sandbox =
            keyferry_sandbox::Clock::from_fn(Arc::new(move || theirs.now_us() / 1000));
        let sandbox = Sandbox::start(keyferry_sandbox::Options {
            clock: clock_of_sandbox,
            ..Default::default()
        })
        .unwrap();
        let session = session_at(&clock, &sandbox, but);
        Self {
            sandbox,
            clock,
            session,
        }
    }

    /// Moves the clock of both.
    pub(crate) fn pass_s(&self, seconds: i64) {
        self.clock.advance_us(seconds * SECOND);
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.clock.now_us() / SECOND
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

    /// A header line as `peek` gives it.
    #[expect(unsafe_code, reason = "reads back what a peek has written")]
    pub(crate) fn peek(&self, resource: &str) -> Result<String, ErrorKind> {
        let mut out = [MaybeUninit::new(0_u8); 2048];
        let len = self
            .session
            .peek(resource, &mut out)
            .map_err(|error| error.kind)?
            .len;
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

/// Runs `work` in so many threads that begin together, and gives what each gave.
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

/// The resource of the team's package of this number, from 1.
pub(crate) fn package(number: usize) -> String {
    format!("packages/{}", package_id(number))
}

pub(crate) fn package_id(number: usize) -> String {
    format!("01J0SANDB0XPACKAGE{number:08}")
}

/// Panics unless a token is one for the resource, by what the sandbox wrote into it.
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
