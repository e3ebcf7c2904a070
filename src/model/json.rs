//! Parses JSON from outside: documents, with a limit on the memory that they take, and the numbers
//! and times in them.
//!
//! No error quotes the document, which may contain secrets.

use serde_json::Value;

use super::timestamp;
use crate::clock::LATEST_UNIX_S;

/// The maximum memory that a document may take when it is parsed, as [`Outline::of`] estimates it.
///
/// Rationale: a document of 1 MiB such as `[{"a":[1]},…` would take 9 MiB.
const MAX_MEMORY_BYTES: usize = 2 * 1024 * 1024;

/// The reason why a document is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// There is no document.
    Empty,
    /// The document ends too early.
    Truncated,
    /// The text is not JSON, or is nested too deeply.
    NotJson,
    /// The document has too many values.
    TooManyValues,
    /// An object has two fields of one name.
    DuplicateName,
}

/// Parses a document.
///
/// Rationale: if an object has two fields of one name, the parser silently keeps the last. The
/// sender may mean the other one, so such a document is rejected.
///
/// # Errors
/// Returns the reason why the document is rejected.
pub fn parse(text: &str) -> Result<Value, JsonFault> {
    let outline = Outline::of(text);
    if outline.memory_bytes > MAX_MEMORY_BYTES {
        return Err(JsonFault::TooManyValues);
    }
    let document = serde_json::from_str(text).map_err(|error| {
        if text.is_empty() {
            JsonFault::Empty
        } else if error.is_eof() {
            JsonFault::Truncated
        } else {
            JsonFault::NotJson
        }
    })?;
    if count_fields(&document) == outline.fields {
        Ok(document)
    } else {
        Err(JsonFault::DuplicateName)
    }
}

/// The properties of a document that are known without parsing it.
struct Outline {
    /// The number of fields of all objects, if the document is valid.
    fields: usize,
    /// The memory that the parsed document takes, as an estimate.
    memory_bytes: usize,
}

impl Outline {
    /// Counts the characters outside strings that begin or separate values. The estimate assumes
    /// the layout of `serde_json` on a 64-bit machine: an object with few fields takes a node of
    /// 632 bytes, a field of a large object takes a sixth of a node and a block for its name, and an
    /// element of a list takes 32 bytes and as much again while the list grows.
    fn of(text: &str) -> Self {
        let (mut outline, mut in_string, mut escaped) = (
            Self {
                fields: 0,
                memory_bytes: 0,
            },
            false,
            false,
        );
        for byte in text.bytes() {
            outline.memory_bytes += match byte {
                b'{' if !in_string => 640,
                b':' | b'[' if !in_string => 160,
                b',' if !in_string => 64,
                _ => 1,
            };
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b':' if !in_string => outline.fields += 1,
                _ => {}
            }
        }
        outline
    }
}

/// Returns the number of fields of all objects in a document.
fn count_fields(document: &Value) -> usize {
    match document {
        Value::Array(list) => list.iter().map(count_fields).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(count_fields).sum::<usize>(),
        _ => 0,
    }
}

/// Returns a number without its fraction. It may be an integer, a float, or a string that contains
/// one of them. `None` if it is anything else, or too large.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| without_fraction(number.as_f64()?)),
        Value::String(text) => parse_number(text),
        _ => None,
    }
}

/// Parses a number without its fraction.
fn parse_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let float = || without_fraction(text.parse().ok()?);
    is_number
        .then(|| text.parse().ok().or_else(float))
        .flatten()
}

fn without_fraction(number: f64) -> Option<i64> {
    // The first float beyond the range of an i64 is 2^63.
    (number.abs() < i64::MAX as f64).then_some(number as i64)
}

/// Reads a time in seconds since 1970: a number of seconds, milliseconds, microseconds or
/// nanoseconds since 1970, or a date that [`timestamp::parse`] reads. `None` if it is anything else
/// or before 1970: services write the year 1 for "never".
pub fn unix_seconds(value: &Value) -> Option<i64> {
    let seconds = match (value, integer(value)) {
        (_, Some(number)) => to_seconds(number)?,
        (Value::String(text), None) => match dotnet_date(text) {
            Some(milliseconds) => milliseconds / 1000,
            None => timestamp::parse(text)?,
        },
        _ => return None,
    };
    (1..=LATEST_UNIX_S).contains(&seconds).then_some(seconds)
}

/// Converts a number of seconds or of a smaller unit since 1970 into seconds. A number of seconds
/// that is after the year 9999 is a number of milliseconds, and so on.
fn to_seconds(number: i64) -> Option<i64> {
    let units = [1, 1_000, 1_000_000, 1_000_000_000];
    units
        .iter()
        .map(|unit| number / unit)
        .find(|seconds| *seconds <= LATEST_UNIX_S)
}

/// Returns the milliseconds of a date that older .NET services send: `/Date(1800000000000)/` or
/// `/Date(1800000000000+0100)/`. The offset does not change the time.
fn dotnet_date(text: &str) -> Option<i64> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inner.find(['+', '-']).unwrap_or(inner.len());
    inner[..end].parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_has_one_name_twice_is_an_error_in_any_depth() {
        for text in [
            r#"{"token":"a","token":"b"}"#,
            r#"{"token":"a","\u0074oken":"b"}"#,
            r#"{"token":null,"token":"b"}"#,
            r#"[{"a":[{"x":{"id":1},"ID":{},"n":{"id":2,"id":2}}]}]"#,
            r#"{"user":{"settings":{"Lang":1,"lang":2,"lang":3}}}"#,
            r#"{"a\"":1,"a\"":1}"#,
            r#"{"":1,"":1}"#,
        ] {
            assert_eq!(parse(text), Err(JsonFault::DuplicateName), "{text}");
        }
        for text in [
            r#"{"a":"{\"x\":1,\"x\":1}","b":":","c:":{"a":":::\\"}}"#,
            r#"[{"id":1},{"id":1}]"#,
            "{}",
            "[]",
            "\":\"",
            "1",
        ] {
            parse(text).unwrap();
        }
    }

    #[test]
    fn a_hostile_document_is_an_error_and_a_large_one_is_not() {
        let objects = |count| format!("[{}{{}}]", r#"{"a":1},"#.repeat(count));
        for (text, fault) in [
            (String::new(), JsonFault::Empty),
            ("<html>".into(), JsonFault::NotJson),
            ("{\"a\":".into(), JsonFault::Truncated),
            ("[".repeat(1000), JsonFault::NotJson),
            ("[".repeat(100_000), JsonFault::TooManyValues),
            (
                format!("[{}0]", "0,".repeat(200_000)),
                JsonFault::TooManyValues,
            ),
            (objects(10_000), JsonFault::TooManyValues),
        ] {
            assert_eq!(parse(&text), Err(fault), "{}", &text[..text.len().min(40)]);
        }
        let package = r#"{"id":"01J0SANDB0XPACKAGE00000001","name":"a, b: {c}","state":"new","tags":["a"],"sender":{"name":"x"},"created_at":"2026-01-01T00:00:00Z","n1":1,"n2":2,"n3":3,"n4":4,"n5":5,"n6":6,"n7":7,"n8":8,"n9":9}"#;
        for text in [
            format!("[{}]", vec![package; 400].join(",")),
            format!("\"{}\"", "x, y: {z} ".repeat(100_000)),
            objects(2_000),
        ] {
            parse(&text).unwrap();
        }
    }

    #[test]
    fn a_number_is_read_in_every_form() {
        for (value, expected) in [
            (json!(17), Some(17)),
            (json!(-17), Some(-17)),
            (json!(17.0), Some(17)),
            (json!(17.9), Some(17)),
            (json!("17"), Some(17)),
            (json!(" 17.5 "), Some(17)),
            (json!("-17"), Some(-17)),
            (json!("1.7e1"), Some(17)),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!("1e300"), None),
            (json!("inf"), None),
            (json!("-inf"), None),
            (json!("-nan"), None),
            (json!("17 apples"), None),
            (json!("+17"), None),
            (json!("0x11"), None),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!([17]), None),
        ] {
            assert_eq!(integer(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_time_is_read_in_every_form() {
        for at in [
            json!(1_800_000_000),
            json!(1_800_000_000.75),
            json!(1_800_000_000_750_i64),
            json!(1_800_000_000_750.5),
            json!(1_800_000_000_750_000_i64),
            json!(1_800_000_000_750_000_000_i64),
            json!("1800000000"),
            json!("1800000000.75"),
            json!("1.8e9"),
            json!("1800000000750"),
            json!("/Date(1800000000750)/"),
            json!("/Date(1800000000750-0500)/"),
            json!("2027-01-15T08:00:00Z"),
            json!("Fri, 15 Jan 2027 08:00:00 GMT"),
        ] {
            assert_eq!(unix_seconds(&at), Some(1_800_000_000), "{at}");
        }
        for none in [
            json!("0001-01-01T00:00:00.000Z"),
            json!("/Date(-62135596800000)/"),
            json!("/Date()/"),
            json!("soon"),
            json!(""),
            json!(0),
            json!(-1),
            json!("-1"),
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(1e300),
        ] {
            assert_eq!(unix_seconds(&none), None, "{none}");
        }
    }
}
