//! Parses the responses of services. All services use it.
//!
//! The parser is tolerant: field names match in any case, an ID may be a string or a number, and a
//! list may be the document itself or a field of it.
//!
//! An error quotes a service's own message only if that message contains no secret of the request
//! and no URL. Otherwise the whole message is left out.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::model::json::{self, JsonFault};
use crate::model::token::Expiry;
use crate::ports::http::Response;
use crate::secret::{MAX_VALUE_BYTES, Secret};
use crate::services::jwt;
use crate::text;

/// The maximum length of an ID.
const MAX_ID_BYTES: usize = 256;
/// The maximum length of a string in a token's details.
const MAX_DETAIL_BYTES: usize = 1024;
/// The maximum length of a service's message in an error. Longer messages are truncated.
const MAX_MESSAGE_CHARS: usize = 200;
/// The minimum number of consecutive bytes of a secret that count as a leak of the secret.
const MIN_ECHO_BYTES: usize = 6;

/// Returns whether the status is a success (2xx).
pub fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

/// Parses the JSON document of a response. `service` is the service's name for error messages.
///
/// # Errors
/// [`ErrorKind::BadResponse`] if the body is not JSON, is nested too deeply, has too many values,
/// or contains an object with a duplicate name.
pub fn parse(service: &str, response: &Response) -> Result<Value> {
    #[expect(clippy::disallowed_methods, reason = "the JSON parser reads the body")]
    let document = json::parse(response.body.expose());
    document.map_err(|fault| {
        let what = match fault {
            JsonFault::Empty => "an empty response",
            JsonFault::Truncated => "a truncated response",
            JsonFault::NotJson => "a response that is not JSON (perhaps a proxy's page)",
            JsonFault::TooManyValues => "a response with too many values",
            JsonFault::DuplicateName => "a JSON object with a duplicate name",
        };
        let message = format!(
            "{service} sent {what} with status {}; check its URL, or retry",
            response.status
        );
        Error::new(ErrorKind::BadResponse, message).with_http_status(response.status)
    })
}

/// Returns a field of an object. The case of its name does not matter. `None` if two names match,
/// because the right one is unknown.
pub fn field<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let mut matching = fields_ignoring_case(document, name);
    let first = matching.next()?;
    matching.next().is_none().then_some(first)
}

/// Removes a field from an object and returns its value, without copying it. Returns null where
/// [`field`] returns `None`.
pub fn take(document: &mut Value, name: &str) -> Value {
    if field(document, name).is_none() {
        return Value::Null;
    }
    let mut fields = document.as_object_mut().into_iter().flatten();
    fields
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.take())
        .unwrap_or_default()
}

fn fields_ignoring_case<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let fields = document.as_object().into_iter().flatten();
    fields
        .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Returns whether an object has field names that differ only in case. Nested objects are not
/// checked: their names may come from a user.
fn has_ambiguous_names(document: &Value) -> bool {
    let mut seen = HashSet::new();
    document
        .as_object()
        .into_iter()
        .flatten()
        .any(|(name, _)| !seen.insert(name.to_ascii_lowercase()))
}

/// Returns a string field.
pub fn text<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    field(document, name)?.as_str()
}

/// Returns a string field for the details of a token. `None` if it is longer than 1,024 bytes.
pub fn detail<'a>(document: &'a Value, name: &str) -> Option<&'a str> {
    text(document, name).filter(|text| text.len() <= MAX_DETAIL_BYTES)
}

/// Returns a field that contains an ID: a string or a number that can be used as a path segment
/// without encoding.
pub fn id(document: &Value, name: &str) -> Option<String> {
    let value = field(document, name)?;
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => json::integer(value)?.to_string(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_valid = !id.is_empty()
        && id.len() <= MAX_ID_BYTES
        && id != "."
        && id != ".."
        && text::is_visible_ascii(&id)
        && !id.contains([
            '/', '\\', '?', '#', '%', '"', '<', '>', '{', '}', '|', '^', '`',
        ]);
    is_valid.then_some(id)
}

/// Returns a list: the document itself, its field with one of these names, or its only list.
pub fn list<'a>(document: &'a Value, names: &[&str]) -> Option<&'a [Value]> {
    let list = match list_name(document, names)? {
        None => document.as_array(),
        Some(name) => document.get(name)?.as_array(),
    };
    list.map(Vec::as_slice)
}

/// Returns the same list as [`list`], without copying it.
pub fn into_list(mut document: Value, names: &[&str]) -> Option<Vec<Value>> {
    let list = match list_name(&document, names)?.map(str::to_owned) {
        None => document,
        Some(name) => document.get_mut(&name)?.take(),
    };
    match list {
        Value::Array(list) => Some(list),
        _ => None,
    }
}

/// Returns the name of the field that contains the list. `Some(None)` if the document itself is the
/// list.
fn list_name<'a>(document: &'a Value, names: &[&str]) -> Option<Option<&'a str>> {
    if document.is_array() {
        return Some(None);
    }
    let fields = document.as_object()?;
    let mut named = Vec::new();
    for name in names {
        let matching = fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let matching: Vec<_> = matching.collect();
        if matching.len() > 1 {
            return None;
        }
        named.extend(matching);
    }
    // If a field has the right name but is not a list, another list in the document contains
    // something else.
    if let Some((name, _)) = named.iter().find(|(_, value)| !value.is_null()) {
        return Some(Some(name));
    }
    let mut lists = fields.iter().filter(|(_, value)| value.is_array());
    let (only_list, _) = lists.next()?;
    lists.next().is_none().then_some(Some(only_list))
}

/// Returns the token in a field. `route` is for error messages.
///
/// # Errors
/// [`ErrorKind::BadResponse`] if the field is missing, is not a string, is longer than a header, or
/// has characters that a header can't contain; [`ErrorKind::BadResponse`] if two field names of the object differ only in
/// case. Such an object could have two tokens or two expiries.
pub fn token(route: &str, document: &Value, name: &str) -> Result<Secret> {
    let bad_response = |reason: &str| {
        let message =
            format!("the response to {route} has {reason}; check the service's URL and version");
        Err(Error::new(ErrorKind::BadResponse, message))
    };
    if has_ambiguous_names(document) {
        let message = format!(
            "the response to {route} has field names that differ only in case; check the service's URL and version"
        );
        return Err(Error::new(ErrorKind::BadResponse, message));
    }
    match field(document, name) {
        None => bad_response(&format!("no field `{name}`")),
        Some(Value::String(value)) if is_placeholder(value) => {
            bad_response(&format!("no token in the field `{name}`"))
        }
        Some(Value::String(value)) if value.len() > MAX_VALUE_BYTES => bad_response(&format!(
            "a token of {} bytes in the field `{name}`, and a header holds at most {MAX_VALUE_BYTES}",
            value.len()
        )),
        Some(Value::String(value)) => {
            let value = Secret::from(value.as_str());
            if value.check("the token").is_ok() && is_visible_ascii(&value) {
                Ok(value)
            } else {
                bad_response(&format!(
                    "a token with invalid characters in the field `{name}`"
                ))
            }
        }
        Some(_) => bad_response(&format!("a field `{name}` that is not a string")),
    }
}

/// Returns whether a value consists of visible ASCII characters, as every token does. Programs
/// treat other bytes in a header differently.
#[expect(
    clippy::disallowed_methods,
    reason = "looks for characters that no header can carry"
)]
pub fn is_visible_ascii(value: &Secret) -> bool {
    text::is_visible_ascii(value.expose())
}

/// Returns whether a value is a string that programs write for a missing value, such as `null`.
pub fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    [
        "",
        "undefined",
        "null",
        "(null)",
        "none",
        "nil",
        "nan",
        "true",
        "false",
        "[object object]",
    ]
    .iter()
    .any(|placeholder| value.eq_ignore_ascii_case(placeholder))
}

/// Returns when a token expires: its own expiry if it is a JWT, else the first of these fields that
/// is a valid time.
#[expect(clippy::disallowed_methods, reason = "a JWT states its expiry")]
pub fn expiry(token: &Secret, document: &Value, names: &[&str]) -> Expiry {
    let own_expiry = jwt::expiry(token.expose());
    if let Expiry::At(_) = own_expiry {
        return own_expiry;
    }
    names
        .iter()
        .find_map(|name| json::unix_seconds(field(document, name)?))
        .map_or(own_expiry, Expiry::At)
}

/// Creates an error from a response, with its status, the service's error code and the service's
/// message. The service's message is left out if it could reveal a secret. `sent` are the secrets
/// of the request.
pub fn error(
    kind: ErrorKind,
    message: impl Into<String>,
    response: &Response,
    sent: &[&Secret],
) -> Error {
    let document = parse("", response).unwrap_or_default();
    let first_error = field(&document, "errors")
        .and_then(Value::as_array)
        .and_then(|errors| errors.first());
    let code = [Some(&document), first_error]
        .into_iter()
        .flatten()
        .find_map(|part| json::integer(field(part, "code")?));
    let service_message = first_error
        .and_then(|first_error| text(first_error, "msg").or_else(|| text(first_error, "message")))
        .or_else(|| text(&document, "message"));
    let mut message = message.into();
    if let Some(service_message) =
        service_message.and_then(|service_message| sanitize(service_message, sent))
    {
        message = format!("{message} (service message: {service_message})");
    }
    Error::new(kind, message)
        .with_http_status(response.status)
        .with_service_code(code)
}

/// Returns a service's string for use in an error message, truncated and without invisible
/// characters. `None` if it contains a secret of the request or a URL.
pub fn sanitize(text: &str, sent: &[&Secret]) -> Option<String> {
    let text = text::remove_invisible(text, MAX_MESSAGE_CHARS);
    let text = text.trim();
    let lower = text.to_lowercase();
    let quotes_url = lower.contains("://") || lower.contains("secret=");
    if text.is_empty() || quotes_url || sent.iter().any(|secret| contains_secret(&lower, secret)) {
        return None;
    }
    Some(text.to_owned())
}

/// Returns whether a lower-case string contains a secret or a part of it: unchanged,
/// percent-encoded, in hexadecimal digits or in base64.
#[expect(
    clippy::disallowed_methods,
    reason = "looks for the secret in a message of the service"
)]
fn contains_secret(lower: &str, secret: &Secret) -> bool {
    let bytes = secret.expose().as_bytes();
    let encode = |is_literal: &dyn Fn(u8) -> bool, prefix: &str| -> String {
        bytes
            .iter()
            .map(|&byte| {
                if is_literal(byte) {
                    char::from(byte).to_string()
                } else {
                    format!("{prefix}{byte:02x}")
                }
            })
            .collect()
    };
    let percent_encoded = encode(
        &|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
        "%",
    );
    let minimally_encoded = encode(
        &|byte| byte.is_ascii_graphic() && !b"%\"#<>?`{}".contains(&byte),
        "%",
    );
    let base64 = (0..bytes.len().min(3)).flat_map(|skip| {
        [
            STANDARD_NO_PAD.encode(&bytes[skip..]),
            URL_SAFE_NO_PAD.encode(&bytes[skip..]),
        ]
    });
    let text_forms = [
        secret.expose().to_owned(),
        percent_encoded,
        minimally_encoded,
    ]
    .map(|form| (form, MIN_ECHO_BYTES));
    let packed_forms = std::iter::once((encode(&|_| false, ""), 2 * MIN_ECHO_BYTES))
        .chain(base64.map(|form| (form, MIN_ECHO_BYTES * 4 / 3)));
    text_forms
        .into_iter()
        .chain(packed_forms)
        .any(|(form, width)| {
            shares_substring(lower.as_bytes(), &Secret::new(form.to_lowercase()), width)
        })
}

#[expect(
    clippy::disallowed_methods,
    reason = "looks for parts of the secret in a message of the service"
)]
fn shares_substring(text: &[u8], form: &Secret, width: usize) -> bool {
    let form = form.expose().as_bytes();
    let width = form.len().min(width);
    width > 0
        && text
            .windows(width)
            .any(|part| form.windows(width).any(|other| other == part))
}

/// Returns an ID or a name for use in an error message: without invisible characters, at most 64
/// characters.
pub fn printable(text: &str) -> String {
    text::remove_invisible(text, 64)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            date_unix_s: None,
            retry_after: None,
            cookies: Vec::new(),
            body: Secret::from(body),
        }
    }

    #[test]
    fn fields_are_found_in_any_case_and_in_two_cases_not_at_all() {
        let document = json!({"JWTTOKEN": "a", "jwtToken": "b", "Id": 7, "n": null});
        assert_eq!(text(&document, "jwtToken"), None);
        assert_eq!(text(&json!({"JWTTOKEN": "a"}), "jwtToken"), Some("a"));
        assert_eq!(id(&document, "id").as_deref(), Some("7"));
        assert_eq!(id(&json!({"id": 7.0}), "id").as_deref(), Some("7"));
        for two in [
            json!({"records": [], "Records": null}),
            json!({"teams": [1], "TEAMS": [2]}),
            json!({"Records": [], "records": 1}),
        ] {
            assert_eq!(list(&two, &["records", "teams"]), None, "{two}");
        }
        for none in [
            json!(null),
            json!([]),
            json!("id"),
            json!(1),
            json!({"id": null}),
            json!({"id": {}}),
            json!({"id": ""}),
        ] {
            assert_eq!(id(&none, "id"), None, "{none}");
        }
    }

    #[test]
    fn an_id_that_would_change_a_path_is_none() {
        for bad in [
            "../x",
            "a/b",
            "a?b",
            "a#b",
            "..",
            "%2e%2e",
            "a b",
            "a\nb",
            "a\\b",
            &"x".repeat(300),
        ] {
            assert_eq!(id(&json!({"id": bad}), "id"), None, "{bad}");
        }
    }

    #[test]
    fn a_list_stands_bare_or_inside_an_object() {
        let of = |document: Value| list(&document, &["records"]).map(<[Value]>::len);
        assert_eq!(of(json!([1, 2])), Some(2));
        assert_eq!(of(json!({"Records": [1], "other": []})), Some(1));
        assert_eq!(of(json!({"teams": [1, 2, 3], "n": 1})), Some(3));
        for none in [
            json!({"a": [], "b": []}),
            json!({}),
            json!(null),
            json!("x"),
            json!({"records": "x", "metadata": []}),
        ] {
            assert_eq!(of(none), None);
        }
    }

    #[test]
    fn a_token_that_is_too_long_for_a_header_is_said_to_be_too_long() {
        let message = |token_value: String| {
            let error = token("GET /x", &json!({ "t": token_value }), "t").unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadResponse);
            error.message().to_owned()
        };
        assert_eq!(
            message("x".repeat(20_000)),
            "the response to GET /x has a token of 20000 bytes in the field `t`, and a header holds at most 16384; check the service's URL and version"
        );
        assert_eq!(
            message("a b".to_owned()),
            "the response to GET /x has a token with invalid characters in the field `t`; check the service's URL and version"
        );
    }

    #[test]
    fn a_token_is_text_that_a_header_can_carry() {
        assert_eq!(
            token("GET /x", &json!({"T": "abc"}), "t").unwrap().expose(),
            "abc"
        );
        for bad in [
            json!({}),
            json!({"t": null}),
            json!({"t": 1}),
            json!({"t": ["a"]}),
            json!({"t": "a\r\nb"}),
            json!({"t": "undefined"}),
            json!({"t": "a b"}),
            json!({"t": "é"}),
        ] {
            let error = token("GET /x", &bad, "t").unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadResponse, "{bad}");
            assert!(
                error.message().contains("GET /x") && error.message().contains("`t`"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_expiry_is_the_tokens_own_or_the_first_field_that_is_a_time() {
        let jwt =
            |claims: &str| Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)));
        let of = |token: &Secret, document: Value| expiry(token, &document, &["a", "b"]);
        let (opaque, unreadable) = (Secret::from("opaque"), jwt(r#"{"exp":"soon"}"#));
        let own = jwt(r#"{"exp":1800000001}"#);
        let time = json!({"a": "soon", "b": "2027-01-15T08:00:00.000Z"});
        assert_eq!(of(&opaque, time.clone()), Expiry::At(1_800_000_000));
        assert_eq!(of(&unreadable, time.clone()), Expiry::At(1_800_000_000));
        assert_eq!(of(&own, time), Expiry::At(1_800_000_001));
        let no_time = json!({"a": "0001-01-01T00:00:00.000Z", "b": null});
        assert_eq!(of(&opaque, no_time.clone()), Expiry::Never);
        assert_eq!(of(&unreadable, no_time), Expiry::Unreadable);
    }

    #[test]
    fn a_services_words_are_passed_on_without_what_was_sent() {
        let password = Secret::from("Hunter2-long-one");
        let error_of = |body: &str| {
            error(
                ErrorKind::BadCredentials,
                "no",
                &response(401, body),
                &[&password],
            )
        };
        let error = error_of(r#"{"code":17,"errors":[{"code":9,"msg":"bad \u001b[31mlogin"}]}"#);
        assert_eq!(
            (error.message(), error.service_code, error.http_status),
            ("no (service message: bad [31mlogin)", Some(17), Some(401))
        );
        for hidden in [
            r#"{"message":"password hunter2-LONG-one is wrong"}"#,
            r#"{"message":"password Hunter… is wrong"}"#,
            r#"{"message":"password %48unter2%2dlong%2Done is wrong"}"#,
            r#"{"message":"password 48756e746572322d6c6f6e672d6f6e65 is wrong"}"#,
            r#"{"message":"header Basic YTpIdW50ZXIyLWxvbmctb25l is wrong"}"#,
            r#"{"message":"see https://x.example/?a=b"}"#,
            r#"{"message":"GET /links/x?secret=y"}"#,
            r#"{"message":""}"#,
            "<html>",
            "",
            "null",
            "[",
            "{\"message\":[]}",
        ] {
            assert_eq!(error_of(hidden).message(), "no", "{hidden}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(5000));
        assert!(error_of(&long).message().chars().count() < 230);
    }

    #[test]
    fn names_that_differ_by_case_are_an_error_beside_a_token_and_nowhere_else() {
        for body in [
            r#"{"Token":"canary-a","token":"canary-b"}"#,
            r#"{"token":"canary-a","Token":"canary-b"}"#,
            r#"{"token":"canary-a","TOKEN":null}"#,
            r#"{"token":"canary-a","expires_at":1,"Expires_At":2}"#,
        ] {
            let error = token(
                "GET /x",
                &parse("masv", &response(200, body)).unwrap(),
                "token",
            )
            .unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadResponse, "{body}");
            assert!(
                error.message().contains("differ only in case")
                    && !error.message().contains("canary"),
                "{error}"
            );
        }
        let body = r#"{"token":"abc","user":{"id":"u","settings":{"Lang":1,"lang":2},"tags":[{"A":{},"a":{}}]}}"#;
        let document = parse("masv", &response(200, body)).unwrap();
        assert_eq!(token("GET /x", &document, "token").unwrap().expose(), "abc");
        assert_eq!(
            field(&document, "user").unwrap()["settings"],
            json!({"Lang": 1, "lang": 2}),
            "handed on as it came"
        );
    }

    #[test]
    fn a_rejected_document_is_an_error_that_names_the_fault_and_quotes_nothing() {
        let crowded = format!("[{}0]", "0,".repeat(200_000));
        for (body, what) in [
            ("", "empty"),
            ("<canary>", "not JSON"),
            ("{\"canary\":", "truncated"),
            (crowded.as_str(), "too many values"),
            (r#"{"canary":"canary","canary":"b"}"#, "duplicate name"),
        ] {
            let error = parse("masv", &response(200, body)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadResponse);
            assert!(
                error.message().contains(what) && !error.message().contains("canary"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_field_that_is_taken_is_the_one_that_would_be_found() {
        let mut document = json!({"User": {"id": 1}, "teams": [1], "TEAMS": [2]});
        assert_eq!(take(&mut document, "user"), json!({"id": 1}));
        assert_eq!(take(&mut document, "teams"), Value::Null, "two names match");
        assert_eq!(take(&mut document, "gone"), Value::Null);
        assert_eq!(take(&mut json!([]), "user"), Value::Null);
    }
}
