//! Reads and replaces files that hold secrets. All checks are made on the open descriptor, never on
//! the path.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::file_facts::FileFacts;
use super::signals::SigpipeGuard;
use crate::error::{Error, ErrorKind, Result};

/// The users who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// All users: it holds no secret.
    Public,
    /// The user and root alone.
    Private,
    /// All users: an orchestrator mounted the secret. Docker makes it readable to all, Kubernetes
    /// makes it a link.
    Mounted,
}

/// Opens a regular file that this user or root owns. Follows no link at the last name, unless it is
/// [`Privacy::Mounted`], and doesn't wait for a writer.
///
/// # Errors
/// [`ErrorKind::NotFound`] if it does not exist, [`ErrorKind::UnsafeFile`] with the `chmod` that
/// helps, [`ErrorKind::Config`] for anything else.
pub fn open(path: &Path, privacy: Privacy) -> Result<File> {
    let shown = path.display();
    let no_follow = if privacy == Privacy::Mounted {
        0
    } else {
        libc::O_NOFOLLOW
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {
                Error::new(ErrorKind::NotFound, format!("{shown} is not there"))
            }
            Some(libc::ELOOP) => Error::new(
                ErrorKind::UnsafeFile,
                format!("{shown} is a link: name the file itself"),
            ),
            _ => Error::new(
                ErrorKind::Config,
                format!("{shown} can't be opened: {}", error.kind()),
            ),
        })?;
    let facts = FileFacts::of(&file).map_err(|error| {
        Error::new(
            ErrorKind::Config,
            format!("{shown} can't be examined: {}", error.kind()),
        )
    })?;
    if !facts.is_file() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{shown} is not a regular file"),
        ));
    }
    if !facts.is_owned_by_user_or_root() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{shown} belongs to another user: chown it"),
        ));
    }
    if facts.is_writable_by_others() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{shown} can be changed by others: chmod go-w {shown}"),
        ));
    }
    if privacy == Privacy::Private && facts.is_open_to_others() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{shown} can be read by others: chmod 600 {shown}"),
        ));
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

/// Whether an error says that this process, or the machine, has as many files open as it may.
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
        .map_err(|error| {
            Error::new(
                ErrorKind::Config,
                format!("{shown} can't be read: {}", error.kind()),
            )
        })?;
    if bytes.len() > limit {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{shown} is longer than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Replaces a file as a whole: the new one is 0600, in a directory that is made 0700 if it does not
/// exist.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the directory is a link, another user's or open to others,
/// [`ErrorKind::Config`] for anything else.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let shown = path.display();
    let fail = |error: io::Error| {
        Error::new(
            ErrorKind::Config,
            format!("{shown} can't be written: {}", error.kind()),
        )
    };
    let dir = path
        .parent()
        .ok_or_else(|| Error::new(ErrorKind::Config, format!("{shown} is in no folder")))?;
    create_dirs(dir).map_err(fail)?;
    let facts = FileFacts::at_no_follow(dir).map_err(fail)?;
    if !facts.is_dir() || !facts.is_owned_by_user() || facts.is_writable_by_others() {
        let shown = dir.display();
        let what = format!(
            "{shown} is a link, another user's or can be changed by others: make it your own folder, chmod 700 {shown}"
        );
        return Err(Error::new(ErrorKind::UnsafeFile, what));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temp_path = dir.join(format!(".{name}.{}", std::process::id()));
    let written = create_new(&temp_path).and_then(|mut file| {
        write(&mut file, bytes)?;
        fs::rename(&temp_path, path)?;
        File::open(dir)?.sync_all()
    });
    written.map_err(|error| {
        // The new file may hold a secret. Where it can't be removed, nothing more can be done.
        let _ = fs::remove_file(&temp_path);
        fail(error)
    })
}

/// Writes all bytes, and waits until they are on the disk. Fails where files may not grow so large,
/// and doesn't end the host.
///
/// # Errors
/// Those of the system.
pub fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let _guard = SigpipeGuard::block();
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether others than the owner have access to an open file.
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
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}
