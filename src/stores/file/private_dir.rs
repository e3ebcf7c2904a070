//! Opening folders and files that must be the user's own: all is checked on the open descriptor, never on a path.
//!
//! Turns what the system says into a sentence with a remedy.

use std::fs::File;
use std::io;
use std::path::Path;

use super::location::HomeDir;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::FileFacts;
use crate::sys::private_file;

/// No file of a store is longer.
pub(super) const LONGEST_BYTES: usize = 1024 * 1024;

/// What the system said about something of the store, and what mends it.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    let why = match cause(error) {
        IoCause::Full => "the disk is full: make room",
        IoCause::ReadOnly => "the file system is read-only: set `store` to file:/PATH where it can be written, or to memory",
        IoCause::Denied => "this user may not use it: see its owner and permissions with ls -ld",
        IoCause::Broken => "the disk reports an error: check it",
        IoCause::TooLarge => "files may not grow so large here: raise the limit (ulimit -f)",
        IoCause::TooMany => "too many files are open: raise the limit (ulimit -n)",
        IoCause::NoLocks => "its file system has no locks: set `store` to file:/PATH on a local disk",
        IoCause::Link => "a link or a file is in its place: remove that",
        IoCause::Missing => "it is not there: make it, or set `store` to file:/PATH",
        IoCause::NotAFile | IoCause::Other => "the system can't use it: check it",
    };
    Error::new(ErrorKind::Store, format!("{shown}: {why}"))
}

fn unsafe_file(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::UnsafeFile, format!("{} {why}", path.display()))
}

/// Opens a folder of the user's own. None if it is not there.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] with what mends it, [`ErrorKind::Store`].
pub(super) fn open(path: &Path) -> Result<Option<Dir>> {
    let folder = match Dir::open(path) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let facts = folder.facts().map_err(|error| io_error(path, &error))?;
    if !facts.is_owned_by_user() {
        return Err(unsafe_file(path, "belongs to another user: chown it, or set `store` to file:/PATH"));
    }
    if facts.is_open_to_others() {
        return Err(unsafe_file(path, &format!("is open to others: chmod 700 {}", path.display())));
    }
    Ok(Some(folder))
}

/// Opens a folder, which is made for the user alone if it is not there.
///
/// # Errors
/// Those of [`open`].
pub(super) fn make(path: &Path, homes: &[HomeDir]) -> Result<Dir> {
    if let Some(folder) = open(path)? {
        return Ok(folder);
    }
    homes.iter().try_for_each(check_home)?;
    private_file::create_dirs(path).map_err(|error| io_error(path, &error))?;
    open(path)?.ok_or_else(|| io_error(path, &io::ErrorKind::NotFound.into()))
}

/// Under `sudo` the home may be somebody else's: what was made there would lock its owner out.
fn check_home(home: &HomeDir) -> Result<()> {
    let path = &home.path;
    let facts = match FileFacts::at(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !home.is_there => return Ok(()),
        Err(error) => return Err(io_error(path, &error)),
    };
    if facts.is_owned_by_user() {
        return Ok(());
    }
    Err(unsafe_file(path, "belongs to another user: set HOME to this user's own (sudo -H), or set `store` to file:/PATH"))
}

/// What reading a file gave.
pub(super) enum Read {
    /// There is none.
    Nothing,
    /// Its bytes.
    Bytes(Vec<u8>),
    /// What is there is not a file that the store has made.
    Odd(&'static str),
}

/// Reads a file of the user's own, or says what is odd about it.
///
/// # Errors
/// [`ErrorKind::Store`] if the system doesn't let it be read.
pub(super) fn read(folder: &Dir, path: &Path, name: &str) -> Result<Read> {
    let file = match folder.file(name, OpenMode::Read) {
        Ok(file) => file,
        Err(error) => {
            return match cause(&error) {
                IoCause::Missing => Ok(Read::Nothing),
                IoCause::Link => Ok(Read::Odd("is a link")),
                IoCause::NotAFile => Ok(Read::Odd("is not a regular file")),
                _ => Err(io_error(&path.join(name), &error)),
            };
        }
    };
    let facts = FileFacts::of(&file).map_err(|error| io_error(&path.join(name), &error))?;
    let odd = if !facts.is_file() {
        Some("is not a regular file")
    } else if !facts.is_owned_by_user() {
        Some("belongs to another user")
    } else if facts.is_open_to_others() {
        Some("is open to others")
    } else if facts.link_count() > 1 {
        Some("has a second name")
    } else if facts.len() > LONGEST_BYTES as u64 {
        Some("is longer than anything the store keeps")
    } else {
        None
    };
    match odd {
        Some(odd) => Ok(Read::Odd(odd)),
        None => read_all(&file, facts.len() as usize).map(Read::Bytes).map_err(|error| io_error(&path.join(name), &error)),
    }
}

/// One call reads all of it, for nobody writes into a file that has its name.
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
