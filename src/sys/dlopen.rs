//! Loads shared objects from an open file descriptor. This ensures that the file that was checked
//! is the file that is loaded. Shared objects are never unloaded.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd;

use crate::text::remove_invisible;

/// A loaded shared object.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

// SAFETY: `dlsym` accepts the handle from any thread, and the handle is never closed.
unsafe impl Send for Library {}
// SAFETY: as for `Send` above.
unsafe impl Sync for Library {}

/// Loads a shared object and runs its constructors.
///
/// # Errors
/// Returns the message of the dynamic linker.
pub fn load(file: File) -> Result<Library, String> {
    // The descriptor stays open. The dynamic linker identifies an object by its path, which
    // contains the descriptor's number, so this number must not be reused for another file.
    let path = format!("/proc/self/fd/{}", file.into_raw_fd());
    let name = CString::new(path.as_str()).unwrap_or_default();
    // SAFETY: `name` is a C string. The constructors run arbitrary code; the caller has checked
    // that the file may be loaded.
    let handle = unsafe {
        libc::dlopen(
            name.as_ptr(),
            libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE,
        )
    };
    if handle.is_null() {
        Err(last_error().replace(&format!("{path}: "), ""))
    } else {
        Ok(Library(handle))
    }
}

/// Returns the dynamic linker's message about the last failure on this thread.
fn last_error() -> String {
    // SAFETY: the call takes no arguments. The returned string belongs to this thread and is valid
    // until the thread's next call of the dynamic linker.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the dynamic linker returned no reason".into();
    }
    // SAFETY: the pointer is not NULL, and `dlerror` returns C strings.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    remove_invisible(&text, 300)
}

impl Library {
    /// Returns the address of a symbol.
    pub fn symbol(&self, name: &CStr) -> Option<*const c_void> {
        // SAFETY: the handle is never closed, and `name` is a C string.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found.cast_const())
    }
}
