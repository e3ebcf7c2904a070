//! Secret text: wiped when dropped, never shown, with one way out.
//!
//! Deliberately has no `Debug` content, no `Display`, no `Serialize` and no `Deref`:
//! [`Secret::expose`] is the exit, and `tests/architecture` counts where it is used.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};

/// A password, key or token: wiped when it is dropped, and never shown.
///
/// ```
/// let secret = keyferry::Secret::from("made-up-key");
/// assert_eq!(format!("{secret:?}"), "Secret");
/// assert_eq!(secret.expose(), "made-up-key"); // only where it leaves the program
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over. No copy is made.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Takes bytes over that have to be UTF-8; others are wiped.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }

    /// The text itself, for the place where it leaves.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses what can't be the value of a header: empty, control characters, or beyond
    /// [`MAX_VALUE_BYTES`]. `name` says whose value it is.
    ///
    /// Rationale: a CR or LF in a value becomes a header of its own (CVE-2020-5260 and its kin).
    pub fn check(&self, name: &str) -> Result<()> {
        if self.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("{name} is empty: copy it again, or leave it out"),
            ));
        }
        if self.len() > MAX_VALUE_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "{name} is longer than {MAX_VALUE_BYTES} bytes, which no server takes in a header: copy it again"
                ),
            ));
        }
        if self.0.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "{name} holds a line break or another control character: copy it again without"
                ),
            ));
        }
        Ok(())
    }
}

/// The longest value of one header: more than common servers accept (8 KiB), less than hurts.
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
        for bad in ["", "a\rb", "a\nb", "a\0b", "a\x7fb", "a\tb"] {
            assert!(Secret::from(bad).check("token").is_err());
        }
        assert!(Secret::from("a b=:@/").check("token").is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_no_secret() {
        assert!(Secret::from_bytes(vec![0xff, 0xfe]).is_none());
    }
}
