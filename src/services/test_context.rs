//! A [`Context`] for the tests of the services: settings, tokens, and scripted responses in order.

#![expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, Fingerprint, ResourceKind};
use crate::model::token::{NO_EXPIRY, NewToken, Token, TokenKind, TokenMeta};
use crate::ports::http::{Method, Request, Response};
use crate::ports::service::{Context, FoundToken, TokenSpec};
use crate::secret::Secret;

/// A sent request: the context's method that sent it, the line `GET /path?query`, headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentRequest {
    pub(super) via: &'static str,
    pub(super) line: String,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

type Script = VecDeque<(String, Result<Response>)>;

#[derive(Default)]
pub(super) struct ScriptedContext {
    settings: HashMap<&'static str, &'static str>,
    tokens: RefCell<Vec<(ResourceKind, String, Access, Token)>>,
    script: RefCell<Script>,
    sent: RefCell<Vec<SentRequest>>,
    pub(super) rejected: RefCell<Vec<String>>,
}

impl ScriptedContext {
    pub(super) fn new(settings: &[(&'static str, &'static str)]) -> Self {
        Self {
            settings: settings.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// Adds the next response to the script. It responds to exactly this request.
    pub(super) fn response(self, line: &str, status: u16, body: impl ToString) -> Self {
        self.response_with_cookies(line, status, body, &[])
    }

    pub(super) fn response_with_cookies(
        self,
        line: &str,
        status: u16,
        body: impl ToString,
        cookies: &[&str],
    ) -> Self {
        let cookies = cookies.iter().map(|cookie| Secret::from(*cookie)).collect();
        let body = Secret::new(body.to_string());
        let response = Response {
            status,
            date_unix_s: None,
            retry_after: None,
            cookies,
            body,
        };
        self.script
            .borrow_mut()
            .push_back((line.into(), Ok(response)));
        self
    }

    pub(super) fn failure(self, line: &str, kind: ErrorKind) -> Self {
        self.failure_with(line, Error::new(kind, "as scripted"))
    }

    pub(super) fn failure_with(self, line: &str, error: Error) -> Self {
        self.script
            .borrow_mut()
            .push_back((line.into(), Err(error)));
        self
    }

    /// Adds a token. If a resource has two tokens, the second is returned after the first is
    /// rejected.
    pub(super) fn token(
        self,
        resource_kind: ResourceKind,
        id: &str,
        access: Access,
        header: &str,
        value: &str,
        details: Value,
    ) -> Self {
        let mut new_token = NewToken::new(TokenKind::User, header, Secret::from(value), None);
        new_token.details = details;
        let meta = TokenMeta {
            scope: 1,
            resource_kind,
            access,
            kind: TokenKind::User,
            generation: 1,
            expires_us: NO_EXPIRY,
            acquired_us: 0,
        };
        let token = Token::new(&new_token, "masv", id, meta).expect("a test's token is in order");
        self.tokens
            .borrow_mut()
            .push((resource_kind, id.into(), access, token));
        self
    }

    pub(super) fn user(self, value: &str, details: Value) -> Self {
        self.token(
            ResourceKind::User,
            "",
            Access::Full,
            "X-User-Token",
            value,
            details,
        )
    }

    /// Returns all requests so far. Fails unless the whole script was used.
    pub(super) fn sent(&self) -> Vec<SentRequest> {
        assert!(
            self.script.borrow().is_empty(),
            "not all of the script was used"
        );
        self.sent.borrow().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.line).collect()
    }

    fn exchange(&self, via: &'static str, request: &Request) -> Result<Response> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let query = request
            .url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let line = format!("{method} {}{query}", request.url.path());
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.expose()))
            .collect();
        let body = request
            .body
            .as_ref()
            .map(|body| body.expose().to_owned())
            .unwrap_or_default();
        self.sent.borrow_mut().push(SentRequest {
            via,
            line: line.clone(),
            headers,
            body,
        });
        let next = self.script.borrow_mut().pop_front();
        let (expected, response) =
            next.unwrap_or_else(|| panic!("no response is scripted for {line}"));
        assert_eq!(expected, line);
        response
    }
}

impl Context for ScriptedContext {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        Ok(self.settings.get(name).map(|value| Secret::from(*value)))
    }

    fn token(&self, resource_kind: ResourceKind, id: &str, access: Access) -> Result<Token> {
        let tokens = self.tokens.borrow();
        let found = tokens
            .iter()
            .find(|(other_kind, other_id, other_access, _)| {
                (*other_kind, other_id.as_str(), *other_access) == (resource_kind, id, access)
            });
        found.map(|(.., token)| token.clone()).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "the test has no such token; add one to the script",
            )
        })
    }

    fn reject(&self, token: &Token) {
        self.rejected.borrow_mut().push(token.value().into());
        self.tokens
            .borrow_mut()
            .retain(|(.., other)| other.value() != token.value());
    }

    fn send(&self, request: &Request) -> Result<Response> {
        self.exchange("send", request)
    }

    fn send_no_retry(&self, request: &Request) -> Result<Response> {
        self.exchange("send_no_retry", request)
    }

    fn login(
        &self,
        _secrets: &[&Secret],
        request: &Request,
        refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response> {
        let response = self.exchange("login", request)?;
        refused(&response).map_or(Ok(response), Err)
    }

    fn record_refusal(&self, _secrets: &[&Secret], _error: &mut Error) {}

    fn is_closing(&self) -> bool {
        false
    }

    fn coalesce(
        &self,
        _name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        job().map(Arc::new)
    }

    fn fingerprint(&self, _parts: &[&str]) -> Fingerprint {
        unreachable!("no service calls this")
    }

    fn now_unix_s(&self) -> i64 {
        1_800_000_000
    }
}

/// Returns the spec of a token, without secrets of a link.
pub(super) fn spec(resource_kind: ResourceKind, id: &str, access: Access) -> TokenSpec<'_> {
    TokenSpec {
        resource_kind,
        id,
        access,
        parent: None,
        link_secret: None,
        link_password: None,
    }
}

/// Returns the headers of a new token, as lines.
pub(super) fn headers(new_token: &NewToken) -> Vec<String> {
    new_token
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.expose()))
        .collect()
}

/// Documents that a broken or hostile server could send.
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
