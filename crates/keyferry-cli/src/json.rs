//! The JSON documents that `--json` prints. docs/json.md describes their fields.
//!
//! Commands write a document with [`Streams::write_json`](crate::streams::Streams::write_json), or
//! with [`ListDocument`](crate::list_document::ListDocument) if it has a long list. The functions of
//! [`Streams`](crate::streams::Streams) that report a failure also write the document of the error.

use std::ffi::OsStr;

use serde_json::{Value, json};

use keyferry::error::{Error, ErrorKind};
use keyferry::ffi::status;
use keyferry::text::{is_unprintable, replace_unprintable};

/// The format of all documents. It stays the same as long as fields are only added.
const FORMAT: u32 = 1;

/// The commands whose output follows a protocol.
const PROTOCOLS: [&str; 3] = ["get", "git", "exec"];

/// The document that a command owes to its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonOutput {
    /// The command line doesn't ask for JSON.
    #[default]
    Off,
    /// The command has not written the document yet.
    Pending,
    /// The command has written the document. There is only one, so that `jq` and other programs can
    /// read the whole output at once.
    Written,
}

impl JsonOutput {
    /// Returns [`JsonOutput::Pending`] if the arguments after the program's name ask for JSON.
    ///
    /// `get`, `git` and `exec` have protocols of their own. Arguments after `--` belong to another
    /// program.
    pub fn of(arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut own = arguments
            .take_while(|argument| argument.as_ref() != "--")
            .peekable();
        let has_protocol = own
            .peek()
            .is_some_and(|command| PROTOCOLS.iter().any(|name| command.as_ref() == *name));
        if !has_protocol && own.any(|argument| argument.as_ref() == "--json") {
            Self::Pending
        } else {
            Self::Off
        }
    }
}

/// Returns the text of a document on one line. `fields` is an object. `format` comes first, and the
/// other fields follow in alphabetical order.
///
/// Characters that a terminal could interpret are escaped, so the values stay exact.
pub fn document(fields: &Value) -> String {
    let text = fields.to_string();
    let rest = text.strip_prefix('{').unwrap_or(&text);
    let separator = if rest == "}" { "" } else { "," };
    let mut document = format!("{{\"format\":{FORMAT}{separator}");
    push_escaped(&mut document, rest);
    document
}

/// Appends JSON. Escapes the characters that a terminal could interpret.
pub fn push_escaped(document: &mut String, json: &str) {
    for character in json.chars() {
        if is_unprintable(character) {
            // JSON allows such a character only inside a string. All of them are in the first
            // 65,536 characters of Unicode, which have an escape of four digits.
            *document += &format!("\\u{:04x}", u32::from(character));
        } else {
            document.push(character);
        }
    }
}

/// Returns the value of the field `error`.
pub fn error(error: &Error) -> Value {
    json!({
        "status": status::from_kind(error.kind), "name": status_name(error.kind),
        "message": replace_unprintable(error.message(), '?'), "service": error.service(),
        "http_status": error.http_status, "service_code": error.service_code, "retry_after_s": error.retry_after_s(),
    })
}

/// Returns the name of a status code in keyferry.h: `KEYFERRY_E_NOT_FOUND` for
/// [`ErrorKind::NotFound`].
fn status_name(kind: ErrorKind) -> String {
    let mut name = String::from("KEYFERRY_E");
    for character in format!("{kind:?}").chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_comes_first_and_values_stay_exact() {
        assert_eq!(document(&json!({})), r#"{"format":1}"#);
        let evil = "a\u{1b}[2J\u{9b}\u{202e}\u{2028}\u{7f}é\"";
        let text = document(&json!({ "z": 1, "error": evil }));
        assert_eq!(
            text,
            r#"{"format":1,"error":"a\u001b[2J\u009b\u202e\u2028\u007fé\"","z":1}"#
        );
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read["error"], evil);
    }

    #[test]
    fn every_status_has_its_name_in_the_header() {
        let header = include_str!("../../../include/keyferry.h");
        for (number, kind, _) in status::TABLE {
            let Some(kind) = kind else { continue };
            let line = format!("#define {} {number}\n", status_name(*kind));
            assert!(header.contains(&line), "{line}");
        }
    }
}
