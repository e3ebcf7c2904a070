//! A context for the tests of the adapters: settings, tokens that are there, and scripted answers in their order.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::key::{Access, Class, Fingerprint};
use crate::model::token::{Draft, Facts, Kind as TokenKind, NO_EXPIRY, Token};
use crate::ports::http::{Answer, Method, Request};
use crate::ports::service::{Context, Found, Want};
use crate::secret::Secret;

/// What a request looked like: how it was sent, `GET /path?query`, headers, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) by: &'static str,
    pub(super) line: String,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

type Script = VecDeque<(String, Result<Answer>)>;

#[derive(Default)]
pub(super) struct Fake {
    settings: HashMap<&'static str, &'static str>,
    tokens: RefCell<Vec<(Class, String, Access, Token)>>,
    script: RefCell<Script>,
    sent: RefCell<Vec<Sent>>,
    pub(super) rejected: RefCell<Vec<String>>,
}

impl Fake {
    pub(super) fn new(settings: &[(&'static str, &'static str)]) -> Self {
        Self { settings: settings.iter().copied().collect(), ..Self::default() }
    }

    /// The next answer, to exactly this request.
    pub(super) fn answer(self, line: &str, status: u16, body: impl ToString) -> Self {
        self.answer_with_cookies(line, status, body, &[])
    }

    pub(super) fn answer_with_cookies(self, line: &str, status: u16, body: impl ToString, cookies: &[&str]) -> Self {
        let cookies = cookies.iter().map(|cookie| Secret::from(*cookie)).collect();
        let body = Secret::new(body.to_string());
        let answer = Answer { status, date_unix_s: None, retry_after: None, cookies, body };
        self.script.borrow_mut().push_back((line.into(), Ok(answer)));
        self
    }

    pub(super) fn failure(self, line: &str, kind: Kind) -> Self {
        self.script.borrow_mut().push_back((line.into(), Err(Error::new(kind, "as scripted"))));
        self
    }

    /// A token that is there. Of two for the same thing the second one is given after the first was rejected.
    pub(super) fn token(self, class: Class, id: &str, access: Access, header: &str, value: &str, details: Value) -> Self {
        let mut draft = Draft::new(TokenKind::User, header, Secret::from(value), None);
        draft.details = details;
        let facts = Facts { scope: 1, class, access, kind: TokenKind::User, generation: 1, expires_us: NO_EXPIRY, acquired_us: 0 };
        let token = Token::new(&draft, "masv", id, facts).expect("a test's token is in order");
        self.tokens.borrow_mut().push((class, id.into(), access, token));
        self
    }

    pub(super) fn user(self, value: &str, details: Value) -> Self {
        self.token(Class::User, "", Access::Full, "X-User-Token", value, details)
    }

    /// All requests so far, once the script is through.
    pub(super) fn sent(&self) -> Vec<Sent> {
        assert!(self.script.borrow().is_empty(), "not all of the script was asked for");
        self.sent.borrow().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.line).collect()
    }

    fn exchange(&self, by: &'static str, request: &Request) -> Result<Answer> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let line = format!("{method} {}{query}", request.url.path());
        let headers = request.headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect();
        let body = request.body.as_ref().map(|body| body.expose().to_owned()).unwrap_or_default();
        self.sent.borrow_mut().push(Sent { by, line: line.clone(), headers, body });
        let next = self.script.borrow_mut().pop_front();
        let (expected, answer) = next.unwrap_or_else(|| panic!("nobody scripted {line}"));
        assert_eq!(expected, line);
        answer
    }
}

impl Context for Fake {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        Ok(self.settings.get(name).map(|value| Secret::from(*value)))
    }

    fn token(&self, class: Class, id: &str, access: Access) -> Result<Token> {
        let tokens = self.tokens.borrow();
        let found = tokens.iter().find(|(c, i, a, _)| (*c, i.as_str(), *a) == (class, id, access));
        found.map(|(.., token)| token.clone()).ok_or_else(|| Error::new(Kind::NotFound, "the test has no such token: script one"))
    }

    fn reject(&self, token: &Token) {
        self.rejected.borrow_mut().push(token.value().into());
        self.tokens.borrow_mut().retain(|(.., other)| other.value() != token.value());
    }

    fn send(&self, request: &Request) -> Result<Answer> {
        self.exchange("send", request)
    }

    fn send_once(&self, request: &Request) -> Result<Answer> {
        self.exchange("send_once", request)
    }

    fn login(&self, _secrets: &[&Secret], request: &Request, refused: &dyn Fn(&Answer) -> Option<Error>) -> Result<Answer> {
        let answer = self.exchange("login", request)?;
        refused(&answer).map_or(Ok(answer), Err)
    }

    fn refused(&self, _secrets: &[&Secret], _error: &Error) {}

    fn is_over(&self) -> bool {
        false
    }

    fn once(&self, _name: &str, job: &mut dyn FnMut() -> Result<Vec<Found>>) -> Result<Arc<Vec<Found>>> {
        job().map(Arc::new)
    }

    fn fingerprint(&self, _parts: &[&str]) -> Fingerprint {
        unreachable!("no adapter asks for one")
    }

    fn now_unix_s(&self) -> i64 {
        1_800_000_000
    }
}

/// A wish without a link's secrets.
pub(super) fn want(class: Class, id: &str, access: Access) -> Want<'_> {
    Want { class, id, access, parent: None, link_secret: None, link_password: None }
}

/// What stands in a draft's headers.
pub(super) fn headers(draft: &Draft) -> Vec<String> {
    draft.headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect()
}

/// Documents that a broken or hostile server sends in place of the right one.
pub(super) const HOSTILE: [&str; 12] = [
    "",
    "<html><b>502</b></html>",
    "{\"token\":\"abc",
    "null",
    "[]",
    "{}",
    "0",
    "\"token\"",
    "[[[[]]]]",
    "{\"a\":{\"token\":1}}",
    "\u{0}",
    "{\"token\":",
];
