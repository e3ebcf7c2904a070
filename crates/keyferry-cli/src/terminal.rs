//! Writes output to a terminal or pipe. Control characters are replaced before colour is added.
//!
//! Rationale: a server's error message can contain control sequences. These can rewrite text on the
//! terminal or inject input (CVE-2024-52005). Bidirectional controls can make a line look like
//! another.

use std::borrow::Cow;
use std::io::{self, Write};

use keyferry::text::{is_printable_line, replace_unprintable};

/// The capabilities of the terminal or pipe that a stream writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalCaps {
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// Whether it shows colours.
    pub colour: bool,
    /// Whether it shows characters other than ASCII.
    pub unicode: bool,
    /// The number of columns in a line.
    pub width: usize,
}

/// The number of columns if the terminal's width is unknown.
const DEFAULT_WIDTH: usize = 100;

impl TerminalCaps {
    /// Plain text for programs: no colour and no line drawing.
    pub const PLAIN: Self = Self {
        is_terminal: false,
        colour: false,
        unicode: false,
        width: DEFAULT_WIDTH,
    };

    /// Detects the capabilities of a terminal from its width and the environment variables. Returns
    /// `PLAIN` if it is not a terminal.
    pub fn detect(
        is_terminal: bool,
        columns: Option<usize>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        if !is_terminal {
            return Self::PLAIN;
        }
        let non_empty = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = non_empty("LC_ALL")
            .or_else(|| non_empty("LC_CTYPE"))
            .or_else(|| non_empty("LANG"));
        let is_utf8 = |locale: String| {
            locale
                .to_ascii_lowercase()
                .replace('-', "")
                .contains("utf8")
        };
        Self {
            is_terminal: true,
            colour: non_empty("NO_COLOR").is_none()
                && non_empty("TERM").is_some_and(|term| term != "dumb"),
            unicode: locale.is_none_or(is_utf8),
            width: columns.unwrap_or(DEFAULT_WIDTH),
        }
    }

    /// Returns the mark for omitted text.
    pub fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }
}

/// The style of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No style.
    Plain,
    /// Headings.
    Strong,
    /// Secondary text.
    Faint,
    /// Success.
    Good,
    /// Failure.
    Bad,
}

impl Style {
    fn sgr_code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
        }
    }
}

/// A line of text in several styles.
pub type StyledLine = Vec<(Style, String)>;

/// A standard stream that a person may read.
pub struct Output<'a> {
    writer: &'a mut dyn Write,
    caps: TerminalCaps,
}

impl<'a> Output<'a> {
    /// Wraps a writer to a terminal or pipe with these capabilities.
    pub fn new(writer: &'a mut dyn Write, caps: TerminalCaps) -> Self {
        Self { writer, caps }
    }

    /// Returns the capabilities of the terminal or pipe.
    pub fn caps(&self) -> TerminalCaps {
        self.caps
    }

    /// Writes sanitized text and flushes it.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write_text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(sanitize(text).as_bytes())?;
        self.writer.flush()
    }

    /// Writes data for a program. The data is unchanged in a pipe and sanitized at a terminal.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write_data(&mut self, text: &str) -> io::Result<()> {
        if self.caps.is_terminal {
            return self.write_text(text);
        }
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// Returns the unfiltered writer, for a protocol that has its own rules about control
    /// characters.
    pub fn raw(&mut self) -> &mut dyn Write {
        self.writer
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write_line(&mut self, text: &str) -> io::Result<()> {
        self.write_text(&format!("{text}\n"))
    }

    /// Writes lines of styled parts in one write.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write_styled_lines(&mut self, lines: &[StyledLine]) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            line.iter()
                .for_each(|(style, part)| self.push_styled(&mut text, *style, part));
            text.push('\n');
        }
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// Appends text with its style. This is the only function that produces control sequences.
    fn push_styled(&self, text: &mut String, style: Style, part: &str) {
        let part = sanitize(part);
        if !self.caps.colour || style == Style::Plain {
            text.push_str(&part);
            return;
        }
        text.extend(["\u{1b}[", style.sgr_code(), "m", &part, "\u{1b}[0m"]);
    }
}

/// Replaces every character that a terminal could interpret instead of showing it, except the line
/// feed.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if text.split('\n').all(is_printable_line) {
        return Cow::Borrowed(text);
    }
    let lines = text
        .split('\n')
        .map(|line| replace_unprintable(line, char::REPLACEMENT_CHARACTER));
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn caps(is_terminal: bool, variables: &[(&str, &str)]) -> TerminalCaps {
        let of = |name: &str| {
            variables
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| (*value).to_owned())
        };
        TerminalCaps::detect(is_terminal, Some(80), &of)
    }

    #[test]
    fn no_character_that_steers_a_terminal_passes() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let cleaned = sanitize(&all);
        let c0_del_c1 = |character: char| {
            (character < ' ' && character != '\n') || ('\u{7f}'..='\u{9f}').contains(&character)
        };
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert!(
            !cleaned
                .chars()
                .any(|character| c0_del_c1(character) || bidi.contains(character))
        );
        assert_eq!(
            cleaned.chars().count(),
            all.chars().count(),
            "each character is kept or replaced by one other"
        );
    }

    #[test]
    fn what_people_write_passes_as_it_is() {
        for text in ["", "a\nb", "über 東京 ✓ ─ שלום", "a b=$!(x)"] {
            assert!(matches!(sanitize(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(
            sanitize("\u{1b}[2Ja\rb\tc\u{9b}m\u{202e}x"),
            "\u{fffd}[2Ja\u{fffd}b\u{fffd}c\u{fffd}m\u{fffd}x"
        );
    }

    #[test]
    fn every_way_out_is_filtered_and_colour_is_ours_alone() {
        for colour in [false, true] {
            let mut bytes = Vec::new();
            let mut output = Output::new(
                &mut bytes,
                TerminalCaps {
                    is_terminal: true,
                    colour,
                    ..TerminalCaps::PLAIN
                },
            );
            output.write_text("a\u{1b}b").unwrap();
            output.write_line("c\u{9b}d").unwrap();
            output
                .write_styled_lines(&[vec![
                    (Style::Good, "e\u{1b}[0mf".into()),
                    (Style::Plain, "\u{7f}".into()),
                ]])
                .unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.matches('\u{1b}').count(), if colour { 2 } else { 0 });
            assert!(!text.contains(['\u{9b}', '\u{7f}']));
        }
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        assert_eq!(
            caps(false, &[("TERM", "xterm"), ("LANG", "C.UTF-8")]),
            TerminalCaps::PLAIN
        );
        let term = ("TERM", "xterm-256color");
        assert!(caps(true, &[term]).colour && caps(true, &[term, ("NO_COLOR", "")]).colour);
        assert!(!caps(true, &[term, ("NO_COLOR", "1")]).colour);
        assert!(!caps(true, &[("TERM", "dumb")]).colour && !caps(true, &[]).colour);
    }

    #[test]
    fn drawing_follows_the_locale() {
        for (variables, unicode) in [
            (&[][..], true),
            (&[("LANG", "de_AT.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "C")], false),
            (&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")], false),
            (
                &[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")],
                true,
            ),
        ] {
            assert_eq!(caps(true, variables).unicode, unicode, "{variables:?}");
        }
    }
}
