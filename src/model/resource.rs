//! A resource as the caller writes it: a URL, or `SERVICE:PATH`.
//!
//! Knows no service: the services decide which one a resource belongs to, and what it names there
//! ([`crate::ports::service`]).

use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// The longest resource that is parsed.
pub const MAX_BYTES: usize = 8 * 1024;

/// A resource, parsed as far as possible without knowing the service.
#[derive(Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An absolute http or https URL.
    Url(Url),
    /// A path below a service's version prefix.
    Path {
        /// The service's name; a bare path means `masv`.
        service: &'a str,
        /// The path, without a slash before it.
        path: &'a str,
        /// What stands behind a question mark.
        query: Option<&'a str>,
    },
}

/// The service that a bare path belongs to.
pub const DEFAULT_SERVICE: &str = "masv";

impl<'a> Resource<'a> {
    /// Reads a resource.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] with what is wrong with it; its text is never repeated, for
    /// it may hold a link's secret.
    pub fn parse(text: &'a str) -> Result<Self> {
        check_characters(text)?;
        if is_url(text) {
            return parse_url(text);
        }
        let (head, query) = split_query(text);
        let (service, path) = split_service(head);
        let service = service.unwrap_or(DEFAULT_SERVICE);
        if service.is_empty() || path.is_empty() || path.starts_with('/') {
            return Err(invalid(
                "can't be read: write user, packages/ID, links/ID?secret=S, SERVICE:PATH or an https URL",
            ));
        }
        check_dot_segments(path)?;
        if text
            .bytes()
            .any(|byte| !PLAIN[byte as usize] && !PATH_ONLY.contains(&byte))
        {
            return Err(invalid(
                "holds a character that no URL can: percent-encode it",
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
    let url = Url::parse(text)
        .map_err(|_| invalid("is no URL that can be read: check its host and port"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "holds a user name or password before its host: leave them out",
        ));
    }
    if !has_unambiguous_host(text, &url) {
        return Err(invalid(
            "has a host that not all programs read alike: write it in plain letters, and no backslash behind it",
        ));
    }
    let path = split_query(text).0.split('#').next().unwrap_or_default();
    check_dot_segments(path)?;
    Ok(Resource::Url(url))
}

/// Rejects `.` and `..` segments, also percent-encoded.
///
/// Rationale: some programs remove them before they send the URL and others don't, so the token
/// would be for another path.
fn check_dot_segments(path: &str) -> Result<()> {
    let is_dots = |segment: &str| {
        matches!(
            segment.replace("%2e", ".").replace("%2E", ".").as_str(),
            "." | ".."
        )
    };
    if path.split('/').any(is_dots) {
        Err(invalid("has . or .. in its path: write the path without"))
    } else {
        Ok(())
    }
}

/// Whether the host stands in the text as the `url` crate reads it.
///
/// Rationale: the caller's own HTTP client takes the text apart once more.
/// `https://a.example\@b.example` is at a.example by one standard and at b.example by another, and
/// percent-encoding, odd digits and other alphabets are read as differently (CVE-2024-47081 and its
/// kin).
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
        return Err(invalid("is empty: write user, packages/ID or an https URL"));
    }
    check_length(text)?;
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(invalid(
            "holds a space, a line break or another control character: copy it again",
        ));
    }
    if has_encoded_control(text) {
        return Err(invalid(
            "holds a percent-encoded line break or NUL: copy it again",
        ));
    }
    Ok(())
}

/// Rejects an over-long resource before it is copied.
///
/// # Errors
/// [`ErrorKind::InvalidResource`].
pub fn check_length(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        Err(invalid("is longer than 8 KiB: copy it again"))
    } else {
        Ok(())
    }
}

/// Whether the text contains a percent-encoded CR, LF or NUL, encoded any number of times.
fn has_encoded_control(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|&at| bytes[at] == b'%').any(|at| {
        let mut rest = &bytes[at + 1..];
        while let Some(inner) = rest.strip_prefix(b"25") {
            rest = inner;
        }
        matches!(rest, [b'0', b'0' | b'a' | b'A' | b'd' | b'D', ..])
    })
}

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidResource, format!("the resource {reason}"))
}

/// Whether a resource is a URL, by how it begins.
pub fn is_url(text: &str) -> bool {
    let starts_with = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    starts_with("https://") || starts_with("http://")
}

/// The parts before and behind the first question mark.
#[inline]
pub fn split_query(text: &str) -> (&str, Option<&str>) {
    position(text.as_bytes(), b'?').map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// The service's name, if there is one, and the path: a colon counts before the first slash only.
#[inline(always)]
pub fn split_service(head: &str) -> (Option<&str>, &str) {
    let bytes = head.as_bytes();
    match position_of_either(bytes, [b':', b'/']) {
        Some(at) if bytes[at] == b':' => (Some(&head[..at]), &head[at + 1..]),
        _ => (None, head),
    }
}

/// The position of the first occurrence of a byte.
#[inline]
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    first_match(bytes, |word| zero_bytes(word ^ (ONES * u64::from(byte))))
}

/// The position of the first occurrence of either byte.
#[inline]
fn position_of_either(bytes: &[u8], [first, second]: [u8; 2]) -> Option<usize> {
    first_match(bytes, |word| {
        zero_bytes(word ^ (ONES * u64::from(first))) | zero_bytes(word ^ (ONES * u64::from(second)))
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The top bits of a word's bytes that are zero. Above the first of them others may be set too.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Where `hits` first sets a byte's top bit, eight bytes at a time: shorter than a call for texts
/// of this length.
#[inline]
fn first_match(bytes: &[u8], hits: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let place = |at: usize, word: u64| {
        Some(hits(word))
            .filter(|hits| *hits != 0)
            .map(|hits| at + hits.trailing_zeros() as usize / 8)
    };
    let found = words
        .iter()
        .enumerate()
        .find_map(|(index, word)| place(index * 8, u64::from_le_bytes(*word)));
    if found.is_some() || rest.is_empty() {
        return found;
    }
    match bytes.last_chunk::<8>() {
        // The bytes that overlap the last full word did not match there.
        Some(last) => place(bytes.len() - 8, u64::from_le_bytes(*last)),
        None => rest
            .iter()
            .position(|byte| hits(u64::from(*byte)) & 0x80 != 0),
    }
}

/// Whether every reader of URLs would leave the text as it is: plain characters, and no segment
/// that begins with a dot. Anything else takes the slow way, through the `url` crate.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    let flags = text
        .iter()
        .fold(0, |flags, byte| flags | BYTE_FLAGS[*byte as usize]);
    flags == 0 || flags == DOT && !text.windows(2).any(|pair| pair == b"/.")
}

/// Flags of bytes that are not plain, and of dots.
const NOT_PLAIN: u8 = 1;
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

/// What the `url` crate leaves in a URL's path as it is, so that a path alone may hold it too. No
/// quick way takes it.
const PATH_ONLY: &[u8] = b"%'|[]^";

/// The bytes that every reader of URLs leaves as they are.
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

/// The value of `name` in a query, percent-decoded once.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if it stands there twice, or decodes to control characters or to
/// no UTF-8.
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
        return Err(invalid("names its secret twice: leave one out"));
    }
    let value = percent_decode(value)
        .ok_or_else(|| invalid("has a secret that is not UTF-8 once decoded: copy it again"))?;
    if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(invalid(
            "has a secret with a control character: copy it again",
        ));
    }
    Ok(Some(value))
}

/// The text with every `%XX` turned into its byte; none if that is not UTF-8. A `%` that begins
/// nothing stays.
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
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
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
