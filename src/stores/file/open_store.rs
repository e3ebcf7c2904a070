//! Opens a store: its directory and its keys.
//!
//! The file `store` in the directory is the label. It names the store's version and the key that
//! seals the store. No other key is ever used to write to the store, and no other version writes to
//! it: a release that knows only version 1 refuses it.
//!
//! A store of version 1 is cleared, and is used with the same key from then on. Its records are not
//! converted. Rationale: that release locks in another way. If both used one record, both could send
//! its renewal secret.

use std::path::PathBuf;
use std::sync::Arc;

use super::location::{KeyLocation, Location};
use super::lock::{self, LOCK_FILE, Locks};
use super::master_key::{self, DerivedKeys};
use super::private_dir::{self, FileContents, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_lock::FileLocks;
use crate::sys::private_file;
use crate::sys::sync::Mutex;

/// The directory of records.
pub(super) const TOKENS_DIR: &str = "tokens";
/// The directory of failures.
pub(super) const FAILURES_DIR: &str = "refusals";
/// The directory of files that are being written.
pub(super) const NEW_DIR: &str = "new";
/// The directory of the lock files of version 1.
const OLD_LOCKS_DIR: &str = "locks";
/// The file of the label.
pub(super) const LABEL_FILE: &str = "store";
const NEW_LABEL_FILE: &str = "store.new";
const LABEL_TITLE: &str = "keyferry store ";
/// The version of the store, as its label names it.
const VERSION: &str = "2";
const OLD_VERSION: &str = "1";

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
    /// The lock file, once it was used.
    locks: Mutex<Option<Arc<FileLocks>>>,
}

impl OpenStore {
    fn new(dir: Dir, location: &Location, keys: DerivedKeys, is_writable: bool) -> Self {
        Self {
            dir,
            path: location.dir.clone(),
            keys,
            is_writable,
            locks: Mutex::default(),
        }
    }

    /// Returns the locks of the store. Opens the lock file again if it was removed, or if this
    /// process is a child of the one that opened it.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the lock file can't be used.
    pub(super) fn locks(&self) -> Result<Locks<'_>> {
        let mut present = self.locks.lock();
        let file = match present.as_ref().filter(|locks| locks.is_usable()) {
            Some(file) => Arc::clone(file),
            None => lock::open_file(&self.dir, LOCK_FILE)
                .map_err(|error| io_error(&self.path.join(LOCK_FILE), &error))?,
        };
        *present = Some(Arc::clone(&file));
        Ok(Locks::new(&self.dir, &self.path, LOCK_FILE, file))
    }
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
    Ok(read_keys(&dir, location)?.map(|keys| OpenStore::new(dir, location, keys, false)))
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
        KeyLocation::Dir(path) => master_key::create_file(
            &private_dir::open_or_create(path, location.home.as_deref())?,
            path,
        ),
    }
}

/// The content of the label.
enum Label {
    Missing,
    Damaged,
    /// The store has version 1.
    Old,
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
    match lines.next().and_then(|line| line.strip_prefix(LABEL_TITLE)) {
        Some(VERSION) => {}
        Some(OLD_VERSION) => return Ok(Label::Old),
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
    let dir = private_dir::open_or_create(&location.dir, location.home.as_deref())?;
    create_dirs(&dir, location)?;
    let keys = match read_label(&dir, location)? {
        Label::KeyId(id) => labelled_keys(&id, &dir, location)?,
        label => create_label(&dir, location, &label)?,
    };
    Ok(OpenStore::new(dir, location, keys, true))
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
    for name in [NEW_DIR, FAILURES_DIR, TOKENS_DIR] {
        match dir.create_dir(name) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io_error(&location.dir.join(name), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the master key if it is missing, and then the label that names it. Clears a store of
/// version 1 first. `seen` is the label that was found before.
///
/// If `seen` says that there was no label, this function stops waiting for the lock as soon as
/// another process has written one. If `seen` is a label of version 1, it waits for the lock, because
/// that process still clears the store.
fn create_label(dir: &Dir, location: &Location, seen: &Label) -> Result<DerivedKeys> {
    let locks = Locks::open(dir, &location.dir, LOCK_FILE)?;
    let created_meanwhile = || match read_label(dir, location) {
        Ok(Label::KeyId(id)) if !matches!(seen, Label::Old) => Some(id),
        _ => None,
    };
    let _lock = match locks.acquire_unless(lock::CREATION, created_meanwhile)? {
        Ok(lock) => lock,
        Err(id) => return labelled_keys(&id, dir, location),
    };
    let label = read_label(dir, location)?;
    if let Label::KeyId(id) = label {
        return labelled_keys(&id, dir, location);
    }
    let is_old = matches!(label, Label::Old);
    if is_old {
        clear_old(dir);
    }
    let keys = create_keys(dir, location)?;
    write_label(dir, location, &keys)
        .map_err(|error| io_error(&location.dir.join(LABEL_FILE), &error))?;
    if is_old {
        // A process of the earlier release may have written records until it saw the label.
        clear_old(dir);
    }
    Ok(keys)
}

fn write_label(dir: &Dir, location: &Location, keys: &DerivedKeys) -> std::io::Result<()> {
    let write = || {
        let _ = dir.remove_file(NEW_LABEL_FILE);
        let mut file = dir.open_file(NEW_LABEL_FILE, OpenMode::CreateNew)?;
        let (kind, id) = (location.key.kind(), &keys.id);
        let label = format!("{LABEL_TITLE}{VERSION}\nkey {kind} {id}\n");
        private_file::write_synced(&mut file, label.as_bytes())?;
        dir.rename(NEW_LABEL_FILE, dir, LABEL_FILE)?;
        dir.sync()
    };
    write().inspect_err(|_| drop(dir.remove_file(NEW_LABEL_FILE)))
}

/// Removes the files of a store of version 1, except the key. A file that can't be removed is not
/// used: its format is older.
fn clear_old(dir: &Dir) {
    for subdir in [TOKENS_DIR, FAILURES_DIR, NEW_DIR, OLD_LOCKS_DIR] {
        for name in dir.list(subdir).unwrap_or_default() {
            let _ = dir.remove_file(&format!("{subdir}/{name}"));
        }
        let _ = dir.open_dir(subdir).and_then(|dir| dir.sync());
    }
    let _ = dir.remove_dir(OLD_LOCKS_DIR);
}

/// Returns the temporary file of a file with this name. The holder of the write lock writes it and
/// then renames it.
pub(super) fn new_file_name(name: &str) -> String {
    format!("{NEW_DIR}/{name}")
}
