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

use chacha20poly1305::aead::{Aead, AeadInOut, Payload};
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
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
pub(super) enum Unsealed<'a> {
    /// The bytes that were sealed.
    Plaintext(&'a [u8]),
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

    /// Unseals the bytes of a file of this name in place.
    pub(super) fn unseal<'a>(
        &self,
        content: Content,
        name: &str,
        bytes: &'a mut [u8],
    ) -> Unsealed<'a> {
        if is_part_of_header(bytes) {
            return Unsealed::Incomplete;
        }
        let len = bytes.len();
        let Some((header, rest)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() else {
            return Unsealed::Damaged;
        };
        if header[..4] != MAGIC {
            return Unsealed::Damaged;
        }
        match self.mismatch(header, len) {
            // The tag authenticates the header too, so its checksum is not needed here.
            None if header[5] == content as u8 => self.decrypt(header, rest, name),
            Some(mismatch) if header[16..] == header_checksum(header) => mismatch,
            _ => Unsealed::Damaged,
        }
    }

    /// Returns why a file of `len` bytes with this header is not decrypted, if the header is intact.
    fn mismatch(&self, header: &[u8; HEADER_BYTES], len: usize) -> Option<Unsealed<'static>> {
        if header[4] < VERSION {
            Some(Unsealed::Old)
        } else if header[4] > VERSION {
            Some(Unsealed::Foreign(
                "was written by another release of keyferry; use that release or a newer one",
            ))
        } else if header[8..16] != self.id {
            Some(Unsealed::Foreign(
                "was sealed with another key; restore that key",
            ))
        } else if len < usize::from(u16::from_le_bytes([header[6], header[7]])) {
            Some(Unsealed::Incomplete)
        } else {
            None
        }
    }

    fn decrypt<'a>(
        &self,
        header: &[u8; HEADER_BYTES],
        rest: &'a mut [u8],
        name: &str,
    ) -> Unsealed<'a> {
        let Some((nonce, sealed)) = rest.split_first_chunk_mut::<NONCE_BYTES>() else {
            return Unsealed::Damaged;
        };
        let Some((text, tag)) = sealed.split_last_chunk_mut::<TAG_BYTES>() else {
            return Unsealed::Damaged;
        };
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let data = associated_data(header, name);
        let buffer = (&mut *text).into();
        let decrypted = self
            .cipher
            .decrypt_inout_detached(&nonce, &data, buffer, &tag);
        match decrypted {
            Ok(()) => Unsealed::Plaintext(text),
            Err(_) => Unsealed::Damaged,
        }
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
        let unseal = |key: SealingKey, content, name, expected: Unsealed<'_>| {
            let mut file = file.clone();
            assert_eq!(key.unseal(content, name, &mut file), expected);
        };
        let plaintext = Unsealed::Plaintext(b"plain");
        unseal(sealing_key(), Content::Record, "name", plaintext);
        unseal(sealing_key(), Content::Record, "other", Unsealed::Damaged);
        unseal(sealing_key(), Content::Failure, "name", Unsealed::Damaged);
        let wrong_key = SealingKey::new([7; 8], &[9; 32]);
        unseal(wrong_key, Content::Record, "name", Unsealed::Damaged);
        let other_key = SealingKey::new([6; 8], &[8; 32]);
        assert!(matches!(
            other_key.unseal(Content::Record, "name", &mut file.clone()),
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
                sealing_key().unseal(Content::Record, "name", &mut file[..len].to_vec()),
                Unsealed::Incomplete,
                "{len}"
            );
        }
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                sealing_key().unseal(Content::Record, "name", &mut damaged),
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
        let unseal = |file: &[u8], expected: Unsealed<'_>| {
            let mut file = file.to_vec();
            let unsealed = sealing_key().unseal(Content::Record, "name", &mut file);
            assert_eq!(unsealed, expected);
        };
        let longer = [seal(b"plain"), vec![0]].concat();
        unseal(&longer, Unsealed::Damaged);
        let plaintext = vec![7; 100_000];
        let long = seal(&plaintext);
        unseal(&long, Unsealed::Plaintext(&plaintext));
        unseal(&long[..65_534], Unsealed::Incomplete);
        unseal(&long[..65_536], Unsealed::Damaged);
        unseal(b"kf", Unsealed::Incomplete);
        unseal(b"kx", Unsealed::Damaged);
    }

    #[test]
    fn a_newer_or_older_format_is_no_damage() {
        let file = |version| {
            let mut file = header(version, Content::Record, 0, &[7; 8]).to_vec();
            file.extend([0; 100]);
            file
        };
        let (mut newer, mut older) = (file(VERSION + 1), file(VERSION - 1));
        assert!(matches!(
            sealing_key().unseal(Content::Record, "name", &mut newer),
            Unsealed::Foreign(_)
        ));
        assert_eq!(
            sealing_key().unseal(Content::Record, "name", &mut older),
            Unsealed::Old
        );
    }
}
