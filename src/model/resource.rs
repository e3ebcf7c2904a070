//! A resource in the form that callers pass: a URL, or `SERVICE:PATH`.
//!
//! This module contains no code for a particular service. Each service decides which resources
//! belong to it, and what their paths mean ([`crate::ports::service`]).

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{has_control, has_encoded_line_break};

/// The maximum length of a resource.
pub const MAX_BYTES: usize = 8 * 1024;

/// A resource whose path is not classified yet. Only a service can classify the path.
#[derive(Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An absolute http or https URL.
    Url(Url),
    /// `SERVICE:PATH`.
    Path {
        /// The name of the service. It is `masv` if the resource names no service.
        service: &'a str,
        /// A short form. If it begins with a slash, the path of a URL below the service's base URL.
        path: &'a str,
        /// The query: the part after the question mark.
        query: Option<&'a str>,
    },
}

/// The service of a resource that names no service.
pub const DEFAULT_SERVICE: &str = "masv";

impl<'a> Resource<'a> {
    /// Parses a resource.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if the resource is malformed. The error message never quotes
    /// the resource, because it may contain a link's secret.
    pub fn parse(text: &'a str) -> Result<Self> {
        check_characters(text)?;
        if is_url(text) {
            return parse_url(text);
        }
        let (head, query) = split_query(text);
        let (named, path) = split_service(head);
        let service = named.unwrap_or(DEFAULT_SERVICE);
        if service.is_empty() || path.is_empty() || named.is_none() && path.starts_with('/') {
            return Err(invalid(
                "cannot be parsed; write user, packages/ID, links/ID?secret=S, SERVICE:PATH or an https URL",
            ));
        }
        check_dot_segments(path)?;
        if text
            .bytes()
            .any(|byte| !PLAIN[byte as usize] && !PATH_ONLY.contains(&byte))
        {
            return Err(invalid(
                "contains a character that is not allowed in URLs; percent-encode it",
            ));
        }
        Ok(Self::Path {
            service,
            path,
            query,
        })
    }
}

fn parse_url<'a>(text: &str) -> Result<Resource<'a>> {
    let url =
        Url::parse(text).map_err(|_| invalid("is not a valid URL; check its host and port"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "contains a user name or password before the host; remove it",
        ));
    }
    if !has_unambiguous_host(text, &url) {
        return Err(invalid(
            "has a host or port that programs parse differently, or a backslash; write the host in plain ASCII and remove the backslash",
        ));
    }
    let path = split_query(text).0.split('#').next().unwrap_or_default();
    check_dot_segments(path)?;
    Ok(Resource::Url(url))
}

/// Rejects `.` and `..` segments, also percent-encoded.
///
/// Rationale: some programs remove these segments before they send the URL and others don't. The
/// token could then be for another path than the path that is sent.
fn check_dot_segments(path: &str) -> Result<()> {
    let is_dots = |segment: &str| {
        matches!(
            segment.replace("%2e", ".").replace("%2E", ".").as_str(),
            "." | ".."
        )
    };
    if path.split('/').any(is_dots) {
        Err(invalid(
            "has a . or .. segment in its path; write the path without it",
        ))
    } else {
        Ok(())
    }
}

/// Returns whether the host is written exactly as the `url` crate parses it.
///
/// Rationale: the caller's HTTP client parses the URL again, and may find another host. In
/// `https://a.example\@b.example` the host is a.example by one standard and b.example by another.
/// Parsers also differ on percent-encoding, unusual digits and non-Latin letters in hosts
/// (CVE-2024-47081 and similar).
fn has_unambiguous_host(text: &str, url: &Url) -> bool {
    let authority = text
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let Some((written, port)) = authority.split_at_checked(host.len()) else {
        return false;
    };
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    written.eq_ignore_ascii_case(host) && is_port && !text.contains('\\')
}

fn check_characters(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(invalid("is empty; write user, packages/ID or an https URL"));
    }
    check_length(text)?;
    if text.contains(' ') || has_control(text) {
        return Err(invalid(
            "contains a space, a line break or another control character; copy it again",
        ));
    }
    if has_encoded_line_break(text) {
        return Err(invalid(
            "contains a percent-encoded line break or NUL; copy it again",
        ));
    }
    Ok(())
}

/// Rejects an over-long resource before it is copied.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if it is longer than [`MAX_BYTES`].
pub fn check_length(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        Err(invalid(
            "is longer than 8 KiB, the limit; check that it is the right resource",
        ))
    } else {
        Ok(())
    }
}

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidResource, format!("the resource {reason}"))
}

/// Returns whether a resource begins with `http://` or `https://`.
pub fn is_url(text: &str) -> bool {
    let starts_with = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    starts_with("https://") || starts_with("http://")
}

/// Splits a resource at the first question mark.
#[inline]
pub fn split_query(text: &str) -> (&str, Option<&str>) {
    position(text.as_bytes(), b'?').map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// Splits a resource into the service's name, if any, and the path. A colon separates them only if
/// no slash precedes it.
#[inline(always)]
pub fn split_service(head: &str) -> (Option<&str>, &str) {
    let bytes = head.as_bytes();
    match position_of_either(bytes, [b':', b'/']) {
        Some(at) if bytes[at] == b':' => (Some(&head[..at]), &head[at + 1..]),
        _ => (None, head),
    }
}

/// Returns the position of the first occurrence of a byte.
#[inline]
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    first_match(bytes, |word| zero_bytes(word ^ (ONES * u64::from(byte))))
}

/// Returns the position of the first occurrence of either byte.
#[inline]
fn position_of_either(bytes: &[u8], [first, second]: [u8; 2]) -> Option<usize> {
    first_match(bytes, |word| {
        zero_bytes(word ^ (ONES * u64::from(first))) | zero_bytes(word ^ (ONES * u64::from(second)))
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Sets the top bit of each byte of `word` that is zero. The lowest bit that is set is always
/// correct. Higher bits may also be set for bytes that are not zero.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Returns the position of the first byte for which `hits` sets the top bit. Checks 8 bytes at a
/// time, which takes less time than a call of `memchr` for strings of this length.
#[inline]
fn first_match(bytes: &[u8], hits: impl Fn(u64) -> u64) -> Option<usize> {
    let place = |at: usize, word: &[u8; 8]| {
        let hits = hits(u64::from_le_bytes(*word));
        (hits != 0).then(|| at + hits.trailing_zeros() as usize / 8)
    };
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes
            .iter()
            .position(|byte| hits(u64::from(*byte)) & 0x80 != 0);
    };
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if let Some(found) = place(bytes.len() - rest.len(), word) {
            return Some(found);
        }
        rest = after;
    }
    // The last 8 bytes overlap the last full word, but the overlapping bytes did not match before.
    place(bytes.len() - 8, last)
}

/// Returns whether every URL parser leaves the string unchanged: it has only plain characters, and
/// no path segment begins with a dot. All other strings take the slow path through the `url` crate.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    let flags = text
        .iter()
        .fold(0, |flags, byte| flags | BYTE_FLAGS[*byte as usize]);
    flags == 0 || flags == DOT && !text.windows(2).any(|pair| pair == b"/.")
}

/// The flag of a byte that is not plain.
const NOT_PLAIN: u8 = 1;
/// The flag of a dot.
const DOT: u8 = 2;
const BYTE_FLAGS: [u8; 256] = {
    let mut flags = [NOT_PLAIN; 256];
    let mut at = 0;
    while at < 256 {
        if PLAIN[at] {
            flags[at] = 0;
        }
        at += 1;
    }
    flags[b'.' as usize] = DOT;
    flags
};

/// Bytes that the `url` crate leaves unchanged in a URL's path, so they are also allowed in a
/// resource without a host. Resources with these bytes take the slow path.
const PATH_ONLY: &[u8] = b"%'|[]^";

/// The bytes that every URL parser leaves unchanged.
pub const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let punctuation = b"-._~:/?@!$&()*+,;=";
    let mut at = 0;
    while at < 256 {
        plain[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < punctuation.len() {
        plain[punctuation[at] as usize] = true;
        at += 1;
    }
    plain
};

/// Returns the value of `name` in a query, percent-decoded once.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if the query contains `name` more than once, or if the decoded
/// value is not UTF-8 or contains a control character.
pub fn query_value(query: Option<&str>, name: &str) -> Result<Option<String>> {
    let mut values = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid("contains its secret twice; remove one"));
    }
    let value = percent_decode(value).ok_or_else(|| {
        invalid("has a secret that is not UTF-8 after percent-decoding; copy it again")
    })?;
    if has_control(&value) {
        return Err(invalid(
            "has a secret with a control character; copy it again",
        ));
    }
    Ok(Some(value))
}

/// Decodes every `%XX`. Returns `None` if the result is not UTF-8. A `%` without two hexadecimal
/// digits is left unchanged.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten();
        let decoded = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_means_masv() {
        let path = |service, path, query| Resource::Path {
            service,
            path,
            query,
        };
        assert_eq!(
            Resource::parse("packages/01A").unwrap(),
            path("masv", "packages/01A", None)
        );
        assert_eq!(
            Resource::parse("masv:user").unwrap(),
            path("masv", "user", None)
        );
        assert_eq!(
            Resource::parse("fileverbs:bearer").unwrap(),
            path("fileverbs", "bearer", None)
        );
        assert_eq!(
            Resource::parse("links/a:b?secret=s").unwrap(),
            path("masv", "links/a:b", Some("secret=s"))
        );
    }

    #[test]
    fn hostile_text_is_refused() {
        for bad in [
            "",
            " ",
            "a b",
            "a\nb",
            "a\0b",
            "https://api.massive.app/v1/\u{85}",
            "https://api.massive.app/v1/\u{2028}",
            "packages/%0a",
            "packages/%250D",
            "packages/%25250a",
            "packages/%00",
            ":user",
            "masv:",
            "/user",
            "packages/../user",
            "packages/./x",
            "packages/%2e%2E/x",
            "https://api.massive.app/v1/packages/P/%2e%2e/%2e%2e/user",
            "https://api.massive.app/v1/./user",
            "https://api.massive.app/v1/x/.%2E",
            "packages\\x",
            "packages/é",
            "https://u@api.massive.app/",
            "https://:@api.massive.app/",
            "https://api%2emassive.app/",
            "https://api.massive.app\\@evil.example/",
            "https://api.massive.app/v1\\@evil.example/",
            "https:///api.massive.app/",
            "https://0x7f.1/",
            "https://ａpi.massive.app/",
            "https://",
            "user#x",
        ] {
            assert_eq!(
                Resource::parse(bad).unwrap_err().kind,
                ErrorKind::InvalidResource,
                "{bad:?}"
            );
        }
        assert!(Resource::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_secret_is_decoded_once() {
        let secret = |query| query_value(Some(query), "secret");
        assert_eq!(
            secret("secret=a%2Bb%252B=c&x=y").unwrap().unwrap(),
            "a+b%2B=c"
        );
        assert_eq!(secret("x=y").unwrap(), None);
        assert!(secret("secret=a&secret=b").is_err());
        assert!(secret("secret=%1b").is_err());
        assert!(secret("secret=%C2%85").is_err());
        assert!(secret("secret=%ff").is_err());
    }

    #[test]
    fn an_error_does_not_repeat_the_resource() {
        let error = Resource::parse("links/x?secret=hunter2 ").unwrap_err();
        assert!(!error.message().contains("hunter2"));
    }

    #[test]
    fn a_byte_is_found_where_it_first_stands() {
        for len in 0..40_usize {
            for at in 0..=len {
                let mut bytes = vec![b'0'; len];
                bytes
                    .iter_mut()
                    .skip(at)
                    .step_by(3)
                    .for_each(|byte| *byte = b'/');
                bytes
                    .iter_mut()
                    .skip(at + 1)
                    .step_by(3)
                    .for_each(|byte| *byte = b':');
                let found = (at < len).then_some(at);
                assert_eq!(
                    (
                        position(&bytes, b'/'),
                        position_of_either(&bytes, [b':', b'/'])
                    ),
                    (found, found),
                    "{len} {at}"
                );
                assert_eq!(
                    position(&bytes, b':'),
                    found.map(|at| at + 1).filter(|at| *at < len),
                    "{len} {at}"
                );
            }
        }
    }

    #[test]
    fn plain_text_has_no_odd_bytes_and_no_dot_segments() {
        assert!(is_plain(
            b"https://api.massive.app/v1.1/packages/01A/files?x=y"
        ));
        for odd in [
            "a/../b", "a/./b", "a%41", "a\\b", "a#b", "a b", "a\"b", "a/.b",
        ] {
            assert!(!is_plain(odd.as_bytes()), "{odd}");
        }
    }
}
