//! Reads, adds and removes the user's keys in the Linux kernel's keyrings. Each key is found by its
//! description.
//!
//! Never uses the process keyring, because it belongs to the credentials of a single thread.

#![expect(unsafe_code, reason = "system calls")]

#[cfg(target_os = "linux")]
pub use linux::{add, read, remove};

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, CString, c_long};
    use std::io;

    use zeroize::Zeroizing;

    const SESSION_KEYRING: c_long = -3;
    const USER_KEYRING: c_long = -4;
    const KEYCTL_LINK: c_long = 8;
    const KEYCTL_UNLINK: c_long = 9;
    const KEYCTL_SEARCH: c_long = 10;
    const KEYCTL_READ: c_long = 11;
    const KEY_TYPE: &CStr = c"user";
    const MAX_BYTES: usize = 64 * 1024;

    /// Returns the value of a key, or `None` if the key does not exist.
    ///
    /// # Errors
    /// Returns the operating system's error: `EACCES` if this login has no session keyring.
    pub fn read(description: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(key) = find(description)? else {
            return Ok(None);
        };
        let mut bytes = Zeroizing::new(vec![0_u8; MAX_BYTES]);
        let mut read_key = || {
            // SAFETY: `bytes` is writable and has the given length.
            check(unsafe {
                libc::syscall(
                    libc::SYS_keyctl,
                    KEYCTL_READ,
                    key,
                    bytes.as_mut_ptr(),
                    bytes.len(),
                    0_usize,
                )
            })
        };
        let length = match read_key() {
            // The session keyring usually links to the user keyring. Without this link, a key in
            // the user keyring can be found but not read, so the link is added here.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                // SAFETY: the call only takes numbers.
                check(unsafe {
                    libc::syscall(
                        libc::SYS_keyctl,
                        KEYCTL_LINK,
                        USER_KEYRING,
                        SESSION_KEYRING,
                        0_usize,
                        0_usize,
                    )
                })?;
                read_key()?
            }
            outcome => outcome?,
        };
        bytes.truncate(usize::try_from(length).unwrap_or(0));
        Ok(Some(bytes))
    }

    /// Adds a key, or replaces the value of an existing key. The key is lost when the machine
    /// restarts.
    ///
    /// # Errors
    /// Returns the operating system's error: `EDQUOT` if the user has too many keys.
    pub fn add(description: &str, value: &[u8]) -> io::Result<()> {
        let name = c_string(description)?;
        // SAFETY: both strings are C strings, and `value` has the given length.
        check(unsafe {
            libc::syscall(
                libc::SYS_add_key,
                KEY_TYPE.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                value.len(),
                USER_KEYRING,
            )
        })
        .map(drop)
    }

    /// Removes a key. Returns whether the key existed.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn remove(description: &str) -> io::Result<bool> {
        let Some(key) = find(description)? else {
            return Ok(false);
        };
        // SAFETY: the call only takes numbers.
        check(unsafe {
            libc::syscall(
                libc::SYS_keyctl,
                KEYCTL_UNLINK,
                key,
                USER_KEYRING,
                0_usize,
                0_usize,
            )
        })
        .map(|_| true)
    }

    /// Searches the session keyring, which usually links to the user keyring, and then the user
    /// keyring.
    fn find(description: &str) -> io::Result<Option<c_long>> {
        let name = c_string(description)?;
        let search = |ring: c_long| {
            // SAFETY: both strings are C strings. The last argument is 0, so the kernel links the
            // key to no other keyring.
            check(unsafe {
                libc::syscall(
                    libc::SYS_keyctl,
                    KEYCTL_SEARCH,
                    ring,
                    KEY_TYPE.as_ptr(),
                    name.as_ptr(),
                    0_usize,
                )
            })
        };
        match search(SESSION_KEYRING).or_else(|_| search(USER_KEYRING)) {
            Ok(key) => Ok(Some(key)),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENOKEY | libc::EKEYEXPIRED | libc::EKEYREVOKED)
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn c_string(description: &str) -> io::Result<CString> {
        CString::new(description).map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    fn check(result: c_long) -> io::Result<c_long> {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    }
}
