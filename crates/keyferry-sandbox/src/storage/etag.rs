//! ETags of parts and objects.
//!
//! S3 uses MD5 for parts. This storage uses the first half of the SHA-256, which has the same
//! length. A client must not compute ETags itself, because S3 doesn't promise MD5 either.

use ring::digest;

/// Returns the ETag of a part, without quotes: 32 hexadecimal digits.
pub(crate) fn of_part(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns the ETag of an object with these parts, without quotes. As in S3, it ends with the
/// number of parts.
pub(crate) fn of_object<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = parts.len();
    let all: Vec<&str> = parts.collect();
    format!("{}-{count}", of_part(all.concat().as_bytes()))
}

/// Returns an ETag without its quotes.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
}
