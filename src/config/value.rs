//! What a value has to look like, setting by setting.
//!
//! No message repeats the value.

use std::path::Path;

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::secret::MAX_VALUE_BYTES;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
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
    KeyPlace,
    /// `none`, or the URL of a proxy.
    Proxy,
    /// A path below a base URL.
    Route,
    /// The name of a cookie.
    Cookie,
    /// The name of an account.
    Account,
}

const LONGEST_TIME_MS: u64 = 600_000;

impl Shape {
    /// Refuses a value that can't be right. `whence` names the setting and where it was found.
    ///
    /// # Errors
    /// `kind`, without the value.
    pub fn check(self, kind: ErrorKind, whence: &str, value: &str) -> Result<()> {
        check_text(kind, whence, value)?;
        let refuse = |why: &str| Err(Error::new(kind, format!("{whence} {why}")));
        match self {
            Shape::Text | Shape::Login => Ok(()),
            Shape::Url => BaseUrl::parse(whence, value, &[]).map(drop).map_err(|error| Error::new(kind, error.message().to_owned())),
            Shape::Milliseconds if !is_time(value) => refuse("is not a whole number of milliseconds from 1 to 600000"),
            Shape::Path if !Path::new(value).is_absolute() => refuse("is not an absolute path: begin it with a slash"),
            Shape::Paths if !value.split(':').all(|path| Path::new(path).is_absolute()) => {
                refuse("is not a list of absolute paths: begin each with a slash, and put colons between them")
            }
            Shape::Store if !is_store(value) => refuse("is not memory, file or file:/absolute/path"),
            Shape::KeyPlace if !matches!(value, "file" | "keyring") => refuse("is neither file nor keyring"),
            Shape::Proxy => check_proxy(value).or_else(refuse),
            Shape::Route if !is_route(value) => refuse("is not a path: begin it with one slash, and leave query and fragment off"),
            Shape::Cookie if !value.bytes().all(is_token_byte) => refuse("is not the name of a cookie"),
            Shape::Account if !is_account(value) => refuse(ACCOUNT_RULE),
            _ => Ok(()),
        }
    }
}

/// What the name of an account has to be.
pub const ACCOUNT_RULE: &str = "is not the name of an account: use 1 to 64 letters, digits, dots, dashes and underscores";

/// Whether a profile may be called so.
pub fn is_account(name: &str) -> bool {
    matches!(name.len(), 1..=64) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Refuses text that no setting can be: empty, too long, or with a control character in it.
///
/// # Errors
/// `kind`, without the text.
pub fn check_text(kind: ErrorKind, whence: &str, text: &str) -> Result<()> {
    let why = if text.is_empty() {
        "is empty: give it a value, or leave it out"
    } else if text.len() > MAX_VALUE_BYTES {
        "is longer than any setting can be (16 KiB)"
    } else if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        "holds a line break or another control character: copy it again without"
    } else {
        return Ok(());
    };
    Err(Error::new(kind, format!("{whence} {why}")))
}

fn is_time(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse().is_ok_and(|number| (1..=LONGEST_TIME_MS).contains(&number))
}

fn is_store(value: &str) -> bool {
    matches!(value, "memory" | "file") || value.strip_prefix("file:").is_some_and(|path| Path::new(path).is_absolute())
}

fn is_route(value: &str) -> bool {
    let graphic = value.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
    graphic && value.starts_with('/') && !value.starts_with("//")
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn check_proxy(value: &str) -> Result<(), &'static str> {
    if value == "none" {
        return Ok(());
    }
    let url = Url::parse(value).map_err(|_| "is neither none nor a URL: write it like http://proxy.example:3128")?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") || url.host().is_none() {
        return Err("is no URL of http, https, socks5 or socks5h");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password: leave them to the system's own setting, HTTPS_PROXY");
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err("has more than scheme, host and port");
    }
    Ok(())
}
