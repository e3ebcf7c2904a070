//! A secret string that is wiped when it is dropped and never printed.
//!
//! [`Secret`] implements neither `Display`, `Serialize` nor `Deref`, and its `Debug` output omits
//! the string. Only [`Secret::expose`] returns the string. `clippy.toml` disallows it, so each place
//! that calls it states its reason in an `#[expect]`.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};
use crate::text;

/// A password, key or token. It is wiped when it is dropped, and never printed.
///
/// ```
/// let secret = keyferry::Secret::from("made-up-key");
/// assert_eq!(format!("{secret:?}"), "Secret");
/// assert_eq!(secret.expose(), "made-up-key"); // only where the secret leaves the program
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a string without copying it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Wraps bytes without copying them. Returns `None` and wipes the bytes if they are not UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }

    /// Decodes a secret from a file, a pipe, a program or a keyring. Removes a byte order mark and
    /// one line end. Everything else is part of the secret, also blanks. `subject` names the source
    /// in error messages.
    ///
    /// # Errors
    /// [`ErrorKind::SecretSource`] if the bytes are not UTF-8 text.
    pub fn decode(bytes: &[u8], extent: Extent, subject: &str) -> Result<Self> {
        let bytes = match extent {
            Extent::Whole => text::without_last_line_break(bytes),
            Extent::FirstLine => text::first_line(bytes),
        };
        let reason = match text::decode(bytes) {
            Ok(text) if text.contains('\0') => "contains a NUL byte, as UTF-16 does",
            Ok(text) => return Ok(Self::from(text)),
            Err(fault) => fault.reason(),
        };
        Err(Error::new(
            ErrorKind::SecretSource,
            format!("{subject} {reason}; convert it to UTF-8"),
        ))
    }

    /// Returns the string. Call this only where the secret leaves the process.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the secret is a valid header value: not empty, without control characters, and
    /// at most [`MAX_VALUE_BYTES`] long. `name` identifies the secret in the error message.
    ///
    /// Rationale: CR or LF in a value starts a new header (CVE-2020-5260 and similar).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the secret is not a valid header value.
    pub fn check(&self, name: &str) -> Result<()> {
        if self.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("{name} is empty; copy it again or leave it out"),
            ));
        }
        if self.len() > MAX_VALUE_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "{name} is longer than {MAX_VALUE_BYTES} bytes, the limit for a header value; check that it is the right value"
                ),
            ));
        }
        if text::has_control(&self.0) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "{name} contains a line break or another control character; copy it again without it"
                ),
            ));
        }
        Ok(())
    }
}

/// The part of the bytes from a source that is the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The first line. The rest is ignored.
    FirstLine,
}

/// The maximum length of a header value. Common servers accept 8 KiB, so 16 KiB rejects only
/// mistakes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret");
    }

    #[test]
    fn line_breaks_and_other_control_characters_are_refused() {
        for bad in [
            "",
            "a\rb",
            "a\nb",
            "a\0b",
            "a\x7fb",
            "a\tb",
            "a\u{85}b",
            "a\u{2028}b",
        ] {
            assert!(Secret::from(bad).check("token").is_err());
        }
        assert!(Secret::from("a b=:@/é").check("token").is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_no_secret() {
        assert!(Secret::from_bytes(vec![0xff, 0xfe]).is_none());
    }
}
