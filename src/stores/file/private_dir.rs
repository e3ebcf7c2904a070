//! Opens directories and files that the user must own. All checks use the open descriptor, never a
//! path.
//!
//! This module also converts system errors to errors of the store.

use std::fs::File;
use std::io;
use std::path::Path;

use zeroize::Zeroize;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_facts::FileFacts;
use crate::sys::io_cause::{self, IoCause, Subject, cause};
use crate::sys::owner::{Owner, belongs_to, own_dir_remedy, user_id};
use crate::sys::trusted_dir::{self, Fault};

/// The maximum size of a file in a store.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Converts a system error about a file or directory of the store to an error with a remedy.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Store,
        format!(
            "cannot use {}: {}",
            path.display(),
            io_cause::explain(error, Subject::Store)
        ),
    )
}

fn unsafe_file(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::UnsafeFile, format!("{} {why}", path.display()))
}

fn fault_error(fault: &Fault) -> Error {
    match fault {
        Fault::Io(path, error) => io_error(path, error),
        Fault::OtherOwner(path, id) => {
            let owner = Owner::of(*id);
            let remedy = match owner {
                Owner::Unmapped { .. } => own_dir_remedy(owner),
                _ => {
                    "set HOME and XDG_* to directories of the user that keyferry runs as (`sudo -H`)"
                }
            };
            unsafe_file(
                path,
                &format!(
                    "{}; {remedy}, or set `store` to file:/PATH or memory",
                    belongs_to(*id)
                ),
            )
        }
    }
}

/// Opens a directory. `None` if it does not exist.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if this user does not own the directory or other users can access it;
/// [`ErrorKind::Store`] if it can't be opened.
pub(super) fn open(path: &Path) -> Result<Option<Dir>> {
    match Dir::open(path) {
        Ok(dir) => check_dir(path, dir).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, &error)),
    }
}

fn check_dir(path: &Path, dir: Dir) -> Result<Dir> {
    let facts = dir.facts().map_err(|error| io_error(path, &error))?;
    if !facts.is_owned_by_user() {
        let owner = facts.owner();
        return Err(unsafe_file(
            path,
            &format!(
                "belongs to {}; {}, or set `store` to file:/PATH",
                owner.name(),
                own_dir_remedy(owner)
            ),
        ));
    }
    if facts.is_open_to_others() {
        return Err(unsafe_file(
            path,
            &format!("is open to other users; run `chmod 700 {}`", path.display()),
        ));
    }
    Ok(dir)
}

/// Makes the checks of [`check_parents`], then opens a directory as [`open`] does. If the directory
/// does not exist, creates it with access for this user only.
///
/// # Errors
/// Returns the errors of [`open`] and [`check_parents`]; [`ErrorKind::Store`] if the directory
/// can't be created.
pub(super) fn open_or_create(path: &Path, home: Option<&Path>) -> Result<Dir> {
    home.map_or(Ok(()), check_home)?;
    let dir = trusted_dir::open_or_create(path).map_err(|fault| fault_error(&fault))?;
    check_dir(path, dir)
}

/// Checks that the directories above `path` are safe to write to. `home` must exist. `home` and the
/// nearest existing parent of `path` must each belong to this user or to root.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] with the directory, its owner and the remedy; [`ErrorKind::Store`] if
/// a directory can't be reached.
pub(super) fn check_parents(path: &Path, home: Option<&Path>) -> Result<()> {
    home.map_or(Ok(()), check_home)?;
    let parent = path.parent().unwrap_or(path);
    trusted_dir::find(parent)
        .map(drop)
        .map_err(|fault| fault_error(&fault))
}

fn check_home(home: &Path) -> Result<()> {
    match trusted_dir::find(home) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(io_error(home, &io::ErrorKind::NotFound.into())),
        Err(fault) => Err(fault_error(&fault)),
    }
}

/// The outcome of reading a file.
pub(super) enum FileContents {
    /// The file does not exist.
    Missing,
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The file is not safe to use. The string is the reason.
    Unsafe(&'static str),
}

/// Reads a file that must belong to this user, and that other users must not be able to access.
///
/// # Errors
/// [`ErrorKind::Store`] if the system reports an error.
pub(super) fn read_file(dir: &Dir, path: &Path, name: &str) -> Result<FileContents> {
    let mut bytes = Vec::new();
    Ok(
        match read_file_into(dir, path, name, user_id(), &mut bytes)? {
            FileState::Missing => FileContents::Missing,
            FileState::Unsafe(fault) => FileContents::Unsafe(fault),
            FileState::Read => FileContents::Bytes(bytes),
        },
    )
}

/// The outcome of reading a file into a buffer.
pub(super) enum FileState {
    /// The file does not exist.
    Missing,
    /// The buffer holds the bytes of the file.
    Read,
    /// The file is not safe to use. The string is the reason.
    Unsafe(&'static str),
}

/// Reads a file as [`read_file`] does, and replaces the content of `buffer` with its bytes. The file
/// must belong to `user`.
///
/// # Errors
/// Returns the errors of [`read_file`].
pub(super) fn read_file_into(
    dir: &Dir,
    path: &Path,
    name: &str,
    user: u32,
    buffer: &mut Vec<u8>,
) -> Result<FileState> {
    let file = match dir.open_file(name, OpenMode::Read) {
        Ok(file) => file,
        Err(error) => {
            return match cause(&error) {
                IoCause::NotFound => Ok(FileState::Missing),
                IoCause::LinkOrFile => Ok(FileState::Unsafe("is a link")),
                IoCause::NotAFile => Ok(FileState::Unsafe("is not a regular file")),
                _ => Err(io_error(&path.join(name), &error)),
            };
        }
    };
    let facts = FileFacts::of(&file).map_err(|error| io_error(&path.join(name), &error))?;
    let fault = if !facts.is_file() {
        Some("is not a regular file")
    } else if facts.owner_id() != user {
        Some(match facts.owner() {
            Owner::Unmapped { .. } => "belongs to a user outside this user namespace",
            _ => "belongs to another user",
        })
    } else if facts.is_open_to_others() {
        Some("is open to other users")
    } else if facts.link_count() > 1 {
        Some("has a second hard link")
    } else if facts.len() > MAX_FILE_BYTES as u64 {
        Some("is larger than 1 MiB")
    } else {
        None
    };
    match fault {
        Some(fault) => Ok(FileState::Unsafe(fault)),
        None => read_all(&file, facts.len() as usize, buffer)
            .map(|()| FileState::Read)
            .map_err(|error| io_error(&path.join(name), &error)),
    }
}

/// Reads at most `size` bytes of a file. `size` is the size of the open file. It does not change,
/// because writers replace a file and never change it. Wipes the buffer before it is moved to more
/// memory.
fn read_all(mut file: &File, size: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    if size > buffer.capacity() {
        buffer.zeroize();
    }
    buffer.resize(size, 0);
    let mut len = 0;
    while len < size {
        match io::Read::read(&mut file, &mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(len);
    Ok(())
}
