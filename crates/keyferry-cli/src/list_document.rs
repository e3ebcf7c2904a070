//! A JSON document with a long list, which is written while the list is read.

use std::io;
use std::ops::ControlFlow;

use serde_json::Value;

use crate::json::{JsonOutput, document, push_escaped};
use crate::streams::Streams;

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::terminal::{Output, TerminalCaps};

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
}
