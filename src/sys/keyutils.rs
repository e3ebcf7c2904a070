//! The kernel's keys of this user: found by description, read, made and taken away.
//!
//! It never touches the process keyring: that one belongs to a single thread's credentials.

#[cfg(target_os = "linux")]
pub use linux::{add, read, remove};

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, CString, c_long};
    use std::io;

    use zeroize::Zeroizing;

    const SESSION: c_long = -3;
    const USER: c_long = -4;
    const KEYCTL_LINK: c_long = 8;
    const KEYCTL_UNLINK: c_long = 9;
    const KEYCTL_SEARCH: c_long = 10;
    const KEYCTL_READ: c_long = 11;
    const KIND: &CStr = c"user";
    const MAX_BYTES: usize = 64 * 1024;

    /// What a key holds; none if there is no such key.
    ///
    /// # Errors
    /// Those of the system: `EACCES` where this login has no session keyring.
    pub fn read(description: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(key) = find(description)? else { return Ok(None) };
        let mut bytes = Zeroizing::new(vec![0_u8; MAX_BYTES]);
        let mut fill = || {
            // SAFETY: the buffer is as long as is said.
            checked(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_READ, key, bytes.as_mut_ptr(), bytes.len(), 0_usize) })
        };
        let length = match fill() {
            // A session that the user's keyring is no part of finds a key there and may not read it: logins usually make it one.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                // SAFETY: the call takes numbers alone.
                checked(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_LINK, USER, SESSION, 0_usize, 0_usize) })?;
                fill()?
            }
            outcome => outcome?,
        };
        bytes.truncate(usize::try_from(length).unwrap_or(0));
        Ok(Some(bytes))
    }

    /// Makes a key, or gives the one that is there another value. It ends with the machine's next start.
    ///
    /// # Errors
    /// Those of the system: `EDQUOT` where the user has too many.
    pub fn add(description: &str, value: &[u8]) -> io::Result<()> {
        let name = text(description)?;
        // SAFETY: both texts end in NUL and the value is as long as is said.
        checked(unsafe { libc::syscall(libc::SYS_add_key, KIND.as_ptr(), name.as_ptr(), value.as_ptr(), value.len(), USER) }).map(drop)
    }

    /// Takes a key away. Whether there was one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(description: &str) -> io::Result<bool> {
        let Some(key) = find(description)? else { return Ok(false) };
        // SAFETY: the call takes numbers alone.
        checked(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_UNLINK, key, USER, 0_usize, 0_usize) }).map(|_| true)
    }

    /// The session's keyring first, which the user's usually is a part of, then the user's own.
    fn find(description: &str) -> io::Result<Option<c_long>> {
        let name = text(description)?;
        let search = |ring: c_long| {
            // SAFETY: both texts end in NUL; the key is linked nowhere else.
            checked(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SEARCH, ring, KIND.as_ptr(), name.as_ptr(), 0_usize) })
        };
        match search(SESSION).or_else(|_| search(USER)) {
            Ok(key) => Ok(Some(key)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOKEY | libc::EKEYEXPIRED | libc::EKEYREVOKED)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn text(description: &str) -> io::Result<CString> {
        CString::new(description).map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    fn checked(result: c_long) -> io::Result<c_long> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }
}
