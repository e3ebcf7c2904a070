//! The formats of values, and their checks.
//!
//! No error message contains the value.

use std::path::Path;

use url::Url;

use super::account::{ACCOUNT_RULE, is_account};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::secret::MAX_VALUE_BYTES;
use crate::text::{has_control, is_visible_ascii};

/// The format of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueFormat {
    /// Any string without control characters.
    Text,
    /// The user's login name. It is not a secret, but it may come from a secret source like the
    /// password.
    Login,
    /// The base URL of a service.
    Url,
    /// A whole number of milliseconds.
    Milliseconds,
    /// An absolute path.
    Path,
    /// Absolute paths, separated by colons.
    Paths,
    /// `memory`, `file` or `file:/absolute/path`.
    Store,
    /// `file` or `keyring`.
    KeyLocation,
    /// `none`, or the URL of a proxy.
    Proxy,
    /// A path below a base URL.
    UrlPath,
    /// The name of a cookie.
    CookieName,
    /// The name of an account.
    AccountName,
}

const MAX_TIME_MS: u64 = 600_000;

impl ValueFormat {
    /// Returns whether a value contains paths, which need not be UTF-8.
    pub fn has_paths(self) -> bool {
        matches!(self, Self::Path | Self::Paths | Self::Store)
    }

    /// Rejects an invalid value. `subject` names the setting and its source. The error message
    /// begins with it.
    ///
    /// # Errors
    /// An error of `kind` if the value is invalid.
    pub fn check(self, kind: ErrorKind, subject: &str, value: &str) -> Result<()> {
        check_text(kind, subject, value)?;
        let reject = |reason: &str| Err(Error::new(kind, format!("{subject} {reason}")));
        match self {
            ValueFormat::Text | ValueFormat::Login => Ok(()),
            ValueFormat::Url => BaseUrl::parse(subject, value, &[])
                .map(drop)
                .map_err(|error| Error::new(kind, error.message().to_owned())),
            ValueFormat::Milliseconds if !is_milliseconds(value) => {
                reject("is not a whole number from 1 to 600000; write a number of milliseconds")
            }
            ValueFormat::Path if !Path::new(value).is_absolute() => {
                reject("is not an absolute path; begin it with a slash")
            }
            ValueFormat::Paths if !value.split(':').all(|path| Path::new(path).is_absolute()) => {
                reject(
                    "is not a list of absolute paths; begin each path with a slash and separate paths with colons",
                )
            }
            ValueFormat::Store if !is_store(value) => {
                reject("is not a store; write memory, file or file:/absolute/path")
            }
            ValueFormat::KeyLocation if !matches!(value, "file" | "keyring") => {
                reject("is neither file nor keyring; write one of them")
            }
            ValueFormat::Proxy => check_proxy(value).or_else(reject),
            ValueFormat::UrlPath if !is_url_path(value) => reject(
                "is not a URL path; begin it with one slash and leave out query and fragment",
            ),
            ValueFormat::CookieName if !value.bytes().all(is_token_byte) => {
                reject("is not a cookie name; use letters, digits, dashes and underscores")
            }
            ValueFormat::AccountName if !is_account(value) => reject(ACCOUNT_RULE),
            _ => Ok(()),
        }
    }
}

/// Rejects a string that is invalid for every setting: it is empty, too long, or contains a control
/// character.
///
/// # Errors
/// An error of `kind` if the string is invalid.
pub fn check_text(kind: ErrorKind, subject: &str, text: &str) -> Result<()> {
    let reason = if text.is_empty() {
        "is empty; give it a value or remove it"
    } else if text.len() > MAX_VALUE_BYTES {
        "is longer than 16 KiB; shorten it"
    } else if has_control(text) {
        "contains a line break or another control character; copy it again without it"
    } else {
        return Ok(());
    };
    Err(Error::new(kind, format!("{subject} {reason}")))
}

fn is_milliseconds(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit())
        && value
            .parse()
            .is_ok_and(|number| (1..=MAX_TIME_MS).contains(&number))
}

fn is_store(value: &str) -> bool {
    matches!(value, "memory" | "file")
        || value
            .strip_prefix("file:")
            .is_some_and(|path| Path::new(path).is_absolute())
}

fn is_url_path(value: &str) -> bool {
    is_visible_ascii(value)
        && !value.contains(['?', '#', '\\'])
        && value.starts_with('/')
        && !value.starts_with("//")
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn check_proxy(value: &str) -> Result<(), &'static str> {
    if value == "none" {
        return Ok(());
    }
    let url = Url::parse(value)
        .map_err(|_| "is neither none nor a URL; write it like http://proxy.example:3128")?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") || url.host().is_none() {
        return Err(
            "is not a proxy URL; begin it with http://, https://, socks5:// or socks5h:// and a host",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "contains a user name or password; remove the setting and put the proxy in HTTPS_PROXY",
        );
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err("has more than scheme, host and port; remove the rest");
    }
    Ok(())
}
