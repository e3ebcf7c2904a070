//! The `Range` header of a download.

/// The bytes of an object that a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// The whole object. The server ignores a header that is malformed or has several ranges, as
    /// RFC 9110 allows.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// The range begins behind the end of the object.
    Unsatisfiable,
}

/// Parses the value of a `Range` header for an object of `size` bytes.
pub(crate) fn parse(header: Option<&str>, size: u64) -> ByteRange {
    let bounds = header
        .and_then(|value| value.trim().strip_prefix("bytes="))
        .and_then(|ranges| ranges.split_once('-'));
    let Some((first, last)) = bounds else {
        return ByteRange::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= size && (last.is_empty() || number(last) >= Some(first)) => {
            ByteRange::Unsatisfiable
        }
        (Some(first), None) if last.is_empty() => ByteRange::Part {
            first,
            last: size - 1,
        },
        (Some(first), Some(last)) if first <= last => ByteRange::Part {
            first,
            last: last.min(size - 1),
        },
        (None, Some(suffix)) if first.is_empty() => match suffix.min(size) {
            0 => ByteRange::Unsatisfiable,
            length => ByteRange::Part {
                first: size - length,
                last: size - 1,
            },
        },
        _ => ByteRange::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |first, last| ByteRange::Part { first, last };
        for (header, expected) in [
            ("bytes=0-3", part(0, 3)),
            ("bytes=4-", part(4, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=9-99", part(9, 9)),
            ("bytes=0-99999999999999999999999", part(0, 9)),
            ("bytes=10-", ByteRange::Unsatisfiable),
            ("bytes=10-12", ByteRange::Unsatisfiable),
            ("bytes=99999999999999999999999-", ByteRange::Unsatisfiable),
            ("bytes=-0", ByteRange::Unsatisfiable),
            ("bytes=3-2", ByteRange::Whole),
            ("bytes=12-10", ByteRange::Whole),
            ("bytes=0-1,3-4", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
            ("bytes=a-b", ByteRange::Whole),
            ("bytes=+1-2", ByteRange::Whole),
            ("items=0-1", ByteRange::Whole),
            ("", ByteRange::Whole),
        ] {
            assert_eq!(parse(Some(header), 10), expected, "{header}");
        }
        assert_eq!(parse(None, 10), ByteRange::Whole);
        for header in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(parse(Some(header), 0), ByteRange::Unsatisfiable, "{header}");
        }
    }
}
