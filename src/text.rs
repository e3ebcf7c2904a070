//! The rules about control characters, line breaks and other characters that are not shown as they
//! are.
//!
//! Three sets of characters, each with all characters of the set before it:
//!
//! | set | characters | used for |
//! |---|---|---|
//! | control | C0, DEL, C1, U+2028, U+2029 | values, which are rejected if they contain one |
//! | unprintable | and bidirectional controls | messages and output, where each is replaced |
//! | invisible | and characters of no width | texts of services, where each is removed, and prompts |
//!
//! Rationale: values are not checked for the wider sets, because names and passwords may contain
//! such characters: Persian and many emoji need joiners of no width. For the same reason output
//! replaces only what could change the rest of a line. In a service's text these characters could
//! hide a copy of a secret, and in a prompt they could hide a part of a host name.
//!
//! Callers write their own error messages.

use std::borrow::Cow;

/// Returns whether a character is a control character (C0, DEL and C1, which include tab, CR and
/// LF) or a Unicode line break (U+2028 and U+2029).
///
/// Rationale: a program that reads such a character in a value may start a new line, header or
/// string there (CVE-2020-5260 and similar). Programs disagree on which characters end a line, so
/// all of these count.
pub fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Returns whether a string contains a control character or line break, as defined by
/// [`is_control`].
pub fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control())
        || (!text.is_ascii() && text.chars().any(is_control))
}

/// Returns whether a string contains CR, LF or NUL that is percent-encoded one or more times.
///
/// Rationale: other encoded control characters are allowed, because they are legal in the URLs of
/// other services. Only these three split what is decoded.
pub fn has_encoded_line_break(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|&at| bytes[at] == b'%').any(|at| {
        let mut rest = &bytes[at + 1..];
        while let Some(inner) = rest.strip_prefix(b"25") {
            rest = inner;
        }
        matches!(rest, [b'0', b'0' | b'a' | b'A' | b'd' | b'D', ..])
    })
}

/// Returns whether all characters are visible ASCII: no space, no control character, nothing
/// outside ASCII.
pub fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether a terminal or log viewer may interpret a character instead of showing it: a
/// control character or line break ([`is_control`]), or a bidirectional control, which reorders the
/// characters of a line (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
pub fn is_unprintable(character: char) -> bool {
    is_control(character)
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether a string can be shown as one line: it contains no [`is_unprintable`] character.
pub fn is_printable_line(text: &str) -> bool {
    !text.chars().any(is_unprintable)
}

/// Replaces every [`is_unprintable`] character, so that the result can be shown as one line.
pub fn replace_unprintable(text: &str, replacement: char) -> Cow<'_, str> {
    if is_printable_line(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|character| {
                if is_unprintable(character) {
                    replacement
                } else {
                    character
                }
            })
            .collect(),
    )
}

/// Returns whether a character has no visible form of its own: an [`is_unprintable`] character, or a
/// joiner, separator or format character of no width (U+200B to U+200D, U+2060 to U+206F, U+FEFF).
pub fn is_invisible(character: char) -> bool {
    is_unprintable(character)
        || matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Removes every [`is_invisible`] character, and truncates the result to `max_chars` characters.
pub fn remove_invisible(text: &str, max_chars: usize) -> String {
    text.chars()
        .filter(|character| !is_invisible(*character))
        .take(max_chars)
        .collect()
}

/// The reason why bytes from outside are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFault {
    /// The bytes begin with a byte order mark of UTF-16.
    Utf16,
    /// The bytes are not UTF-8.
    NotUtf8,
}

impl TextFault {
    /// Returns the reason as a predicate for an error message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Utf16 => "is UTF-16, not UTF-8",
            Self::NotUtf8 => "is not UTF-8",
        }
    }
}

/// Decodes UTF-8 from a file, a pipe, a program or a service. Removes a byte order mark at its
/// start.
///
/// # Errors
/// Returns the reason why the bytes are not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, TextFault> {
    str::from_utf8(without_mark(bytes)?).map_err(|_| TextFault::NotUtf8)
}

/// Removes a byte order mark of UTF-8 from the start.
///
/// Rationale: editors and shells of other systems write this mark. It is no part of the text, but a
/// password that begins with it is a wrong password, and a document is not JSON.
///
/// # Errors
/// [`TextFault::Utf16`] if the mark is one of UTF-16.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], TextFault> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(TextFault::Utf16);
    }
    Ok(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))
}

/// The byte order mark U+FEFF in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns the first line without its line break, which is LF or CR LF.
pub fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes, |end| &bytes[..end]);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Returns all bytes without the line break at their end: LF, CR LF or CR.
pub fn without_last_line_break(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges of characters, and whether they are control, unprintable and invisible. All others
    /// are none of them.
    const SETS: [(char, char, [bool; 3]); 12] = [
        ('\u{0}', '\u{1f}', [true, true, true]),
        ('\u{7f}', '\u{9f}', [true, true, true]),
        ('\u{61c}', '\u{61c}', [false, true, true]),
        ('\u{200b}', '\u{200d}', [false, false, true]),
        ('\u{200e}', '\u{200f}', [false, true, true]),
        ('\u{2028}', '\u{2029}', [true, true, true]),
        ('\u{202a}', '\u{202e}', [false, true, true]),
        ('\u{2060}', '\u{2065}', [false, false, true]),
        ('\u{2066}', '\u{2069}', [false, true, true]),
        ('\u{206a}', '\u{206f}', [false, false, true]),
        ('\u{feff}', '\u{feff}', [false, false, true]),
        ('\u{10ffff}', '\u{10ffff}', [false, false, false]),
    ];

    #[test]
    fn each_character_is_in_the_sets_that_the_table_names() {
        for character in '\0'..=char::MAX {
            let expected = SETS
                .iter()
                .find(|(first, last, _)| (*first..=*last).contains(&character))
                .map_or([false; 3], |(.., sets)| *sets);
            let found = [
                is_control(character),
                is_unprintable(character),
                is_invisible(character),
            ];
            assert_eq!(found, expected, "{character:?}");
            let text = format!("é{character}");
            assert_eq!(has_control(&text), expected[0], "{character:?}");
            assert_eq!(
                has_control(&character.to_string()),
                expected[0],
                "{character:?}"
            );
            assert_eq!(is_printable_line(&text), !expected[1], "{character:?}");
            assert_eq!(
                remove_invisible(&text, 9).len() < text.len(),
                expected[2],
                "{character:?}"
            );
        }
    }

    #[test]
    fn line_breaks_are_found_however_often_they_are_encoded() {
        for (text, expected) in [
            ("%0a", true),
            ("a%0Db", true),
            ("%00", true),
            ("%250D", true),
            ("%2525250a", true),
            ("%%0a", true),
            ("", false),
            ("%", false),
            ("%0", false),
            ("%09", false),
            ("%1b", false),
            ("%25", false),
            ("0a", false),
        ] {
            assert_eq!(has_encoded_line_break(text), expected, "{text}");
        }
    }

    #[test]
    fn visible_ascii_has_no_space_and_nothing_outside_ascii() {
        for (text, expected) in [
            ("", true),
            ("!~aZ0", true),
            ("a b", false),
            ("a\tb", false),
            ("a\u{7f}", false),
            ("é", false),
        ] {
            assert_eq!(is_visible_ascii(text), expected, "{text:?}");
        }
    }

    #[test]
    fn each_unprintable_character_is_replaced_by_one() {
        for (text, expected) in [
            ("", ""),
            ("über 東京 ✓ שלום", "über 東京 ✓ שלום"),
            ("\u{1b}[2Ja\r\nb\u{9b}\u{202e}c", "?[2Ja??b??c"),
            ("a\u{2028}b\u{200d}c", "a?b\u{200d}c"),
        ] {
            let shown = replace_unprintable(text, '?');
            assert_eq!(shown, expected);
            assert_eq!(matches!(shown, Cow::Borrowed(_)), text == expected);
        }
    }

    #[test]
    fn invisible_characters_do_not_count_towards_the_maximum() {
        for (text, max_chars, expected) in [
            ("abc", 2, "ab"),
            ("a\u{200b}b\u{1b}c", 2, "ab"),
            ("a\u{202e}\u{feff}é", 9, "aé"),
            ("\n", 9, ""),
        ] {
            assert_eq!(remove_invisible(text, max_chars), expected);
        }
    }

    #[test]
    fn text_is_utf_8_with_or_without_a_mark() {
        for (bytes, expected) in [
            (&b""[..], Ok("")),
            (b"a", Ok("a")),
            ("é\u{feff}".as_bytes(), Ok("é\u{feff}")),
            (b"\xef\xbb\xbfa", Ok("a")),
            (b"\xef\xbb\xbf", Ok("")),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", Ok("\u{feff}a")),
            (b"\xff\xfea\0", Err(TextFault::Utf16)),
            (b"\xfe\xff\0a", Err(TextFault::Utf16)),
            (b"\xe9", Err(TextFault::NotUtf8)),
            (b"\xef\xbb", Err(TextFault::NotUtf8)),
            (b"\xed\xa0\x80", Err(TextFault::NotUtf8)),
        ] {
            assert_eq!(decode(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_ends_at_lf_or_cr_lf() {
        for (text, line, whole) in [
            ("", "", ""),
            ("a", "a", "a"),
            ("a\n", "a", "a"),
            ("a\r\n", "a", "a"),
            ("a\r", "a", "a"),
            ("a\n\n", "a", "a\n"),
            ("a\r\r\n", "a\r", "a\r"),
            ("a\rb\nc", "a\rb", "a\rb\nc"),
            ("\nb", "", "\nb"),
        ] {
            assert_eq!(first_line(text.as_bytes()), line.as_bytes(), "{text:?}");
            assert_eq!(
                without_last_line_break(text.as_bytes()),
                whole.as_bytes(),
                "{text:?}"
            );
        }
    }
}
