//! Opens a store: its directory and its keys.
//!
//! The file `store` in the directory is the label. It names the key that seals the store. No other
//! key is ever used to write to the store.

use std::path::PathBuf;

use super::location::{KeyLocation, Location};
use super::lock;
use super::master_key::{self, DerivedKeys};
use super::private_dir::{self, FileContents, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::private_file;

/// The directory of records.
pub(super) const TOKENS_DIR: &str = "tokens";
/// The directory of failures.
pub(super) const FAILURES_DIR: &str = "refusals";
/// The directory of files that are being written.
pub(super) const NEW_DIR: &str = "new";
const LOCKS_DIR: &str = "locks";
/// The file of the label.
pub(super) const LABEL_FILE: &str = "store";
const NEW_LABEL_FILE: &str = "store.new";
const LABEL_LOCK_FILE: &str = "locks/label";

/// An open store.
pub(super) struct OpenStore {
    /// The store's directory.
    pub(super) dir: Dir,
    /// The path of the directory, for error messages.
    pub(super) path: PathBuf,
    /// The keys of the store.
    pub(super) keys: DerivedKeys,
    /// Whether all files and directories that a write needs exist.
    pub(super) is_writable: bool,
}

/// Opens a store for reading, without creating files. `None` if the store or its key does not
/// exist.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if other users could access a file or directory;
/// [`ErrorKind::Store`] if one can't be read or is damaged. Also returns the errors of the keyring.
pub(super) fn open_for_reading(location: &Location) -> Result<Option<OpenStore>> {
    let Some(dir) = private_dir::open(&location.dir)? else {
        return Ok(None);
    };
    Ok(read_keys(&dir, location)?.map(|keys| OpenStore {
        dir,
        path: location.dir.clone(),
        keys,
        is_writable: false,
    }))
}

fn read_keys(dir: &Dir, location: &Location) -> Result<Option<DerivedKeys>> {
    match &location.key {
        KeyLocation::Keyring(backend, name) => master_key::read_from_keyring(&**backend, name),
        KeyLocation::Dir(path) if *path == location.dir => master_key::read_file(dir, path),
        KeyLocation::Dir(path) => {
            private_dir::open(path)?.map_or(Ok(None), |dir| master_key::read_file(&dir, path))
        }
    }
}

/// Creates the master key, unless it exists.
fn create_keys(dir: &Dir, location: &Location) -> Result<DerivedKeys> {
    match &location.key {
        KeyLocation::Keyring(backend, name) => master_key::create_in_keyring(&**backend, name),
        KeyLocation::Dir(path) if *path == location.dir => master_key::create_file(dir, path),
        KeyLocation::Dir(path) => {
            master_key::create_file(&private_dir::open_or_create(path, &location.homes)?, path)
        }
    }
}

/// The content of the label.
enum Label {
    Missing,
    Damaged,
    KeyId(String),
}

fn read_label(dir: &Dir, location: &Location) -> Result<Label> {
    let path_text = location.dir.join(LABEL_FILE);
    let path_text = path_text.display();
    let bytes = match private_dir::read_file(dir, &location.dir, LABEL_FILE)? {
        FileContents::Missing => return Ok(Label::Missing),
        FileContents::Unsafe(fault) => {
            return Err(Error::new(
                ErrorKind::UnsafeFile,
                format!("{path_text} {fault}; remove it"),
            ));
        }
        FileContents::Bytes(bytes) => bytes,
    };
    let mut lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
    match lines
        .next()
        .and_then(|line| line.strip_prefix("keyferry store "))
    {
        Some("1") => {}
        Some(version) if version.parse::<u32>().is_ok() => {
            return Err(Error::new(
                ErrorKind::Store,
                format!(
                    "{path_text} was written by another release of keyferry; use that release or a newer one"
                ),
            ));
        }
        _ => return Ok(Label::Damaged),
    }
    let key = lines
        .next()
        .and_then(|line| line.strip_prefix("key ")?.split_once(' '));
    match key.filter(|(_, id)| id.len() == 16 && bytes.ends_with(b"\n")) {
        Some((kind, id)) if kind == location.key.kind() => Ok(Label::KeyId(id.to_owned())),
        Some((kind @ ("file" | "keyring"), _)) => {
            let store = location.dir.display();
            Err(Error::new(
                ErrorKind::Store,
                format!(
                    "cannot open the store {store}: its key is not in the configured location; set `store_key` to {kind}, or clear the store with `keyferry logout`"
                ),
            ))
        }
        _ => Ok(Label::Damaged),
    }
}

/// Opens a store for reading and writing. Creates missing files and directories.
///
/// # Errors
/// Returns the errors of [`open_for_reading`]; [`ErrorKind::Store`] if a file or directory can't be
/// created.
pub(super) fn open_or_create(location: &Location) -> Result<OpenStore> {
    let dir = private_dir::open_or_create(&location.dir, &location.homes)?;
    create_dirs(&dir, location)?;
    let keys = match read_label(&dir, location)? {
        Label::KeyId(id) => labelled_keys(&id, &dir, location)?,
        _ => create_label(&dir, location)?,
    };
    Ok(OpenStore {
        dir,
        path: location.dir.clone(),
        keys,
        is_writable: true,
    })
}

/// Returns the keys of the store. Fails unless the label names them.
fn labelled_keys(id: &str, dir: &Dir, location: &Location) -> Result<DerivedKeys> {
    let (key_location, store) = (location.key.description(), location.dir.display());
    let remedy = match location.key {
        KeyLocation::Dir(_) => "restore the key, or clear the store with `keyferry logout`",
        KeyLocation::Keyring(..) => "unlock the keyring, or clear the store with `keyferry logout`",
    };
    match read_keys(dir, location)? {
        Some(keys) if keys.id == id => Ok(keys),
        Some(keys) => Err(Error::new(
            ErrorKind::Store,
            format!(
                "cannot open the store {store}: it was sealed with key {id}, but {key_location} holds key {}; {remedy}",
                keys.id
            ),
        )),
        None => Err(Error::new(
            ErrorKind::Store,
            format!(
                "cannot open the store {store}: it was sealed with key {id}, which is missing from {key_location}; {remedy}"
            ),
        )),
    }
}

/// Creates missing directories, including one that was removed while the store was in use.
fn create_dirs(dir: &Dir, location: &Location) -> Result<()> {
    for name in [LOCKS_DIR, NEW_DIR, FAILURES_DIR, TOKENS_DIR] {
        match dir.create_dir(name) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io_error(&location.dir.join(name), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the master key if it is missing, and then the label that names it.
fn create_label(dir: &Dir, location: &Location) -> Result<DerivedKeys> {
    let _lock = lock::acquire(dir, &location.dir, LABEL_LOCK_FILE)?;
    if let Label::KeyId(id) = read_label(dir, location)? {
        return labelled_keys(&id, dir, location);
    }
    let keys = create_keys(dir, location)?;
    let write = || {
        let _ = dir.remove_file(NEW_LABEL_FILE);
        let mut file = dir.open_file(NEW_LABEL_FILE, OpenMode::CreateNew)?;
        private_file::write(
            &mut file,
            format!(
                "keyferry store 1\nkey {} {}\n",
                location.key.kind(),
                keys.id
            )
            .as_bytes(),
        )?;
        dir.rename(NEW_LABEL_FILE, dir, LABEL_FILE)?;
        dir.sync()
    };
    if let Err(error) = write() {
        let _ = dir.remove_file(NEW_LABEL_FILE);
        return Err(io_error(&location.dir.join(LABEL_FILE), &error));
    }
    Ok(keys)
}

/// Returns the temporary file that the holder of this write lock writes and then renames.
pub(super) fn new_file_name(write_lock_number: u8) -> String {
    format!("{NEW_DIR}/{write_lock_number:02}")
}
