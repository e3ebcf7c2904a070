//! Directories that are accessed through an open descriptor. Names are looked up relative to the
//! descriptor, so that no symbolic link can replace a directory between a check and a use.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::{Duration, SystemTime};

use super::file_facts::{self, FileFacts, FileId};
use super::io_cause::is_unsupported;

/// Flushes an open directory to disk, so that its file names survive a crash. Succeeds if the file
/// system can't flush a directory: CIFS, vboxsf and some FUSE file systems answer `EINVAL` or
/// `ENOTSUP`.
///
/// # Errors
/// Returns the operating system's error.
pub fn sync(dir: &File) -> Result<()> {
    dir.sync_all().or_else(|error| match error.raw_os_error() {
        Some(code) if code == libc::EINVAL || is_unsupported(code) => Ok(()),
        _ => Err(error),
    })
}

/// An open directory.
pub struct Dir(File);

/// A symbolic link.
pub struct Link {
    /// The ID of the user who owns the link itself.
    pub owner_id: u32,
    /// The path in the link.
    pub target: PathBuf,
}

/// How to open a file. No mode follows a symbolic link in the last path component, blocks if the
/// path is a named pipe, or lets a child program inherit the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Opens an existing file for reading.
    Read,
    /// Creates a file for writing, which only the user can read. Fails if the file exists.
    CreateNew,
    /// Opens a file for reading and writing. Creates the file if it does not exist.
    OpenOrCreate,
}

/// Opens a file of any kind, to read its metadata only.
#[cfg(target_os = "linux")]
const LOOK_FLAGS: i32 = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const LOOK_FLAGS: i32 = libc::O_RDONLY;
const TRAVERSE_FLAGS: i32 = libc::O_DIRECTORY | LOOK_FLAGS;
const COMMON_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

fn c_string(name: impl AsRef<OsStr>) -> Result<CString> {
    CString::new(name.as_ref().as_bytes()).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}

fn check(code: i32) -> Result<()> {
    if code < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Reads the link of this name in a directory. With an empty name, reads the open link itself.
fn read_link_at(dir: &File, name: &CStr) -> Result<PathBuf> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    // SAFETY: the name is a C string, the kernel writes at most `len` bytes, and the descriptor is
    // open.
    let length = unsafe {
        libc::readlinkat(
            dir.as_raw_fd(),
            name.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    };
    target.truncate(usize::try_from(length).map_err(|_| Error::last_os_error())?);
    Ok(PathBuf::from(OsString::from_vec(target)))
}

impl Dir {
    /// Opens a directory. Fails if the last path component is a symbolic link.
    ///
    /// # Errors
    /// Returns the operating system's error: `ENOTDIR` for a symbolic link or a file.
    pub fn open(path: &Path) -> Result<Self> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | COMMON_FLAGS)
            .open(path)
            .map(Self)
    }

    /// Reads the metadata of this directory.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn facts(&self) -> Result<FileFacts> {
        FileFacts::of(&self.0)
    }

    /// Returns whether this directory is on a mount that is read-only.
    pub fn is_on_read_only_mount(&self) -> bool {
        file_facts::is_on_read_only_mount(&self.0)
    }

    /// Returns whether this process may create and remove files in this directory. Also returns
    /// true if the system doesn't tell.
    pub fn may_be_written(&self) -> bool {
        file_facts::may_be_written(&self.0)
    }

    /// Returns the identity of the file of this name. Does not follow a symbolic link.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn file_id(&self, name: impl AsRef<OsStr>) -> Result<FileId> {
        let file = self.open_at(name, LOOK_FLAGS)?;
        FileFacts::of(&file).map(|facts| facts.id())
    }

    /// Opens a subdirectory.
    ///
    /// # Errors
    /// Returns the errors of [`Dir::open`].
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        self.open_at(name, libc::O_RDONLY | libc::O_DIRECTORY)
            .map(Self)
    }

    /// Opens the root directory for traversal only.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn root() -> Result<Self> {
        OpenOptions::new()
            .read(true)
            .custom_flags(TRAVERSE_FLAGS)
            .open("/")
            .map(Self)
    }

    /// Opens a subdirectory for traversal only. This needs no permission to list the subdirectory.
    ///
    /// # Errors
    /// Returns the errors of [`Dir::open`].
    pub fn traverse(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        self.open_at(name, TRAVERSE_FLAGS).map(Self)
    }

    /// Reads a symbolic link.
    ///
    /// # Errors
    /// Returns the operating system's error: `EINVAL` or `ENOENT` if the name is not a link.
    #[cfg(target_os = "linux")]
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<Link> {
        // The descriptor is that of the link itself, so owner and target belong together.
        let link = self.open_at(name, libc::O_PATH)?;
        Ok(Link {
            owner_id: FileFacts::of(&link)?.owner_id(),
            target: read_link_at(&link, c"")?,
        })
    }

    /// Reads a symbolic link.
    ///
    /// # Errors
    /// Returns the operating system's error: `EINVAL` if the name is not a link.
    #[cfg(not(target_os = "linux"))]
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<Link> {
        let name = c_string(name)?;
        Ok(Link {
            owner_id: self.stat_at(&name)?.st_uid,
            target: read_link_at(&self.0, &name)?,
        })
    }

    /// Returns the time when the content of a file last changed. Does not follow a symbolic link.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn modified(&self, name: &str) -> Result<SystemTime> {
        let facts = self.stat_at(&c_string(name)?)?;
        let since_1970 = Duration::new(
            u64::try_from(facts.st_mtime).unwrap_or(0),
            u32::try_from(facts.st_mtime_nsec).unwrap_or(0),
        );
        Ok(SystemTime::UNIX_EPOCH + since_1970)
    }

    /// Reads the metadata of a name in this directory. Does not follow a symbolic link.
    fn stat_at(&self, name: &CStr) -> Result<libc::stat> {
        // SAFETY: all bytes of the structure may be zero.
        let mut facts: libc::stat = unsafe { std::mem::zeroed() };
        let fd = self.0.as_raw_fd();
        // SAFETY: `name` and `facts` outlive the call, and `self` keeps the descriptor open.
        check(unsafe { libc::fstatat(fd, name.as_ptr(), &mut facts, libc::AT_SYMLINK_NOFOLLOW) })?;
        Ok(facts)
    }

    /// Opens a file in this directory.
    ///
    /// # Errors
    /// Returns the operating system's error: `ELOOP` for a symbolic link, `EEXIST` if the file
    /// exists and the mode is [`OpenMode::CreateNew`].
    pub fn open_file(&self, name: &str, mode: OpenMode) -> Result<File> {
        let flags = match mode {
            OpenMode::Read => libc::O_RDONLY,
            OpenMode::CreateNew => libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
            OpenMode::OpenOrCreate => libc::O_RDWR | libc::O_CREAT,
        };
        self.open_at(name, flags)
    }

    fn open_at(&self, name: impl AsRef<OsStr>, flags: i32) -> Result<File> {
        let name = c_string(name)?;
        let mode: libc::c_uint = 0o600;
        // SAFETY: `name` is a C string that outlives the call, and `self` keeps the descriptor
        // open.
        let fd = unsafe {
            libc::openat(
                self.0.as_raw_fd(),
                name.as_ptr(),
                flags | COMMON_FLAGS,
                mode,
            )
        };
        check(fd)?;
        // SAFETY: the call above has just opened this descriptor, and no other code owns it.
        Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Creates a subdirectory that only the user can access.
    ///
    /// # Errors
    /// Returns the operating system's error: `EEXIST` if the name is taken.
    pub fn create_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = c_string(name)?;
        // SAFETY: as in `open_at`.
        check(unsafe { libc::mkdirat(self.0.as_raw_fd(), name.as_ptr(), 0o700) })
    }

    /// Renames a file, or moves it to another directory of the same file system. Replaces an
    /// existing file of the new name.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn rename(&self, from: &str, to_dir: &Self, to: &str) -> Result<()> {
        let (from, to) = (c_string(from)?, c_string(to)?);
        // SAFETY: both names are C strings that outlive the call, and both descriptors are open.
        check(unsafe {
            libc::renameat(
                self.0.as_raw_fd(),
                from.as_ptr(),
                to_dir.0.as_raw_fd(),
                to.as_ptr(),
            )
        })
    }

    /// Renames a file in this directory. Fails if the new name exists.
    ///
    /// # Errors
    /// Returns the operating system's error: `EEXIST` if the new name exists.
    pub fn rename_no_replace(&self, from: &str, to: &str) -> Result<()> {
        let (from_name, to_name) = (c_string(from)?, c_string(to)?);
        #[cfg(target_os = "linux")]
        {
            let dir = self.0.as_raw_fd();
            // SAFETY: as in `rename`.
            let code = unsafe {
                libc::renameat2(
                    dir,
                    from_name.as_ptr(),
                    dir,
                    to_name.as_ptr(),
                    libc::RENAME_NOREPLACE,
                )
            };
            match check(code) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                }
                outcome => return outcome,
            }
        }
        // SAFETY: as in `rename`. The file system does not support `RENAME_NOREPLACE`, so the file
        // is linked to its new name first, and has both names for a moment.
        check(unsafe {
            libc::linkat(
                self.0.as_raw_fd(),
                from_name.as_ptr(),
                self.0.as_raw_fd(),
                to_name.as_ptr(),
                0,
            )
        })?;
        self.remove_file(from)
    }

    /// Removes a file from this directory.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        let name = c_string(name)?;
        // SAFETY: as in `open_at`.
        check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// Removes an empty subdirectory.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn remove_dir(&self, name: &str) -> Result<()> {
        let name = c_string(name)?;
        // SAFETY: as in `open_at`.
        check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) })
    }

    /// Returns the names in a subdirectory, except names that are not UTF-8.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn list(&self, name: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.visit_names(name, |name| {
            names.push(name.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }

    /// Passes each name in a subdirectory to `visit`, except names that are not UTF-8, until `visit`
    /// breaks. Keeps no name in memory.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn visit_names(
        &self,
        name: &str,
        mut visit: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut stream = DirStream::new(self.open_dir(name)?)?;
        while let Some(name) = stream.next_name() {
            let name = name.to_str().ok();
            let name = name.filter(|name| !matches!(*name, "." | ".."));
            if name.is_some_and(|name| visit(name).is_break()) {
                break;
            }
        }
        Ok(())
    }

    /// Flushes this directory to disk as [`sync`] does.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn sync(&self) -> Result<()> {
        sync(&self.0)
    }
}

/// The names of an open directory. They are read from the system in blocks.
struct DirStream(NonNull<libc::DIR>);

impl DirStream {
    fn new(dir: Dir) -> Result<Self> {
        // SAFETY: the descriptor is open. If the call succeeds, the stream owns the descriptor,
        // which is given up below.
        let stream = unsafe { libc::fdopendir(dir.0.as_raw_fd()) };
        let stream = NonNull::new(stream).ok_or_else(Error::last_os_error)?;
        let _ = dir.0.into_raw_fd();
        Ok(Self(stream))
    }

    /// Returns the next name. `None` at the end, and if the system reports an error.
    fn next_name(&mut self) -> Option<&CStr> {
        // SAFETY: the stream is open, and only this value uses it.
        let entry = NonNull::new(unsafe { libc::readdir(self.0.as_ptr()) })?;
        // SAFETY: the entry is valid until the next call of `readdir`, which needs this value
        // mutably. Only the address of its name is taken here.
        let name = unsafe { &raw const (*entry.as_ptr()).d_name };
        // SAFETY: `readdir` returns names as C strings.
        Some(unsafe { CStr::from_ptr(name.cast()) })
    }
}

impl Drop for DirStream {
    fn drop(&mut self) {
        // SAFETY: the stream is open and not used afterwards. An error while closing does not
        // affect the names that were read.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn names_are_looked_up_from_the_descriptor_and_links_are_refused() {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp_dir.path()).unwrap();
        dir.create_dir("in").unwrap();
        let subdir = dir.open_dir("in").unwrap();
        std::fs::rename(temp_dir.path().join("in"), temp_dir.path().join("away")).unwrap();
        drop(subdir.open_file("a", OpenMode::CreateNew).unwrap());
        let mode = |name: &str| {
            std::fs::metadata(temp_dir.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!((mode("away"), mode("away/a")), (0o700, 0o600));
        assert_eq!(
            subdir
                .open_file("a", OpenMode::CreateNew)
                .unwrap_err()
                .raw_os_error(),
            Some(libc::EEXIST)
        );
        symlink("a", temp_dir.path().join("away/b")).unwrap();
        assert_eq!(
            subdir
                .open_file("b", OpenMode::Read)
                .unwrap_err()
                .raw_os_error(),
            Some(libc::ELOOP)
        );
        symlink("away", temp_dir.path().join("in")).unwrap();
        assert!(dir.open_dir("in").is_err() && Dir::open(&temp_dir.path().join("in")).is_err());
        assert_eq!(
            subdir
                .rename_no_replace("a", "b")
                .unwrap_err()
                .raw_os_error(),
            Some(libc::EEXIST)
        );
        subdir.rename("a", &dir, "c").unwrap();
        assert_eq!(dir.list("away").unwrap(), ["b"]);
        assert_eq!(
            subdir
                .open_file("x\0y", OpenMode::Read)
                .unwrap_err()
                .raw_os_error(),
            Some(libc::EINVAL)
        );
    }
}
