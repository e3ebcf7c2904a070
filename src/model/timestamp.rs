//! Reads dates in the forms that servers write them.

use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

/// Returns the time of a date in seconds since 1970. `None` if the text is not a date that
/// `parse_iso` or [`parse_http`] reads.
pub fn parse(text: &str) -> Option<i64> {
    parse_iso(text).or_else(|| parse_http(text))
}

/// Parses the date of an HTTP header: the form that servers send, with `GMT` or a number as the
/// time zone, and the two older forms that RFC 9110 requires a client to read.
pub fn parse_http(text: &str) -> Option<i64> {
    let text = text.trim();
    let current = OffsetDateTime::parse(text, &Rfc2822)
        .ok()
        .map(OffsetDateTime::unix_timestamp);
    current.or_else(|| {
        let since_1970 = httpdate::parse_http_date(text)
            .ok()?
            .duration_since(std::time::UNIX_EPOCH);
        i64::try_from(since_1970.ok()?.as_secs()).ok()
    })
}

/// Parses an ISO 8601 date: RFC 3339, and what servers write in its place. There may be a space for
/// the `T`, a space before the time zone, a time zone without colon or named `UTC`, any number of
/// decimals, or no time of day. A date without time zone is in UTC.
fn parse_iso(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_uppercase();
    let text = text
        .strip_suffix("UTC")
        .or_else(|| text.strip_suffix("GMT"))
        .unwrap_or(&text)
        .trim_end();
    let text = text.replacen(' ', "T", 1).replace(' ', "");
    let with_zone = OffsetDateTime::parse(&text, &Iso8601::PARSING).ok();
    let in_utc = || {
        let with_time = PrimitiveDateTime::parse(&text, &Iso8601::PARSING).ok();
        let date = || Date::parse(&text, &Iso8601::PARSING).ok();
        let at = with_time.or_else(|| Some(PrimitiveDateTime::new(date()?, Time::MIDNIGHT)))?;
        Some(at.assume_utc())
    };
    Some(with_zone.or_else(in_utc)?.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_in_every_form() {
        for text in [
            "2027-01-15T08:00:00Z",
            "2027-01-15t08:00:00z",
            "2027-01-15T08:00:00.5Z",
            "2027-01-15T08:00:00.1234567Z",
            "2027-01-15T08:00:00.123456789Z",
            "2027-01-15T09:00:00+01:00",
            "2027-01-15T09:00:00+0100",
            "2027-01-15T03:00:00-05",
            "2027-01-15T08:00:00+00:00",
            "2027-01-15T08:00:00",
            "2027-01-15T08:00:00.1234567",
            "2027-01-15 08:00:00",
            "2027-01-15 08:00:00Z",
            "2027-01-15 08:00:00 UTC",
            "2027-01-15 08:00:00 +0000",
            "2027-01-15 08:00:00.123456789 +0000 UTC",
            "2027-01-15T08:00Z",
            "20270115T080000Z",
            " 2027-01-15T08:00:00Z\n",
            "Fri, 15 Jan 2027 08:00:00 GMT",
            "Fri, 15 Jan 2027 08:00:00 UT",
            "Fri, 15 Jan 2027 09:00:00 +0100",
            "15 Jan 2027 08:00:00 GMT",
            "Friday, 15-Jan-27 08:00:00 GMT",
            "Fri Jan 15 08:00:00 2027",
        ] {
            assert_eq!(parse(text), Some(1_800_000_000), "{text:?}");
        }
        assert_eq!(parse("2027-01-15"), Some(1_799_971_200));
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(-62_135_596_800));
        for none in [
            "",
            "soon",
            "UTC",
            "08:00:00",
            "2027",
            "2027-13-01T00:00:00Z",
            "2027-01-15T25:00:00Z",
            "15/01/2027",
            "Fri, 15 Jan 2027",
            "1800000000",
        ] {
            assert_eq!(parse(none), None, "{none:?}");
        }
    }
}
