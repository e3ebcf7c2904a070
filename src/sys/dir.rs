//! Files below an open folder: names are looked up from its descriptor, so that no link slips in between a check and a use.
//!
//! Knows nothing of what the files hold.

use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::file_facts::FileFacts;

/// What an error of the system comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IoCause {
    /// The disk is full, or the user's share of it.
    Full,
    /// The file system is read-only.
    ReadOnly,
    /// This user may not.
    Denied,
    /// The disk is broken.
    Broken,
    /// A file may not grow so large.
    TooLarge,
    /// Too many files are open.
    TooMany,
    /// The file system has no locks.
    NoLocks,
    /// A link, or a file where a folder should be.
    Link,
    /// It can't be opened for what it is.
    NotAFile,
    /// It is not there.
    Missing,
    /// Anything else.
    Other,
}

/// What an error comes from.
pub fn cause(error: &Error) -> IoCause {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => IoCause::Full,
        Some(libc::EROFS) => IoCause::ReadOnly,
        Some(libc::EACCES | libc::EPERM) => IoCause::Denied,
        Some(libc::EIO) => IoCause::Broken,
        Some(libc::EFBIG) => IoCause::TooLarge,
        Some(libc::EMFILE | libc::ENFILE) => IoCause::TooMany,
        Some(libc::ENOLCK | libc::EOPNOTSUPP) => IoCause::NoLocks,
        Some(libc::ELOOP | libc::ENOTDIR) => IoCause::Link,
        Some(libc::ENXIO | libc::ENODEV) => IoCause::NotAFile,
        Some(libc::ENOENT) => IoCause::Missing,
        _ if error.kind() == std::io::ErrorKind::NotFound => IoCause::Missing,
        _ => IoCause::Other,
    }
}

/// An open folder.
pub struct Dir(File);

/// How a file is opened. None follows a link at its last name, waits for a writer, or is inherited by a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading.
    Read,
    /// A new one for writing, readable to the user alone.
    New,
    /// For reading and writing; it is made if it is not there.
    Keep,
}

#[cfg(target_os = "linux")]
const PASS: i32 = libc::O_DIRECTORY | libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const PASS: i32 = libc::O_DIRECTORY;
const ALWAYS: i32 = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

fn name(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}

fn checked(code: i32) -> Result<()> {
    if code < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

impl Dir {
    /// Opens a folder; a link at its last name is refused.
    ///
    /// # Errors
    /// Those of the system: `ENOTDIR` for a link or a file.
    pub fn open(path: &Path) -> Result<Self> {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | ALWAYS).open(path).map(Self)
    }

    /// What the system knows of it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn meta(&self) -> Result<Metadata> {
        self.0.metadata()
    }

    /// The facts about it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn facts(&self) -> Result<FileFacts> {
        FileFacts::of(&self.0)
    }

    /// Opens a folder in it.
    ///
    /// # Errors
    /// Those of [`Dir::open`].
    pub fn folder(&self, text: &str) -> Result<Self> {
        self.open_at(text, libc::O_RDONLY | libc::O_DIRECTORY).map(Self)
    }

    /// The root of all folders, to pass through.
    ///
    /// # Errors
    /// Those of the system.
    pub fn root() -> Result<Self> {
        OpenOptions::new().read(true).custom_flags(PASS).open("/").map(Self)
    }

    /// Passes into a folder in it: nothing in there is listed, so the right to pass is enough.
    ///
    /// # Errors
    /// Those of [`Dir::open`].
    pub fn pass(&self, text: &str) -> Result<Self> {
        self.open_at(text, PASS).map(Self)
    }

    /// Opens a file in it.
    ///
    /// # Errors
    /// Those of the system: `ELOOP` for a link, `EEXIST` if [`OpenMode::New`] is not new.
    pub fn file(&self, text: &str, how: OpenMode) -> Result<File> {
        let flags = match how {
            OpenMode::Read => libc::O_RDONLY,
            OpenMode::New => libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
            OpenMode::Keep => libc::O_RDWR | libc::O_CREAT,
        };
        self.open_at(text, flags)
    }

    fn open_at(&self, text: &str, flags: i32) -> Result<File> {
        let name = name(text)?;
        let mode: libc::c_uint = 0o600;
        // SAFETY: `name` is a C string that outlives the call; the descriptor is open as long as `self`.
        let fd = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags | ALWAYS, mode) };
        checked(fd)?;
        // SAFETY: the call above has just given this descriptor, and nobody else knows it.
        Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes a folder in it for the user alone.
    ///
    /// # Errors
    /// Those of the system: `EEXIST` if anything of that name is there.
    pub fn make(&self, text: &str) -> Result<()> {
        let name = name(text)?;
        // SAFETY: as in `open_at`.
        checked(unsafe { libc::mkdirat(self.0.as_raw_fd(), name.as_ptr(), 0o700) })
    }

    /// Puts a file in the place of another, here or in another folder of the same file system.
    ///
    /// # Errors
    /// Those of the system.
    pub fn rename(&self, from: &str, to: &Self, target: &str) -> Result<()> {
        let (from, target) = (name(from)?, name(target)?);
        // SAFETY: both names are C strings that outlive the call, and both descriptors are open.
        checked(unsafe { libc::renameat(self.0.as_raw_fd(), from.as_ptr(), to.0.as_raw_fd(), target.as_ptr()) })
    }

    /// Gives a file another name, unless that is taken.
    ///
    /// # Errors
    /// Those of the system: `EEXIST` if it is.
    pub fn rename_new(&self, from: &str, target: &str) -> Result<()> {
        let (from_name, target_name) = (name(from)?, name(target)?);
        #[cfg(target_os = "linux")]
        {
            let at = self.0.as_raw_fd();
            // SAFETY: as in `rename`.
            let code = unsafe { libc::renameat2(at, from_name.as_ptr(), at, target_name.as_ptr(), libc::RENAME_NOREPLACE) };
            match checked(code) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {}
                outcome => return outcome,
            }
        }
        // SAFETY: as in `rename`. A file system that can't rename so: for a moment the file has two names.
        checked(unsafe { libc::linkat(self.0.as_raw_fd(), from_name.as_ptr(), self.0.as_raw_fd(), target_name.as_ptr(), 0) })?;
        self.remove(from)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(&self, text: &str) -> Result<()> {
        let name = name(text)?;
        // SAFETY: as in `open_at`.
        checked(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// The names in a folder in it. Those that are no UTF-8 are left out.
    ///
    /// # Errors
    /// Those of the system.
    pub fn names(&self, text: &str) -> Result<Vec<String>> {
        let inner = self.folder(text)?.0;
        // SAFETY: the descriptor is open, and belongs to the stream from here on.
        let stream = unsafe { libc::fdopendir(inner.as_raw_fd()) };
        if stream.is_null() {
            return Err(Error::last_os_error());
        }
        std::mem::forget(inner);
        let mut names = Vec::new();
        loop {
            // SAFETY: the stream is open, and nobody else reads from it.
            let entry = unsafe { libc::readdir(stream) };
            if entry.is_null() {
                break;
            }
            // SAFETY: the entry is valid until the next call; only the address of its name is taken here.
            let name = unsafe { &raw const (*entry).d_name };
            // SAFETY: the system ends names with NUL.
            let name = unsafe { std::ffi::CStr::from_ptr(name.cast()) };
            names.extend(name.to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        // SAFETY: the stream is open and not used again. An error of closing changes nothing of what was read.
        unsafe { libc::closedir(stream) };
        Ok(names)
    }

    /// Has the disk know of all names in it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&self) -> Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn names_are_looked_up_from_the_descriptor_and_links_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = Dir::open(place.path()).unwrap();
        folder.make("in").unwrap();
        let inner = folder.folder("in").unwrap();
        std::fs::rename(place.path().join("in"), place.path().join("away")).unwrap();
        drop(inner.file("a", OpenMode::New).unwrap());
        let mode = |name: &str| std::fs::metadata(place.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("away"), mode("away/a")), (0o700, 0o600));
        assert_eq!(inner.file("a", OpenMode::New).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        symlink("a", place.path().join("away/b")).unwrap();
        assert_eq!(inner.file("b", OpenMode::Read).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        symlink("away", place.path().join("in")).unwrap();
        assert!(folder.folder("in").is_err() && Dir::open(&place.path().join("in")).is_err());
        assert_eq!(inner.rename_new("a", "b").unwrap_err().raw_os_error(), Some(libc::EEXIST));
        inner.rename("a", &folder, "c").unwrap();
        assert_eq!(folder.names("away").unwrap(), ["b"]);
        assert_eq!(inner.file("x\0y", OpenMode::Read).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
