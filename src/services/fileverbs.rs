//! FileVerbs: the bearer token, its renewal by cookie, and the SecretKey header.
//!
//! Knows no other service. How a token is renewed is undocumented: route and cookie are settings, and a service without
//! such a route is asked no second time.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Acquired, Context, RequiredAccess, Service, Target, TokenSpec};
use crate::secret::Secret;
use crate::services::response;

const NAME: &str = "FileVerbs";
const PREFIX: &str = "/api/v1/";
const TOKEN_PATH: &str = "accounts/access-token";
const TOKEN_ROUTE: &str = "POST /api/v1/accounts/access-token";
/// What the token call says of the account.
const DETAILS: [&str; 6] = ["Id", "FirstName", "LastName", "Email", "Role", "IsVerified"];

/// FileVerbs, for one account.
pub struct FileVerbs {
    base: BaseUrl,
    /// Below the version prefix.
    refresh_path: String,
    refresh_cookie: String,
    /// Whether URLs take the bearer. They take the SecretKey where that alone is configured; without any key a login may have left one.
    takes_bearer: bool,
    /// The service has proved to have no route that renews.
    no_refresh: AtomicBool,
}

impl FileVerbs {
    /// FileVerbs as an account has it configured.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a setting of it can't be used.
    pub fn open(profile: &Profile) -> Result<Self> {
        let base = super::base(profile, "fileverbs.url", &["/api/v1"])?;
        let takes_bearer = profile.is_set("fileverbs.api_key") || !profile.is_set("fileverbs.secret_key");
        let text = |key| profile.text(key).unwrap_or_default();
        Self::new(base, takes_bearer, text("fileverbs.refresh_path"), text("fileverbs.refresh_cookie"))
    }

    pub(super) fn new(base: BaseUrl, takes_bearer: bool, refresh_path: &str, refresh_cookie: &str) -> Result<Self> {
        let path = refresh_path.trim_start_matches('/');
        let path = path.strip_prefix("api/v1/").unwrap_or(path).trim_end_matches('/');
        let is_cookie_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if path.is_empty() || base.join(&format!("{PREFIX}{path}")).is_err() {
            return Err(Error::new(ErrorKind::Config, "`fileverbs.refresh_path` is no path: write it like accounts/refresh-token"));
        }
        if refresh_cookie.is_empty() || !refresh_cookie.bytes().all(is_cookie_name) {
            return Err(Error::new(ErrorKind::Config, "`fileverbs.refresh_cookie` is no name of a cookie: write it like refreshToken"));
        }
        let no_refresh = AtomicBool::new(false);
        Ok(Self { base, refresh_path: path.into(), refresh_cookie: refresh_cookie.into(), takes_bearer, no_refresh })
    }

    fn bearer(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        let (secret_key, api_key) = match (key("fileverbs.secret_key", context)?, key("fileverbs.api_key", context)?) {
            (Some(secret_key), Some(api_key)) => (secret_key, api_key),
            (Some(_), None) => return Err(missing("`fileverbs.api_key` is not set, and a bearer needs both keys", "")),
            (None, Some(_)) => return Err(missing("`fileverbs.secret_key` is not set, and a bearer needs both keys", "")),
            (None, None) => {
                return Err(missing("neither `fileverbs.secret_key` nor `fileverbs.api_key` is set, and no bearer is kept", ""));
            }
        };
        let body = json!({ "SecretKey": secret_key.expose(), "APIKey": api_key.expose() }).to_string();
        let request = Request::post(self.base.join(&format!("{PREFIX}{TOKEN_PATH}"))?, Some(Secret::new(body)));
        let sent = [&secret_key, &api_key];
        let response = context.login(&sent, &request, &|response| {
            let what = "FileVerbs refuses the keys: check `fileverbs.secret_key` (Integration, API Secret) and \
                        `fileverbs.api_key` (Integration, Access Token)";
            matches!(response.status, 400 | 401 | 403).then(|| response::error(ErrorKind::BadCredentials, what, response, &sent))
        })?;
        if !response::is_success(&response) {
            let kind = if matches!(response.status, 404 | 405 | 501) { ErrorKind::Unsupported } else { ErrorKind::BadResponse };
            let what = format!("FileVerbs answers {TOKEN_ROUTE} with status {}: check `fileverbs.url`", response.status);
            return Err(response::error(kind, what, &response, &sent));
        }
        self.read(TOKEN_ROUTE, spec, &response)
    }

    /// The bearer of an answer, and what renews it.
    fn read(&self, route: &str, spec: &TokenSpec<'_>, response: &Response) -> Result<Acquired> {
        let document = response::parse(NAME, response)?;
        let token = response::token(route, &document, "JwtToken")?;
        let expiry = response::expiry(&token, &document, &["JwtTokenExpires", "ExpiresAt", "Expires"]);
        let header = Secret::new(format!("Bearer {}", token.expose()));
        let mut new_token = NewToken::new(TokenKind::Bearer, "Authorization", header, expiry);
        new_token.details = details(&document);
        let renewal = self.cookie(response).or_else(|| cookie_value(response::text(&document, "RefreshToken")?));
        let mut acquired = Acquired::only(spec, new_token);
        acquired.renewal = renewal.filter(|_| !self.no_refresh.load(Ordering::Relaxed));
        Ok(acquired)
    }

    /// The renewal secret as the answer's cookie encodes it: that is how it has to go back.
    fn cookie(&self, response: &Response) -> Option<Secret> {
        response.cookies.iter().rev().find_map(|cookie| {
            let pair = cookie.expose().split(';').next()?;
            let (name, value) = pair.split_once('=')?;
            (name.trim() == self.refresh_cookie).then(|| cookie_value(value.trim())).flatten()
        })
    }
}

/// A value that a cookie can carry as it is: visible ASCII without comma, semicolon and backslash.
fn cookie_value(value: &str) -> Option<Secret> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b",;\\".contains(&byte);
    (!response::is_placeholder(value) && value.bytes().all(fits)).then(|| Secret::from(value))
}

/// Who the account is, under the documented names whatever the answer's case; nothing else of the answer.
fn details(document: &Value) -> Value {
    let part = |name: &str| match response::field(document, name)? {
        Value::String(_) => Some((name.to_owned(), response::detail(document, name)?.into())),
        value @ (Value::Number(_) | Value::Bool(_)) => Some((name.to_owned(), value.clone())),
        _ => None,
    };
    Value::Object(DETAILS.iter().filter_map(|name| part(name)).collect::<Map<_, _>>())
}

/// A key, if it is set.
fn key(name: &str, context: &dyn Context) -> Result<Option<Secret>> {
    let key = context.setting(name)?;
    key.iter().try_for_each(|key| key.check(&format!("`{name}`")))?;
    Ok(key)
}

/// The error where a key is missing. A login keeps the bearer by itself, the keys only with `save`.
fn missing(what: &str, save: &str) -> Error {
    let what = format!("{what}: set what FileVerbs' portal has under Integration, or run keyferry login fileverbs{save}");
    Error::new(ErrorKind::NotConfigured, what)
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
        &[PREFIX]
    }

    fn owner(&self, _class: ResourceKind, _access: Access) -> Vec<&str> {
        vec!["fileverbs.secret_key"]
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        let target = |resource_kind| Ok(Target { resource_kind, id: "", required: RequiredAccess::Only(Access::Full), parent: None });
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "bearer" => target(ResourceKind::Bearer),
            "secret-key" => target(ResourceKind::Key),
            _ if path.is_empty() || path.starts_with('/') => {
                Err(Error::new(ErrorKind::UnknownService, "the path is not like fileverbs:bearer, fileverbs:secret-key or a FileVerbs URL"))
            }
            _ if path.eq_ignore_ascii_case(TOKEN_PATH) || path.eq_ignore_ascii_case(&self.refresh_path) => {
                Err(Error::new(ErrorKind::NoHeader, "the token call takes no header: ask for fileverbs:bearer, which makes it"))
            }
            _ => target(if self.takes_bearer { ResourceKind::Bearer } else { ResourceKind::Key }),
        }
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        match spec.resource_kind {
            ResourceKind::Key => {
                let key =
                    key("fileverbs.secret_key", context)?.ok_or_else(|| missing("`fileverbs.secret_key` is not set", " --save file"))?;
                Ok(Acquired::only(spec, NewToken::new(TokenKind::Key, "SecretKey", key, None)))
            }
            ResourceKind::Bearer => self.bearer(spec, context),
            _ => {
                Err(Error::new(ErrorKind::UnknownService, "FileVerbs has no such token: ask for fileverbs:bearer or fileverbs:secret-key"))
            }
        }
    }

    fn renew(&self, spec: &TokenSpec<'_>, renewal: &Secret, context: &dyn Context) -> Result<Acquired> {
        let unsupported = "FileVerbs has no route that renews here: the token call is used instead";
        if self.no_refresh.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unsupported, unsupported));
        }
        let cookie = Secret::new(format!("{}={}", self.refresh_cookie, renewal.expose()));
        let url = self.base.join(&format!("{PREFIX}{}", self.refresh_path))?;
        let response = context.send_no_retry(&Request::post(url, None).header("Cookie", cookie)).map_err(lost)?;
        match response.status {
            404 | 405 | 501 => {
                self.no_refresh.store(true, Ordering::Relaxed);
                Err(response::error(ErrorKind::Unsupported, unsupported, &response, &[renewal]))
            }
            400 | 401 | 403 => {
                let what = "FileVerbs refuses to renew the bearer: the token call gets a new one";
                Err(response::error(ErrorKind::BadCredentials, what, &response, &[renewal]))
            }
            _ if response::is_success(&response) => self.renewed(spec, renewal, &response),
            status => {
                let what = format!("FileVerbs answers a renewal with status {status}: check `fileverbs.refresh_path`");
                Err(response::error(ErrorKind::BadResponse, what, &response, &[renewal]))
            }
        }
    }
}

/// Rationale: an answer that was lost may have used the renewal secret up, and sending it once more would look like theft.
fn lost(error: Error) -> Error {
    let what = "FileVerbs broke off while it renewed the bearer: the token call gets a new one";
    if error.kind == ErrorKind::NoResponse { Error::new(ErrorKind::BadCredentials, what) } else { error }
}

impl FileVerbs {
    /// Rationale: a success that can't be read has used the renewal secret up all the same. Keeping that one would fail at
    /// every renewal to come, or look like theft to a service that watches for reuse, so it counts as dead.
    fn renewed(&self, spec: &TokenSpec<'_>, renewal: &Secret, response: &Response) -> Result<Acquired> {
        let route = format!("POST {PREFIX}{}", self.refresh_path);
        let mut acquired = self
            .read(&route, spec, response)
            .map_err(|error| Error::new(ErrorKind::BadCredentials, error.message().to_owned()).with_http_status(response.status))?;
        acquired.renewal = acquired.renewal.or_else(|| Some(renewal.clone()));
        Ok(acquired)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::services::test_context::{Fake, HOSTILE, headers, spec};

    const KEYS: [(&str, &str); 2] = [("fileverbs.secret_key", "sk=$:one-one"), ("fileverbs.api_key", "ak!two-two")];
    const TOKEN: &str = "POST /api/v1/accounts/access-token";
    const REFRESH: &str = "POST /api/v1/accounts/refresh-token";

    fn fileverbs(takes_bearer: bool) -> FileVerbs {
        let base = BaseUrl::parse("fileverbs.url", "https://api.fileverbs.com", &[]).unwrap();
        FileVerbs::new(base, takes_bearer, "/api/v1/accounts/refresh-token", "refreshToken").unwrap()
    }

    fn bearer(fake: &Fake) -> Result<Acquired> {
        fileverbs(true).acquire(&spec(ResourceKind::Bearer, "", Access::Full), fake)
    }

    fn renew(service: &FileVerbs, fake: &Fake) -> Result<Acquired> {
        service.renew(&spec(ResourceKind::Bearer, "", Access::Full), &Secret::from("old%3D%3D"), fake)
    }

    fn exposed(acquired: &Acquired) -> Option<&str> {
        acquired.renewal.as_ref().map(Secret::expose)
    }

    #[test]
    fn every_route_has_its_header() {
        let rows = [
            ("bearer", ResourceKind::Bearer, ResourceKind::Bearer),
            ("secret-key", ResourceKind::Key, ResourceKind::Key),
            ("fileuploads/upload", ResourceKind::Bearer, ResourceKind::Key),
            ("fileuploads", ResourceKind::Bearer, ResourceKind::Key),
            ("jobrequests/J/outputs", ResourceKind::Bearer, ResourceKind::Key),
            ("accounts/revoke-token", ResourceKind::Bearer, ResourceKind::Key),
        ];
        for (path, with_both, with_one) in rows {
            assert_eq!(fileverbs(true).classify(path).unwrap().resource_kind, with_both, "{path}");
            assert_eq!(fileverbs(false).classify(path).unwrap().resource_kind, with_one, "{path}");
        }
        for path in ["accounts/access-token", "Accounts/Access-Token/", "accounts/refresh-token"] {
            assert_eq!(fileverbs(true).classify(path).unwrap_err().kind, ErrorKind::NoHeader, "{path}");
        }
        for path in ["", "/", "//x"] {
            assert_eq!(fileverbs(true).classify(path).unwrap_err().kind, ErrorKind::UnknownService, "{path}");
        }
    }

    #[test]
    fn the_secret_key_is_a_header() {
        let wanted = spec(ResourceKind::Key, "", Access::Full);
        let found = fileverbs(false).acquire(&wanted, &Fake::new(&KEYS)).unwrap().found;
        assert_eq!(headers(&found.new_token), ["SecretKey: sk=$:one-one"]);
        let error = fileverbs(false).acquire(&wanted, &Fake::new(&KEYS[1..])).err().unwrap();
        assert_eq!(error.kind, ErrorKind::NotConfigured);
        assert!(error.message().contains("fileverbs.secret_key"), "{error}");
    }

    #[test]
    fn both_keys_give_a_bearer_whatever_the_case_of_the_fields() {
        let pascal = json!({"Id": 7, "FirstName": "Ann", "JwtToken": "j", "RefreshToken": "r", "IsVerified": true, "Password": "x"});
        let camel = json!({"id": 7, "firstName": "Ann", "jwtToken": "j", "refreshToken": "r", "isVerified": true});
        for body in [pascal, camel] {
            let fake = Fake::new(&KEYS).response(TOKEN, 200, body);
            let acquired = bearer(&fake).unwrap();
            assert_eq!(headers(&acquired.found.new_token), ["Authorization: Bearer j"]);
            assert_eq!(exposed(&acquired), Some("r"));
            assert_eq!(acquired.found.new_token.details, json!({"Id": 7, "FirstName": "Ann", "IsVerified": true}));
            let sent = fake.sent();
            assert_eq!((sent[0].by, sent[0].headers.len()), ("login", 0));
            assert_eq!(sent[0].body, r#"{"APIKey":"ak!two-two","SecretKey":"sk=$:one-one"}"#);
        }
    }

    #[test]
    fn the_cookie_goes_before_the_field_and_stays_encoded_as_it_came() {
        let cookies = ["other=1", "refreshToken=new%3D%3D; expires=Wed, 01 Jan 2031 00:00:00 GMT; path=/; httponly"];
        let fake = Fake::new(&KEYS).answer_with_cookies(TOKEN, 200, json!({"JwtToken": "j", "RefreshToken": "new=="}), &cookies);
        assert_eq!(exposed(&bearer(&fake).unwrap()), Some("new%3D%3D"));
        for bad in ["refreshToken=", "refreshToken", "refreshTokens=x", "refreshToken=a b", "refreshToken=a\u{1}"] {
            let fake = Fake::new(&KEYS).answer_with_cookies(TOKEN, 200, json!({"JwtToken": "j"}), &[bad]);
            assert_eq!(exposed(&bearer(&fake).unwrap()), None, "{bad}");
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
            let fake = Fake::new(&KEYS).response(TOKEN, status, r#"{"message":"bad key ak!two-two"}"#);
            let error = bearer(&fake).err().unwrap();
            assert_eq!((error.kind, error.http_status), (kind, Some(status)));
            assert!(!error.message().contains("two"), "{error}");
        }
        for missing in [&KEYS[..1], &KEYS[1..], &[]] {
            assert_eq!(bearer(&Fake::new(missing)).err().unwrap().kind, ErrorKind::NotConfigured);
        }
    }

    #[test]
    fn a_hostile_document_is_a_bad_answer() {
        let bearers = [r#"null"#, r#"["x"]"#, r#""a\nb""#, r#""a","jwttoken":"b""#].map(|bearer| format!("{{\"JwtToken\":{bearer}}}"));
        for body in HOSTILE.into_iter().chain(bearers.iter().map(String::as_str)) {
            assert_eq!(bearer(&Fake::new(&KEYS).response(TOKEN, 200, body)).err().unwrap().kind, ErrorKind::BadResponse, "{body}");
        }
    }

    #[test]
    fn a_renewal_is_sent_once_and_rotates() {
        let fake = Fake::new(&KEYS).answer_with_cookies(REFRESH, 200, json!({"jwtToken": "j2"}), &["refreshToken=next%3D"]);
        let acquired = renew(&fileverbs(true), &fake).unwrap();
        assert_eq!(headers(&acquired.found.new_token), ["Authorization: Bearer j2"]);
        assert_eq!(exposed(&acquired), Some("next%3D"));
        let sent = fake.sent();
        assert_eq!((sent[0].by, sent[0].headers.as_slice()), ("send_once", &["Cookie: refreshToken=old%3D%3D".to_owned()][..]));
        assert_eq!(sent[0].body, "");
        let fake = Fake::new(&KEYS).response(REFRESH, 200, json!({"jwtToken": "j2"}));
        assert_eq!(exposed(&renew(&fileverbs(true), &fake).unwrap()), Some("old%3D%3D"), "it did not rotate");
    }

    #[test]
    fn a_service_that_can_not_renew_is_asked_once() {
        for status in [404, 405] {
            let service = fileverbs(true);
            let fake = Fake::new(&KEYS).response(REFRESH, status, "").response(TOKEN, 200, json!({"JwtToken": "j", "RefreshToken": "r"}));
            assert_eq!(renew(&service, &fake).err().unwrap().kind, ErrorKind::Unsupported);
            assert_eq!(renew(&service, &fake).err().unwrap().kind, ErrorKind::Unsupported);
            let acquired = service.acquire(&spec(ResourceKind::Bearer, "", Access::Full), &fake).unwrap();
            assert_eq!(exposed(&acquired), None);
            assert_eq!(fake.lines(), [REFRESH, TOKEN]);
        }
    }

    #[test]
    fn a_dead_renewal_is_refused() {
        for status in [400, 401, 403] {
            let fake = Fake::new(&KEYS).response(REFRESH, status, r#"{"message":"Invalid token old%3D%3D"}"#);
            let error = renew(&fileverbs(true), &fake).err().unwrap();
            assert_eq!((error.kind, error.http_status), (ErrorKind::BadCredentials, Some(status)));
            assert!(!error.message().contains("old%3D"), "{error}");
        }
        for body in HOSTILE {
            assert_eq!(
                renew(&fileverbs(true), &Fake::new(&KEYS).response(REFRESH, 200, body)).err().unwrap().kind,
                ErrorKind::BadCredentials
            );
        }
    }

    #[test]
    fn settings_that_could_leave_the_service_are_refused() {
        let base = || BaseUrl::parse("fileverbs.url", "https://api.fileverbs.com/x", &[]).unwrap();
        for (path, cookie) in [("", "c"), ("/", "c"), ("../../../y", "c"), ("p", ""), ("p", "a=b"), ("p", "a;b"), ("p", "a b")] {
            assert_eq!(FileVerbs::new(base(), true, path, cookie).err().unwrap().kind, ErrorKind::Config, "{path} {cookie}");
        }
    }
}
