//! The metadata of a file or directory: its type, owner, permissions, link count and size.

use std::fs::{self, File, Metadata};
use std::io::Result;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use super::owner::{Owner, user_id};

/// The permission bits of the group and of other users.
const OTHERS: u32 = 0o077;
/// The permission bits that let the group and other users write.
const OTHERS_WRITE: u32 = 0o022;

/// The sticky bit. In a directory with this bit, a file can only be renamed or removed by the
/// file's owner, the directory's owner or root.
const STICKY: u32 = 0o1000;

/// The metadata of one file or directory at the time it was read.
pub struct FileFacts(Metadata);

/// The identity of a file. All paths to the same file have the same identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileFacts {
    /// Reads the metadata of an open file.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn of(file: &File) -> Result<Self> {
        file.metadata().map(Self)
    }

    /// Reads the metadata of the file at a path. Follows symbolic links.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn at(path: &Path) -> Result<Self> {
        fs::metadata(path).map(Self)
    }

    /// Reads the metadata of the file at a path. If the path is a symbolic link, reads the metadata
    /// of the link itself.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn at_no_follow(path: &Path) -> Result<Self> {
        fs::symlink_metadata(path).map(Self)
    }

    /// Returns whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.0.is_file()
    }

    /// Returns whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.is_dir()
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Returns whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the time when the content last changed.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn modified(&self) -> Result<SystemTime> {
        self.0.modified()
    }

    /// Returns whether the process's effective user owns the file.
    pub fn is_owned_by_user(&self) -> bool {
        self.0.uid() == user_id()
    }

    /// Returns who owns the file.
    pub fn owner(&self) -> Owner {
        Owner::of(self.0.uid())
    }

    /// Returns the ID of the user who owns the file.
    pub fn owner_id(&self) -> u32 {
        self.0.uid()
    }

    /// Returns whether users other than the owner have any access.
    pub fn is_open_to_others(&self) -> bool {
        self.0.mode() & OTHERS != 0
    }

    /// Returns whether users other than the owner can write.
    pub fn is_writable_by_others(&self) -> bool {
        self.0.mode() & OTHERS_WRITE != 0
    }

    /// Returns whether other users can rename or remove files of the owner in this directory.
    pub fn is_replaceable_by_others(&self) -> bool {
        self.is_writable_by_others() && self.0.mode() & STICKY == 0
    }

    /// Returns the identity of the file.
    pub fn id(&self) -> FileId {
        FileId {
            device: self.0.dev(),
            inode: self.0.ino(),
        }
    }

    /// Returns the number of hard links to the file. It is 0 after the last hard link is removed.
    pub fn link_count(&self) -> u64 {
        self.0.nlink()
    }
}

/// Returns whether an open file or directory is on a mount that is read-only. Then no process of
/// this mount namespace can change it through its path. Returns false if the system doesn't tell.
#[expect(unsafe_code, reason = "system calls")]
pub fn is_on_read_only_mount(file: &File) -> bool {
    // SAFETY: all bytes of the structure may be zero.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `file` keeps the descriptor open, and `facts` outlives the call.
    let code = unsafe { libc::fstatvfs(file.as_raw_fd(), &mut facts) };
    code == 0 && facts.f_flag & libc::ST_RDONLY != 0
}

/// Returns whether this process may write to an open file or directory. Also returns true if the
/// system doesn't tell.
#[expect(unsafe_code, reason = "system calls")]
pub fn may_be_written(file: &File) -> bool {
    let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
    let (dir, path) = (libc::AT_FDCWD, path.as_ptr().cast());
    // SAFETY: `path` ends in NUL and outlives the call.
    let code = unsafe { libc::faccessat(dir, path, libc::W_OK, libc::AT_EACCESS) };
    let error = std::io::Error::last_os_error().raw_os_error();
    code == 0 || !matches!(error, Some(libc::EACCES | libc::EROFS))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn permissions_of_others_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "text").unwrap();
        for (mode, is_open, is_writable) in [
            (0o600, false, false),
            (0o640, true, false),
            (0o601, true, false),
            (0o620, true, true),
            (0o602, true, true),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let facts = FileFacts::at(&path).unwrap();
            assert_eq!(
                (facts.is_open_to_others(), facts.is_writable_by_others()),
                (is_open, is_writable),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn files_in_a_sticky_directory_can_not_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, is_replaceable) in [
            (0o755, false),
            (0o777, true),
            (0o1777, false),
            (0o1755, false),
            (0o775, true),
        ] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                FileFacts::at(dir.path())
                    .unwrap()
                    .is_replaceable_by_others(),
                is_replaceable,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_file_has_one_identity_under_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, other) = (
            dir.path().join("one"),
            dir.path().join("two"),
            dir.path().join("other"),
        );
        fs::write(&one, "text").unwrap();
        fs::write(&other, "text").unwrap();
        fs::hard_link(&one, &two).unwrap();
        let id = |path: &Path| FileFacts::at(path).unwrap().id();
        assert!(id(&one) == id(&two) && id(&one) != id(&other));
    }

    #[test]
    fn a_new_file_is_the_users_and_a_link_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        let file = File::create(&path).unwrap();
        symlink(&path, &link).unwrap();
        let facts = FileFacts::of(&file).unwrap();
        assert!(
            facts.is_file()
                && !facts.is_dir()
                && facts.is_empty()
                && facts.is_owned_by_user()
                && facts.owner() == Owner::UserOrRoot
        );
        assert!(
            FileFacts::at(&link).unwrap().is_file()
                && !FileFacts::at_no_follow(&link).unwrap().is_file()
        );
        fs::hard_link(&path, dir.path().join("second")).unwrap();
        assert_eq!(FileFacts::of(&file).unwrap().link_count(), 2);
    }
}
