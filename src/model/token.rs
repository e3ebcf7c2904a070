//! A token: an immutable set of headers with an expiry and a generation.
//!
//! All strings of a token are in one block, in the same layout as in the cache, so that a cache hit
//! is one copy:
//!
//! `(name NUL SPACE value NUL)… id NUL… service NUL details NUL`
//!
//! The id starts at a multiple of 8 bytes. The headers come first, so they have the same
//! position in every cache entry. A lookup can then read them before the CPU has loaded the lengths
//! from the entry.

use std::fmt;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind, TokenKeyRef};
use crate::secret::Secret;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum TokenKind {
    /// A secret that is used as a header unchanged: an API key or SecretKey.
    Key = 1,
    /// The token of a user's login.
    User = 2,
    /// The token of a package.
    Package = 3,
    /// The token of a transfer.
    Transfer = 4,
    /// A bearer token.
    Bearer = 5,
}

impl TokenKind {
    /// All variants in the order of their numbers, from 1 on, with the names used in messages.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Key, "key"),
        (Self::User, "user"),
        (Self::Package, "package"),
        (Self::Transfer, "transfer"),
        (Self::Bearer, "bearer"),
    ];

    /// Returns the name used in messages.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    /// Returns the kind with this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .get(usize::from(number).wrapping_sub(1))
            .map(|(kind, _)| *kind)
    }
}

/// The expiry of a token that never expires. Such a token is valid until it is rejected.
pub const NO_EXPIRY: i64 = i64::MAX;

/// How long a token is valid if it states its expiry in a form that keyferry cannot read.
pub const UNREADABLE_LIFETIME_S: i64 = 15 * 60;

/// The expiry that a service states for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// In seconds since 1970 by the service's clock.
    At(i64),
    /// None: the token is valid until it is rejected.
    Never,
    /// In a form that keyferry cannot read. The token is used for [`UNREADABLE_LIFETIME_S`].
    Unreadable,
}

impl Expiry {
    /// Returns the expiry in seconds since 1970, for a token that is acquired at `now_s`. `None` if
    /// there is none.
    pub fn unix_s(self, now_s: i64) -> Option<i64> {
        match self {
            Self::At(unix_s) => Some(unix_s),
            Self::Never => None,
            Self::Unreadable => Some(now_s + UNREADABLE_LIFETIME_S),
        }
    }
}

impl From<Option<i64>> for Expiry {
    fn from(unix_s: Option<i64>) -> Self {
        unix_s.map_or(Self::Never, Self::At)
    }
}

/// A token that a service returned, before it has a generation.
#[derive(Clone)]
pub struct NewToken {
    /// The kind of the token.
    pub kind: TokenKind,
    /// Names and values of the headers, in order.
    pub headers: Vec<(String, Secret)>,
    /// When the token expires.
    pub expiry: Expiry,
    /// Other data from the service's response, without secrets, for people and programs.
    pub details: Value,
}

impl NewToken {
    /// Creates a token with one header and without details.
    pub fn new(kind: TokenKind, header: &str, value: Secret, expiry: impl Into<Expiry>) -> Self {
        Self {
            kind,
            headers: vec![(header.into(), value)],
            expiry: expiry.into(),
            details: Value::Null,
        }
    }
}

/// The metadata of a token. Times are microseconds since 1970 by the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenMeta {
    /// [`crate::model::key::Scope::fingerprint`] of the token's scope.
    pub scope: u64,
    /// The kind of the resource that the token is for.
    pub resource_kind: ResourceKind,
    /// The access that the token allows.
    pub access: Access,
    /// The kind of the token.
    pub kind: TokenKind,
    /// Distinguishes the token from other tokens of the same key. A later token has a greater
    /// generation.
    pub generation: u64,
    /// When the token expires, or [`NO_EXPIRY`].
    pub expires_us: i64,
    /// When the token was acquired.
    pub acquired_us: i64,
}

/// The lengths of the parts of a token's block, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The number of headers.
    pub header_count: u8,
    /// Length of the first header's name.
    pub name_len: u8,
    /// Length of the id, without NUL.
    pub id_len: u16,
    /// Length of the service's name, without NUL.
    pub service_len: u8,
    /// Length of all headers.
    pub headers_len: u32,
    /// Length of the details, without NUL.
    pub details_len: u32,
}

impl Layout {
    /// Returns the position of the id.
    #[inline]
    pub fn id_at(&self) -> usize {
        (self.headers_len as usize).next_multiple_of(8)
    }

    /// Returns the position of the service's name. The id is padded with NUL to a multiple of 8
    /// bytes.
    fn service_at(&self) -> usize {
        self.id_at() + (self.id_len as usize + 1).next_multiple_of(8)
    }

    fn details_at(&self) -> usize {
        self.service_at() + self.service_len as usize + 1
    }

    fn id<'a>(&self, text: &'a [u8]) -> &'a str {
        as_text(&text[self.id_at()..][..self.id_len as usize])
    }

    fn service_with_nul<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.service_at()..self.details_at()]
    }

    fn details_with_nul<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.details_at()..self.text_len()]
    }

    /// Returns the names and values of the headers.
    fn headers<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut parts = text[..self.headers_len as usize].split(|byte| *byte == 0);
        std::iter::from_fn(move || {
            let name = parts.next().filter(|name| !name.is_empty())?;
            Some((as_text(name), as_text(parts.next()?.get(1..)?)))
        })
    }

    /// Returns the length of the whole block.
    #[inline]
    pub fn text_len(&self) -> usize {
        self.details_at() + self.details_len as usize + 1
    }
}

/// A token: the headers that give access to a resource, their expiry, and other data from the
/// service. A token is immutable. Any thread may use it, and it stays usable after its session is
/// dropped.
///
/// ```
/// # fn main() -> Result<(), keyferry::Error> {
/// # let mut config = keyferry::Config::new();
/// # config.set("masv.api_key", "made-up-key".into())?;
/// # let session = keyferry::Session::open(config)?;
/// let token = session.token("user")?;
/// for (name, value) in token.headers() {
///     // Send each with your HTTP client. The value is a secret.
/// #   assert_eq!((name, value), ("X-API-KEY", "made-up-key"));
/// }
/// assert_eq!(token.kind(), keyferry::TokenKind::Key);
/// assert_eq!(token.expires_unix_s(), None); // a key does not expire
/// # Ok(())
/// # }
/// ```
///
/// The allocator of the feature `wiping-alloc` wipes the token's memory when the token is dropped.
/// The token does not wipe itself, because that would more than double the time of a cache hit.
#[derive(Clone)]
pub struct Token {
    meta: TokenMeta,
    layout: Layout,
    text: Box<[u8]>,
}

/// The maximum length of all headers together, and the maximum length of the details.
const MAX_PART_BYTES: usize = 256 * 1024;

impl Token {
    /// Creates a token from a service's response.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] if there is no header or more than 8, if a header's name or value
    /// is invalid, or if a part is too long.
    #[doc(hidden)]
    #[expect(
        clippy::disallowed_methods,
        reason = "the header's value is copied into the memory of the token, which is wiped too"
    )]
    pub fn new(new_token: &NewToken, service: &str, id: &str, meta: TokenMeta) -> Result<Self> {
        if new_token.headers.is_empty() || new_token.headers.len() > 8 {
            return Err(bad_response(
                service,
                "returned a token with no header or with more than 8",
            ));
        }
        let mut headers = zeroize::Zeroizing::new(Vec::with_capacity(
            new_token
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len() + 3)
                .sum(),
        ));
        for (name, value) in &new_token.headers {
            check_header_name(service, name)?;
            value.check("its value").map_err(|error| {
                bad_response(
                    service,
                    &format!("returned an invalid token: {}", error.message()),
                )
            })?;
            headers.extend_from_slice(name.as_bytes());
            headers.extend_from_slice(b"\0 ");
            headers.extend_from_slice(value.expose().as_bytes());
            headers.push(0);
        }
        let details = if new_token.details.is_null() {
            String::from("{}")
        } else {
            new_token.details.to_string()
        };
        let part_len = |len: usize| {
            u32::try_from(len)
                .ok()
                .filter(|_| len <= MAX_PART_BYTES)
                .ok_or_else(|| {
                    bad_response(
                        service,
                        "returned a token with more than 256 KiB of headers or details",
                    )
                })
        };
        let layout = Layout {
            header_count: new_token.headers.len() as u8,
            name_len: new_token.headers[0].0.len() as u8,
            id_len: u16::try_from(id.len()).map_err(|_| {
                bad_response(
                    service,
                    "returned a token whose resource ID is longer than 65535 bytes",
                )
            })?,
            service_len: u8::try_from(service.len())
                .map_err(|_| bad_response("a service", "has a name longer than 255 bytes"))?,
            headers_len: part_len(headers.len())?,
            details_len: part_len(details.len())?,
        };
        let mut text = vec![0; layout.text_len()].into_boxed_slice();
        let mut write = |at: usize, bytes: &[u8]| text[at..at + bytes.len()].copy_from_slice(bytes);
        write(0, &headers);
        write(layout.id_at(), id.as_bytes());
        write(layout.service_at(), service.as_bytes());
        write(layout.details_at(), details.as_bytes());
        Ok(Self { meta, layout, text })
    }

    /// Creates a token from parts that [`Token::new`] created earlier.
    #[doc(hidden)]
    pub fn from_parts(meta: TokenMeta, layout: Layout, text: Box<[u8]>) -> Self {
        Self { meta, layout, text }
    }

    /// Returns the metadata.
    #[doc(hidden)]
    pub fn meta(&self) -> &TokenMeta {
        &self.meta
    }

    /// Returns the lengths of the parts of the block.
    #[doc(hidden)]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the block, in the layout that this module's documentation describes.
    #[doc(hidden)]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the token without the values of its headers.
    #[doc(hidden)]
    pub fn facts(&self) -> TokenFacts<'_> {
        TokenFacts::from_parts(self.meta, self.layout, &self.text)
    }

    /// Returns the key of the token.
    #[doc(hidden)]
    pub fn key(&self) -> TokenKeyRef<'_> {
        TokenKeyRef {
            scope: self.meta.scope,
            resource_kind: self.meta.resource_kind,
            id: self.id(),
            access: self.meta.access,
        }
    }

    /// Returns the kind of the token.
    pub fn kind(&self) -> TokenKind {
        self.meta.kind
    }

    /// Returns the access that the token allows.
    pub fn access(&self) -> Access {
        self.meta.access
    }

    /// Returns when the token expires by the service's clock, in seconds since 1970, or `None` if
    /// it does not expire.
    pub fn expires_unix_s(&self) -> Option<i64> {
        (self.meta.expires_us != NO_EXPIRY).then(|| self.meta.expires_us.div_euclid(1_000_000))
    }

    /// Returns the generation. Each token of a resource has a greater generation than earlier
    /// tokens of that resource.
    pub fn generation(&self) -> u64 {
        self.meta.generation
    }

    /// Returns the id of the resource, for example of a package. It is empty if the service has
    /// only one resource of this kind.
    pub fn id(&self) -> &str {
        self.layout.id(&self.text)
    }

    /// Returns the names and values of the headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layout.headers(&self.text)
    }

    /// Returns the name of the service, followed by NUL.
    #[doc(hidden)]
    pub fn service_with_nul(&self) -> &[u8] {
        self.layout.service_with_nul(&self.text)
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        without_nul(self.service_with_nul())
    }

    /// Returns other data from the service's response as JSON, followed by NUL.
    #[doc(hidden)]
    pub fn details_with_nul(&self) -> &[u8] {
        self.layout.details_with_nul(&self.text)
    }

    /// Returns other data from the service's response as JSON.
    pub fn details(&self) -> &str {
        without_nul(self.details_with_nul())
    }

    /// Returns name and value of header `index`, each followed by NUL.
    #[doc(hidden)]
    #[inline]
    pub fn header_with_nul(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let headers = self.text.get(..self.layout.headers_len as usize)?;
        if index == 0 && self.layout.header_count == 1 {
            let (name, rest) = headers.split_at_checked(self.layout.name_len as usize + 1)?;
            return Some((name, rest.get(1..)?));
        }
        let mut parts = headers.split_inclusive(|byte| *byte == 0);
        let name = parts.nth(index.checked_mul(2)?)?;
        Some((name, parts.next()?.get(1..)?))
    }

    /// Returns the same value as [`Token::value`], followed by NUL.
    #[doc(hidden)]
    pub fn value_with_nul(&self) -> &[u8] {
        let (name, value) = self.header_with_nul(0).unwrap_or((&[0], &[0]));
        match value.strip_prefix(b"Bearer ") {
            Some(token) if name.eq_ignore_ascii_case(b"authorization\0") => token,
            _ => value,
        }
    }

    /// Returns the value of the first header. The scheme `Bearer` of an `Authorization` header is
    /// removed.
    pub fn value(&self) -> &str {
        without_nul(self.value_with_nul())
    }
}

/// A borrowed token that can be shown to a person: it does not give the values of its headers.
#[derive(Clone, Copy)]
pub struct TokenFacts<'a> {
    meta: TokenMeta,
    layout: Layout,
    text: &'a [u8],
}

impl<'a> TokenFacts<'a> {
    /// Creates the facts from the parts of a token.
    pub(crate) fn from_parts(meta: TokenMeta, layout: Layout, text: &'a [u8]) -> Self {
        Self { meta, layout, text }
    }

    /// Returns the token that these facts are borrowed from, with the values of its headers.
    pub(crate) fn to_token(self) -> Token {
        Token::from_parts(self.meta, self.layout, self.text.into())
    }

    /// Returns the metadata.
    pub fn meta(&self) -> &TokenMeta {
        &self.meta
    }

    /// Returns the key of the token.
    pub fn key(&self) -> TokenKeyRef<'a> {
        TokenKeyRef {
            scope: self.meta.scope,
            resource_kind: self.meta.resource_kind,
            id: self.id(),
            access: self.meta.access,
        }
    }

    /// Returns the id of the resource.
    pub fn id(&self) -> &'a str {
        self.layout.id(self.text)
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &'a str {
        without_nul(self.layout.service_with_nul(self.text))
    }

    /// Returns other data from the service's response as JSON. It contains no secret.
    pub fn details(&self) -> &'a str {
        without_nul(self.layout.details_with_nul(self.text))
    }

    /// Returns the names of the headers.
    pub fn header_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.layout.headers(self.text).map(|(name, _)| name)
    }
}

fn bad_response(service: &str, reason: &str) -> Error {
    Error::new(ErrorKind::BadResponse, format!("{service} {reason}"))
}

/// Checks that a header's name has 1 to 64 letters, digits, dashes and underscores. All such names
/// are valid by RFC 9110.
fn check_header_name(service: &str, name: &str) -> Result<()> {
    let is_valid = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_valid {
        Ok(())
    } else {
        Err(bad_response(
            service,
            "returned a header with an invalid name",
        ))
    }
}

fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn without_nul(bytes: &[u8]) -> &str {
    as_text(bytes.strip_suffix(&[0]).unwrap_or(bytes))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Token({} {}, generation {})",
            self.service(),
            self.meta.kind.name(),
            self.meta.generation
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table() {
        assert!(
            TokenKind::ALL
                .iter()
                .enumerate()
                .all(|(at, (kind, _))| *kind as usize == at + 1)
        );
        assert_eq!(
            (TokenKind::from_number(0), TokenKind::from_number(6)),
            (None, None)
        );
    }

    fn meta() -> TokenMeta {
        TokenMeta {
            scope: 1,
            resource_kind: ResourceKind::Package,
            access: Access::Manage,
            kind: TokenKind::Package,
            generation: 7,
            expires_us: NO_EXPIRY,
            acquired_us: 0,
        }
    }

    #[test]
    fn parts_are_read_back_as_they_were_given() {
        let mut new_token = NewToken::new(
            TokenKind::Package,
            "X-Package-Token",
            Secret::from("abc"),
            None,
        );
        new_token
            .headers
            .push(("Authorization".into(), Secret::from("Bearer d e")));
        new_token.details = serde_json::json!({"name": "n"});
        let token = Token::new(&new_token, "masv", "01A", meta()).unwrap();
        assert_eq!(
            (token.id(), token.service(), token.details(), token.value()),
            ("01A", "masv", "{\"name\":\"n\"}", "abc")
        );
        assert_eq!(
            token.headers().collect::<Vec<_>>(),
            [("X-Package-Token", "abc"), ("Authorization", "Bearer d e")]
        );
        assert_eq!(
            token.header_with_nul(1).unwrap(),
            (&b"Authorization\0"[..], &b"Bearer d e\0"[..])
        );
        assert_eq!(token.header_with_nul(2), None);
        assert_eq!(format!("{token:?}"), "Token(masv package, generation 7)");
    }

    #[test]
    fn the_scheme_is_left_off_a_bearer_value() {
        let new_token = NewToken::new(
            TokenKind::Bearer,
            "Authorization",
            Secret::from("Bearer abc"),
            None,
        );
        assert_eq!(
            Token::new(&new_token, "fileverbs", "", meta())
                .unwrap()
                .value(),
            "abc"
        );
    }

    #[test]
    fn what_can_not_be_sent_is_no_token() {
        for (name, value) in [
            ("X-A", "a\r\nb"),
            ("X-A", ""),
            ("X A", "a"),
            ("", "a"),
            ("X:", "a"),
        ] {
            let new_token = NewToken::new(TokenKind::User, name, Secret::from(value), None);
            assert_eq!(
                Token::new(&new_token, "masv", "", meta()).unwrap_err().kind,
                ErrorKind::BadResponse
            );
        }
    }

    #[test]
    fn only_the_authorization_header_has_a_scheme() {
        let value = |header| {
            let value = Secret::from("Bearer abc");
            let new_token = NewToken::new(TokenKind::Bearer, header, value, None);
            let token = Token::new(&new_token, "agent", "", meta()).unwrap();
            token.value().to_owned()
        };
        assert_eq!(value("authorization"), "abc");
        assert_eq!(value("X-Token"), "Bearer abc");
    }
}
