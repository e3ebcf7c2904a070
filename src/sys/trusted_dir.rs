//! Finds and creates the directories above a file or directory that is written. Each of them is
//! opened from the root down, so that the checks apply to the directories that are used, whatever
//! happens to their paths.
//!
//! A directory or symbolic link is trusted only if it belongs to this user or root. In other
//! directories nothing is created and no symbolic link is followed. Other symbolic links are not
//! followed either. So root creates nothing in another user's directory. Rationale: `sudo` may keep
//! HOME or XDG_* of the user who called it. Root's files in that user's home would make the store
//! and the configuration unusable for that user.
//!
//! In a user namespace, a directory or link of a user outside is trusted if nobody in the namespace
//! can change it; see [`is_unmapped_trusted`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::dir::Dir;
use super::file_facts::{self, FileFacts, FileId};
use super::io_cause::{IoCause, cause};
use super::owner::Owner;

/// The maximum number of symbolic links in a path. Linux has the same limit.
const MAX_LINKS: u32 = 40;

/// The reason why a directory can't be used for writing.
#[derive(Debug)]
pub enum Fault {
    /// The system reports an error about this path.
    Io(PathBuf, io::Error),
    /// This directory or symbolic link belongs to the user with this ID, who is neither this user
    /// nor root.
    OtherOwner(PathBuf, u32),
}

/// Opens a directory for traversal. `None` if it does not exist.
///
/// # Errors
/// [`Fault::OtherOwner`] if the directory, or its nearest existing parent, belongs to another user;
/// [`Fault::Io`] if it can't be reached.
pub fn find(path: &Path) -> Result<Option<Dir>, Fault> {
    let mut walk = Walk::new(path)?;
    while let Some(name) = walk.names.pop() {
        if !walk.enter(&name)? {
            walk.check_owner()?;
            return Ok(None);
        }
    }
    walk.check_owner()?;
    Ok(Some(walk.dir))
}

/// Opens a directory for traversal. Creates it and its missing parents, which only this user can
/// access.
///
/// # Errors
/// Returns the errors of [`find`]; [`Fault::Io`] if a directory can't be created.
pub fn find_or_create(path: &Path) -> Result<Dir, Fault> {
    let mut walk = Walk::new(path)?;
    while let Some(name) = walk.names.pop() {
        if !walk.enter(&name)? {
            walk.create(&name)?;
        }
    }
    walk.check_owner()?;
    Ok(walk.dir)
}

/// Opens a directory, which must not be a symbolic link. Creates it and its missing parents. Its
/// nearest existing parent must belong to this user or root; the caller checks the directory
/// itself.
///
/// # Errors
/// Returns the errors of [`find_or_create`].
pub fn open_or_create(path: &Path) -> Result<Dir, Fault> {
    let fail = |error| Fault::Io(path.to_owned(), error);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Dir::open(path).map_err(fail);
    };
    let parent = find_or_create(parent)?;
    match parent.open_dir(name) {
        Err(error) if cause(&error) == IoCause::NotFound => {}
        opened => return opened.map_err(fail),
    }
    create_in(&parent, name)
        .and_then(|()| parent.open_dir(name))
        .map_err(fail)
}

/// Creates a directory, unless another process has just created it.
fn create_in(dir: &Dir, name: &OsStr) -> io::Result<()> {
    match dir.create_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The way from the root directory to a directory.
struct Walk {
    /// The directory that was reached.
    dir: Dir,
    /// Its path, without symbolic links.
    path: PathBuf,
    /// The names that remain, the next one last.
    names: Vec<OsString>,
    /// The number of names that remain behind the symbolic link that is being followed. More names
    /// are part of the link's target.
    names_behind_link: usize,
    links: u32,
    /// Whether links of users outside this user namespace are followed, because the caller checks
    /// the directories that they are in.
    trusts_unmapped_links: bool,
}

impl Walk {
    fn new(path: &Path) -> Result<Self, Fault> {
        let fail = |error| Fault::Io(path.to_owned(), error);
        if !path.is_absolute() {
            return Err(fail(io::ErrorKind::InvalidInput.into()));
        }
        Ok(Self {
            dir: Dir::root().map_err(fail)?,
            path: PathBuf::from("/"),
            names: names(path),
            names_behind_link: usize::MAX,
            links: 0,
            trusts_unmapped_links: false,
        })
    }

    /// Checks that the directory that was reached may be used.
    fn check_owner(&self) -> Result<(), Fault> {
        let facts = self.dir.facts();
        let facts = facts.map_err(|error| Fault::Io(self.path.clone(), error))?;
        self.check_owner_of(&self.path, facts.owner_id())
    }

    /// Checks the owner of `path`, which is the directory that was reached, or a link in it.
    fn check_owner_of(&self, path: &Path, owner: u32) -> Result<(), Fault> {
        let is_trusted = match Owner::of(owner) {
            Owner::UserOrRoot => true,
            Owner::Other => false,
            Owner::Unmapped { may_be_mapped } => {
                self.trusts_unmapped_links
                    || self.dir.is_on_read_only_mount()
                    || !may_be_mapped && self.is_fixed()
            }
        };
        if is_trusted {
            Ok(())
        } else {
            Err(Fault::OtherOwner(path.to_owned(), owner))
        }
    }

    /// Returns whether nobody in this user namespace can change the part of the path to the directory
    /// that belongs to users outside.
    fn is_fixed(&self) -> bool {
        self.dir.facts().is_ok_and(|facts| {
            !is_changeable(&facts, || self.dir.may_be_written())
                && is_fixed(&self.path, facts.id()).unwrap_or(false)
        })
    }

    /// Opens the directory of this name, or replaces the name by the target of the link of this
    /// name. Returns false if the name does not exist.
    fn enter(&mut self, name: &OsStr) -> Result<bool, Fault> {
        match self.dir.traverse(name) {
            Ok(dir) => {
                self.dir = dir;
                // No part of `path` is a link, so the parent's path is one name shorter.
                if name == ".." {
                    self.path.pop();
                } else {
                    self.path.push(name);
                }
                Ok(true)
            }
            // The target of a link is not created: its file system may not be mounted.
            Err(error)
                if cause(&error) == IoCause::NotFound
                    && self.names.len() < self.names_behind_link =>
            {
                Ok(false)
            }
            Err(error) if cause(&error) == IoCause::LinkOrFile => {
                self.follow(name, error).map(|()| true)
            }
            Err(error) => Err(Fault::Io(self.path.join(name), error)),
        }
    }

    /// Follows a link. Its owner must be trusted too, because the link decides which directory is
    /// used.
    fn follow(&mut self, name: &OsStr, not_a_directory: io::Error) -> Result<(), Fault> {
        let path = self.path.join(name);
        let Ok(link) = self.dir.read_link(name) else {
            return Err(Fault::Io(path, not_a_directory));
        };
        self.check_owner_of(&path, link.owner_id)?;
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Fault::Io(path, not_a_directory));
        }
        if link.target.is_absolute() {
            self.dir = Dir::root().map_err(|error| Fault::Io(path, error))?;
            self.path = PathBuf::from("/");
        }
        self.names_behind_link = self.names_behind_link.min(self.names.len());
        self.names.extend(names(&link.target));
        Ok(())
    }

    fn create(&mut self, name: &OsStr) -> Result<(), Fault> {
        self.check_owner()?;
        let path = self.path.join(name);
        create_in(&self.dir, name).map_err(|error| Fault::Io(path.clone(), error))?;
        if self.enter(name)? {
            Ok(())
        } else {
            Err(Fault::Io(path, io::ErrorKind::NotFound.into()))
        }
    }
}

/// Returns whether an open file of a user outside this user namespace may be trusted. `path` is the
/// path that it was opened with.
///
/// The file is trusted if its mount is read-only. It is also trusted if the overflow user is no user
/// of this namespace, and if no directory or file on its path that belongs to users outside can be
/// written by other users or by this process. Then only users outside can have made the file, and
/// the namespace's creator chose its path.
pub fn is_unmapped_trusted(path: &Path, file: &File, owner: Owner) -> bool {
    if file_facts::is_on_read_only_mount(file) {
        return true;
    }
    let Ok(facts) = FileFacts::of(file) else {
        return false;
    };
    let is_outside = owner
        == Owner::Unmapped {
            may_be_mapped: false,
        };
    is_outside
        && !is_changeable(&facts, || file_facts::may_be_written(file))
        && is_fixed(path, facts.id()).unwrap_or(false)
}

/// Returns whether a file or directory belongs to a user outside this user namespace, and somebody in
/// the namespace may write to it. `may_be_written` tells it of this process.
fn is_changeable(facts: &FileFacts, may_be_written: impl FnOnce() -> bool) -> bool {
    matches!(facts.owner(), Owner::Unmapped { .. })
        && (facts.is_writable_by_others() || may_be_written())
}

/// Returns whether `path` leads to the file or directory with this identity, and only through
/// directories that are not [changeable](is_changeable). The caller checks the file or directory
/// itself.
///
/// # Errors
/// Returns the errors of [`find`].
fn is_fixed(path: &Path, id: FileId) -> Result<bool, Fault> {
    let fail = |error| Fault::Io(path.to_owned(), error);
    let mut walk = Walk::new(&std::path::absolute(path).map_err(fail)?)?;
    walk.trusts_unmapped_links = true;
    loop {
        let facts = walk.dir.facts().map_err(fail)?;
        if is_changeable(&facts, || walk.dir.may_be_written()) {
            return Ok(false);
        }
        let Some(name) = walk.names.pop() else {
            return Ok(facts.id() == id);
        };
        let is_last = walk.names.is_empty();
        if is_last && walk.dir.file_id(&name).is_ok_and(|found| found == id) {
            return Ok(true);
        }
        if !walk.enter(&name)? {
            return Ok(false);
        }
    }
}

/// Returns the names in a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let is_name = |component: &Component<'_>| {
        matches!(component, Component::Normal(_) | Component::ParentDir)
    };
    path.components()
        .rev()
        .filter(is_name)
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    // The tests of owners are in tests/store/other_users.rs.

    #[test]
    fn missing_directories_are_private_and_links_and_parents_are_followed() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = |name: &str| temp_dir.path().join(name);
        assert!(find(&path("a/b")).unwrap().is_none() && !path("a").exists());
        find_or_create(&path("a/b")).unwrap();
        for name in ["a", "a/b"] {
            let mode = fs::metadata(path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{name}");
        }
        symlink("a/../a/b", path("relative")).unwrap();
        symlink(path("relative"), path("absolute")).unwrap();
        find_or_create(&path("absolute/c/../d")).unwrap();
        assert!(path("a/b/c").is_dir() && path("a/b/d").is_dir());
        assert!(find(&path("absolute/d")).unwrap().is_some());
    }

    #[test]
    fn a_file_a_loop_a_missing_target_and_a_relative_path_are_refused() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = |name: &str| temp_dir.path().join(name);
        fs::write(path("file"), "").unwrap();
        symlink("loop", path("loop")).unwrap();
        symlink("gone/deep", path("dangling")).unwrap();
        symlink("dangling", path("second")).unwrap();
        for name in ["file/x", "loop/x", "dangling/x", "second/x"] {
            let outcome = find_or_create(&path(name)).map(drop);
            assert!(matches!(outcome, Err(Fault::Io(..))), "{name}");
        }
        assert!(find_or_create(Path::new("relative/x")).is_err());
        assert!(!path("gone").exists() && !Path::new("relative").exists());
        symlink("file", path("last")).unwrap();
        assert!(open_or_create(&path("last")).is_err());
    }
}
