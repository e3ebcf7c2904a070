//! Reads and replaces files that contain secrets. A file is checked through its open descriptor,
//! never through its path.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::dir::{Dir, OpenMode};
use super::file_facts::FileFacts;
use super::io_cause::{self, IoCause, Subject, cause};
use super::owner::{Owner, belongs_to, own_dir_remedy, read_file_remedy};
use super::signals::SigpipeGuard;
use super::trusted_dir::{self, Fault};
use crate::error::{Error, ErrorKind, Result};

/// Which users may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// All users, because the file contains no secret.
    Public,
    /// Only the user and root.
    Private,
    /// All users, because an orchestrator mounted the file. Docker makes such a file readable to
    /// all users. Kubernetes mounts it as a symbolic link.
    Mounted,
}

/// Opens a regular file that the user or root owns. Follows a symbolic link in the last path
/// component only for [`Privacy::Mounted`]. If the path is a named pipe, rejects it without
/// blocking.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the file does not exist; [`ErrorKind::UnsafeFile`] if the file is
/// unsafe, with the `chmod` command that fixes its permissions; [`ErrorKind::Config`] for any other
/// failure.
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
            Some(libc::ENOENT | libc::ENOTDIR) => Error::new(
                ErrorKind::NotFound,
                format!("{shown} does not exist; create it or correct the path"),
            ),
            Some(libc::ELOOP) => Error::new(
                ErrorKind::UnsafeFile,
                format!("{shown} is a symbolic link; use the path of the file itself"),
            ),
            _ => Error::new(
                ErrorKind::Config,
                format!(
                    "cannot open {shown}: {}",
                    io_cause::explain(&error, Subject::UserFile)
                ),
            ),
        })?;
    let facts = FileFacts::of(&file).map_err(|error| {
        Error::new(
            ErrorKind::Config,
            format!(
                "cannot read the permissions of {shown}: {}",
                io_cause::explain(&error, Subject::UserFile)
            ),
        )
    })?;
    if !facts.is_file() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{shown} is not a regular file; use the path of a regular file"),
        ));
    }
    let owner = facts.owner();
    let is_trusted = match owner {
        Owner::UserOrRoot => true,
        Owner::Other => false,
        Owner::Unmapped { .. } => trusted_dir::is_unmapped_trusted(path, &file, owner),
    };
    if !is_trusted {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!(
                "{shown} belongs to {}; {}",
                owner.name(),
                read_file_remedy(owner)
            ),
        ));
    }
    if facts.is_writable_by_others() {
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("other users can change {shown}; run `chmod go-w {shown}`"),
        ));
    }
    if privacy == Privacy::Private && facts.is_open_to_others() {
        let remedy = if owner == Owner::UserOrRoot {
            format!("run `chmod 600 {shown}`")
        } else {
            // This user could not read the file then.
            "name it in a variable that ends in _FILE, or copy it to a file of your own with mode 600".to_owned()
        };
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("other users can read {shown}; {remedy}"),
        ));
    }
    Ok(file)
}

/// Opens a file with [`open`] and reads it. The file may have at most `limit` bytes.
///
/// # Errors
/// Returns the errors of [`open`] and [`read_open`].
pub fn read(path: &Path, privacy: Privacy, limit: usize) -> Result<Vec<u8>> {
    read_open(&open(path, privacy)?, path, limit)
}

/// Reads an open file of at most `limit` bytes. `path` is used in error messages.
///
/// # Errors
/// [`ErrorKind::Config`] if the file is longer or cannot be read.
pub fn read_open(file: &File, path: &Path, limit: usize) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::with_capacity(4096.min(limit + 1));
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Error::new(
                ErrorKind::Config,
                format!(
                    "cannot read {shown}: {}",
                    io_cause::explain(&error, Subject::UserFile)
                ),
            )
        })?;
    if bytes.len() > limit {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{shown} is longer than {limit} bytes; make it shorter"),
        ));
    }
    Ok(bytes)
}

/// Replaces a file atomically. The new file has mode 0600. A missing directory is created with mode
/// 0700.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the directory is a symbolic link, or belongs to another user, or
/// can be changed by other users; [`ErrorKind::UnsafeFile`] if its nearest existing parent belongs
/// to another user who is not root; [`ErrorKind::Config`] for any other failure.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let shown = path.display();
    let fail = |error: io::Error| {
        Error::new(
            ErrorKind::Config,
            format!(
                "cannot write {shown}: {}",
                io_cause::explain(&error, Subject::ConfigFile)
            ),
        )
    };
    let (Some(dir_path), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str))
    else {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{shown} is not the path of a file; use the path of a file"),
        ));
    };
    let dir = open_dir_of(path, dir_path)?;
    let temp_name = format!(".{name}.{}", std::process::id());
    let written = dir
        .open_file(&temp_name, OpenMode::CreateNew)
        .and_then(|mut file| {
            write_synced(&mut file, bytes)?;
            dir.rename(&temp_name, &dir, name)?;
            dir.sync()
        });
    written.map_err(|error| {
        // The new file may contain a secret. If removing it fails, nothing more can be done.
        let _ = dir.remove_file(&temp_name);
        fail(error)
    })
}

/// Opens the directory of a file that is to be written. Creates the directory if it is missing.
fn open_dir_of(file: &Path, path: &Path) -> Result<Dir> {
    let dir = trusted_dir::open_or_create(path).map_err(|fault| match fault {
        Fault::Io(failed, error) if failed == path && cause(&error) == IoCause::LinkOrFile => {
            Error::new(
                ErrorKind::UnsafeFile,
                format!(
                    "{} is a symbolic link or a file; replace it with a directory of your own",
                    path.display()
                ),
            )
        }
        fault => fault_error(file, &fault),
    })?;
    let facts = dir
        .facts()
        .map_err(|error| fault_error(file, &Fault::Io(path.to_owned(), error)))?;
    let shown = path.display();
    let problem = if !facts.is_owned_by_user() {
        let owner = facts.owner();
        format!(
            "{shown} belongs to {}; {}",
            owner.name(),
            own_dir_remedy(owner)
        )
    } else if facts.is_writable_by_others() {
        format!("other users can change {shown}; run `chmod 700 {shown}`")
    } else {
        return Ok(dir);
    };
    Err(Error::new(ErrorKind::UnsafeFile, problem))
}

fn fault_error(file: &Path, fault: &Fault) -> Error {
    let file = file.display();
    match fault {
        Fault::Io(path, error) => Error::new(
            ErrorKind::Config,
            format!(
                "cannot write {file}: {}: {}",
                path.display(),
                io_cause::explain(error, Subject::ConfigFile)
            ),
        ),
        Fault::OtherOwner(dir, id) => {
            let owner = Owner::of(*id);
            let remedy = match owner {
                Owner::Unmapped { .. } => own_dir_remedy(owner),
                _ => {
                    "set HOME and XDG_CONFIG_HOME to directories of the user that keyferry runs as (`sudo -H`)"
                }
            };
            Error::new(
                ErrorKind::UnsafeFile,
                format!(
                    "cannot write {file}: {} {}; {remedy}",
                    dir.display(),
                    belongs_to(*id)
                ),
            )
        }
    }
}

/// Checks that [`replace`] may create the directory of a file, or may write into it. Creates
/// nothing.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if the nearest existing parent of the directory belongs to another
/// user who is not root; [`ErrorKind::Config`] if it can't be reached.
pub fn check_replace(path: &Path) -> Result<()> {
    let dir = path.parent().and_then(Path::parent);
    dir.map_or(Ok(None), trusted_dir::find)
        .map(drop)
        .map_err(|fault| fault_error(path, &fault))
}

/// Writes all bytes of a new file. After a power failure the file may be empty or short. If the
/// file would exceed the process's file size limit, the write fails. The SIGXFSZ signal of the
/// kernel does not end the process.
///
/// # Errors
/// Returns the operating system's error.
pub fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let _guard = SigpipeGuard::for_file(bytes.len() as u64);
    file.write_all(bytes)
}

/// Writes all bytes as [`write`] does, and waits until they are on disk.
///
/// # Errors
/// Returns the operating system's error.
pub fn write_synced(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    write(file, bytes)?;
    file.sync_all()
}

/// Returns whether users other than the owner have access to an open file. Also returns true if the
/// permissions of the file cannot be read.
pub fn is_public(file: &File) -> bool {
    FileFacts::of(file).map_or(true, |facts| facts.is_open_to_others())
}

/// Creates a directory that only the user can access. Its parent must belong to the user or root.
///
/// # Errors
/// [`Fault::OtherOwner`] if the parent belongs to another user; [`Fault::Io`] with `EEXIST` if the
/// path exists.
pub fn create_dir(path: &Path) -> std::result::Result<(), Fault> {
    let fail = |error| Fault::Io(path.to_owned(), error);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(fail(io::ErrorKind::AlreadyExists.into()));
    };
    let parent = trusted_dir::find(parent)?.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
    parent.create_dir(name).map_err(fail)
}

/// Creates a file that only the user can access, and opens it for writing.
///
/// # Errors
/// Returns the operating system's error: `EEXIST` if the path exists.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}
