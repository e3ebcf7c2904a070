//! The system calls for keys in the Linux kernel's keyrings.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, c_long, c_ulong};
use std::io;
use std::ptr;

use zeroize::Zeroizing;

/// The keyring of the user who runs the process.
pub(super) const USER_KEYRING: c_long = -4;
pub(super) const KEYCTL_LINK: c_long = 8;
pub(super) const KEYCTL_UNLINK: c_long = 9;
const KEYCTL_SEARCH: c_long = 10;
const KEYCTL_READ: c_long = 11;
/// The type of a key with a value.
pub(super) const USER_KEY: &CStr = c"user";
/// More than the largest value of a key of the type [`USER_KEY`].
const MAX_BYTES: usize = 64 * 1024;

/// Adds a key to a keyring, or replaces the value of the key of this name.
pub(super) fn add(
    key_type: &CStr,
    name: &CStr,
    value: &[u8],
    keyring: c_long,
) -> io::Result<c_long> {
    let bytes = if value.is_empty() {
        ptr::null()
    } else {
        value.as_ptr()
    };
    // SAFETY: both strings are C strings, and `bytes` is NULL or has the given length.
    check(unsafe {
        libc::syscall(
            libc::SYS_add_key,
            key_type.as_ptr(),
            name.as_ptr(),
            bytes,
            value.len(),
            keyring,
        )
    })
}

/// Searches a keyring for a key. `None` if it has no such key, or the key has expired.
pub(super) fn search(keyring: c_long, key_type: &CStr, name: &str) -> io::Result<Option<c_long>> {
    let name = c_string(name)?;
    // SAFETY: both strings are C strings. The last argument is 0, so the kernel links the key to no
    // other keyring.
    let found = check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_SEARCH,
            keyring,
            key_type.as_ptr(),
            name.as_ptr(),
            0_usize,
        )
    });
    match found {
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

/// Returns the value of a key.
pub(super) fn read(key: c_long) -> io::Result<Zeroizing<Vec<u8>>> {
    fill(KEYCTL_READ, key)
}

/// Makes a call that fills a buffer.
pub(super) fn fill(operation: c_long, key: c_long) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0_u8; MAX_BYTES]);
    // SAFETY: `bytes` is writable and has the given length.
    let length = check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            operation,
            key,
            bytes.as_mut_ptr(),
            bytes.len(),
            0_usize,
        )
    })?;
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    Ok(bytes)
}

/// Makes a call that only takes numbers.
pub(super) fn call(arguments: [c_long; 5]) -> io::Result<c_long> {
    let [operation, second, third, fourth, fifth] = arguments.map(|number| number as c_ulong);
    // SAFETY: the operations that this function is used for take numbers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, operation, second, third, fourth, fifth) })
}

/// Returns a key's name as the system calls take it.
pub(super) fn c_string(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
