//! Encrypts and authenticates ("seals") the files of a store with XChaCha20-Poly1305.
//!
//! The layout of a file is `magic version content length | key id | checksum | nonce | ciphertext
//! and tag`. The first 24 bytes are the header. The tag also authenticates the header and the file's
//! name. The checksum covers the first 16 bytes. The checksum does not protect against an attacker:
//! it distinguishes a newer format or another key from damage. Later formats must keep the layout
//! of the header.
//!
//! The length tells a file that a power failure cut off from a damaged one. It has 16 bits, little
//! endian, and is 65,535 for a longer file. A longer file that was cut off after that many bytes
//! counts as damaged.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ring::digest;

use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 4] = *b"kfst";
/// The format version that this release writes.
pub(super) const VERSION: u8 = 2;
const HEADER_BYTES: usize = 24;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The content of a sealed file.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Content {
    /// A record.
    Record = 1,
    /// A failure.
    Failure = 2,
}

/// A key that seals files, with its ID.
pub(super) struct SealingKey {
    id: [u8; 8],
    cipher: XChaCha20Poly1305,
}

/// The outcome of unsealing a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// The bytes that were sealed.
    Plaintext(Vec<u8>),
    /// The file is empty, or ends before its header says. It was not written completely.
    Incomplete,
    /// The file was changed after it was written.
    Damaged,
    /// The header is intact, and names an older format. Nothing of such a file is used: a process
    /// of that release may still use it.
    Old,
    /// The header is intact, but the file has another format or was sealed with another key. The
    /// string is the reason, with a remedy.
    Foreign(&'static str),
}

fn header(version: u8, content: Content, len: usize, id: &[u8; 8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&[version, content as u8]);
    header[6..8].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
    header[8..16].copy_from_slice(id);
    let checksum = header_checksum(&header);
    header[16..].copy_from_slice(&checksum);
    header
}

fn header_checksum(header: &[u8; HEADER_BYTES]) -> [u8; 8] {
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&digest::digest(&digest::SHA256, &header[..16]).as_ref()[..8]);
    checksum
}

/// Returns whether bytes are the beginning of a header, but not all of it.
fn is_part_of_header(bytes: &[u8]) -> bool {
    let len = bytes.len().min(MAGIC.len());
    bytes.len() < HEADER_BYTES && bytes[..len] == MAGIC[..len]
}

fn associated_data(header: &[u8; HEADER_BYTES], name: &str) -> Vec<u8> {
    [header, name.as_bytes()].concat()
}

impl SealingKey {
    /// Creates a sealing key from its bytes.
    pub(super) fn new(id: [u8; 8], key: &[u8; 32]) -> Self {
        Self {
            id,
            cipher: XChaCha20Poly1305::new(key.into()),
        }
    }

    /// Seals bytes for a file of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the system returns no random numbers.
    pub(super) fn seal(&self, content: Content, name: &str, plaintext: &[u8]) -> Result<Vec<u8>> {
        let len = HEADER_BYTES + NONCE_BYTES + plaintext.len() + TAG_BYTES;
        let header = header(VERSION, content, len, &self.id);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| {
            Error::new(
                ErrorKind::Store,
                "cannot get random numbers from the system; retry",
            )
        })?;
        let payload = Payload {
            msg: plaintext,
            aad: &associated_data(&header, name),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| {
                Error::new(
                    ErrorKind::Store,
                    "cannot seal the file: its content is too long; report this bug",
                )
            })?;
        Ok([&header[..], &nonce, &sealed].concat())
    }

    /// Unseals a file of this name.
    pub(super) fn unseal(&self, content: Content, name: &str, bytes: &[u8]) -> Unsealed {
        if is_part_of_header(bytes) {
            return Unsealed::Incomplete;
        }
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Unsealed::Damaged;
        };
        if header[..4] != MAGIC || header[16..] != header_checksum(header) {
            return Unsealed::Damaged;
        }
        if header[4] < VERSION {
            return Unsealed::Old;
        }
        if header[4] > VERSION {
            return Unsealed::Foreign(
                "was written by another release of keyferry; use that release or a newer one",
            );
        }
        if header[8..16] != self.id {
            return Unsealed::Foreign("was sealed with another key; restore that key");
        }
        if bytes.len() < usize::from(u16::from_le_bytes([header[6], header[7]])) {
            return Unsealed::Incomplete;
        }
        let Some((nonce, sealed)) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .filter(|_| header[5] == content as u8)
        else {
            return Unsealed::Damaged;
        };
        let payload = Payload {
            msg: sealed,
            aad: &associated_data(header, name),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_or(Unsealed::Damaged, Unsealed::Plaintext)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn sealing_key() -> SealingKey {
        SealingKey::new([7; 8], &[8; 32])
    }

    #[test]
    fn sealed_bytes_are_unsealed_under_their_own_name_alone() {
        let file = sealing_key()
            .seal(Content::Record, "name", b"plain")
            .unwrap();
        let unseal = |key: SealingKey, content, name| key.unseal(content, name, &file);
        assert_eq!(
            unseal(sealing_key(), Content::Record, "name"),
            Unsealed::Plaintext(b"plain".to_vec())
        );
        assert_eq!(
            unseal(sealing_key(), Content::Record, "other"),
            Unsealed::Damaged
        );
        assert_eq!(
            unseal(sealing_key(), Content::Failure, "name"),
            Unsealed::Damaged
        );
        assert_eq!(
            unseal(SealingKey::new([7; 8], &[9; 32]), Content::Record, "name"),
            Unsealed::Damaged
        );
        assert!(matches!(
            unseal(SealingKey::new([6; 8], &[8; 32]), Content::Record, "name"),
            Unsealed::Foreign(_)
        ));
        assert_ne!(
            file,
            sealing_key()
                .seal(Content::Record, "name", b"plain")
                .unwrap(),
            "the nonce is new each time"
        );
    }

    #[test]
    fn every_bit_and_every_length_counts() {
        let file = sealing_key()
            .seal(Content::Record, "name", b"plain")
            .unwrap();
        for len in 0..file.len() {
            assert_eq!(
                sealing_key().unseal(Content::Record, "name", &file[..len]),
                Unsealed::Incomplete,
                "{len}"
            );
        }
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                sealing_key().unseal(Content::Record, "name", &damaged),
                Unsealed::Damaged,
                "{bit}"
            );
        }
    }

    #[test]
    fn a_longer_file_is_damaged_and_a_long_one_is_unsealed() {
        let seal = |plaintext: &[u8]| {
            sealing_key()
                .seal(Content::Record, "name", plaintext)
                .unwrap()
        };
        let unseal = |file: &[u8]| sealing_key().unseal(Content::Record, "name", file);
        let longer = [seal(b"plain"), vec![0]].concat();
        assert_eq!(unseal(&longer), Unsealed::Damaged);
        let plaintext = vec![7; 100_000];
        let long = seal(&plaintext);
        assert_eq!(unseal(&long), Unsealed::Plaintext(plaintext));
        assert_eq!(unseal(&long[..65_534]), Unsealed::Incomplete);
        assert_eq!(unseal(&long[..65_536]), Unsealed::Damaged);
        assert_eq!(unseal(b"kf"), Unsealed::Incomplete);
        assert_eq!(unseal(b"kx"), Unsealed::Damaged);
    }

    #[test]
    fn a_newer_or_older_format_is_no_damage() {
        let unseal = |version| {
            let mut file = header(version, Content::Record, 0, &[7; 8]).to_vec();
            file.extend([0; 100]);
            sealing_key().unseal(Content::Record, "name", &file)
        };
        assert!(matches!(unseal(VERSION + 1), Unsealed::Foreign(_)));
        assert_eq!(unseal(VERSION - 1), Unsealed::Old);
    }
}
