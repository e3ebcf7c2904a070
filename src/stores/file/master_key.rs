//! Reads and creates the master key of a store, and derives keys from it. The key is created only
//! once, even if many processes start at the same time.
//!
//! The key file has three lines: `keyferry store key 1`, the key's ID and the key, in hexadecimal
//! digits. The ID is a fingerprint of the key, which distinguishes a damaged key from another key.
//! A keyring item contains only the digits of the key.

use std::fmt::Write as _;
use std::path::Path;

use ring::hmac;
use zeroize::Zeroizing;

use super::envelope::SealingKey;
use super::location::KEY_FILE;
use super::lock::{self, Locks};
use super::private_dir::{self, FileContents, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::Fingerprinter;
use crate::ports::store::KeyBackend;
use crate::secret::Secret;
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::private_file;

const LOCK_FILE: &str = "store.key.lock";
const NEW_FILE: &str = "store.key.new";
const FIRST_LINE: &str = "keyferry store key ";
const VERSION: &str = "1";

/// The keys derived from the master key.
pub(super) struct DerivedKeys {
    /// The fingerprint of the master key, in hexadecimal digits.
    pub(super) id: String,
    /// Seals files.
    pub(super) sealing_key: SealingKey,
    /// Computes the names of files.
    pub(super) file_names: Fingerprinter,
    /// The key of the fingerprints of secrets.
    pub(super) fingerprint_key: Zeroizing<[u8; 32]>,
}

fn derive(master: &hmac::Key, purpose: &str) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(master, purpose.as_bytes());
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(tag.as_ref());
    key
}

impl DerivedKeys {
    fn new(key: &[u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut id = [0; 8];
        id.copy_from_slice(&derive(&key, "keyferry key id")[..8]);
        let sealing_key = SealingKey::new(id, &derive(&key, "keyferry seal"));
        let file_names = Fingerprinter::new(&*derive(&key, "keyferry names"));
        Self {
            id: hex(&id),
            sealing_key,
            file_names,
            fingerprint_key: derive(&key, "keyferry fingerprints"),
        }
    }
}

/// Formats bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = Zeroizing::new(digits.filter(|digits| digits.len() == 64)?);
    bytes
        .iter_mut()
        .zip(digits.chunks(2))
        .for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
    Some(bytes)
}

/// Reads the key from its file. `None` if the file does not exist.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if other users could access the file or it is not a regular file;
/// [`ErrorKind::Store`] if the file can't be read or is damaged.
pub(super) fn read_file(dir: &Dir, path: &Path) -> Result<Option<DerivedKeys>> {
    let path_text = path.join(KEY_FILE);
    let path_text = path_text.display();
    let bytes = match private_dir::read_file(dir, path, KEY_FILE)? {
        FileContents::Missing => return Ok(None),
        FileContents::Unsafe(fault) => {
            let message = format!(
                "{path_text} {fault}; make it a regular file that you own, with no other hard link, and run `chmod 600 {path_text}`"
            );
            return Err(Error::new(ErrorKind::UnsafeFile, message));
        }
        FileContents::Bytes(bytes) => Zeroizing::new(bytes),
    };
    let mut lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
    let damaged = || {
        Error::new(
            ErrorKind::Store,
            format!(
                "{path_text} is damaged; restore it from a backup, or clear the store with `keyferry logout`"
            ),
        )
    };
    match lines.next().and_then(|line| line.strip_prefix(FIRST_LINE)) {
        Some(VERSION) => {}
        Some(version) if version.parse::<u32>().is_ok() => {
            return Err(Error::new(
                ErrorKind::Store,
                format!(
                    "{path_text} was written by another release of keyferry; use that release or a newer one"
                ),
            ));
        }
        _ => return Err(damaged()),
    }
    let (id, key) = (
        lines.next().unwrap_or_default(),
        Zeroizing::new(lines.next().and_then(parse_hex).ok_or_else(damaged)?),
    );
    let keys = DerivedKeys::new(&key);
    if id == keys.id {
        Ok(Some(keys))
    } else {
        Err(damaged())
    }
}

/// Parses the key in a keyring item. `None` if the item is damaged.
#[expect(
    clippy::disallowed_methods,
    reason = "the digits of the store's key are parsed"
)]
fn parse_key(secret: &Secret) -> Option<Zeroizing<[u8; 32]>> {
    parse_hex(secret.expose()).map(Zeroizing::new)
}

/// Reads the key from a keyring. `None` if the keyring has no such item.
///
/// # Errors
/// [`ErrorKind::Store`] if the item is damaged. Also returns the errors of the keyring.
pub(super) fn read_from_keyring(
    backend: &dyn KeyBackend,
    name: &str,
) -> Result<Option<DerivedKeys>> {
    let Some(secret) = backend.get(name)? else {
        return Ok(None);
    };
    let message = "the store's key in the keyring is damaged; restore it, or clear the store with `keyferry logout`";
    let key = parse_key(&secret).ok_or_else(|| Error::new(ErrorKind::Store, message))?;
    Ok(Some(DerivedKeys::new(&key)))
}

/// Creates the key in a keyring, unless the keyring has a valid one. The caller must hold the
/// label's lock and have found no label that names a key. Then no file depends on a damaged item,
/// so the item may be overwritten.
///
/// # Errors
/// Returns the errors of the keyring; [`ErrorKind::Store`] if the system returns no random numbers.
pub(super) fn create_in_keyring(backend: &dyn KeyBackend, name: &str) -> Result<DerivedKeys> {
    if let Some(key) = backend.get(name)?.as_ref().and_then(parse_key) {
        return Ok(DerivedKeys::new(&key));
    }
    let key = random_key()?;
    backend.put(name, &Secret::new(hex(&*key)))?;
    Ok(DerivedKeys::new(&key))
}

fn random_key() -> Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|_| {
        Error::new(
            ErrorKind::Store,
            "cannot get random numbers from the system; retry",
        )
    })?;
    Ok(key)
}

/// Creates the key file, unless another process has just created it.
///
/// # Errors
/// Returns the errors of [`read_file`]; [`ErrorKind::Store`] if the file can't be written.
pub(super) fn create_file(dir: &Dir, path: &Path) -> Result<DerivedKeys> {
    let locks = Locks::open(dir, path, LOCK_FILE)?;
    let _lock = locks.acquire(lock::CREATION)?;
    if let Some(keys) = read_file(dir, path)? {
        return Ok(keys);
    }
    let key = random_key()?;
    let (keys, digits) = (DerivedKeys::new(&key), Zeroizing::new(hex(&*key)));
    let text = Zeroizing::new(format!("{FIRST_LINE}{VERSION}\n{}\n{}\n", keys.id, *digits));
    let write = || {
        // A killed process may have left this file behind.
        let _ = dir.remove_file(NEW_FILE);
        let mut file = dir.open_file(NEW_FILE, OpenMode::CreateNew)?;
        private_file::write_synced(&mut file, text.as_bytes())?;
        dir.rename_no_replace(NEW_FILE, KEY_FILE)?;
        dir.sync()
    };
    if let Err(error) = write() {
        let _ = dir.remove_file(NEW_FILE);
        return Err(io_error(&path.join(KEY_FILE), &error));
    }
    Ok(keys)
}
