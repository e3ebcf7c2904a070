//! An open store: its folder and its key. Opened at the first use, for reading alone until something is to be written.
//!
//! The file `store` in the folder says which key seals it: a store is never written with another.

use std::path::PathBuf;
use std::sync::Arc;

use super::location::{KeyPlace, Location};
use super::lock;
use super::master_key::{self, Keys};
use super::private_dir::{self, Read, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::private_file;
use crate::sys::sync::Mutex;

/// Folders in the store's folder.
pub(super) const TOKENS: &str = "tokens";
pub(super) const REFUSALS: &str = "refusals";
pub(super) const NEW: &str = "new";
const LOCKS: &str = "locks";
/// The file that names the key.
pub(super) const LABEL: &str = "store";
const LABEL_NEW: &str = "store.new";
const LABEL_LOCK: &str = "locks/label";

/// An open store.
pub(super) struct OpenStore {
    /// Its folder.
    pub(super) folder: Dir,
    /// The same, for messages.
    pub(super) path: PathBuf,
    /// Its key.
    pub(super) keys: Keys,
    /// Everything is there that a write needs.
    is_ready: bool,
}

/// A store that is opened when it is needed.
pub(super) struct LazyStore {
    place: Result<Location>,
    now: Mutex<Option<Arc<OpenStore>>>,
}

impl LazyStore {
    pub(super) fn new(place: Result<Location>) -> Self {
        Self { place, now: Mutex::default() }
    }

    pub(super) fn place(&self) -> Result<&Location> {
        self.place.as_ref().map_err(Clone::clone)
    }

    /// The store as it is. None if there is none.
    pub(super) fn as_it_is(&self) -> Result<Option<Arc<OpenStore>>> {
        let mut now = self.now.lock();
        if now.is_none() {
            *now = look(self.place()?)?.map(Arc::new);
        }
        Ok(now.clone())
    }

    /// The store with all that a write needs.
    pub(super) fn ready(&self) -> Result<Arc<OpenStore>> {
        let mut now = self.now.lock();
        if let Some(opened) = now.as_ref()
            && opened.is_ready
            // Somebody may have removed the folder.
            && opened.folder.facts().is_ok_and(|facts| facts.link_count() > 0)
        {
            return Ok(Arc::clone(opened));
        }
        *now = None;
        let opened = Arc::new(prepare(self.place()?)?);
        *now = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Looks anew at the next use.
    pub(super) fn forget(&self) {
        *self.now.lock() = None;
    }
}

fn look(place: &Location) -> Result<Option<OpenStore>> {
    let Some(folder) = private_dir::open(&place.folder)? else {
        return Ok(None);
    };
    Ok(read_keys(&folder, place)?.map(|keys| OpenStore { folder, path: place.folder.clone(), keys, is_ready: false }))
}

fn read_keys(folder: &Dir, place: &Location) -> Result<Option<Keys>> {
    match &place.key {
        KeyPlace::Keyring(keeper, name) => master_key::read_kept(&**keeper, name),
        KeyPlace::Folder(path) if *path == place.folder => master_key::read(folder, path),
        KeyPlace::Folder(path) => private_dir::open(path)?.map_or(Ok(None), |folder| master_key::read(&folder, path)),
    }
}

/// Makes the key, unless there is one.
fn make_keys(folder: &Dir, place: &Location) -> Result<Keys> {
    match &place.key {
        KeyPlace::Keyring(keeper, name) => master_key::make_kept(&**keeper, name),
        KeyPlace::Folder(path) if *path == place.folder => master_key::make(folder, path),
        KeyPlace::Folder(path) => master_key::make(&private_dir::make(path, &place.homes)?, path),
    }
}

/// What the label says.
enum Label {
    Nothing,
    Damaged,
    KeyId(String),
}

fn read_label(folder: &Dir, place: &Location) -> Result<Label> {
    let shown = place.folder.join(LABEL);
    let shown = shown.display();
    let bytes = match private_dir::read(folder, &place.folder, LABEL)? {
        Read::Nothing => return Ok(Label::Nothing),
        Read::Odd(odd) => return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} {odd}: remove it"))),
        Read::Bytes(bytes) => bytes,
    };
    let mut lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
    match lines.next().and_then(|line| line.strip_prefix("keyferry store ")) {
        Some("1") => {}
        Some(other) if other.parse::<u32>().is_ok() => {
            return Err(Error::new(
                ErrorKind::Store,
                format!("{shown} was written by another release of keyferry: use that one, or a newer"),
            ));
        }
        _ => return Ok(Label::Damaged),
    }
    let key = lines.next().and_then(|line| line.strip_prefix("key ")?.split_once(' '));
    match key.filter(|(_, id)| id.len() == 16 && bytes.ends_with(b"\n")) {
        Some((word, id)) if word == place.key.word() => Ok(Label::KeyId(id.to_owned())),
        Some((word @ ("file" | "keyring"), _)) => {
            let store = place.folder.display();
            Err(Error::new(
                ErrorKind::Store,
                format!("the key of {store} is not there: set `store_key` to {word}, or clear the store with `keyferry logout`"),
            ))
        }
        _ => Ok(Label::Damaged),
    }
}

fn prepare(place: &Location) -> Result<OpenStore> {
    let folder = private_dir::make(&place.folder, &place.homes)?;
    make_folders(&folder, place)?;
    let keys = match read_label(&folder, place)? {
        Label::KeyId(id) => labelled(&id, &folder, place)?,
        _ => label(&folder, place)?,
    };
    let opened = OpenStore { folder, path: place.folder.clone(), keys, is_ready: true };
    opened.sweep_leavings();
    Ok(opened)
}

/// The key that the label names.
fn labelled(id: &str, folder: &Dir, place: &Location) -> Result<Keys> {
    let (shown, store) = (place.key.shown(), place.folder.display());
    let remedy = match place.key {
        KeyPlace::Folder(_) => "put it back, or clear the store with `keyferry logout`",
        KeyPlace::Keyring(..) => "unlock it, or clear the store with `keyferry logout`",
    };
    match read_keys(folder, place)? {
        Some(keys) if keys.id == id => Ok(keys),
        Some(keys) => {
            Err(Error::new(ErrorKind::Store, format!("{store} was sealed with key {id}, and {shown} holds {}: {remedy}", keys.id)))
        }
        None => Err(Error::new(ErrorKind::Store, format!("{store} was sealed with key {id}, which is gone from {shown}: {remedy}"))),
    }
}

/// Makes the folders that are not there: also one that somebody has removed from a store that is in use.
fn make_folders(folder: &Dir, place: &Location) -> Result<()> {
    for name in [LOCKS, NEW, REFUSALS, TOKENS] {
        match folder.make(name) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io_error(&place.folder.join(name), &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Makes what is not there yet: the key, and then the label that names it.
fn label(folder: &Dir, place: &Location) -> Result<Keys> {
    let _lock = lock::wait(folder, &place.folder, LABEL_LOCK)?;
    if let Label::KeyId(id) = read_label(folder, place)? {
        return labelled(&id, folder, place);
    }
    let keys = make_keys(folder, place)?;
    let write = || {
        let _ = folder.remove(LABEL_NEW);
        let mut file = folder.file(LABEL_NEW, OpenMode::New)?;
        private_file::write(&mut file, format!("keyferry store 1\nkey {} {}\n", place.key.word(), keys.id).as_bytes())?;
        folder.rename(LABEL_NEW, folder, LABEL)?;
        folder.sync()
    };
    if let Err(error) = write() {
        let _ = folder.remove(LABEL_NEW);
        return Err(io_error(&place.folder.join(LABEL), &error));
    }
    Ok(keys)
}

/// The file that a writer of this number writes, before it has its name.
pub(super) fn new_name(writer: u8) -> String {
    format!("{NEW}/{writer:02}")
}
