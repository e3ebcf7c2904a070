//! The kernel's keys of this user: finds, reads, adds and removes them by description.
//!
//! It never uses the process keyring, which belongs to a single thread's credentials.

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

    /// The value of a key. `None` if there is no such key.
    ///
    /// # Errors
    /// Those of the system: `EACCES` where this login has no session keyring.
    pub fn read(description: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(key) = find(description)? else {
            return Ok(None);
        };
        let mut bytes = Zeroizing::new(vec![0_u8; MAX_BYTES]);
        let mut read_key = || {
            // SAFETY: the buffer has the given length.
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
            // Where the session's keyring has no link to the user's, a key there is found but can't
            // be read. Logins usually make the link.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                // SAFETY: the call takes numbers alone.
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

    /// Adds a key, or changes the value of the present one. The key is lost at the machine's next
    /// start.
    ///
    /// # Errors
    /// Those of the system: `EDQUOT` where the user has too many.
    pub fn add(description: &str, value: &[u8]) -> io::Result<()> {
        let name = c_string(description)?;
        // SAFETY: both texts end in NUL and the value has the given length.
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

    /// Removes a key. Gives whether there was one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(description: &str) -> io::Result<bool> {
        let Some(key) = find(description)? else {
            return Ok(false);
        };
        // SAFETY: the call takes numbers alone.
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

    /// Searches the session's keyring, which usually links to the user's, and then the user's.
    fn find(description: &str) -> io::Result<Option<c_long>> {
        let name = c_string(description)?;
        let search = |ring: c_long| {
            // SAFETY: both texts end in NUL; the key is linked nowhere else.
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
