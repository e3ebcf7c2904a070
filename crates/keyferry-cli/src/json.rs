//! The JSON documents that `--json` prints. docs/json.md describes their fields.
//!
//! Commands write a document with [`Streams::write_json`], or with [`ListDocument`] if it has a long
//! list. The functions of [`Streams`] that report a failure also write the document of the error.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::streams::Streams;
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
fn push_escaped(document: &mut String, json: &str) {
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

/// A document whose last field is a list. The elements are written in blocks, so that a long list
/// takes little memory.
pub struct ListDocument<'a, 'b> {
    streams: &'a mut Streams<'b>,
    /// The part of the document that is not written yet.
    text: String,
    has_elements: bool,
    outcome: io::Result<()>,
}

impl<'a, 'b> ListDocument<'a, 'b> {
    /// The size of a block in bytes.
    const BLOCK: usize = 64 * 1024;

    /// Begins a document. `fields` is an object, and its last field in alphabetical order is an
    /// empty array. Writes nothing yet, so the caller can still report an error instead.
    pub fn new(streams: &'a mut Streams<'b>, fields: &Value) -> Self {
        let mut text = document(fields);
        debug_assert!(text.ends_with("[]}"));
        text.truncate(text.len() - "]}".len());
        Self {
            streams,
            text,
            has_elements: false,
            outcome: Ok(()),
        }
    }

    /// Appends an element to the list. Breaks if the stream can't be written.
    pub fn push(&mut self, element: &Value) -> ControlFlow<()> {
        if self.has_elements {
            self.text.push(',');
        }
        self.has_elements = true;
        push_escaped(&mut self.text, &element.to_string());
        if self.text.len() >= Self::BLOCK {
            self.outcome = self.write();
        }
        match self.outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.streams.json = JsonOutput::Written;
        let written = self.streams.stdout.write_text(&self.text);
        self.text.clear();
        written
    }

    /// Writes the rest of the document. Returns the exit code of the command.
    pub fn finish(mut self) -> u8 {
        if self.outcome.is_ok() {
            self.text += "]}\n";
            self.outcome = self.write();
        }
        self.streams.finish_write(self.outcome)
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
    use crate::terminal::{Output, TerminalCaps};

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
    fn a_long_list_is_written_in_blocks_and_is_the_same_document() {
        /// The lengths of the writes to a stream that accepts a number of them.
        struct Blocks(String, Vec<usize>, usize);
        impl io::Write for Blocks {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.1.len() == self.2 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.1.push(bytes.len());
                self.0 += &String::from_utf8_lossy(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let element = json!({ "id": "\u{9b}", "text": "x".repeat(1000) });
        let write = |count: usize, accepted: usize| {
            let mut stdout = Blocks(String::new(), Vec::new(), accepted);
            let mut nowhere = io::sink();
            let mut streams = Streams {
                stdin: &mut io::empty(),
                stdout: Output::new(&mut stdout, TerminalCaps::PLAIN),
                stderr: Output::new(&mut nowhere, TerminalCaps::PLAIN),
                detach_stdout: || Ok(()),
                json: JsonOutput::Pending,
            };
            let mut list = ListDocument::new(&mut streams, &json!({ "all": true, "list": [] }));
            let pushed = (0..count).take_while(|_| list.push(&element).is_continue());
            let pushed = pushed.count();
            assert_eq!(list.finish(), 0);
            (stdout, pushed)
        };
        for count in [0, 1, 2, 1000] {
            let (stdout, pushed) = write(count, usize::MAX);
            let list = vec![element.clone(); count];
            let whole = document(&json!({ "all": true, "list": list })) + "\n";
            assert!(stdout.0 == whole && pushed == count, "{count}");
            assert!(stdout.1.iter().all(|len| *len < 70_000), "{:?}", stdout.1);
        }
        let (_, pushed) = write(1000, 2);
        assert!(pushed < 200, "a closed pipe ends the list: {pushed}");
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
