//! The user: the API key, the login, and requests that are made as the user.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Masv, NAME, USER_HEADER};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, Token, TokenKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::services::response;

const KEY_HEADER: &str = "X-API-KEY";
const LOGIN: &str = "POST /v1/auth";

/// An answer to the user, and the credential it was asked with: an error has to leave that out.
pub(super) struct Reply {
    pub(super) response: Response,
    credential: Secret,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.response.status
    }

    /// The document of a success.
    pub(super) fn document(&self) -> Result<Value> {
        response::parse(NAME, &self.response)
    }

    /// A text of this answer, unless it echoes what was sent.
    pub(super) fn harmless(&self, text: &str) -> Option<String> {
        response::harmless(text, &[&self.credential])
    }

    /// The error that this answer means.
    pub(super) fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        response::error(kind, what, &self.response, &[&self.credential])
    }

    /// The error that an answer means of which nothing special is known.
    pub(super) fn unexpected(&self, route: &str) -> Error {
        unexpected(route, &self.response, &[&self.credential])
    }
}

/// The error that an answer to `route` means of which nothing special is known.
pub(super) fn unexpected(route: &str, response: &Response, sent: &[&Secret]) -> Error {
    let status = response.status;
    let (kind, what) = match status {
        401 | 403 => (ErrorKind::BadCredentials, format!("MASV refuses {route} with status {status}: the credential may not do this")),
        404 | 410 if route == LOGIN => {
            (ErrorKind::NotFound, format!("there is no {route}, status {status}: check that MASV is at `masv.url`"))
        }
        404 | 410 => {
            (ErrorKind::NotFound, format!("MASV has nothing at {route}, status {status}: check the id, or whether it was deleted"))
        }
        405 | 501 => (ErrorKind::Unsupported, format!("MASV has no {route}: check `masv.url`")),
        _ => (ErrorKind::BadResponse, format!("MASV answers {route} with status {status}: check `masv.url`, or try again later")),
    };
    response::error(kind, what, response, sent)
}

/// The configured API key, as a header.
pub(super) fn key(context: &dyn Context) -> Result<NewToken> {
    let key = configured_key(context)?;
    Ok(NewToken::new(TokenKind::Key, KEY_HEADER, key, None))
}

fn configured_key(context: &dyn Context) -> Result<Secret> {
    let missing = || Error::new(ErrorKind::NotConfigured, "`masv.api_key` is not set: set it, or `masv.email` and `masv.password`");
    let key = context.setting("masv.api_key")?.ok_or_else(missing)?;
    key.check("`masv.api_key`")?;
    Ok(key)
}

impl Masv {
    /// A user's token, by the configured e-mail and password.
    pub(super) fn user(&self, context: &dyn Context) -> Result<NewToken> {
        match (context.setting("masv.email")?, context.setting("masv.password")?) {
            (Some(email), Some(password)) => self.authenticate(&email, &password, context),
            (None, Some(_)) => Err(Error::new(ErrorKind::NotConfigured, "`masv.email` is not set, and `masv.password` needs it")),
            (email, None) if email.is_some() || self.has_key || self.logged_in.load(Ordering::Relaxed) => {
                let what = "no user is logged in, or the login has ended: log in again with `keyferry login masv` or masv_login, \
                            or set `masv.email` and `masv.password`";
                Err(Error::new(ErrorKind::LoginRequired, what))
            }
            (_, None) => {
                let what = "MASV has no credential: set `masv.api_key`, or `masv.email` and `masv.password`, \
                            or log in with `keyferry login masv` or masv_login";
                Err(Error::new(ErrorKind::NotConfigured, what))
            }
        }
    }

    /// `POST /v1/auth`.
    pub(super) fn authenticate(&self, email: &Secret, password: &Secret, context: &dyn Context) -> Result<NewToken> {
        let body = json!({ "email": email.expose(), "password": password.expose() }).to_string();
        let request = Request::post(self.url("/v1/auth")?, Some(Secret::new(body)));
        let sent = [email, password];
        let response = context.login(&sent, &request, &|response| {
            let what = "MASV refuses this e-mail and password: check `masv.email` and `masv.password`; \
                        an account with MFA or SSO can't log in with a password: use an API key (`masv.api_key`)";
            matches!(response.status, 400 | 401 | 403 | 422).then(|| response::error(ErrorKind::BadCredentials, what, response, &sent))
        })?;
        if !response::is_success(&response) {
            return Err(unexpected(LOGIN, &response, &sent));
        }
        let document = response::parse(NAME, &response)?;
        let token = response::token(LOGIN, &document, "token")?;
        let expiry = response::expiry(&token, &document, &["expires_at", "token_expires_at"]);
        let mut new_token = NewToken::new(TokenKind::User, USER_HEADER, token, expiry);
        let part = |name| response::field(&document, name).cloned().unwrap_or_default();
        new_token.details = json!({ "user": part("user"), "teams": part("teams") });
        Ok(new_token)
    }

    /// A GET as the user: with the API key if one is configured, else with the user's token. A 401 has become an error.
    pub(super) fn ask(&self, path: &str, context: &dyn Context) -> Result<Reply> {
        if self.has_key { self.ask_with_key(path, context) } else { self.ask_with_login(path, context) }
    }

    /// Rationale: a 401 says that the key is wrong, and is remembered for it; a 403 may as well mean that this key may not see
    /// this one thing, and must not shut the key out of all others.
    fn ask_with_key(&self, path: &str, context: &dyn Context) -> Result<Reply> {
        let key = configured_key(context)?;
        let request = Request::get(self.url(path)?).header(KEY_HEADER, key.clone());
        let response = context.login(&[&key], &request, &|response| {
            let wrong = response.status == 401 || response.status == 403 && path == super::team::TEAMS;
            let what = "MASV refuses the API key: check `masv.api_key`, and that the key is active and its user still there";
            wrong.then(|| response::error(ErrorKind::BadCredentials, what, response, &[&key]))
        })?;
        Ok(Reply { response, credential: key })
    }

    /// A 401 means that the token has ended early: one more try with a new one.
    fn ask_with_login(&self, path: &str, context: &dyn Context) -> Result<Reply> {
        let first = self.login_token(context)?;
        let reply = self.ask_with(path, &first, context)?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        context.reject(&first);
        let second = self.login_token(context)?;
        let reply = self.ask_with(path, &second, context)?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        context.reject(&second);
        Err(reply
            .error(ErrorKind::BadCredentials, "MASV refuses the login that it has just given: check `masv.url`, and the account at MASV"))
    }

    /// The user's token.
    pub(super) fn login_token(&self, context: &dyn Context) -> Result<Token> {
        context.token(ResourceKind::User, "", Access::Full)
    }

    /// A GET with the headers of a token.
    pub(super) fn ask_with(&self, path: &str, token: &Token, context: &dyn Context) -> Result<Reply> {
        let bare = Request::get(self.url(path)?);
        let request = token.headers().fold(bare, |request, (name, value)| request.header(name, Secret::from(value)));
        let response = context.send(&request)?;
        Ok(Reply { response, credential: Secret::from(token.value()) })
    }
}
