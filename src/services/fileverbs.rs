//! FileVerbs: the bearer token, its refresh with a cookie, and the SecretKey header.
//!
//! FileVerbs does not document how to refresh a token, so the route and the cookie are settings. If
//! the service turns out to have no such route, keyferry does not try it again.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, RequiredAccess, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Acquired, Context, Service, Target, TokenSpec};
use crate::secret::Secret;
use crate::services::response;
use crate::text::is_visible_ascii;

const NAME: &str = "FileVerbs";
const KEY_HEADER: &str = "SecretKey";
const BEARER_HEADER: &str = "Authorization";
const API_PREFIX: &str = "/api/v1/";
const TOKEN_PATH: &str = "accounts/access-token";
const TOKEN_ROUTE: &str = "POST /api/v1/accounts/access-token";
/// The fields of the token response that describe the account.
const DETAIL_FIELDS: [&str; 6] = ["Id", "FirstName", "LastName", "Email", "Role", "IsVerified"];

/// FileVerbs, for one account.
pub struct FileVerbs {
    base: BaseUrl,
    /// The path of the refresh route, below the version prefix.
    refresh_path: String,
    refresh_cookie: String,
    /// Whether requests to URLs use the bearer token. They use the SecretKey if it is the only
    /// configured key. If no key is configured, they use the bearer token, because an earlier login
    /// may have stored one.
    takes_bearer: bool,
    /// Whether the service has shown that it has no refresh route.
    refresh_unsupported: AtomicBool,
}

impl FileVerbs {
    /// Creates the service from the configuration of an account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a setting is invalid.
    pub fn open(profile: &Profile) -> Result<Self> {
        let base = profile.base_url("fileverbs.url", &["/api/v1"])?;
        let takes_bearer =
            profile.is_set("fileverbs.api_key") || !profile.is_set("fileverbs.secret_key");
        let text = |key| profile.text(key).unwrap_or_default();
        Self::new(
            base,
            takes_bearer,
            text("fileverbs.refresh_path"),
            text("fileverbs.refresh_cookie"),
        )
    }

    pub(super) fn new(
        base: BaseUrl,
        takes_bearer: bool,
        refresh_path: &str,
        refresh_cookie: &str,
    ) -> Result<Self> {
        let path = refresh_path.trim_start_matches('/');
        let path = path
            .strip_prefix("api/v1/")
            .unwrap_or(path)
            .trim_end_matches('/');
        let is_cookie_name =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if path.is_empty() || base.join(&format!("{API_PREFIX}{path}")).is_err() {
            return Err(Error::new(
                ErrorKind::Config,
                "`fileverbs.refresh_path` is not a path; write it like accounts/refresh-token",
            ));
        }
        if refresh_cookie.is_empty() || !refresh_cookie.bytes().all(is_cookie_name) {
            return Err(Error::new(
                ErrorKind::Config,
                "`fileverbs.refresh_cookie` is not a cookie name; write it like refreshToken",
            ));
        }
        let refresh_unsupported = AtomicBool::new(false);
        Ok(Self {
            base,
            refresh_path: path.into(),
            refresh_cookie: refresh_cookie.into(),
            takes_bearer,
            refresh_unsupported,
        })
    }

    fn acquire_bearer(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let (secret_key, api_key) = match (
            configured_key("fileverbs.secret_key", context)?,
            configured_key("fileverbs.api_key", context)?,
        ) {
            (Some(secret_key), Some(api_key)) => (secret_key, api_key),
            (Some(_), None) => {
                return Err(not_configured(
                    "cannot get a bearer token: `fileverbs.api_key` is not set",
                    "",
                ));
            }
            (None, Some(_)) => {
                return Err(not_configured(
                    "cannot get a bearer token: `fileverbs.secret_key` is not set",
                    "",
                ));
            }
            (None, None) => {
                return Err(not_configured(
                    "cannot get a bearer token: none is stored, and neither `fileverbs.secret_key` nor `fileverbs.api_key` is set",
                    "",
                ));
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the body of the login is sent to the service"
        )]
        let body =
            json!({ "SecretKey": secret_key.expose(), "APIKey": api_key.expose() }).to_string();
        let request = Request::post(
            self.base.join(&format!("{API_PREFIX}{TOKEN_PATH}"))?,
            Some(Secret::new(body)),
        );
        let secrets = [&secret_key, &api_key];
        let response = context.login(&secrets, &request, &|response| {
            let message = "FileVerbs rejected the keys; check `fileverbs.secret_key` (Integration, API Secret) and \
                        `fileverbs.api_key` (Integration, Access Token)";
            matches!(response.status, 400 | 401 | 403).then(|| response::error(ErrorKind::BadCredentials, message, response, &secrets))
        })?;
        if !response::is_success(&response) {
            let kind = if matches!(response.status, 404 | 405 | 501) {
                ErrorKind::Unsupported
            } else {
                ErrorKind::BadResponse
            };
            let message = format!(
                "FileVerbs responded to {TOKEN_ROUTE} with status {}; check `fileverbs.url`",
                response.status
            );
            return Err(response::error(kind, message, &response, &secrets));
        }
        self.parse_bearer(TOKEN_ROUTE, spec, &response)
    }

    /// Parses the bearer token of a response, and its renewal secret.
    fn parse_bearer(
        &self,
        route: &str,
        spec: &TokenSpec<'_>,
        response: &Response,
    ) -> Result<Acquired> {
        let document = response::parse(NAME, response)?;
        let token = response::token(route, &document, "JwtToken")?;
        let expiry = response::expiry(
            &token,
            &document,
            &["JwtTokenExpires", "ExpiresAt", "Expires"],
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "the header's value is sent to the service"
        )]
        let header = Secret::new(format!("Bearer {}", token.expose()));
        let mut new_token = NewToken::new(TokenKind::Bearer, BEARER_HEADER, header, expiry);
        new_token.details = details(&document);
        let renewal = self
            .refresh_cookie_value(response)
            .or_else(|| cookie_value(response::text(&document, "RefreshToken")?));
        let mut acquired = Acquired::only(spec, new_token);
        acquired.renewal = renewal.filter(|_| !self.refresh_unsupported.load(Ordering::Relaxed));
        Ok(acquired)
    }

    /// Returns the renewal secret from the response's cookie, still encoded. It must be sent back
    /// in that form.
    #[expect(
        clippy::disallowed_methods,
        reason = "reads the renewal secret from the cookie"
    )]
    fn refresh_cookie_value(&self, response: &Response) -> Option<Secret> {
        response.cookies.iter().rev().find_map(|cookie| {
            let pair = cookie.expose().split(';').next()?;
            let (name, value) = pair.split_once('=')?;
            (name.trim() == self.refresh_cookie)
                .then(|| cookie_value(value.trim()))
                .flatten()
        })
    }
}

/// Returns a value if a cookie can contain it unchanged: visible ASCII without comma, semicolon and
/// backslash.
fn cookie_value(value: &str) -> Option<Secret> {
    let is_allowed = is_visible_ascii(value) && !value.contains([',', ';', '\\']);
    (!response::is_placeholder(value) && is_allowed).then(|| Secret::from(value))
}

/// Returns the fields that describe the account, under their documented names. The names in the
/// response may differ in case. Other fields are left out.
fn details(document: &Value) -> Value {
    let named_field = |name: &str| match response::field(document, name)? {
        Value::String(_) => Some((name.to_owned(), response::detail(document, name)?.into())),
        value @ (Value::Number(_) | Value::Bool(_)) => Some((name.to_owned(), value.clone())),
        _ => None,
    };
    Value::Object(
        DETAIL_FIELDS
            .iter()
            .filter_map(|name| named_field(name))
            .collect::<Map<_, _>>(),
    )
}

/// Returns a configured key. `None` if it is not set.
fn configured_key(name: &str, context: &dyn Context) -> Result<Option<Secret>> {
    let key = context.setting(name)?;
    key.iter()
        .try_for_each(|key| key.check(&format!("`{name}`")))?;
    Ok(key)
}

/// Returns the error for a missing key. `save_option` is the part of the suggested command that
/// makes `keyferry login` save the keys. It is empty if the stored bearer token is enough.
fn not_configured(message: &str, save_option: &str) -> Error {
    let message = format!(
        "{message}; set the keys that the FileVerbs portal shows under Integration, or run `keyferry login fileverbs{save_option}`"
    );
    Error::new(ErrorKind::NotConfigured, message)
}

fn target(resource_kind: ResourceKind) -> Target<'static> {
    Target {
        resource_kind,
        id: "",
        required: RequiredAccess::Only(Access::Full),
        parent: None,
    }
}

impl Service for FileVerbs {
    fn name(&self) -> &str {
        "fileverbs"
    }

    fn title(&self) -> &str {
        "FileVerbs"
    }

    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        &[API_PREFIX]
    }

    fn header_name(&self, resource_kind: ResourceKind) -> Option<&'static str> {
        match resource_kind {
            ResourceKind::Key => Some(KEY_HEADER),
            ResourceKind::Bearer => Some(BEARER_HEADER),
            _ => None,
        }
    }

    fn owner_settings(&self, _resource_kind: ResourceKind, _access: Access) -> Vec<&str> {
        vec!["fileverbs.secret_key"]
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            _ if path.is_empty() || path.starts_with('/') => Err(Error::new(
                ErrorKind::UnknownService,
                "unknown FileVerbs path; use fileverbs:bearer, fileverbs:secret-key or a FileVerbs URL",
            )),
            _ if path.eq_ignore_ascii_case(TOKEN_PATH)
                || path.eq_ignore_ascii_case(&self.refresh_path) =>
            {
                Err(Error::new(
                    ErrorKind::NoHeader,
                    "this route issues tokens and needs no header; request fileverbs:bearer instead",
                ))
            }
            _ => Ok(target(if self.takes_bearer {
                ResourceKind::Bearer
            } else {
                ResourceKind::Key
            })),
        }
    }

    fn short_forms(&self) -> &[&str] {
        &["bearer", "secret-key"]
    }

    fn classify_short_form<'a>(&self, path: &'a str, query: Option<&str>) -> Option<Target<'a>> {
        match (path, query) {
            ("bearer", None) => Some(target(ResourceKind::Bearer)),
            ("secret-key", None) => Some(target(ResourceKind::Key)),
            _ => None,
        }
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        match spec.resource_kind {
            ResourceKind::Key => {
                let key = configured_key("fileverbs.secret_key", context)?.ok_or_else(|| {
                    not_configured("`fileverbs.secret_key` is not set", " --save file")
                })?;
                Ok(Acquired::only(
                    spec,
                    NewToken::new(TokenKind::Key, KEY_HEADER, key, None),
                ))
            }
            ResourceKind::Bearer => self.acquire_bearer(spec, context),
            _ => Err(Error::new(
                ErrorKind::UnknownService,
                "FileVerbs has no token of this kind; request fileverbs:bearer or fileverbs:secret-key",
            )),
        }
    }

    fn renew(
        &self,
        spec: &TokenSpec<'_>,
        renewal: &Secret,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let unsupported =
            "FileVerbs has no route at `fileverbs.refresh_path`; keyferry logs in again";
        if self.refresh_unsupported.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unsupported, unsupported));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the cookie is sent to the service"
        )]
        let cookie = Secret::new(format!("{}={}", self.refresh_cookie, renewal.expose()));
        let url = self
            .base
            .join(&format!("{API_PREFIX}{}", self.refresh_path))?;
        let response = context
            .send_no_retry(&Request::post(url, None).header("Cookie", cookie))
            .map_err(renewal_lost)?;
        match response.status {
            404 | 405 | 501 => {
                self.refresh_unsupported.store(true, Ordering::Relaxed);
                Err(response::error(
                    ErrorKind::Unsupported,
                    unsupported,
                    &response,
                    &[renewal],
                ))
            }
            400 | 401 | 403 => {
                let message =
                    "FileVerbs rejected the refresh of the bearer token; keyferry logs in again";
                Err(response::error(
                    ErrorKind::BadCredentials,
                    message,
                    &response,
                    &[renewal],
                ))
            }
            _ if response::is_success(&response) => self.parse_renewal(spec, renewal, &response),
            status => {
                let message = format!(
                    "FileVerbs responded to the refresh request with status {status}; check `fileverbs.refresh_path`"
                );
                Err(response::error(
                    ErrorKind::BadResponse,
                    message,
                    &response,
                    &[renewal],
                ))
            }
        }
    }
}

/// Converts the error for a missing response to the error for a rejected renewal secret. Rationale:
/// the service may have received the request, and each renewal secret may be valid only once.
/// Sending it again could look like theft to the service.
fn renewal_lost(error: Error) -> Error {
    let message = "cannot refresh the bearer token: FileVerbs sent no complete response; keyferry logs in again";
    if error.kind == ErrorKind::NoResponse {
        Error::new(ErrorKind::BadCredentials, message)
    } else {
        error
    }
}

impl FileVerbs {
    /// Parses the response to a refresh. A successful response that can't be parsed is treated as a
    /// rejection of the renewal secret. Rationale: the service may have invalidated the old secret
    /// when it sent the response. If keyferry kept that secret, each later refresh would fail, or
    /// look like theft to a service that detects reuse.
    fn parse_renewal(
        &self,
        spec: &TokenSpec<'_>,
        renewal: &Secret,
        response: &Response,
    ) -> Result<Acquired> {
        let route = format!("POST {API_PREFIX}{}", self.refresh_path);
        let mut acquired = self.parse_bearer(&route, spec, response).map_err(|error| {
            Error::new(ErrorKind::BadCredentials, error.message().to_owned())
                .with_http_status(response.status)
        })?;
        acquired.renewal = acquired.renewal.or_else(|| Some(renewal.clone()));
        Ok(acquired)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use super::*;
    use crate::services::test_context::{HOSTILE, ScriptedContext, headers, spec};

    const KEYS: [(&str, &str); 2] = [
        ("fileverbs.secret_key", "sk=$:one-one"),
        ("fileverbs.api_key", "ak!two-two"),
    ];
    const TOKEN: &str = "POST /api/v1/accounts/access-token";
    const REFRESH: &str = "POST /api/v1/accounts/refresh-token";

    fn fileverbs(takes_bearer: bool) -> FileVerbs {
        let base = BaseUrl::parse("fileverbs.url", "https://api.fileverbs.com", &[]).unwrap();
        FileVerbs::new(
            base,
            takes_bearer,
            "/api/v1/accounts/refresh-token",
            "refreshToken",
        )
        .unwrap()
    }

    fn bearer(context: &ScriptedContext) -> Result<Acquired> {
        fileverbs(true).acquire(&spec(ResourceKind::Bearer, "", Access::Full), context)
    }

    fn renew(service: &FileVerbs, context: &ScriptedContext) -> Result<Acquired> {
        service.renew(
            &spec(ResourceKind::Bearer, "", Access::Full),
            &Secret::from("old%3D%3D"),
            context,
        )
    }

    fn exposed(acquired: &Acquired) -> Option<&str> {
        acquired.renewal.as_ref().map(Secret::expose)
    }

    #[test]
    fn every_route_has_its_header() {
        let rows = [
            ("bearer", ResourceKind::Bearer, ResourceKind::Key),
            ("secret-key", ResourceKind::Bearer, ResourceKind::Key),
            (
                "fileuploads/upload",
                ResourceKind::Bearer,
                ResourceKind::Key,
            ),
            ("fileuploads", ResourceKind::Bearer, ResourceKind::Key),
            (
                "jobrequests/J/outputs",
                ResourceKind::Bearer,
                ResourceKind::Key,
            ),
            (
                "accounts/revoke-token",
                ResourceKind::Bearer,
                ResourceKind::Key,
            ),
        ];
        for (path, with_both, with_one) in rows {
            assert_eq!(
                fileverbs(true).classify(path).unwrap().resource_kind,
                with_both,
                "{path}"
            );
            assert_eq!(
                fileverbs(false).classify(path).unwrap().resource_kind,
                with_one,
                "{path}"
            );
        }
        for path in [
            "accounts/access-token",
            "Accounts/Access-Token/",
            "accounts/refresh-token",
        ] {
            assert_eq!(
                fileverbs(true).classify(path).unwrap_err().kind,
                ErrorKind::NoHeader,
                "{path}"
            );
        }
        for path in ["", "/", "//x"] {
            assert_eq!(
                fileverbs(true).classify(path).unwrap_err().kind,
                ErrorKind::UnknownService,
                "{path}"
            );
        }
    }

    #[test]
    fn a_short_form_names_its_credential_whichever_is_configured() {
        for takes_bearer in [true, false] {
            let kind = |path, query| {
                let target = fileverbs(takes_bearer).classify_short_form(path, query)?;
                Some(target.resource_kind)
            };
            assert_eq!(kind("bearer", None), Some(ResourceKind::Bearer));
            assert_eq!(kind("secret-key", None), Some(ResourceKind::Key));
            for (path, query) in [
                ("beerer", None),
                ("Bearer", None),
                ("bearer/", None),
                ("bearer", Some("")),
                ("secret-key", Some("x=y")),
                ("fileuploads", None),
                ("accounts/access-token", None),
                ("", None),
            ] {
                assert_eq!(kind(path, query), None, "{path}");
            }
        }
    }

    #[test]
    fn the_secret_key_is_a_header() {
        let wanted = spec(ResourceKind::Key, "", Access::Full);
        let found = fileverbs(false)
            .acquire(&wanted, &ScriptedContext::new(&KEYS))
            .unwrap()
            .found;
        assert_eq!(headers(&found.new_token), ["SecretKey: sk=$:one-one"]);
        let error = fileverbs(false)
            .acquire(&wanted, &ScriptedContext::new(&KEYS[1..]))
            .err()
            .unwrap();
        assert_eq!(error.kind, ErrorKind::NotConfigured);
        assert!(error.message().contains("fileverbs.secret_key"), "{error}");
    }

    #[test]
    fn both_keys_give_a_bearer_whatever_the_case_of_the_fields() {
        let pascal = json!({"Id": 7, "FirstName": "Ann", "JwtToken": "j", "RefreshToken": "r", "IsVerified": true, "Password": "x"});
        let camel = json!({"id": 7, "firstName": "Ann", "jwtToken": "j", "refreshToken": "r", "isVerified": true});
        for body in [pascal, camel] {
            let context = ScriptedContext::new(&KEYS).response(TOKEN, 200, body);
            let acquired = bearer(&context).unwrap();
            assert_eq!(
                headers(&acquired.found.new_token),
                ["Authorization: Bearer j"]
            );
            assert_eq!(exposed(&acquired), Some("r"));
            assert_eq!(
                acquired.found.new_token.details,
                json!({"Id": 7, "FirstName": "Ann", "IsVerified": true})
            );
            let sent = context.sent();
            assert_eq!((sent[0].via, sent[0].headers.len()), ("login", 0));
            assert_eq!(
                sent[0].body,
                r#"{"APIKey":"ak!two-two","SecretKey":"sk=$:one-one"}"#
            );
        }
    }

    #[test]
    fn the_cookie_goes_before_the_field_and_stays_encoded_as_it_came() {
        let cookies = [
            "other=1",
            "refreshToken=new%3D%3D; expires=Wed, 01 Jan 2031 00:00:00 GMT; path=/; httponly",
        ];
        let context = ScriptedContext::new(&KEYS).response_with_cookies(
            TOKEN,
            200,
            json!({"JwtToken": "j", "RefreshToken": "new=="}),
            &cookies,
        );
        assert_eq!(exposed(&bearer(&context).unwrap()), Some("new%3D%3D"));
        for bad in [
            "refreshToken=",
            "refreshToken",
            "refreshTokens=x",
            "refreshToken=a b",
            "refreshToken=a\u{1}",
        ] {
            let context = ScriptedContext::new(&KEYS).response_with_cookies(
                TOKEN,
                200,
                json!({"JwtToken": "j"}),
                &[bad],
            );
            assert_eq!(exposed(&bearer(&context).unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn refused_keys_are_refused_whatever_the_status() {
        for (status, kind) in [
            (400, ErrorKind::BadCredentials),
            (401, ErrorKind::BadCredentials),
            (403, ErrorKind::BadCredentials),
            (404, ErrorKind::Unsupported),
            (418, ErrorKind::BadResponse),
        ] {
            let context = ScriptedContext::new(&KEYS).response(
                TOKEN,
                status,
                r#"{"message":"bad key ak!two-two"}"#,
            );
            let error = bearer(&context).err().unwrap();
            assert_eq!((error.kind, error.http_status), (kind, Some(status)));
            assert!(!error.message().contains("two"), "{error}");
        }
        for missing in [&KEYS[..1], &KEYS[1..], &[]] {
            assert_eq!(
                bearer(&ScriptedContext::new(missing)).err().unwrap().kind,
                ErrorKind::NotConfigured
            );
        }
    }

    #[test]
    fn a_hostile_document_is_a_bad_answer() {
        let bearers = [r#"null"#, r#"["x"]"#, r#""a\nb""#, r#""a","jwttoken":"b""#]
            .map(|bearer| format!("{{\"JwtToken\":{bearer}}}"));
        for body in HOSTILE
            .into_iter()
            .chain(bearers.iter().map(String::as_str))
        {
            assert_eq!(
                bearer(&ScriptedContext::new(&KEYS).response(TOKEN, 200, body))
                    .err()
                    .unwrap()
                    .kind,
                ErrorKind::BadResponse,
                "{body}"
            );
        }
    }

    #[test]
    fn a_renewal_is_sent_once_and_rotates() {
        let context = ScriptedContext::new(&KEYS).response_with_cookies(
            REFRESH,
            200,
            json!({"jwtToken": "j2"}),
            &["refreshToken=next%3D"],
        );
        let acquired = renew(&fileverbs(true), &context).unwrap();
        assert_eq!(
            headers(&acquired.found.new_token),
            ["Authorization: Bearer j2"]
        );
        assert_eq!(exposed(&acquired), Some("next%3D"));
        let sent = context.sent();
        assert_eq!(
            (sent[0].via, sent[0].headers.as_slice()),
            (
                "send_no_retry",
                &["Cookie: refreshToken=old%3D%3D".to_owned()][..]
            )
        );
        assert_eq!(sent[0].body, "");
        let context = ScriptedContext::new(&KEYS).response(REFRESH, 200, json!({"jwtToken": "j2"}));
        assert_eq!(
            exposed(&renew(&fileverbs(true), &context).unwrap()),
            Some("old%3D%3D"),
            "it did not rotate"
        );
    }

    #[test]
    fn a_service_that_can_not_renew_is_asked_once() {
        for status in [404, 405] {
            let service = fileverbs(true);
            let context = ScriptedContext::new(&KEYS)
                .response(REFRESH, status, "")
                .response(TOKEN, 200, json!({"JwtToken": "j", "RefreshToken": "r"}));
            assert_eq!(
                renew(&service, &context).err().unwrap().kind,
                ErrorKind::Unsupported
            );
            assert_eq!(
                renew(&service, &context).err().unwrap().kind,
                ErrorKind::Unsupported
            );
            let acquired = service
                .acquire(&spec(ResourceKind::Bearer, "", Access::Full), &context)
                .unwrap();
            assert_eq!(exposed(&acquired), None);
            assert_eq!(context.lines(), [REFRESH, TOKEN]);
        }
    }

    #[test]
    fn a_dead_renewal_is_refused() {
        for status in [400, 401, 403] {
            let context = ScriptedContext::new(&KEYS).response(
                REFRESH,
                status,
                r#"{"message":"Invalid token old%3D%3D"}"#,
            );
            let error = renew(&fileverbs(true), &context).err().unwrap();
            assert_eq!(
                (error.kind, error.http_status),
                (ErrorKind::BadCredentials, Some(status))
            );
            assert!(!error.message().contains("old%3D"), "{error}");
        }
        for body in HOSTILE {
            assert_eq!(
                renew(
                    &fileverbs(true),
                    &ScriptedContext::new(&KEYS).response(REFRESH, 200, body)
                )
                .err()
                .unwrap()
                .kind,
                ErrorKind::BadCredentials
            );
        }
    }

    #[test]
    fn settings_that_could_leave_the_service_are_refused() {
        let base = || BaseUrl::parse("fileverbs.url", "https://api.fileverbs.com/x", &[]).unwrap();
        for (path, cookie) in [
            ("", "c"),
            ("/", "c"),
            ("../../../y", "c"),
            ("p", ""),
            ("p", "a=b"),
            ("p", "a;b"),
            ("p", "a b"),
        ] {
            assert_eq!(
                FileVerbs::new(base(), true, path, cookie)
                    .err()
                    .unwrap()
                    .kind,
                ErrorKind::Config,
                "{path} {cookie}"
            );
        }
    }
}
