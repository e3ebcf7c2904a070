//! A request of git's credential protocol: the URL, the user name, the password or credential, and
//! whether the caller understands `authtype`.

use url::Url;

use crate::git_protocol::Message;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::base_url::BaseUrl;
use keyferry::model::resource::{PLAIN, percent_decode};
use keyferry::secret::Secret;
use keyferry::text::has_control;

/// The keys of the protocol that a request uses. Other lines are ignored.
pub const USED_KEYS: &[&str] = &[
    "capability[]",
    "credential",
    "host",
    "password",
    "password_expiry_utc",
    "path",
    "protocol",
    "url",
    "username",
];

/// A request for a host's credential.
pub struct CredentialRequest {
    /// Protocol, host and path as a URL.
    pub url: String,
    /// Whether the request contains a path.
    pub has_path: bool,
    /// The user name.
    pub username: Option<String>,
    /// The password in the message.
    pub password: Option<Secret>,
    /// The credential in the message.
    pub credential: Option<Secret>,
    /// When the password expires.
    pub expires_unix_s: Option<i64>,
    /// Whether the caller understands `authtype` and `credential`.
    pub knows_authtype: bool,
}

/// The address of a request.
#[derive(Default)]
struct Address {
    protocol: String,
    host: String,
    path: String,
    username: Option<String>,
}

impl CredentialRequest {
    /// Reads a request from a message with the lines of [`USED_KEYS`]. None if the protocol or host is missing or not allowed in a
    /// URL: no credential can match such a request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the URL contains encoded control characters, or if the
    /// message contains both `url` and `protocol` or `host`.
    pub fn read(message: &Message) -> Result<Option<Self>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "host, path and user name of a URL are no secrets"
        )]
        let text = |key: &str| message.get(key).map(|value| value.expose().to_owned());
        let address = match text("url") {
            Some(_) if text("protocol").or_else(|| text("host")).is_some() => {
                return Err(invalid_request(
                    "it contains url as well as protocol or host",
                ));
            }
            Some(url) => Address::parse_url(&url)?,
            None => Address {
                protocol: text("protocol").unwrap_or_default(),
                host: text("host").unwrap_or_default(),
                path: text("path").unwrap_or_default(),
                username: None,
            },
        };
        let Some(url) = address.to_url() else {
            return Ok(None);
        };
        Ok(Some(Self {
            url,
            has_path: !address.path.is_empty(),
            username: text("username")
                .or(address.username)
                .filter(|name| !name.is_empty()),
            password: message.get("password").cloned(),
            credential: message.get("credential").cloned(),
            expires_unix_s: text("password_expiry_utc")
                .and_then(|text| text.parse().ok())
                .filter(|expires_unix_s| *expires_unix_s > 0),
            knows_authtype: message.has_value("capability[]", "authtype"),
        }))
    }

    /// Whether the request is for this base URL. A request without a path matches by origin.
    pub fn matches_base(&self, base: &BaseUrl) -> bool {
        let Ok(url) = Url::parse(&self.url) else {
            return false;
        };
        if self.has_path {
            base.below(&url).is_some()
        } else {
            url.origin().ascii_serialization() == base.origin()
        }
    }
}

impl Address {
    /// Splits a URL into its parts. Percent-decodes the path and the user name once, as git does.
    ///
    /// Rationale: git also decodes the host and takes a password from the URL. No other part of
    /// keyferry accepts such a URL, because programs read different hosts from it.
    fn parse_url(text: &str) -> Result<Self> {
        let Some((protocol, rest)) = text.split_once("://") else {
            return Ok(Self::default());
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = authority
            .split_once('@')
            .map_or((None, authority), |(user, host)| (Some(user), host));
        if host.contains('%') {
            return Err(invalid_request(
                "the host of its URL is percent-encoded; write the host in plain ASCII",
            ));
        }
        if user.is_some_and(|user| user.is_empty() || user.contains(':')) {
            return Err(invalid_request(
                "its URL contains an empty user name or a password before the host; remove it",
            ));
        }
        let decode = |text: &str| {
            let decoded = percent_decode(text).filter(|decoded| !has_control(decoded));
            decoded.ok_or_else(|| {
                invalid_request("its URL contains an encoded control character or is not UTF-8")
            })
        };
        Ok(Self {
            protocol: protocol.to_owned(),
            host: host.to_owned(),
            path: decode(path.strip_prefix('/').unwrap_or(path).trim_end_matches('/'))?,
            username: user.map(decode).transpose()?,
        })
    }

    /// Builds the URL. None if the protocol is not http or https, or if a part contains characters
    /// or segments that are not allowed in it.
    fn to_url(&self) -> Option<String> {
        let Self {
            protocol,
            host,
            path,
            username: _,
        } = self;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_web = matches!(protocol.as_str(), "http" | "https");
        // A twice-encoded control character becomes a line break in a program that decodes the path
        // again.
        let hides_control_character =
            percent_decode(path).is_none_or(|decoded| has_control(&decoded));
        if hides_control_character
            || !is_web
            || host.is_empty()
            || !host.bytes().all(is_host)
            || path.split('/').any(|part| matches!(part, "." | ".."))
        {
            return None;
        }
        let mut url = format!("{protocol}://{host}/");
        // The path was decoded once, so a percent sign in it is literal.
        for byte in path.bytes() {
            match PLAIN[usize::from(byte)] {
                true => url.push(char::from(byte)),
                false => url.push_str(&format!("%{byte:02X}")),
            }
        }
        Some(url)
    }
}

fn invalid_request(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidValue,
        format!("cannot answer the credential request: {why}"),
    )
}
