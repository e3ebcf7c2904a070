//! The format of values, and its check.
//!
//! No message repeats the value.

use std::path::Path;

use url::Url;

use super::account::{ACCOUNT_RULE, is_account};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::secret::MAX_VALUE_BYTES;

/// The format of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueFormat {
    /// Any text without control characters.
    Text,
    /// The name of a person's login: no secret, but it may come from where the password comes from.
    Login,
    /// The base URL of a service.
    Url,
    /// A whole number of milliseconds.
    Milliseconds,
    /// An absolute path.
    Path,
    /// Absolute paths with colons between them.
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
    /// Rejects a value that can't be right. `subject` begins the message: it names the setting and
    /// where it was found.
    ///
    /// # Errors
    /// `kind`, without the value.
    pub fn check(self, kind: ErrorKind, subject: &str, value: &str) -> Result<()> {
        check_text(kind, subject, value)?;
        let reject = |reason: &str| Err(Error::new(kind, format!("{subject} {reason}")));
        match self {
            ValueFormat::Text | ValueFormat::Login => Ok(()),
            ValueFormat::Url => BaseUrl::parse(subject, value, &[])
                .map(drop)
                .map_err(|error| Error::new(kind, error.message().to_owned())),
            ValueFormat::Milliseconds if !is_milliseconds(value) => {
                reject("is not a whole number of milliseconds from 1 to 600000")
            }
            ValueFormat::Path if !Path::new(value).is_absolute() => {
                reject("is not an absolute path: begin it with a slash")
            }
            ValueFormat::Paths if !value.split(':').all(|path| Path::new(path).is_absolute()) => {
                reject(
                    "is not a list of absolute paths: begin each with a slash, and put colons between them",
                )
            }
            ValueFormat::Store if !is_store(value) => {
                reject("is not memory, file or file:/absolute/path")
            }
            ValueFormat::KeyLocation if !matches!(value, "file" | "keyring") => {
                reject("is neither file nor keyring")
            }
            ValueFormat::Proxy => check_proxy(value).or_else(reject),
            ValueFormat::UrlPath if !is_url_path(value) => {
                reject("is not a path: begin it with one slash, and leave query and fragment off")
            }
            ValueFormat::CookieName if !value.bytes().all(is_token_byte) => {
                reject("is not the name of a cookie")
            }
            ValueFormat::AccountName if !is_account(value) => reject(ACCOUNT_RULE),
            _ => Ok(()),
        }
    }
}

/// Rejects text that no setting can be: empty, too long, or with a control character in it.
///
/// # Errors
/// `kind`, without the text.
pub fn check_text(kind: ErrorKind, subject: &str, text: &str) -> Result<()> {
    let reason = if text.is_empty() {
        "is empty: give it a value, or leave it out"
    } else if text.len() > MAX_VALUE_BYTES {
        "is longer than any setting can be (16 KiB)"
    } else if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        "holds a line break or another control character: copy it again without"
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
    let is_graphic = value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
    is_graphic && value.starts_with('/') && !value.starts_with("//")
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn check_proxy(value: &str) -> Result<(), &'static str> {
    if value == "none" {
        return Ok(());
    }
    let url = Url::parse(value)
        .map_err(|_| "is neither none nor a URL: write it like http://proxy.example:3128")?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") || url.host().is_none() {
        return Err("is no URL of http, https, socks5 or socks5h");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "holds a user name or password: leave them to the system's own setting, HTTPS_PROXY",
        );
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err("has more than scheme, host and port");
    }
    Ok(())
}
