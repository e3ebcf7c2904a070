//! Replaces this process by another program.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;

/// Returns the path that this program was started with, as the caller wrote it: relative or
/// absolute, and possibly a symbolic link.
pub fn started_as() -> Option<PathBuf> {
    // SAFETY: the call only takes a number.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    let path = ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(address).ok()?);
    if path.is_null() {
        return None;
    }
    // SAFETY: the kernel put the string there when it started the program, and it stays until the
    // process ends.
    let path = unsafe { CStr::from_ptr(path) };
    Some(OsStr::from_bytes(path.to_bytes()).into())
}

/// Replaces this process by a program. `arguments` begins with the name of the program. `stdin`
/// becomes standard input. Returns only if that fails.
///
/// Rationale: [`std::process::Command`] also unblocks all signals. The program must find those
/// blocked that this process inherited as blocked.
pub fn replace_process(
    program: &Path,
    arguments: impl Iterator<Item = OsString>,
    stdin: Option<OwnedFd>,
) -> io::Error {
    let c_string = |text: OsString| CString::new(text.into_vec());
    let arguments: Result<Vec<_>, _> = arguments.map(c_string).collect();
    let (Ok(program), Ok(arguments)) = (c_string(program.into()), arguments) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let pointers = arguments.iter().map(|argument| argument.as_ptr());
    let pointers: Vec<_> = pointers.chain([ptr::null()]).collect();
    if let Some(stdin) = stdin {
        // SAFETY: the call only takes integers, and both descriptors are open.
        if unsafe { libc::dup2(stdin.as_raw_fd(), libc::STDIN_FILENO) } == -1 {
            return io::Error::last_os_error();
        }
    }
    super::stdio::close_recorded_streams();
    // SAFETY: the strings end with NUL, the list with NULL, and all of them outlive the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}
