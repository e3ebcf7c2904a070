//! The key of a store: a file of the user's own, made once, by one of all who start at the same time.
//!
//! The file is text: `keyferry store key 1`, the key's id, the key. The id is the key's own
//! fingerprint, so that a bent key is seen as such and not taken for another one. A keyring has the
//! key's digits alone.

use std::fmt::Write as _;
use std::path::Path;

use ring::hmac;
use zeroize::Zeroizing;

use super::envelope::Seal;
use super::lock;
use super::private_dir::{self, Read, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::Fingerprinter;
use crate::ports::store::KeyBackend;
use crate::secret::Secret;
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::private_file;

/// Its name in its folder.
pub(super) const NAME: &str = "store.key";
const LOCK: &str = "store.key.lock";
const NEW: &str = "store.key.new";
const FIRST_LINE: &str = "keyferry store key ";
const VERSION: &str = "1";

/// What is derived from the key.
pub(super) struct Keys {
    /// Which key it is.
    pub(super) id: String,
    /// Seals files.
    pub(super) seal: Seal,
    /// Makes names of files.
    pub(super) names: Fingerprinter,
    /// The key of the fingerprints of secrets.
    pub(super) secrets: Zeroizing<[u8; 32]>,
}

fn derived(key: &hmac::Key, use_of_it: &str) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(key, use_of_it.as_bytes());
    let mut derived = Zeroizing::new([0; 32]);
    derived.copy_from_slice(tag.as_ref());
    derived
}

impl Keys {
    fn new(key: &[u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut id = [0; 8];
        id.copy_from_slice(&derived(&key, "keyferry key id")[..8]);
        let seal = Seal::new(id, &derived(&key, "keyferry seal"));
        let names = Fingerprinter::new(&*derived(&key, "keyferry names"));
        Self { id: hex(&id), seal, names, secrets: derived(&key, "keyferry fingerprints") }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = Zeroizing::new(digits.filter(|digits| digits.len() == 64)?);
    bytes.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
    Some(bytes)
}

/// Reads the key. None if there is none.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`], [`ErrorKind::Store`], each with its remedy.
pub(super) fn read(folder: &Dir, path: &Path) -> Result<Option<Keys>> {
    let shown = path.join(NAME);
    let shown = shown.display();
    let bytes = match private_dir::read(folder, path, NAME)? {
        Read::Nothing => return Ok(None),
        Read::Odd(odd) => {
            let what = format!("{shown} {odd}: it has to be a file of this user's own, chmod 600, with one name");
            return Err(Error::new(ErrorKind::UnsafeFile, what));
        }
        Read::Bytes(bytes) => Zeroizing::new(bytes),
    };
    let mut lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
    let damaged = || {
        Error::new(ErrorKind::Store, format!("{shown} is damaged: put it back from a backup, or clear the store with `keyferry logout`"))
    };
    match lines.next().and_then(|line| line.strip_prefix(FIRST_LINE)) {
        Some(VERSION) => {}
        Some(other) if other.parse::<u32>().is_ok() => {
            return Err(Error::new(
                ErrorKind::Store,
                format!("{shown} was written by another release of keyferry: use that one, or a newer"),
            ));
        }
        _ => return Err(damaged()),
    }
    let (named, key) = (lines.next().unwrap_or_default(), Zeroizing::new(lines.next().and_then(unhex).ok_or_else(damaged)?));
    let keys = Keys::new(&key);
    if named == keys.id { Ok(Some(keys)) } else { Err(damaged()) }
}

/// The key in what a keeper had. None if it is damaged.
fn kept_key(kept: &Secret) -> Option<Zeroizing<[u8; 32]>> {
    unhex(kept.expose()).map(Zeroizing::new)
}

/// Reads the key from its keeper. None if that has none.
///
/// # Errors
/// Those of the keeper; [`ErrorKind::Store`] if it is none.
pub(super) fn read_kept(keeper: &dyn KeyBackend, name: &str) -> Result<Option<Keys>> {
    let Some(kept) = keeper.get(name)? else { return Ok(None) };
    let what = "the store's key in the keyring is damaged: put it back, or clear the store with `keyferry logout`";
    let key = kept_key(&kept).ok_or_else(|| Error::new(ErrorKind::Store, what))?;
    Ok(Some(Keys::new(&key)))
}

/// Makes the key, unless its keeper has it. The caller holds the lock of those who make one, and has found no label that names
/// a key: what is damaged opens nothing, and makes room.
///
/// # Errors
/// Those of the keeper.
pub(super) fn make_kept(keeper: &dyn KeyBackend, name: &str) -> Result<Keys> {
    if let Some(key) = keeper.get(name)?.as_ref().and_then(kept_key) {
        return Ok(Keys::new(&key));
    }
    let key = random()?;
    keeper.put(name, &Secret::new(hex(&*key)))?;
    Ok(Keys::new(&key))
}

fn random() -> Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|_| Error::new(ErrorKind::Store, "the system gives no random numbers"))?;
    Ok(key)
}

/// Makes the key, unless another process has made it meanwhile.
///
/// # Errors
/// Those of [`read`].
pub(super) fn make(folder: &Dir, path: &Path) -> Result<Keys> {
    let _lock = lock::wait(folder, path, LOCK)?;
    if let Some(keys) = read(folder, path)? {
        return Ok(keys);
    }
    let key = random()?;
    let (keys, digits) = (Keys::new(&key), Zeroizing::new(hex(&*key)));
    let text = Zeroizing::new(format!("{FIRST_LINE}{VERSION}\n{}\n{}\n", keys.id, *digits));
    let write = || {
        // What a maker left behind that was killed.
        let _ = folder.remove(NEW);
        let mut file = folder.file(NEW, OpenMode::New)?;
        private_file::write(&mut file, text.as_bytes())?;
        folder.rename_new(NEW, NAME)?;
        folder.sync()
    };
    if let Err(error) = write() {
        let _ = folder.remove(NEW);
        return Err(io_error(&path.join(NAME), &error));
    }
    Ok(keys)
}
