//! The master key of a store, and the keys derived from it. It is made once, though many processes
//! may start at the same time.
//!
//! The file is text: `keyferry store key 1`, the key's id, the key. The id is the key's own
//! fingerprint, so that a damaged key is not taken for another one. A keyring holds the key's
//! digits alone.

use std::fmt::Write as _;
use std::path::Path;

use ring::hmac;
use zeroize::Zeroizing;

use super::envelope::SealingKey;
use super::location::KEY_FILE;
use super::lock;
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
    /// Makes the names of files.
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

/// Bytes as lower-case hexadecimal digits.
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
/// [`ErrorKind::UnsafeFile`], [`ErrorKind::Store`], each with its remedy.
pub(super) fn read_file(dir: &Dir, path: &Path) -> Result<Option<DerivedKeys>> {
    let path_text = path.join(KEY_FILE);
    let path_text = path_text.display();
    let bytes = match private_dir::read_file(dir, path, KEY_FILE)? {
        FileContents::Missing => return Ok(None),
        FileContents::Unsafe(fault) => {
            let what = format!(
                "{path_text} {fault}: it has to be a file of this user's own, chmod 600, with one name"
            );
            return Err(Error::new(ErrorKind::UnsafeFile, what));
        }
        FileContents::Bytes(bytes) => Zeroizing::new(bytes),
    };
    let mut lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
    let damaged = || {
        Error::new(
            ErrorKind::Store,
            format!(
                "{path_text} is damaged: put it back from a backup, or clear the store with `keyferry logout`"
            ),
        )
    };
    match lines.next().and_then(|line| line.strip_prefix(FIRST_LINE)) {
        Some(VERSION) => {}
        Some(version) if version.parse::<u32>().is_ok() => {
            return Err(Error::new(
                ErrorKind::Store,
                format!(
                    "{path_text} was written by another release of keyferry: use that one, or a newer"
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

/// The key in a keyring's item. `None` if it is damaged.
fn parse_key(secret: &Secret) -> Option<Zeroizing<[u8; 32]>> {
    parse_hex(secret.expose()).map(Zeroizing::new)
}

/// Reads the key from a keyring. `None` if the keyring has no such item.
///
/// # Errors
/// Those of the keyring; [`ErrorKind::Store`] if the item is damaged.
pub(super) fn read_from_keyring(
    backend: &dyn KeyBackend,
    name: &str,
) -> Result<Option<DerivedKeys>> {
    let Some(secret) = backend.get(name)? else {
        return Ok(None);
    };
    let what = "the store's key in the keyring is damaged: put it back, or clear the store with `keyferry logout`";
    let key = parse_key(&secret).ok_or_else(|| Error::new(ErrorKind::Store, what))?;
    Ok(Some(DerivedKeys::new(&key)))
}

/// Makes the key in a keyring, unless the keyring has it. The caller holds the label's lock and has
/// found no label that names a key, so a damaged item unseals nothing and may be overwritten.
///
/// # Errors
/// Those of the keyring.
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
    getrandom::fill(&mut *key)
        .map_err(|_| Error::new(ErrorKind::Store, "the system gives no random numbers"))?;
    Ok(key)
}

/// Makes the key's file, unless another process has made it meanwhile.
///
/// # Errors
/// Those of [`read_file`].
pub(super) fn create_file(dir: &Dir, path: &Path) -> Result<DerivedKeys> {
    let _lock = lock::acquire(dir, path, LOCK_FILE)?;
    if let Some(keys) = read_file(dir, path)? {
        return Ok(keys);
    }
    let key = random_key()?;
    let (keys, digits) = (DerivedKeys::new(&key), Zeroizing::new(hex(&*key)));
    let text = Zeroizing::new(format!("{FIRST_LINE}{VERSION}\n{}\n{}\n", keys.id, *digits));
    let write = || {
        // A killed process may have left it behind.
        let _ = dir.remove_file(NEW_FILE);
        let mut file = dir.open_file(NEW_FILE, OpenMode::CreateNew)?;
        private_file::write(&mut file, text.as_bytes())?;
        dir.rename_no_replace(NEW_FILE, KEY_FILE)?;
        dir.sync()
    };
    if let Err(error) = write() {
        let _ = dir.remove_file(NEW_FILE);
        return Err(io_error(&path.join(KEY_FILE), &error));
    }
    Ok(keys)
}
