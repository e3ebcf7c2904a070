//! The credentials of each service: configured settings and stored tokens.

use serde_json::{Value, json};

use crate::time_format::now_s;
use keyferry::config::Profile;
use keyferry::error::{Error, Result};
use keyferry::ffi::json;
use keyferry::model::token::TokenKind;
use keyferry::session::Session;
use keyferry::session::inspect::{NextStep, Sources, TokenInfo};

/// The settings that contain credentials, by service.
pub const SERVICE_SETTINGS: [(&str, &[&str]); 2] = [
    ("masv", &["masv.api_key", "masv.email", "masv.password"]),
    ("fileverbs", &["fileverbs.secret_key", "fileverbs.api_key"]),
];

/// Lists the credential settings of a service that are set in a profile.
pub fn configured_settings(profile: &Profile, service: &str) -> Vec<&'static str> {
    let keys = SERVICE_SETTINGS
        .iter()
        .filter(|(name, _)| *name == service)
        .flat_map(|(_, keys)| *keys);
    keys.copied().filter(|key| profile.is_set(key)).collect()
}

/// The login of a service.
pub struct Login<'a> {
    /// The name of the service.
    pub service: &'a str,
    /// A resource whose token needs the login.
    pub resource: &'a str,
}

/// The logins of all services. The package need not exist: MASV rejects an API key before it looks
/// for the package.
pub const LOGINS: [Login<'static>; 2] = [
    Login {
        service: "masv",
        resource: "masv:packages/keyferry-doctor",
    },
    Login {
        service: "fileverbs",
        resource: "fileverbs:bearer",
    },
];

impl Login<'_> {
    /// Returns the error with which the next login would fail. Sends no request.
    pub fn failure(&self, session: &Session, sources: Sources) -> Option<Error> {
        let explained = session
            .inspect()
            .explain(self.resource, None, sources)
            .ok()?;
        match explained.fetch {
            Some(NextStep::Fail { error, .. }) => Some(error),
            _ => None,
        }
    }
}

/// A cached or stored token.
pub struct StoredToken {
    /// The token.
    pub info: TokenInfo,
    /// The resource that a request for the token names.
    pub resource: String,
    /// How long the token remains valid. Negative if it has expired, `None` if it does not expire.
    pub life_left_s: Option<i64>,
}

impl StoredToken {
    /// Creates the token from its facts. `now_s` is the present time in seconds since 1970.
    pub fn new(info: TokenInfo, now_s: i64) -> Self {
        let resource = match (info.service.as_str(), info.kind) {
            ("fileverbs", TokenKind::Key) => "fileverbs:secret-key".to_owned(),
            ("masv", TokenKind::Key | TokenKind::User) => "user".to_owned(),
            ("masv", kind) => format!("{}s/{}", kind.name(), info.id),
            (service, kind) => format!("{service}:{}", kind.name()),
        };
        Self {
            resource,
            life_left_s: info.expires_here_unix_s.map(|expires| expires - now_s),
            info,
        }
    }

    /// Returns the token for `--json`.
    pub fn to_json(&self) -> Value {
        let mut json = json::token(&self.info);
        json["resource"] = json!(self.resource);
        json["life_left_s"] = json!(self.life_left_s);
        json
    }
}

/// Lists the stored tokens of logins.
pub fn stored_logins(session: &Session) -> Result<Vec<StoredToken>> {
    let is_login = |kind| matches!(kind, TokenKind::User | TokenKind::Bearer);
    let logins = session
        .inspect()
        .list(|token, _| is_login(token.meta().kind))?;
    let now_s = now_s();
    Ok(logins
        .into_iter()
        .map(|info| StoredToken::new(info, now_s))
        .collect())
}
