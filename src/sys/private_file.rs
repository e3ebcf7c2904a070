//! Reading and replacing a file that holds secrets: the checks are made on the open descriptor, never on the path.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::file_facts::FileFacts;
use super::signals::SigpipeGuard;
use crate::error::{Error, ErrorKind, Result};

/// Who may read a file that is about to be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Others may read it: it holds no secret.
    Public,
    /// Nobody but the user (or root) may read or change it.
    Private,
    /// A secret that an orchestrator mounted: Docker makes it readable to all, Kubernetes a link.
    Mounted,
}

/// Opens a regular file of this user or of root, following no link at its last name
/// (but where it is [`Privacy::Mounted`]), waiting for no writer.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is none, [`ErrorKind::UnsafeFile`] with the `chmod` that mends it,
/// [`ErrorKind::Config`] for anything else.
pub fn open(path: &Path, privacy: Privacy) -> Result<File> {
    let shown = path.display();
    let links = if privacy == Privacy::Mounted { 0 } else { libc::O_NOFOLLOW };
    let file = OpenOptions::new().read(true).custom_flags(links | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map_err(
        |error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Error::new(ErrorKind::NotFound, format!("{shown} is not there")),
            Some(libc::ELOOP) => Error::new(ErrorKind::UnsafeFile, format!("{shown} is a link: name the file itself")),
            _ => Error::new(ErrorKind::Config, format!("{shown} can't be opened: {}", error.kind())),
        },
    )?;
    let facts =
        FileFacts::of(&file).map_err(|error| Error::new(ErrorKind::Config, format!("{shown} can't be examined: {}", error.kind())))?;
    if !facts.is_file() {
        return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} is not a regular file")));
    }
    if !facts.is_owned_by_user_or_root() {
        return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} belongs to another user: chown it")));
    }
    if facts.is_writable_by_others() {
        return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} can be changed by others: chmod go-w {shown}")));
    }
    if privacy == Privacy::Private && facts.is_open_to_others() {
        return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} can be read by others: chmod 600 {shown}")));
    }
    Ok(file)
}

/// Reads a file of at most `limit` bytes, under the rules of [`open`].
///
/// # Errors
/// Those of [`open`], and [`ErrorKind::Config`] if it is longer or can't be read.
pub fn read(path: &Path, privacy: Privacy, limit: usize) -> Result<Vec<u8>> {
    read_open(&open(path, privacy)?, path, limit)
}

/// Whether a process, or the machine, has as many files open as it may.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Reads an open file of at most `limit` bytes; `path` is for messages.
///
/// # Errors
/// [`ErrorKind::Config`] if it is longer or can't be read.
pub fn read_open(file: &File, path: &Path, limit: usize) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::with_capacity(4096.min(limit + 1));
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Config, format!("{shown} can't be read: {}", error.kind())))?;
    if bytes.len() > limit {
        return Err(Error::new(ErrorKind::Config, format!("{shown} is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Puts a file in place of the one of this name, whole or not at all: 0600, in a folder that is made 0700 if it is not there.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the folder is a link, another user's or open to others, [`ErrorKind::Config`] for anything else.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let shown = path.display();
    let fail = |error: io::Error| Error::new(ErrorKind::Config, format!("{shown} can't be written: {}", error.kind()));
    let folder = path.parent().ok_or_else(|| Error::new(ErrorKind::Config, format!("{shown} is in no folder")))?;
    create_dirs(folder).map_err(fail)?;
    let facts = FileFacts::at_no_follow(folder).map_err(fail)?;
    if !facts.is_dir() || !facts.is_owned_by_user() || facts.is_writable_by_others() {
        let shown = folder.display();
        let what = format!("{shown} is a link, another user's or can be changed by others: make it your own folder, chmod 700 {shown}");
        return Err(Error::new(ErrorKind::UnsafeFile, what));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = create_new(&beside).and_then(|mut file| {
        write(&mut file, bytes)?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(|error| {
        // What is left beside it may hold a secret; where it can't be removed nothing more can be done.
        let _ = fs::remove_file(&beside);
        fail(error)
    })
}

/// Writes all of it, and has the disk know. Where files may not grow so large it fails, and ends no host.
///
/// # Errors
/// Those of the system.
pub fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let _shield = SigpipeGuard::raise();
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether an open file can be read by others than its owner.
pub fn is_public(file: &File) -> bool {
    FileFacts::of(file).map_or(true, |facts| facts.is_open_to_others())
}
/// Makes a directory and its missing parents, each for this user alone.
///
/// # Errors
/// Those of the system.
pub fn create_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a directory for this user alone.
///
/// # Errors
/// Those of the system: `EEXIST` if anything of that name is there.
pub fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a file that this user alone can read, and opens it for writing.
///
/// # Errors
/// Those of the system: `EEXIST` if anything of that name is there.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}
