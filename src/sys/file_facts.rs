//! What the kernel knows of a file or a directory: its type, owner, permissions, number of names
//! and size.

use std::fs::{self, File, Metadata};
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

const ROOT: u32 = 0;
/// The permission bits of the group and of all others.
const OTHERS: u32 = 0o077;
/// The permission bits with which the group and all others write.
const OTHERS_WRITE: u32 = 0o022;

/// With this bit on a directory only the owner of a file in it renames or removes that file.
const STICKY: u32 = 0o1000;

/// The facts about one file or directory, as they were when it was examined.
pub struct FileFacts(Metadata);

/// The identity of a file: the same for every path that leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileFacts {
    /// The facts about an open file.
    ///
    /// # Errors
    /// Those of the system.
    pub fn of(file: &File) -> Result<Self> {
        file.metadata().map(Self)
    }

    /// The facts about what a path leads to. Follows links.
    ///
    /// # Errors
    /// Those of the system.
    pub fn at(path: &Path) -> Result<Self> {
        fs::metadata(path).map(Self)
    }

    /// The facts about what stands at a path, which may be a link.
    ///
    /// # Errors
    /// Those of the system.
    pub fn at_no_follow(path: &Path) -> Result<Self> {
        fs::symlink_metadata(path).map(Self)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.0.is_file()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.is_dir()
    }

    /// The size in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When its content last changed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn modified(&self) -> Result<SystemTime> {
        self.0.modified()
    }

    /// Whether the user that this process acts as owns it.
    pub fn is_owned_by_user(&self) -> bool {
        self.0.uid() == user_id()
    }

    /// Whether that user or root owns it.
    pub fn is_owned_by_user_or_root(&self) -> bool {
        self.is_owned_by_user() || self.0.uid() == ROOT
    }

    /// Whether users other than its owner have any access to it.
    pub fn is_open_to_others(&self) -> bool {
        self.0.mode() & OTHERS != 0
    }

    /// Whether users other than its owner can write to it.
    pub fn is_writable_by_others(&self) -> bool {
        self.0.mode() & OTHERS_WRITE != 0
    }

    /// Whether users other than the owner of a file in this directory can rename or remove that
    /// file.
    pub fn is_replaceable_by_others(&self) -> bool {
        self.is_writable_by_others() && self.0.mode() & STICKY == 0
    }

    /// The identity of the file.
    pub fn id(&self) -> FileId {
        FileId {
            device: self.0.dev(),
            inode: self.0.ino(),
        }
    }

    /// How many names it has; 0 once it is removed.
    pub fn link_count(&self) -> u64 {
        self.0.nlink()
    }
}

/// The user that this process acts as.
pub fn user_id() -> u32 {
    // SAFETY: the call takes nothing and can't fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
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
                && facts.is_owned_by_user_or_root()
        );
        assert!(
            FileFacts::at(&link).unwrap().is_file()
                && !FileFacts::at_no_follow(&link).unwrap().is_file()
        );
        fs::hard_link(&path, dir.path().join("second")).unwrap();
        assert_eq!(FileFacts::of(&file).unwrap().link_count(), 2);
    }
}
