//! The interface of the places where failures are recorded outside the store.

use ring::hmac;
use zeroize::Zeroizing;

use crate::model::key::{Fingerprint, Fingerprinter};
use crate::sys::file_lock::HeldLock;

/// The length of a place's key.
pub(super) const KEY_LEN: usize = 32;

/// A result whose error is the reason why a place can't be used. The reason names the place, in
/// lower case and without a full stop.
pub(super) type Outcome<T> = Result<T, String>;

/// A place with a random key and named entries, which all processes of a user share.
pub(super) trait Place {
    /// Returns what the place is, for messages.
    fn description(&self) -> String;

    fn key(&self) -> &PlaceKey;

    /// The maximum number of entries.
    fn max_entries(&self) -> usize;

    /// Keeps other processes from changing entries until the lock is dropped. `None` if the place
    /// has no locks.
    fn lock(&self) -> Outcome<Option<HeldLock>>;

    /// Returns the names of the entries.
    fn names(&self) -> Outcome<Vec<String>>;

    /// Returns an entry. `None` if it does not exist or can't be read.
    fn read(&self, name: &str) -> Option<Vec<u8>>;

    /// Writes or replaces an entry. A place may remove it after `lasts_s` seconds. The caller holds
    /// the lock.
    fn write(&self, name: &str, bytes: &[u8], lasts_s: u32) -> Outcome<()>;

    /// Removes an entry, if it exists.
    fn remove(&self, name: &str) -> Outcome<()>;
}

/// The key of a place. All names and fingerprints of the place are made with it.
pub(super) struct PlaceKey(Zeroizing<[u8; KEY_LEN]>);

impl PlaceKey {
    /// Creates a key from its bytes. `None` if their number is wrong.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    /// Returns random bytes for a new key.
    pub(super) fn random() -> Outcome<Zeroizing<[u8; KEY_LEN]>> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(&mut *bytes)
            .map_err(|_| "the system returns no random numbers".to_owned())?;
        Ok(bytes)
    }

    /// Returns the fingerprinter for secrets.
    pub(super) fn fingerprints(&self) -> Fingerprinter {
        self.derive("keyferry fingerprints")
    }

    /// Returns the name of the entry for a fingerprint. It is a keyed hash: a fingerprint may have
    /// been made with another key, or with none.
    pub(super) fn entry_name(&self, secret: &Fingerprint) -> String {
        self.derive("keyferry names")
            .of(&["failure", &secret.to_string()])
            .to_string()
    }

    fn derive(&self, purpose: &str) -> Fingerprinter {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        Fingerprinter::new(hmac::sign(&key, purpose.as_bytes()).as_ref())
    }
}

/// Returns whether a name is one of an entry.
pub(super) fn is_entry_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
