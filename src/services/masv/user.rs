//! The user's API key and login, and requests with the user's credentials.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::api::{ApiResponse, LOGIN_ROUTE, Masv, NAME, TEAMS_PATH, USER_HEADER, unexpected};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, Token, TokenKind};
use crate::ports::http::Request;
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::services::response;

pub(super) const API_KEY_HEADER: &str = "X-API-KEY";

/// Returns a token that contains the configured API key.
pub(super) fn api_key_token(context: &dyn Context) -> Result<NewToken> {
    let api_key = configured_api_key(context)?;
    Ok(NewToken::new(TokenKind::Key, API_KEY_HEADER, api_key, None))
}

fn configured_api_key(context: &dyn Context) -> Result<Secret> {
    let missing = || {
        Error::new(
            ErrorKind::NotConfigured,
            "`masv.api_key` is not set; set it, or set `masv.email` and `masv.password`",
        )
    };
    let api_key = context.setting("masv.api_key")?.ok_or_else(missing)?;
    api_key.check("`masv.api_key`")?;
    Ok(api_key)
}

impl Masv {
    /// Acquires a user token with the configured e-mail and password.
    pub(super) fn acquire_user(&self, context: &dyn Context) -> Result<NewToken> {
        match (
            context.setting("masv.email")?,
            context.setting("masv.password")?,
        ) {
            (Some(email), Some(password)) => self.authenticate(&email, &password, context),
            (None, Some(_)) => Err(Error::new(
                ErrorKind::NotConfigured,
                "`masv.password` is set without `masv.email`; set `masv.email`",
            )),
            (email, None)
                if email.is_some()
                    || self.has_api_key
                    || self.logged_in.load(Ordering::Relaxed) =>
            {
                let message = "no user is logged in, or the login has expired; log in with `keyferry login masv` or masv_login, \
                            or set `masv.email` and `masv.password`";
                Err(Error::new(ErrorKind::LoginRequired, message))
            }
            (_, None) => {
                let message = "no credential for MASV is configured; set `masv.api_key`, or `masv.email` and `masv.password`, \
                            or log in with `keyferry login masv` or masv_login";
                Err(Error::new(ErrorKind::NotConfigured, message))
            }
        }
    }

    /// Logs in at [`LOGIN_ROUTE`]. Returns the user token.
    pub(super) fn authenticate(
        &self,
        email: &Secret,
        password: &Secret,
        context: &dyn Context,
    ) -> Result<NewToken> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the body of the login is sent to the service"
        )]
        let body = json!({ "email": email.expose(), "password": password.expose() }).to_string();
        let request = Request::post(self.url("/v1/auth")?, Some(Secret::new(body)));
        let secrets = [email, password];
        let response = context.login(&secrets, &request, &|response| {
            let message = "MASV rejected the e-mail and password; check `masv.email` and `masv.password`, \
                        or for an account with MFA or SSO set an API key (`masv.api_key`)";
            matches!(response.status, 400 | 401 | 403 | 422)
                .then(|| response::error(ErrorKind::BadCredentials, message, response, &secrets))
        })?;
        if !response::is_success(&response) {
            return Err(unexpected(LOGIN_ROUTE, &response, &secrets));
        }
        let mut document = response::parse(NAME, &response)?;
        drop(response);
        let token = response::token(LOGIN_ROUTE, &document, "token")?;
        let expiry = response::expiry(&token, &document, &["expires_at", "token_expires_at"]);
        let mut new_token = NewToken::new(TokenKind::User, USER_HEADER, token, expiry);
        let mut take = |name| response::take(&mut document, name);
        // `json!` would copy the values.
        let details = ["user", "teams"].map(|name| (name.to_owned(), take(name)));
        new_token.details = Value::Object(details.into_iter().collect());
        Ok(new_token)
    }

    /// Sends a GET with the API key if one is configured, else with the user token. Returns an
    /// error for a 401.
    pub(super) fn get_as_user(&self, path: &str, context: &dyn Context) -> Result<ApiResponse> {
        if self.has_api_key {
            self.get_with_api_key(path, context)
        } else {
            self.get_with_login(path, context)
        }
    }

    /// Sends a GET with the API key. Rationale: a 401 means that the key is wrong, so it is
    /// recorded as a failure of the key. A 403 may mean only that the key has no access to this one
    /// resource. It must not block the key for other resources, so it is not recorded.
    fn get_with_api_key(&self, path: &str, context: &dyn Context) -> Result<ApiResponse> {
        let api_key = configured_api_key(context)?;
        let request = Request::get(self.url(path)?).header(API_KEY_HEADER, api_key.clone());
        let response = context.login(&[&api_key], &request, &|response| {
            let is_bad_key = response.status == 401 || response.status == 403 && path == TEAMS_PATH;
            let message = "MASV rejected the API key; check `masv.api_key`, and that the key is active and its user still exists";
            is_bad_key.then(|| response::error(ErrorKind::BadCredentials, message, response, &[&api_key]))
        })?;
        Ok(ApiResponse::new(response, api_key))
    }

    /// Sends a GET with the user token. After a 401, retries once with a new token, because the
    /// service may have revoked the first one.
    fn get_with_login(&self, path: &str, context: &dyn Context) -> Result<ApiResponse> {
        let first_token = self.user_token(context)?;
        let response = self.get_with_token(path, &first_token, context)?;
        if response.status() != 401 {
            return Ok(response);
        }
        drop(response);
        context.reject(&first_token);
        let second_token = self.user_token(context)?;
        let response = self.get_with_token(path, &second_token, context)?;
        if response.status() != 401 {
            return Ok(response);
        }
        context.reject(&second_token);
        Err(response
            .error(ErrorKind::BadCredentials, "MASV rejects the user token for this request, but the token is new or still valid; check the account's permissions and `masv.url`"))
    }

    /// Returns the user token.
    pub(super) fn user_token(&self, context: &dyn Context) -> Result<Token> {
        context.token(ResourceKind::User, "", Access::Full)
    }

    /// Sends a GET with the headers of a token.
    pub(super) fn get_with_token(
        &self,
        path: &str,
        token: &Token,
        context: &dyn Context,
    ) -> Result<ApiResponse> {
        let response = context.send(&self.get_request(path, token)?)?;
        Ok(ApiResponse::new(response, Secret::from(token.value())))
    }

    /// Builds a GET with the headers of a token.
    pub(super) fn get_request(&self, path: &str, token: &Token) -> Result<Request> {
        let request_without_headers = Request::get(self.url(path)?);
        Ok(token
            .headers()
            .fold(request_without_headers, |request, (name, value)| {
                request.header(name, Secret::from(value))
            }))
    }
}
