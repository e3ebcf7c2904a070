//! Encodes a failure without any text of the service: the kind of the error, its HTTP status, the
//! times and the step. The error message is keyferry's own.

use crate::error::{Error, ErrorKind};
use crate::ports::store::FailureRecord;

/// The first byte of an entry. Entries of another version are ignored.
const VERSION: u8 = 1;
const LEN: usize = 24;

/// The kinds of errors that are recorded: the kind, its number in an entry, what happened, and the
/// remedy.
const KINDS: [(ErrorKind, u8, &str, &str); 7] = [
    (
        ErrorKind::BadCredentials,
        1,
        "the service rejected these credentials",
        "correct them, or retry later",
    ),
    (
        ErrorKind::Unavailable,
        2,
        "the service was unavailable",
        "retry later",
    ),
    (
        ErrorKind::NoResponse,
        3,
        "the service did not respond",
        "retry later",
    ),
    (
        ErrorKind::BadResponse,
        4,
        "the service sent a response that keyferry cannot use",
        "retry later",
    ),
    (
        ErrorKind::Redirected,
        5,
        "the service redirected the request",
        "correct the base URL of the service",
    ),
    (
        ErrorKind::Throttled,
        6,
        "the service throttled the requests",
        "retry later",
    ),
    (
        ErrorKind::SecretSource,
        7,
        "the source of a secret failed",
        "correct the setting of the secret",
    ),
];

/// Encodes a failure. `None` if its kind is not recorded.
pub(super) fn encode(failure: &FailureRecord) -> Option<Vec<u8>> {
    let error = &failure.error;
    let number = KINDS.iter().find(|(kind, ..)| *kind == error.kind)?.1;
    let mut bytes = Vec::with_capacity(LEN);
    bytes.extend([VERSION, number]);
    bytes.extend(error.http_status.unwrap_or(0).to_le_bytes());
    bytes.extend(failure.step.to_le_bytes());
    bytes.extend(failure.since_us.to_le_bytes());
    bytes.extend(failure.until_us.to_le_bytes());
    Some(bytes)
}

/// Decodes a failure. `None` if the bytes are not a valid entry.
pub(super) fn decode(bytes: &[u8]) -> Option<FailureRecord> {
    let bytes: &[u8; LEN] = bytes.try_into().ok()?;
    let [version, number, status_low, status_high, ..] = *bytes;
    if version != VERSION {
        return None;
    }
    let kind = KINDS.iter().find(|(_, known, ..)| *known == number)?;
    let status = u16::from_le_bytes([status_low, status_high]);
    Some(FailureRecord {
        step: u32::from_le_bytes(*bytes[4..].first_chunk()?),
        since_us: i64::from_le_bytes(*bytes[8..].first_chunk()?),
        until_us: i64::from_le_bytes(*bytes[16..].first_chunk()?),
        error: error(kind, (status != 0).then_some(status)),
    })
}

fn error((kind, _, what, remedy): &(ErrorKind, u8, &str, &str), status: Option<u16>) -> Error {
    let status_text = status.map_or_else(String::new, |status| format!(" (status {status})"));
    let mut error = Error::new(*kind, format!("{what} earlier{status_text}; {remedy}"));
    error.http_status = status;
    error
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_numbers_and_loses_the_text_of_the_service() {
        for (kind, ..) in KINDS {
            for status in [None, Some(401)] {
                let mut error = Error::new(kind, "text of the service")
                    .with_service_code(Some(7))
                    .with_retry_after_ms(Some(8));
                error.http_status = status;
                let failure = FailureRecord {
                    since_us: -1,
                    until_us: i64::MAX,
                    step: 3,
                    error,
                };
                let bytes = encode(&failure).unwrap();
                assert_eq!(bytes.len(), LEN);
                let found = decode(&bytes).unwrap();
                assert_eq!(
                    (found.since_us, found.until_us, found.step),
                    (-1, i64::MAX, 3)
                );
                assert_eq!((found.error.kind, found.error.http_status), (kind, status));
                let message = found.error.message();
                assert!(!message.contains("text of the service"), "{message}");
                assert_eq!(message.contains("401"), status.is_some(), "{message}");
            }
        }
    }

    #[test]
    fn other_bytes_are_no_entry() {
        let failure = FailureRecord {
            since_us: 1,
            until_us: 2,
            step: 0,
            error: Error::new(ErrorKind::Throttled, ""),
        };
        let bytes = encode(&failure).unwrap();
        let changed = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] = 99;
            bytes
        };
        for other in [&bytes[1..], &changed(0), &changed(1), b""] {
            assert!(decode(other).is_none());
        }
        let other_kind = FailureRecord {
            error: Error::new(ErrorKind::Unreachable, ""),
            ..failure
        };
        assert!(encode(&other_kind).is_none());
    }
}
