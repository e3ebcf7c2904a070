//! Opens directories and files that the user must own. All checks are made on the open descriptor,
//! never on a path.
//!
//! It also turns errors of the system into messages with a remedy.

use std::fs::File;
use std::io;
use std::path::Path;

use super::location::HomeDir;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::FileFacts;
use crate::sys::private_file;

/// The largest size of a file in a store.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The error for a file or directory of the store that the system can't use, with its remedy.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    let path_text = path.display();
    let why = match cause(error) {
        IoCause::DiskFull => "the disk is full: make room",
        IoCause::ReadOnly => {
            "the file system is read-only: set `store` to file:/PATH where it can be written, or to memory"
        }
        IoCause::AccessDenied => {
            "this user may not use it: see its owner and permissions with ls -ld"
        }
        IoCause::DiskError => "the disk reports an error: check it",
        IoCause::FileTooLarge => "files may not grow so large here: raise the limit (ulimit -f)",
        IoCause::TooManyFiles => "too many files are open: raise the limit (ulimit -n)",
        IoCause::NoLocks => {
            "its file system has no locks: set `store` to file:/PATH on a local disk"
        }
        IoCause::LinkOrFile => "a link or a file is in its place: remove that",
        IoCause::NotFound => "it is not there: make it, or set `store` to file:/PATH",
        IoCause::NotAFile | IoCause::Other => "the system can't use it: check it",
    };
    Error::new(ErrorKind::Store, format!("{path_text}: {why}"))
}

fn unsafe_file(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::UnsafeFile, format!("{} {why}", path.display()))
}

/// Opens a directory that the user owns and others can't enter. `None` if it does not exist.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] with its remedy, [`ErrorKind::Store`].
pub(super) fn open(path: &Path) -> Result<Option<Dir>> {
    let dir = match Dir::open(path) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let facts = dir.facts().map_err(|error| io_error(path, &error))?;
    if !facts.is_owned_by_user() {
        return Err(unsafe_file(
            path,
            "belongs to another user: chown it, or set `store` to file:/PATH",
        ));
    }
    if facts.is_open_to_others() {
        return Err(unsafe_file(
            path,
            &format!("is open to others: chmod 700 {}", path.display()),
        ));
    }
    Ok(Some(dir))
}

/// Opens a directory as [`open`] does, and makes it for the user alone if it does not exist.
///
/// # Errors
/// Those of [`open`].
pub(super) fn open_or_create(path: &Path, homes: &[HomeDir]) -> Result<Dir> {
    if let Some(dir) = open(path)? {
        return Ok(dir);
    }
    homes.iter().try_for_each(check_home)?;
    private_file::create_dirs(path).map_err(|error| io_error(path, &error))?;
    open(path)?.ok_or_else(|| io_error(path, &io::ErrorKind::NotFound.into()))
}

/// Fails if another user owns the home. Rationale: under `sudo` it may, and files made there would
/// lock its owner out.
fn check_home(home: &HomeDir) -> Result<()> {
    let path = &home.path;
    let facts = match FileFacts::at(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !home.must_exist => return Ok(()),
        Err(error) => return Err(io_error(path, &error)),
    };
    if facts.is_owned_by_user() {
        return Ok(());
    }
    Err(unsafe_file(
        path,
        "belongs to another user: set HOME to this user's own (sudo -H), or set `store` to file:/PATH",
    ))
}

/// The outcome of reading a file.
pub(super) enum FileContents {
    /// The file does not exist.
    Missing,
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is no file that the store has made: the reason.
    Unsafe(&'static str),
}

/// Reads a file that the user owns and others can't read.
///
/// # Errors
/// [`ErrorKind::Store`] if the system doesn't let it be read.
pub(super) fn read_file(dir: &Dir, path: &Path, name: &str) -> Result<FileContents> {
    let file = match dir.open_file(name, OpenMode::Read) {
        Ok(file) => file,
        Err(error) => {
            return match cause(&error) {
                IoCause::NotFound => Ok(FileContents::Missing),
                IoCause::LinkOrFile => Ok(FileContents::Unsafe("is a link")),
                IoCause::NotAFile => Ok(FileContents::Unsafe("is not a regular file")),
                _ => Err(io_error(&path.join(name), &error)),
            };
        }
    };
    let facts = FileFacts::of(&file).map_err(|error| io_error(&path.join(name), &error))?;
    let fault = if !facts.is_file() {
        Some("is not a regular file")
    } else if !facts.is_owned_by_user() {
        Some("belongs to another user")
    } else if facts.is_open_to_others() {
        Some("is open to others")
    } else if facts.link_count() > 1 {
        Some("has a second name")
    } else if facts.len() > MAX_FILE_BYTES as u64 {
        Some("is longer than anything the store keeps")
    } else {
        None
    };
    match fault {
        Some(fault) => Ok(FileContents::Unsafe(fault)),
        None => read_all(&file, facts.len() as usize)
            .map(FileContents::Bytes)
            .map_err(|error| io_error(&path.join(name), &error)),
    }
}

/// Reads all of a file. One call is enough: no writer changes a file that has its name.
fn read_all(mut file: &File, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut len = 0;
    while len < size {
        match io::Read::read(&mut file, &mut bytes[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
