//! Sealed files under their names: read, written beside and renamed, set aside, removed.

use std::io;

use super::codec;
use super::envelope::{self, Content};
use super::location::{KeyPlace, Location};
use super::lock;
use super::master_key::{self, Keys};
use super::open_store::{LABEL, OpenStore, REFUSALS, TOKENS, new_name};
use super::private_dir::{self, Read, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Fingerprint, TokenKey};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::private_file;

/// Ends the name of a damaged file.
const BAD: &str = ".bad";

/// Under which name a file lies. Nothing of a key can be read from it.
pub(super) struct RecordName {
    content: Content,
    /// In the store's folder.
    path: String,
}

impl RecordName {
    /// The file of a record.
    pub(super) fn of_record(keys: &Keys, key: &TokenKey) -> Self {
        let scope = &key.scope;
        let parts = ["record", &scope.service, &scope.base, &scope.account, key.resource_kind.name(), &key.id, key.access.name()];
        Self { content: Content::Record, path: format!("{TOKENS}/{}", keys.names.of(&parts)) }
    }

    /// The file of a refusal.
    pub(super) fn of_refusal(keys: &Keys, secret: &Fingerprint) -> Self {
        let name = keys.names.of(&["refusal", &master_key::hex(secret.bytes())]);
        Self { content: Content::Refusal, path: format!("{REFUSALS}/{name}") }
    }

    /// Its last part: hexadecimal digits.
    pub(super) fn digits(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn folder(&self) -> &'static str {
        match self.content {
            Content::Record => TOKENS,
            Content::Refusal => REFUSALS,
        }
    }
}

/// What lies under a name.
pub(super) enum ReadOutcome {
    /// Nothing.
    Nothing,
    /// What was sealed.
    Whole(Vec<u8>),
    /// Something that the store did not write so: why.
    Bad(&'static str),
    /// Something that another key or release has written: why.
    Foreign(&'static str),
}

impl OpenStore {
    /// What lies under a name.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if it can't be read.
    pub(super) fn read(&self, name: &RecordName) -> Result<ReadOutcome> {
        let bytes = match private_dir::read(&self.folder, &self.path, &name.path)? {
            Read::Nothing => return Ok(ReadOutcome::Nothing),
            Read::Odd(odd) => return Ok(ReadOutcome::Bad(odd)),
            Read::Bytes(bytes) => bytes,
        };
        Ok(match self.keys.seal.open(name.content, name.digits(), &bytes) {
            envelope::Unsealed::Whole(plain) => match name.content {
                Content::Record if codec::read_record(&plain).is_none() => ReadOutcome::Bad("can't be understood"),
                _ => ReadOutcome::Whole(plain),
            },
            envelope::Unsealed::Damaged => ReadOutcome::Bad("is damaged"),
            envelope::Unsealed::Foreign(why) => ReadOutcome::Foreign(why),
        })
    }

    /// The error for what is not ours.
    pub(super) fn foreign(&self, name: &RecordName, why: &str) -> Error {
        Error::new(ErrorKind::Store, format!("{} {why}, or clear the store with `keyferry logout`", self.path.join(&name.path).display()))
    }

    /// Writes a file in place of the one before, unless `keep` wants that one kept.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]; the one before is still there.
    pub(super) fn write(&self, name: &RecordName, plain: &[u8], keep: impl Fn(&[u8]) -> bool) -> Result<()> {
        let writer = lock::writer(name.digits());
        let _lock = lock::wait(&self.folder, &self.path, &lock::writer_file(writer))?;
        match self.read(name)? {
            ReadOutcome::Whole(before) if keep(&before) => return Ok(()),
            ReadOutcome::Foreign(why) => return Err(self.foreign(name, why)),
            ReadOutcome::Bad(_) => self.rename_bad(name),
            _ => {}
        }
        let sealed = self.keys.seal.close(name.content, name.digits(), plain)?;
        let new = new_name(writer);
        let written = self.write_new(&new, &sealed).and_then(|()| self.folder.rename(&new, &self.folder, &name.path));
        if let Err(error) = written {
            let _ = self.folder.remove(&new);
            return Err(io_error(&self.path.join(&name.path), &error));
        }
        self.sync(name)
    }

    fn write_new(&self, new: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.folder.file(new, OpenMode::New) {
            // Left behind by a writer that was killed: its lock is ours now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.folder.remove(new)?;
                self.folder.file(new, OpenMode::New)?
            }
            file => file?,
        };
        private_file::write(&mut file, bytes)
    }

    fn sync(&self, name: &RecordName) -> Result<()> {
        let synced = self.folder.folder(name.folder()).and_then(|folder| folder.sync());
        synced.map_err(|error| io_error(&self.path.join(name.folder()), &error))
    }

    /// Removes a file, unless `keep` wants it kept. What is not ours is removed only if `any`.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]; it is still there.
    pub(super) fn remove(&self, name: &RecordName, any: bool, keep: impl Fn(&[u8]) -> bool) -> Result<()> {
        if matches!(self.read(name)?, ReadOutcome::Nothing) {
            return Ok(());
        }
        let _lock = lock::wait(&self.folder, &self.path, &lock::writer_file(lock::writer(name.digits())))?;
        match self.read(name)? {
            ReadOutcome::Nothing => return Ok(()),
            ReadOutcome::Whole(plain) if keep(&plain) => return Ok(()),
            ReadOutcome::Foreign(why) if !any => return Err(self.foreign(name, why)),
            _ => {}
        }
        match self.folder.remove(&name.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&self.path.join(&name.path), &error)),
            _ => self.sync(name),
        }
    }

    /// Removes a record of exactly this generation where no writer is at it, without waiting for the disk. Whether it is gone.
    pub(super) fn remove_now(&self, name: &RecordName, generation: u64) -> bool {
        let Ok(lock::Try::Held(_lock)) = lock::attempt(&self.folder, &self.path, &lock::writer_file(lock::writer(name.digits()))) else {
            return false;
        };
        let is_it = |plain: &[u8]| codec::read_record(plain).is_some_and(|(_, record)| record.generation == generation);
        matches!(self.read(name), Ok(ReadOutcome::Whole(plain)) if is_it(&plain)) && self.folder.remove(&name.path).is_ok()
    }

    /// Puts a damaged file aside, if it still is one.
    pub(super) fn quarantine(&self, name: &RecordName) {
        if let Ok(_lock) = lock::wait(&self.folder, &self.path, &lock::writer_file(lock::writer(name.digits())))
            && matches!(self.read(name), Ok(ReadOutcome::Bad(_)))
        {
            self.rename_bad(name);
        }
    }

    fn rename_bad(&self, name: &RecordName) {
        // Of one name one is kept. What can't be set aside is written over.
        let _ = self.folder.rename(&name.path, &self.folder, &format!("{}{BAD}", name.path));
    }

    /// The records in a folder.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if it can't be read.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<RecordName>> {
        let names = match self.folder.names(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(|error| io_error(&self.path.join(folder), &error))?,
        };
        let is_name = |text: &String| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(names
            .into_iter()
            .filter(is_name)
            .map(|name| RecordName { content: Content::Record, path: format!("{folder}/{name}") })
            .collect())
    }
}

/// Removes all files. A key that is whole stays, for other processes know it; one that is not goes, with the label that names it.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`], [`ErrorKind::Store`]: something is still there.
pub(super) fn clear(place: &Location) -> Result<()> {
    let Some(folder) = private_dir::open(&place.folder)? else {
        return Ok(());
    };
    for inner in [TOKENS, REFUSALS] {
        let path = place.folder.join(inner);
        for name in folder.names(inner).unwrap_or_default() {
            remove(&folder, place, &format!("{inner}/{name}"))?;
        }
        folder.folder(inner).and_then(|inner| inner.sync()).or_else(missing).map_err(|error| io_error(&path, &error))?;
    }
    if let KeyPlace::Folder(path) = &place.key
        && let Some(key_folder) = private_dir::open(path)?
    {
        match master_key::read(&key_folder, path) {
            Err(error) if error.kind == ErrorKind::UnsafeFile => return Err(error),
            Err(_) => {
                key_folder.remove(master_key::NAME).or_else(missing).map_err(|error| io_error(&path.join(master_key::NAME), &error))?
            }
            Ok(_) => {}
        }
    }
    remove(&folder, place, LABEL)
}

fn remove(folder: &Dir, place: &Location, name: &str) -> Result<()> {
    folder.remove(name).or_else(missing).map_err(|error| io_error(&place.folder.join(name), &error))
}

fn missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
