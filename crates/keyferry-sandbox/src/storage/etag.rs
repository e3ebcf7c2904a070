//! ETags of parts and objects, as in S3.

/// Returns the ETag of a part, without quotes: its MD5 in hexadecimal digits.
pub(crate) fn of_part(bytes: &[u8]) -> String {
    format!("{:x}", md5::compute(bytes))
}

/// Returns the ETag of an object with these parts, without quotes: the MD5 of their MD5s, and the
/// number of parts.
pub(crate) fn of_object<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = parts.len();
    let digits: String = parts.collect();
    let digests: Vec<u8> = (0..digits.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect();
    format!("{}-{count}", of_part(&digests))
}

/// Returns an ETag without its quotes.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_those_of_s3() {
        let parts = [of_part(b"hello"), of_part(b" world")];
        assert_eq!(parts[0], "5d41402abc4b2a76b9719d911017c592");
        let object = of_object(parts.iter().map(String::as_str));
        assert_eq!(object, "a56979024342128ecebc884e3442121b-2");
    }
}
