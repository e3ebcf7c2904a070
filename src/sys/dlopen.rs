//! Shared objects. They are loaded from an open descriptor, so that the file that was examined is
//! the one that runs, and are never unloaded.

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd;

/// A loaded object.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

// SAFETY: the handle is the linker's own, which takes it from any thread, and it is never closed.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// Loads an object and runs its constructors.
///
/// # Errors
/// The linker's message.
pub fn load(file: File) -> Result<Library, String> {
    // The descriptor stays open: the linker knows an object by its path, so the number must not be
    // reused.
    let path = format!("/proc/self/fd/{}", file.into_raw_fd());
    let name = CString::new(path.as_str()).unwrap_or_default();
    // SAFETY: the text ends in NUL. What constructors do is the object's own: the caller has
    // examined it.
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

/// The linker's message about the last failure on this thread.
fn last_error() -> String {
    // SAFETY: the call takes nothing; the text is this thread's until its next call of the linker.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the linker gives no reason".into();
    }
    // SAFETY: the linker's texts end in NUL.
    let text = unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned();
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

impl Library {
    /// The address of a symbol.
    pub fn symbol(&self, name: &CStr) -> Option<*const c_void> {
        // SAFETY: the handle is open for ever, and the name ends in NUL.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found.cast_const())
    }
}
