//! Reads, writes, quarantines and removes sealed files. A file that is synced or that replaces
//! another one is written under a temporary name and then renamed.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::codec::{self, Scopes};
use super::envelope::{Content, Unsealed};
use super::location::{KEY_FILE, KeyLocation, Location};
use super::lock::{self, LockAttempt};
use super::master_key::{self, DerivedKeys};
use super::open_store::{FAILURES_DIR, LABEL_FILE, OpenStore, TOKENS_DIR, new_file_name};
use super::private_dir::{self, FileContents, FileState, io_error};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Fingerprint, TokenKey};
use crate::ports::store::RecordFacts;
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_lock::LockId;
use crate::sys::owner::user_id;
use crate::sys::private_file;

/// The suffix of a quarantined file's name.
const QUARANTINE_SUFFIX: &str = ".bad";

/// The name of the file of a record or failure. The name is a keyed hash, which reveals nothing
/// about the token or the secret that the file is for.
pub(super) struct RecordName {
    content: Content,
    /// The path relative to the store's directory.
    path: String,
}

impl RecordName {
    /// Returns the name of a record's file.
    pub(super) fn for_record(keys: &DerivedKeys, key: &TokenKey) -> Self {
        let scope = &key.scope;
        let parts = [
            "record",
            &scope.service,
            &scope.base,
            &scope.account,
            key.resource_kind.name(),
            &key.id,
            key.access.name(),
        ];
        Self {
            content: Content::Record,
            path: format!("{TOKENS_DIR}/{}", keys.file_names.of(&parts)),
        }
    }

    /// Returns the name of a failure's file.
    pub(super) fn for_failure(keys: &DerivedKeys, secret: &Fingerprint) -> Self {
        let name = keys
            .file_names
            .of(&["refusal", &master_key::hex(secret.bytes())]);
        Self {
            content: Content::Failure,
            path: format!("{FAILURES_DIR}/{name}"),
        }
    }

    /// Returns the name of the record whose file has this name.
    pub(super) fn of_record_file(name: &str) -> Self {
        Self {
            content: Content::Record,
            path: format!("{TOKENS_DIR}/{name}"),
        }
    }

    /// Returns the last part of the path: a keyed hash in hexadecimal digits.
    pub(super) fn hash(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the write lock of this file.
    fn write_lock(&self) -> LockId {
        lock::write(self.hash())
    }

    fn dir(&self) -> &'static str {
        match self.content {
            Content::Record => TOKENS_DIR,
            Content::Failure => FAILURES_DIR,
        }
    }
}

/// Whether a change survives a power failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The change is on disk when the call returns.
    Synced,
    /// After a power failure the previous file may be back, or the new file may be empty or short.
    Unsynced,
}

/// The new content of a file.
pub(super) struct NewContent {
    pub(super) plaintext: Vec<u8>,
    pub(super) durability: Durability,
}

/// The outcome of reading a sealed file.
pub(super) enum ReadOutcome {
    /// The file does not exist, or has an older format, of which nothing is used.
    Missing,
    /// The file is not written completely. A process is writing it, or was killed, or the power
    /// failed.
    Incomplete,
    /// The bytes that were sealed.
    Intact(Vec<u8>),
    /// The file was changed after the store wrote it. The string is the reason.
    Damaged(&'static str),
    /// The file was written with another key or by another release. The string is the reason, with
    /// a remedy.
    Foreign(&'static str),
}

impl OpenStore {
    /// Reads and unseals a file.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the file can't be read.
    pub(super) fn read(&self, name: &RecordName) -> Result<ReadOutcome> {
        let mut bytes = match private_dir::read_file(&self.dir, &self.path, &name.path)? {
            FileContents::Missing => return Ok(ReadOutcome::Missing),
            FileContents::Unsafe(fault) => return Ok(ReadOutcome::Damaged(fault)),
            FileContents::Bytes(bytes) => Zeroizing::new(bytes),
        };
        Ok(
            match self
                .keys
                .sealing_key
                .unseal(name.content, name.hash(), &mut bytes)
            {
                Unsealed::Plaintext(plaintext) => match name.content {
                    Content::Record if !codec::is_record(plaintext) => {
                        ReadOutcome::Damaged("cannot be decoded")
                    }
                    _ => ReadOutcome::Intact(plaintext.to_vec()),
                },
                Unsealed::Incomplete => ReadOutcome::Incomplete,
                Unsealed::Damaged => ReadOutcome::Damaged("is damaged"),
                Unsealed::Old => ReadOutcome::Missing,
                Unsealed::Foreign(why) => ReadOutcome::Foreign(why),
            },
        )
    }

    /// Returns the error for a file that was written with another key or by another release.
    pub(super) fn foreign_error(&self, name: &RecordName, why: &str) -> Error {
        Error::new(
            ErrorKind::Store,
            format!(
                "{} {why}, or clear the store with `keyferry logout`",
                self.path.join(&name.path).display()
            ),
        )
    }

    /// Writes the content that `change` returns for the present content. Writes nothing if it
    /// returns `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the file can't be written, or was written with another key or by a
    /// newer release.
    pub(super) fn change(
        &self,
        name: &RecordName,
        change: impl FnOnce(Option<&[u8]>) -> Option<NewContent>,
    ) -> Result<()> {
        let _lock = self.locks()?.acquire(name.write_lock())?;
        let present = match self.read(name)? {
            ReadOutcome::Missing | ReadOutcome::Incomplete => None,
            ReadOutcome::Intact(plaintext) => Some(plaintext),
            ReadOutcome::Foreign(why) => return Err(self.foreign_error(name, why)),
            ReadOutcome::Damaged(_) => {
                self.rename_damaged(name);
                None
            }
        };
        let Some(NewContent {
            plaintext,
            durability,
        }) = change(present.as_deref())
        else {
            return Ok(());
        };
        let sealed = self
            .keys
            .sealing_key
            .seal(name.content, name.hash(), &plaintext)?;
        let is_new = present.is_none() && durability == Durability::Unsynced;
        let written = if is_new {
            self.create(name, &sealed)
        } else {
            self.replace(name, &sealed, durability)
        };
        written.map_err(|error| io_error(&self.path.join(&name.path), &error))?;
        self.sync_dir(name, durability)
    }

    /// Writes a file that need not survive a power failure. Writes it under its final name, unless
    /// a file of this name exists. Until all bytes are written, readers treat the file as missing.
    /// If this process is killed meanwhile, the file stays incomplete, as after a power failure.
    ///
    /// Rationale: a rename takes a file system almost as long as the creation of a file.
    fn create(&self, name: &RecordName, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.dir.open_file(&name.path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.replace(name, bytes, Durability::Unsynced);
            }
            file => file?,
        };
        private_file::write(&mut file, bytes)
            .inspect_err(|_| drop(self.dir.remove_file(&name.path)))
    }

    /// Writes a temporary file and renames it.
    fn replace(&self, name: &RecordName, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let new_file = new_file_name(name.hash());
        self.write_new(&new_file, bytes, durability)
            .and_then(|()| self.dir.rename(&new_file, &self.dir, &name.path))
            .inspect_err(|_| drop(self.dir.remove_file(&new_file)))
    }

    fn write_new(&self, new_file: &str, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let mut file = match self.dir.open_file(new_file, OpenMode::CreateNew) {
            // A killed process left the file behind. This process now holds the lock for it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.remove_file(new_file)?;
                self.dir.open_file(new_file, OpenMode::CreateNew)?
            }
            file => file?,
        };
        match durability {
            Durability::Synced => private_file::write_synced(&mut file, bytes),
            Durability::Unsynced => private_file::write(&mut file, bytes),
        }
    }

    fn sync_dir(&self, name: &RecordName, durability: Durability) -> Result<()> {
        if durability == Durability::Unsynced {
            return Ok(());
        }
        let synced = self.dir.open_dir(name.dir()).and_then(|dir| dir.sync());
        synced.map_err(|error| io_error(&self.path.join(name.dir()), &error))
    }

    /// Removes a file. Keeps the file if `keep` returns true for its content. A foreign file is
    /// removed only if `even_foreign` is set.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the file can't be removed, or is foreign and `even_foreign` is not
    /// set.
    pub(super) fn remove(
        &self,
        name: &RecordName,
        durability: Durability,
        even_foreign: bool,
        keep: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        if matches!(self.read(name)?, ReadOutcome::Missing) {
            return Ok(());
        }
        let _lock = self.locks()?.acquire(name.write_lock())?;
        match self.read(name)? {
            ReadOutcome::Missing => return Ok(()),
            ReadOutcome::Intact(plaintext) if keep(&plaintext) => return Ok(()),
            ReadOutcome::Foreign(why) if !even_foreign => return Err(self.foreign_error(name, why)),
            _ => {}
        }
        match self.dir.remove_file(&name.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(&self.path.join(&name.path), &error))
            }
            _ => self.sync_dir(name, durability),
        }
    }

    /// Removes the file of a record if it has exactly this generation. Keeps it if a process holds
    /// its write lock. Doesn't sync the directory.
    pub(super) fn remove_if_unlocked(&self, name: &RecordName, generation: u64) {
        let Ok(LockAttempt::Acquired(_lock)) = self
            .locks()
            .and_then(|locks| locks.try_acquire(name.write_lock()))
        else {
            return;
        };
        let is_same = |plaintext: &[u8]| {
            codec::decode_record(plaintext)
                .is_some_and(|(_, record)| record.generation == generation)
        };
        if matches!(self.read(name), Ok(ReadOutcome::Intact(plaintext)) if is_same(&plaintext)) {
            let _ = self.dir.remove_file(&name.path);
        }
    }

    /// Renames a damaged file. Does nothing if it was replaced in the meantime, or if a process holds
    /// its write lock: that process replaces it.
    pub(super) fn quarantine(&self, name: &RecordName) {
        if let Ok(LockAttempt::Acquired(_lock)) = self
            .locks()
            .and_then(|locks| locks.try_acquire(name.write_lock()))
            && matches!(self.read(name), Ok(ReadOutcome::Damaged(_)))
        {
            self.rename_damaged(name);
        }
    }

    fn rename_damaged(&self, name: &RecordName) {
        // This replaces an earlier damaged file of the same name. If the rename fails, the next
        // write overwrites the damaged file.
        let _ = self.dir.rename(
            &name.path,
            &self.dir,
            &format!("{}{QUARANTINE_SUFFIX}", name.path),
        );
    }

    /// Passes the name of each record's file to `visit`, until `visit` breaks.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the directory can't be read.
    pub(super) fn visit_record_names(
        &self,
        mut visit: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<()> {
        let is_hash =
            |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let visited = self.dir.visit_names(TOKENS_DIR, |name| {
            if is_hash(name) {
                visit(name)
            } else {
                ControlFlow::Continue(())
            }
        });
        visited
            .or_else(ignore_not_found)
            .map_err(|error| io_error(&self.path.join(TOKENS_DIR), &error))
    }
}

/// Reads the facts of many records of a store, one after the other, into one buffer. The buffer is
/// wiped at the end.
pub(super) struct FactsReader<'a> {
    store: &'a OpenStore,
    /// The directory of the records. `None` if it does not exist.
    tokens: Option<Dir>,
    path: PathBuf,
    /// The user that the files must belong to.
    user: u32,
    bytes: Zeroizing<Vec<u8>>,
    scopes: Scopes,
}

impl<'a> FactsReader<'a> {
    /// Creates a reader.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the directory of the records can't be opened.
    pub(super) fn new(store: &'a OpenStore) -> Result<Self> {
        let path = store.path.join(TOKENS_DIR);
        let tokens = match store.dir.open_dir(TOKENS_DIR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            tokens => Some(tokens.map_err(|error| io_error(&path, &error))?),
        };
        Ok(Self {
            store,
            tokens,
            path,
            user: user_id(),
            bytes: Zeroizing::default(),
            scopes: Scopes::default(),
        })
    }

    /// Returns the facts of the record in this file. `None` if the file is no intact record.
    pub(super) fn read(&mut self, name: &str) -> Option<RecordFacts<'_>> {
        let tokens = self.tokens.as_ref()?;
        match private_dir::read_file_into(tokens, &self.path, name, self.user, &mut self.bytes) {
            Ok(FileState::Read) => {}
            _ => return None,
        }
        let key = &self.store.keys.sealing_key;
        match key.unseal(Content::Record, name, &mut self.bytes) {
            Unsealed::Plaintext(plaintext) => codec::decode_facts(plaintext, &mut self.scopes),
            _ => None,
        }
    }
}

/// Removes all records, all failures and the label, which is the file with the id of the store's
/// key. Keeps an intact key file, because other processes use it. Removes a damaged key file.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if other users could access the store's directory or key;
/// [`ErrorKind::Store`] if a file can't be removed. Some files may then remain.
pub(super) fn clear(location: &Location) -> Result<()> {
    let Some(dir) = private_dir::open(&location.dir)? else {
        return Ok(());
    };
    let home = location.home.as_deref();
    private_dir::check_parents(&location.dir, home)?;
    for subdir in [TOKENS_DIR, FAILURES_DIR] {
        let path = location.dir.join(subdir);
        for name in dir.list(subdir).unwrap_or_default() {
            remove(&dir, location, &format!("{subdir}/{name}"))?;
        }
        dir.open_dir(subdir)
            .and_then(|subdir| subdir.sync())
            .or_else(ignore_not_found)
            .map_err(|error| io_error(&path, &error))?;
    }
    if let KeyLocation::Dir(path) = &location.key
        && let Some(key_dir) = private_dir::open(path)?
    {
        match master_key::read_file(&key_dir, path) {
            Err(error) if error.kind == ErrorKind::UnsafeFile => return Err(error),
            Err(_) => {
                private_dir::check_parents(path, home)?;
                key_dir
                    .remove_file(KEY_FILE)
                    .or_else(ignore_not_found)
                    .and_then(|()| key_dir.sync())
                    .map_err(|error| io_error(&path.join(KEY_FILE), &error))?;
            }
            Ok(_) => {}
        }
    }
    remove(&dir, location, LABEL_FILE)?;
    dir.sync().map_err(|error| io_error(&location.dir, &error))
}

fn remove(dir: &Dir, location: &Location, name: &str) -> Result<()> {
    dir.remove_file(name)
        .or_else(ignore_not_found)
        .map_err(|error| io_error(&location.dir.join(name), &error))
}

fn ignore_not_found(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use super::super::{location, open_store};
    use super::*;
    use crate::config::Environment;
    use crate::model::key::{Access, ResourceKind, Scope};
    use crate::ports::store::Record;

    #[test]
    fn a_record_that_was_replaced_since_it_was_read_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let setting = format!("file:{}/store", folder.path().display());
        let nothing: Environment = Arc::new(|_: &str| None);
        let location = location::find(setting.as_ref(), &nothing, None).unwrap();
        let store = open_store::open_or_create(&location).unwrap();
        let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
        let key = scope.key(ResourceKind::Package, "01A", Access::Manage);
        let name = RecordName::for_record(&store.keys, &key);
        let record = Record {
            generation: 8,
            ..Record::default()
        };
        store
            .change(&name, |_| {
                Some(NewContent {
                    plaintext: codec::encode_record(&key, &record),
                    durability: Durability::Unsynced,
                })
            })
            .unwrap();
        store.remove_if_unlocked(&name, 7);
        assert!(matches!(store.read(&name), Ok(ReadOutcome::Intact(_))));
        store.remove_if_unlocked(&name, 8);
        assert!(matches!(store.read(&name), Ok(ReadOutcome::Missing)));
    }
}
