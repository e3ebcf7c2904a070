//! Reads, adds and removes the user's keys in the Linux kernel's keyrings. Each key is found by its
//! description.
//!
//! Never uses the process keyring, because it belongs to the credentials of a single thread.

#[cfg(target_os = "linux")]
pub use linux::{add, read, remove};

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::c_long;
    use std::io;

    use zeroize::Zeroizing;

    use crate::sys::keyctl::{
        self, KEYCTL_LINK, KEYCTL_UNLINK, USER_KEY, USER_KEYRING, c_string, call, search,
    };

    const SESSION_KEYRING: c_long = -3;

    /// Returns the value of a key, or `None` if the key does not exist.
    ///
    /// # Errors
    /// Returns the operating system's error: `EACCES` if this login has no session keyring.
    pub fn read(description: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(key) = find(description)? else {
            return Ok(None);
        };
        match keyctl::read(key) {
            // The session keyring usually links to the user keyring. Without this link, a key in
            // the user keyring can be found but not read, so the link is added here.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                call([KEYCTL_LINK, USER_KEYRING, SESSION_KEYRING, 0, 0])?;
                keyctl::read(key).map(Some)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Adds a key, or replaces the value of an existing key. The key is lost when the machine
    /// restarts.
    ///
    /// # Errors
    /// Returns the operating system's error: `EDQUOT` if the user has too many keys.
    pub fn add(description: &str, value: &[u8]) -> io::Result<()> {
        let name = c_string(description)?;
        keyctl::add(USER_KEY, &name, value, USER_KEYRING).map(drop)
    }

    /// Removes a key. Returns whether the key existed.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn remove(description: &str) -> io::Result<bool> {
        let Some(key) = find(description)? else {
            return Ok(false);
        };
        call([KEYCTL_UNLINK, key, USER_KEYRING, 0, 0]).map(|_| true)
    }

    /// Searches the session keyring, which usually links to the user keyring, and then the user
    /// keyring.
    fn find(description: &str) -> io::Result<Option<c_long>> {
        match search(SESSION_KEYRING, USER_KEY, description) {
            Ok(Some(key)) => Ok(Some(key)),
            Ok(None) | Err(_) => search(USER_KEYRING, USER_KEY, description),
        }
    }
}
