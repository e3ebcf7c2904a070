//! The line protocol of git's credential helpers: one `key=value` pair per line.
//!
//! Lines end only at LF. The caller names the keys that it uses. A line of such a key is rejected if
//! it contains any other control character; it is not split. A line of any other key is ignored,
//! whatever bytes it contains, because git passes on what a server sent. A message with an unsafe
//! value is not written at all.
//!
//! Rationale: if a reader also ends lines at CR, or a writer lets a line break through, an attacker
//! can insert a `host` line and obtain another host's secret (CVE-2020-5260, CVE-2024-52006,
//! CVE-2024-53263).

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use keyferry::error::{Error, ErrorKind, Result};
use keyferry::secret::Secret;
use keyferry::text::{has_control, is_invisible};

/// The longest line including its line feed. git has the same limit.
pub const MAX_LINE_BYTES: usize = 65_535;
/// The longest message that is read.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// Keys and values in their original order. Every value is treated as a secret, because one of them
/// may be a password.
#[derive(Default)]
pub struct Message(Vec<(String, Secret)>);

impl Message {
    /// Reads the lines of the keys in `used`, up to an empty line or the end of the input. Ignores
    /// the lines of other keys.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if a line contains no `=`; if a key differs from a used key only
    /// by case, blanks or invisible characters; if the value of a used key contains a control
    /// character or invalid UTF-8, is too long, or occurs twice; or if the message is too long. The
    /// error message contains none of the input.
    pub fn read(input: &mut dyn Read, used: &[&str]) -> Result<Self> {
        let bytes = read_to_blank_line(input)?;
        let mut message = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                break;
            }
            message.parse_line(line, used)?;
        }
        Ok(message)
    }

    fn parse_line(&mut self, line: &[u8], used: &[&str]) -> Result<()> {
        let equals_sign = line
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(|| invalid_message("a line contains no ="))?;
        let (key, value) = (&line[..equals_sign], &line[equals_sign + 1..]);
        let Some(key) = used.iter().find(|name| name.as_bytes() == key) else {
            return check_unused_key(key, used);
        };
        if key.ends_with("[]") && value.is_empty() {
            self.0.retain(|(other, _)| other != key);
            return Ok(());
        }
        let value = str::from_utf8(value).map_err(|_| {
            invalid_message(&format!(
                "the value of {key} is not UTF-8; convert it to UTF-8"
            ))
        })?;
        self.push(key, Secret::from(value))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the key or value is not allowed in a line, or if the key
    /// occurs already and doesn't end with `[]`.
    pub fn push(&mut self, key: &str, value: Secret) -> Result<()> {
        #[expect(clippy::disallowed_methods, reason = "looks for line breaks")]
        check_line(key, value.expose())?;
        if !key.ends_with("[]") && self.0.iter().any(|(other, _)| other == key) {
            return Err(invalid_message("a key occurs twice"));
        }
        self.0.push((key.to_owned(), value));
        Ok(())
    }

    /// Returns the value of a key, or None if it is missing or empty.
    pub fn get(&self, key: &str) -> Option<&Secret> {
        self.0
            .iter()
            .find(|(other, _)| other == key)
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    /// Whether a key has this value.
    #[expect(
        clippy::disallowed_methods,
        reason = "compares a field with a word of the protocol"
    )]
    pub fn has_value(&self, key: &str, value: &str) -> bool {
        self.0
            .iter()
            .any(|(other, found)| other == key && found.expose() == value)
    }

    /// Whether the message has no lines.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes all lines in one write.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    #[expect(
        clippy::disallowed_methods,
        reason = "git reads the token from standard output"
    )]
    pub fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let length = self
            .0
            .iter()
            .map(|(key, value)| key.len() + value.len() + 2)
            .sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for (key, value) in &self.0 {
            text.extend([key.as_str(), "=", value.expose(), "\n"]);
        }
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}

/// Reads up to and including the first empty line, or to the end of the input.
fn read_to_blank_line(input: &mut dyn Read) -> Result<Vec<u8>> {
    // Read directly into this buffer. The allocator wipes memory that it gets back, so no copy of
    // the secrets remains when the buffer grows or is freed.
    let mut bytes = Vec::new();
    loop {
        let len = bytes.len();
        bytes.resize(len + 4096, 0);
        let read = input.read(&mut bytes[len..]);
        bytes.truncate(len + read.as_ref().map_or(0, |count| *count));
        let count = match read {
            Ok(0) => return Ok(bytes),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(invalid_message("standard input cannot be read")),
        };
        if has_blank_line(&bytes, count) {
            return Ok(bytes);
        }
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(invalid_message("it is longer than 256 KiB"));
        }
    }
}

/// Whether the last `count` bytes contain an empty line. The writer may keep the pipe open after
/// it.
fn has_blank_line(bytes: &[u8], count: usize) -> bool {
    let from = bytes.len().saturating_sub(count + 1);
    bytes.first() == Some(&b'\n') || bytes[from..].windows(2).any(|bytes| bytes == b"\n\n")
}

/// Rejects a key that a person would take for a used one.
///
/// Rationale: another program may take `Host` for `host`, and would then send the response to
/// another host than keyferry read.
fn check_unused_key(key: &[u8], used: &[&str]) -> Result<()> {
    if key.is_empty() {
        return Err(invalid_message("a line contains no key"));
    }
    let plain = plain_key(&String::from_utf8_lossy(key));
    match used.iter().find(|name| **name == plain) {
        Some(name) => Err(invalid_message(&format!(
            "a key differs from {name} only by case, blanks or invisible characters; write {name}"
        ))),
        None => Ok(()),
    }
}

/// Returns a key in lower case, without blanks and invisible characters.
pub fn plain_key(key: &str) -> String {
    let is_kept = |character: &char| {
        !character.is_whitespace()
            && !is_invisible(*character)
            && *character != char::REPLACEMENT_CHARACTER
    };
    key.chars()
        .filter(is_kept)
        .flat_map(char::to_lowercase)
        .collect()
}

fn check_line(key: &str, value: &str) -> Result<()> {
    if key.is_empty() || key.contains('=') {
        return Err(invalid_message("a line contains no key"));
    }
    if key.len() + value.len() + 2 > MAX_LINE_BYTES {
        return Err(invalid_message("a line is longer than 65535 bytes"));
    }
    if has_control(key) || has_control(value) {
        return Err(invalid_message(
            "a line contains a control character; end each line with LF alone",
        ));
    }
    Ok(())
}

#[cold]
fn invalid_message(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidValue,
        format!("cannot answer the credential request: {why}"),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USED: &[&str] = &[
        "protocol", "host", "path", "password", "empty", "x[]", "a[]",
    ];

    fn read(text: &[u8]) -> Result<Message> {
        Message::read(&mut &*text, USED)
    }

    fn written(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn lines_are_split_at_the_first_equals_sign_and_end_at_an_empty_one() {
        let message =
            read(b"host=a:1\npassword= a=b=$ \nx[]=1\nx[]=2\nempty=\n\nhost=other\n").unwrap();
        let get = |key| message.get(key).map(Secret::expose);
        assert_eq!(
            (get("host"), get("password"), get("empty"), get("gone")),
            (Some("a:1"), Some(" a=b=$ "), None, None)
        );
        assert!(
            message.has_value("x[]", "1")
                && message.has_value("x[]", "2")
                && !message.has_value("x[]", "3")
        );
        assert!(read(b"").unwrap().is_empty() && read(b"\nhost=a\n").unwrap().is_empty());
        assert_eq!(
            read(b"host=no line feed")
                .unwrap()
                .get("host")
                .unwrap()
                .expose(),
            "no line feed"
        );
    }

    #[test]
    fn an_empty_value_empties_a_list() {
        let message = read(b"x[]=1\nx[]=\nx[]=2\n").unwrap();
        assert!(!message.has_value("x[]", "1") && message.has_value("x[]", "2"));
    }

    #[test]
    fn what_is_malformed_is_refused_whole() {
        let long = |bytes: usize| [b"host=".as_slice(), &vec![b'a'; bytes]].concat();
        assert!(read(&long(MAX_LINE_BYTES - 6)).is_ok());
        let many = b"a[]=b\n".repeat(MAX_MESSAGE_BYTES / 6 + 4096);
        for bad in [
            b"host=a\r\n".as_slice(),
            b"host=a\rhost=b\n",
            b"\r\nhost=a\n",
            b"host=a\0\n",
            b"ho\x1bst=a\n",
            b"Host=a\n",
            b" host=a\n",
            b"host =a\n",
            b"\xef\xbb\xbfhost=a\n",
            b"host\xa0=a\n",
            b"X[]=a\n",
            b"host=a\tb\n",
            b"host=a\x7f\n",
            "host=a\u{85}host=b\n".as_bytes(),
            "host=a\u{2028}host=b\n".as_bytes(),
            b"host=a\nhost=a\n",
            b"host=\nhost=a\n",
            b"host\n",
            b"=a\n",
            b"host=\xff\n",
            b"x[]=\xff\n",
            b"x[]=a\tb\n",
            &long(MAX_LINE_BYTES - 5),
            &long(MAX_MESSAGE_BYTES * 2),
            &many,
        ] {
            let error = read(bad).err().unwrap_or_else(|| {
                panic!("{:?}", String::from_utf8_lossy(&bad[..bad.len().min(40)]))
            });
            assert_eq!(error.kind, ErrorKind::InvalidValue);
            assert!(!error.message().chars().any(char::is_control));
        }
    }

    #[test]
    fn a_line_that_is_not_needed_is_no_reason_to_refuse() {
        for unused in [
            b"wwwauth[]=Basic realm=\"caf\xe9\"".as_slice(),
            b"wwwauth[]=Basic\trealm=x",
            b"h\xf6st=b",
            b"other=a\rhost=b",
            b"other=1\nother=2",
            &[b"other=".as_slice(), &vec![b'a'; MAX_LINE_BYTES]].concat(),
        ] {
            let message = read(&[unused, b"\nhost=a\nx[]=1\n"].concat()).unwrap();
            assert_eq!(written(&message), b"host=a\nx[]=1\n");
        }
    }

    #[test]
    fn nothing_is_written_that_another_reader_would_split() {
        let mut message = Message::default();
        for bad in [
            "a\nhost=b",
            "a\r",
            "\0",
            "\u{85}",
            "\u{2028}",
            &"a".repeat(MAX_LINE_BYTES),
        ] {
            assert!(message.push("password", Secret::from(bad)).is_err());
        }
        assert!(
            message.push("a=b", Secret::from("c")).is_err()
                && message.push("", Secret::from("c")).is_err()
        );
        assert_eq!(written(&message), b"");
        message.push("password", Secret::from("a=b")).unwrap();
        assert!(message.push("password", Secret::from("c")).is_err());
        assert_eq!(written(&message), b"password=a=b\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(message) = read(&bytes) {
                prop_assert!(!written(&message).iter().any(|byte| (*byte < b' ' && *byte != b'\n') || *byte == 0x7f));
            }
        }

        #[test]
        fn what_was_written_is_read_back(pairs in prop::collection::btree_map("[a-z]{1,8}", "[^\\p{Cc}\\u{2028}\\u{2029}]{1,40}", 0..8)) {
            let mut message = Message::default();
            pairs.iter().for_each(|(key, value)| message.push(key, Secret::from(value.as_str())).unwrap());
            let keys: Vec<&str> = pairs.keys().map(String::as_str).collect();
            let again = Message::read(&mut written(&message).as_slice(), &keys).unwrap();
            pairs.iter().for_each(|(key, value)| assert_eq!(again.get(key).unwrap().expose(), value));
            prop_assert_eq!(written(&again), written(&message));
        }

        #[test]
        fn a_control_character_anywhere_is_refused(at in 0_usize..46, character in prop::sample::select(b"\0\x01\t\x0b\x0c\r\x1b\x1f\x7f".to_vec())) {
            let mut bytes = b"protocol=https\nhost=api.fileverbs.com\npath=a\n".to_vec();
            bytes.insert(at.min(bytes.len()), character);
            // A character after the last line feed forms a line without a key.
            prop_assert!(read(&bytes).is_err());
        }
    }
}
