//! The envelope of every file: XChaCha20-Poly1305, bound to format, key and name.
//!
//! `magic version kind 0 0 | key id | check of these | nonce | sealed bytes and tag`. The check is
//! no protection against anybody: it tells a newer format, or another key, from damage. Whatever
//! comes later keeps these 24 bytes as they are.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ring::digest;

use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 4] = *b"kfst";
/// The format of this release.
pub(super) const VERSION: u8 = 1;
const HEAD: usize = 24;
const NONCE: usize = 24;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Content {
    /// A record.
    Record = 1,
    /// A refusal.
    Refusal = 2,
}

/// A key that seals.
pub(super) struct Seal {
    id: [u8; 8],
    cipher: XChaCha20Poly1305,
}

/// What opening gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// What was sealed.
    Whole(Vec<u8>),
    /// It is not what was written.
    Damaged,
    /// It is whole as far as can be told, and not for us: why.
    Foreign(&'static str),
}

fn head(version: u8, content: Content, id: &[u8; 8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&[version, content as u8]);
    head[8..16].copy_from_slice(id);
    let check = check(&head);
    head[16..].copy_from_slice(&check);
    head
}

fn check(head: &[u8; HEAD]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&digest::digest(&digest::SHA256, &head[..16]).as_ref()[..8]);
    check
}

fn bound_to(head: &[u8; HEAD], name: &str) -> Vec<u8> {
    [head, name.as_bytes()].concat()
}

impl Seal {
    /// With this key.
    pub(super) fn new(id: [u8; 8], key: &[u8; 32]) -> Self {
        Self { id, cipher: XChaCha20Poly1305::new(key.into()) }
    }

    /// Seals bytes under a name.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the system gives no random numbers.
    pub(super) fn close(&self, content: Content, name: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let head = head(VERSION, content, &self.id);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| Error::new(ErrorKind::Store, "the system gives no random numbers"))?;
        let payload = Payload { msg: plain, aad: &bound_to(&head, name) };
        let sealed =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::new(ErrorKind::Store, "too long to be sealed"))?;
        Ok([&head[..], &nonce, &sealed].concat())
    }

    /// Opens what was sealed under this name.
    pub(super) fn open(&self, content: Content, name: &str, bytes: &[u8]) -> Unsealed {
        let Some((theirs, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Unsealed::Damaged;
        };
        if theirs[..4] != MAGIC || theirs[16..] != check(theirs) {
            return Unsealed::Damaged;
        }
        if theirs[4] != VERSION {
            return Unsealed::Foreign("was written by another release of keyferry: use that one, or a newer");
        }
        if theirs[8..16] != self.id {
            return Unsealed::Foreign("was sealed with another key");
        }
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE>().filter(|_| theirs[5..8] == [content as u8, 0, 0]) else {
            return Unsealed::Damaged;
        };
        let payload = Payload { msg: sealed, aad: &bound_to(theirs, name) };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_or(Unsealed::Damaged, Unsealed::Whole)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new([7; 8], &[8; 32])
    }

    #[test]
    fn what_was_sealed_is_opened_under_its_own_name_alone() {
        let file = seal().close(Content::Record, "name", b"plain").unwrap();
        let open = |seal: Seal, content, name| seal.open(content, name, &file);
        assert_eq!(open(seal(), Content::Record, "name"), Unsealed::Whole(b"plain".to_vec()));
        assert_eq!(open(seal(), Content::Record, "other"), Unsealed::Damaged);
        assert_eq!(open(seal(), Content::Refusal, "name"), Unsealed::Damaged);
        assert_eq!(open(Seal::new([7; 8], &[9; 32]), Content::Record, "name"), Unsealed::Damaged);
        assert!(matches!(open(Seal::new([6; 8], &[8; 32]), Content::Record, "name"), Unsealed::Foreign(_)));
        assert_ne!(file, seal().close(Content::Record, "name", b"plain").unwrap(), "the nonce is new each time");
    }

    #[test]
    fn every_bit_and_every_length_counts() {
        let file = seal().close(Content::Record, "name", b"plain").unwrap();
        for len in 0..file.len() {
            assert_eq!(seal().open(Content::Record, "name", &file[..len]), Unsealed::Damaged, "{len}");
        }
        for bit in 0..file.len() * 8 {
            let mut bent = file.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal().open(Content::Record, "name", &bent), Unsealed::Damaged, "{bit}");
        }
    }

    #[test]
    fn a_newer_format_is_no_damage() {
        let mut file = head(VERSION + 1, Content::Record, &[7; 8]).to_vec();
        file.extend([0; 100]);
        assert!(matches!(seal().open(Content::Record, "name", &file), Unsealed::Foreign(_)));
    }
}
