//! A keyring in the Linux kernel that belongs to this user, and that no other user can read or
//! change. It is linked to the user keyring. Its keys are lost when the machine restarts.
//!
//! A process may read a key by its owner's permissions or by *possession*: the key is reachable from
//! the process's own keyrings. A new key grants its owner nothing but a look at its description. So
//! each key is created in the keyring of a short-lived thread, which possesses it there, gets its
//! permissions, and is linked to its final place. Rationale: linking the user keyring to the session
//! keyring would give possession too. But under `sudo`, the session keyring may belong to the user
//! who called it, and that user would then possess root's keys.

use std::ffi::{CStr, c_long};
use std::io;

use zeroize::Zeroizing;

use super::keyctl::{
    KEYCTL_LINK, KEYCTL_UNLINK, USER_KEY, USER_KEYRING, add, c_string, call, fill, read, search,
};
use super::owner::user_id;
use super::signals;

const THREAD_KEYRING: c_long = -1;
const KEYCTL_SETPERM: c_long = 5;
const KEYCTL_DESCRIBE: c_long = 6;
const KEYCTL_SET_TIMEOUT: c_long = 15;
const KEYCTL_MOVE: c_long = 30;
const KEYCTL_MOVE_EXCL: c_long = 1;
const KEYRING: &CStr = c"keyring";
/// All permissions for the owner and for a process that possesses the key, none for others.
const OWNER_ONLY: c_long = 0x3f3f_0000;
/// The permissions of the group and of other users.
const OTHERS: u32 = 0x0000_ffff;
const THREAD_STACK_BYTES: usize = 128 * 1024;

/// An open keyring.
pub struct PrivateKeyring(c_long);

impl PrivateKeyring {
    /// Opens the keyring of this name. `None` if it does not exist.
    ///
    /// # Errors
    /// `EACCES` if the keyring belongs to another user, or if other users have any access to it;
    /// `ENOSYS` or `EPERM` if the kernel has no keyrings or a container forbids them; else the
    /// operating system's error.
    pub fn open(name: &str) -> io::Result<Option<Self>> {
        let Some(keyring) = search(USER_KEYRING, KEYRING, name)? else {
            return Ok(None);
        };
        let description = describe(keyring)?;
        let mut parts = description.split(';').skip(1);
        let owner = parts.next().and_then(|uid| uid.parse().ok());
        let permissions = parts
            .nth(1)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if owner == Some(user_id()) && permissions.is_some_and(|bits| bits & OTHERS == 0) {
            Ok(Some(Self(keyring)))
        } else {
            Err(io::Error::from_raw_os_error(libc::EACCES))
        }
    }

    /// Creates a keyring with one key, or opens the keyring of this name that another process has
    /// just created.
    ///
    /// # Errors
    /// Returns the errors of [`PrivateKeyring::open`]; `EDQUOT` if the user has too many keys.
    pub fn create(name: &str, key_name: &str, value: &[u8]) -> io::Result<Self> {
        let (name_text, key_name) = (c_string(name)?, c_string(key_name)?);
        let created = in_thread(|| {
            let keyring = add(KEYRING, &name_text, &[], THREAD_KEYRING)?;
            let key = add(USER_KEY, &key_name, value, keyring)?;
            set_owner_only(key)?;
            set_owner_only(keyring)?;
            move_to_user_keyring(keyring)
        });
        match created {
            Err(error) if error.raw_os_error() != Some(libc::EEXIST) => Err(error),
            _ => Self::open(name)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOKEY)),
        }
    }

    /// Returns the value of a key. `None` if the keyring has no such key.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match search(self.0, USER_KEY, name)? {
            Some(key) => read(key).map(Some),
            None => Ok(None),
        }
    }

    /// Adds a key, or replaces the key of this name. The kernel removes it after `timeout_s`
    /// seconds.
    ///
    /// # Errors
    /// Returns the operating system's error: `EDQUOT` if the user has too many keys.
    pub fn write(&self, name: &str, value: &[u8], timeout_s: u32) -> io::Result<()> {
        let name = c_string(name)?;
        in_thread(|| {
            let key = add(USER_KEY, &name, value, THREAD_KEYRING)?;
            set_owner_only(key)?;
            call([KEYCTL_SET_TIMEOUT, key, c_long::from(timeout_s), 0, 0])?;
            call([KEYCTL_LINK, key, self.0, 0, 0]).map(drop)
        })
    }

    /// Removes a key, if the keyring has it.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match search(self.0, USER_KEY, name)? {
            Some(key) => call([KEYCTL_UNLINK, key, self.0, 0, 0]).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the names of the keys.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn names(&self) -> io::Result<Vec<String>> {
        // The value of a keyring is the list of its keys, each a 32-bit number.
        let keys = read(self.0)?;
        let numbers = keys
            .chunks_exact(4)
            .map(|bytes| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        // A key may expire meanwhile.
        let descriptions = numbers.filter_map(|key| describe(c_long::from(key)).ok());
        Ok(descriptions
            .filter_map(|description| Some(description.splitn(5, ';').nth(4)?.to_owned()))
            .collect())
    }
}

/// Runs a function in a thread of its own. The keyring of that thread ends with it.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let with_signals = || {
        signals::block_sigpipe();
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("keyferry".into())
            .stack_size(THREAD_STACK_BYTES)
            .spawn_scoped(scope, with_signals)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("panicked")))
    })
}

fn set_owner_only(key: c_long) -> io::Result<()> {
    call([KEYCTL_SETPERM, key, OWNER_ONLY, 0, 0]).map(drop)
}

/// Moves a new keyring from this thread's keyring to the user keyring. `EEXIST` if the user keyring
/// has a keyring of this name.
fn move_to_user_keyring(keyring: c_long) -> io::Result<()> {
    let moved = call([
        KEYCTL_MOVE,
        keyring,
        THREAD_KEYRING,
        USER_KEYRING,
        KEYCTL_MOVE_EXCL,
    ]);
    match moved {
        // Kernels before 5.3 can only link. Of two keyrings that are linked at the same moment, the
        // last one stays.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            call([KEYCTL_LINK, keyring, USER_KEYRING, 0, 0]).map(drop)
        }
        moved => moved.map(drop),
    }
}

/// Returns a key's description: its type, user, group, permissions and name, separated by
/// semicolons.
fn describe(key: c_long) -> io::Result<String> {
    let bytes = fill(KEYCTL_DESCRIBE, key)?;
    let text = CStr::from_bytes_until_nul(&bytes)
        .ok()
        .and_then(|text| text.to_str().ok());
    text.map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
