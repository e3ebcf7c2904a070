//! Fuzzes the parsers of service responses. Every response must give a token with printable header
//! values, or an error message without control characters and secrets.
//!
//! The first input byte chooses the resource, the second the status. The rest is the response's
//! body.
#![no_main]

use std::time::{Duration, Instant};

use keyferry::engine::accounts::Accounts;
use keyferry::clock::Clock;
use keyferry::config::Config;
use keyferry::engine::broker::Broker;
use keyferry::engine::state::EngineParts;
use keyferry::ports::http::{Failure, Http, Reader, Request as HttpRequest, Response};
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::stores::memory::MemoryStore;
use libfuzzer_sys::fuzz_target;
use url::Url;

/// Returns the same response to every request.
struct FixedResponse(Response);

impl Http for FixedResponse {
    fn exchange(&self, _account: usize, _request: &HttpRequest, _deadline: Instant) -> Result<Response, Failure> {
        Ok(self.0.clone())
    }

    fn exchange_to_end(&self, _account: usize, _request: &HttpRequest, _deadline: Instant) -> Result<Response, Failure> {
        Ok(self.0.clone())
    }

    fn reader(&self, _account: usize) -> Box<dyn Reader + '_> {
        Box::new(FixedResponse(self.0.clone()))
    }

    fn close_idle(&self) {}

    fn close(&self, _deadline: Instant) {}
}

impl Reader for FixedResponse {
    fn open(&mut self, _url: &Url) {}

    fn read(&mut self, _request: &HttpRequest, _deadline: Instant) -> Result<Response, Failure> {
        Ok(self.0.clone())
    }

    fn keep(&mut self) {}
}

const QUESTIONS: [&str; 5] = ["user", "packages/P", "links/L?secret=S", "packages/P/transfers/T", "fileverbs:bearer"];
/// The response statuses after which the engine doesn't retry.
const STATUSES: [u16; 8] = [200, 201, 204, 301, 400, 401, 403, 404];

fn config(is_login: bool) -> Config {
    let mut config = Config::new();
    let login = [("masv.email", "me@example.com"), ("masv.password", "c4n4ry-p4ssword")];
    let keys = [("masv.api_key", "c4n4ry-k3y"), ("masv.team", "T"), ("fileverbs.secret_key", "c4n4ry-s3cret"), ("fileverbs.api_key", "c4n4ry-4pi")];
    for (key, value) in if is_login { login.iter() } else { keys.iter() } {
        config.set(key, Secret::from(*value)).expect("a setting");
    }
    config
}

fuzz_target!(|bytes: &[u8]| {
    let [question, status, body @ ..] = bytes else { return };
    let question = QUESTIONS[usize::from(*question) % QUESTIONS.len()];
    let Ok(body) = str::from_utf8(body) else { return };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let response = Response { status, date_unix_s: None, retry_after: None, cookies: Vec::new(), body: Secret::from(body) };
    let config = config(question == "user");
    let accounts = Accounts::open(&config, &keyferry::plugin::Plugins::default()).expect("services");
    let parts = EngineParts {
        store: Box::new(MemoryStore::default()),
        http: Box::new(FixedResponse(response)),
        clock: Clock::system(),
        timeout: Duration::from_secs(5),
    };
    let broker = Broker::new(accounts, parts, false);
    match broker.token_for(&Request::new(question)) {
        Ok(token) => assert!(token.headers().all(|(_, value)| value.bytes().all(|byte| (b' '..0x7f).contains(&byte)))),
        Err(error) => assert!(!error.message().chars().any(char::is_control) && !error.message().contains("c4n4ry"), "{}", error.message()),
    }
    broker.close();
});
