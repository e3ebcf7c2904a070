//! The directory `keyferry` in the user's runtime directory (`XDG_RUNTIME_DIR`).
//!
//! | in the directory | content |
//! |---|---|
//! | `key` | the random key of the names and fingerprints |
//! | `lock` | the lock for changes |
//! | `new` | a file that is being written |
//! | 32 hexadecimal digits | an entry |
//!
//! The runtime directory must belong to this user or to root, and no other user may be able to change
//! it. The directory `keyferry` and its files must belong to this user. All checks use the open
//! descriptor. So root uses no runtime directory that `sudo` kept from the user who called it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::place::{KEY_LEN, Outcome, Place, PlaceKey, is_entry_name};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_facts::FileFacts;
use crate::sys::file_lock::{FileLocks, HeldLock, LockId, TryLock};
use crate::sys::io_cause::{self, IoCause, cause};
use crate::sys::owner::Owner;
use crate::sys::private_file;
use crate::sys::trusted_dir::{self, Fault};

const DIR: &str = "keyferry";
const KEY_FILE: &str = "key";
const LOCK_FILE: &str = "lock";
const NEW_FILE: &str = "new";
const LOCK: LockId = LockId::new(0, 0);
/// The longest time that a caller waits for the lock.
const MAX_LOCK_WAIT: Duration = Duration::from_millis(200);
const LOCK_RETRY: Duration = Duration::from_millis(5);
const MAX_ENTRIES: usize = 256;
/// The longest file that is read.
const MAX_FILE_BYTES: u64 = 256;

/// The open directory.
pub(super) struct RuntimeDir {
    dir: Dir,
    path: PathBuf,
    key: PlaceKey,
}

/// Opens the directory in a runtime directory. `None` if it does not exist and `create` is not set.
pub(super) fn open(runtime_dir: Option<&Path>, create: bool) -> Outcome<Option<RuntimeDir>> {
    let parent_path =
        runtime_dir.ok_or("XDG_RUNTIME_DIR is not set to an absolute path".to_owned())?;
    let parent = open_parent(parent_path)?;
    let path = parent_path.join(DIR);
    let dir = match parent.open_dir(DIR) {
        Err(error) if cause(&error) == IoCause::NotFound => {
            if !create {
                return Ok(None);
            }
            create_dir(&parent).map_err(|error| io_reason(&path, &error))?
        }
        opened => opened.map_err(|error| io_reason(&path, &error))?,
    };
    check(&path, dir.facts())?;
    let key = match read_key(&dir, &path)? {
        Some(key) => key,
        None if create => create_key(&dir, &path)?,
        None => return Ok(None),
    };
    Ok(Some(RuntimeDir { dir, path, key }))
}

fn open_parent(path: &Path) -> Outcome<Dir> {
    let shown = path.display();
    let dir = match trusted_dir::find(path) {
        Ok(Some(dir)) => dir,
        Ok(None) => return Err(format!("{shown} does not exist")),
        Err(Fault::Io(path, error)) => return Err(io_reason(&path, &error)),
        Err(Fault::OtherOwner(path, id)) => {
            let owner = Owner::of(id).name();
            return Err(format!("{} belongs to {owner}", path.display()));
        }
    };
    let facts = dir.facts().map_err(|error| io_reason(path, &error))?;
    if facts.is_writable_by_others() {
        return Err(format!("other users can change {shown}"));
    }
    Ok(dir)
}

fn create_dir(parent: &Dir) -> io::Result<Dir> {
    match parent.create_dir(DIR) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.open_dir(DIR)
}

/// Checks that only this user can access a file or directory.
fn check(path: &Path, facts: io::Result<FileFacts>) -> Outcome<()> {
    let facts = facts.map_err(|error| io_reason(path, &error))?;
    let shown = path.display();
    if !facts.is_owned_by_user() {
        Err(format!("{shown} belongs to {}", facts.owner().name()))
    } else if facts.is_open_to_others() {
        Err(format!("{shown} is open to other users"))
    } else {
        Ok(())
    }
}

fn io_reason(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match cause(error) {
        IoCause::LinkOrFile => format!("{shown} is a link or a file"),
        _ => format!("{shown} cannot be used ({})", io_cause::reason(error)),
    }
}

/// Reads a file. `None` if it does not exist.
fn read_file(dir: &Dir, dir_path: &Path, name: &str) -> Outcome<Option<Vec<u8>>> {
    let path = dir_path.join(name);
    let file = match dir.open_file(name, OpenMode::Read) {
        Err(error) if cause(&error) == IoCause::NotFound => return Ok(None),
        opened => opened.map_err(|error| io_reason(&path, &error))?,
    };
    let facts = FileFacts::of(&file).map_err(|error| io_reason(&path, &error))?;
    if !facts.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    check(&path, Ok(facts))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| io_reason(&path, &error))?;
    Ok(Some(bytes))
}

fn read_key(dir: &Dir, path: &Path) -> Outcome<Option<PlaceKey>> {
    let Some(bytes) = read_file(dir, path, KEY_FILE)? else {
        return Ok(None);
    };
    let damaged = || {
        let file = path.join(KEY_FILE);
        format!("{} does not have {KEY_LEN} bytes", file.display())
    };
    PlaceKey::from_bytes(&bytes).ok_or_else(damaged).map(Some)
}

/// Creates the key, unless another process has just created it. The file gets its name only when it
/// is complete.
fn create_key(dir: &Dir, path: &Path) -> Outcome<PlaceKey> {
    let _lock = lock(dir, path)?;
    if let Some(key) = read_key(dir, path)? {
        return Ok(key);
    }
    let bytes = PlaceKey::random()?;
    let written = write_new(dir, &*bytes).and_then(|()| dir.rename_no_replace(NEW_FILE, KEY_FILE));
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_reason(&path.join(KEY_FILE), &error))
        }
        _ => read_key(dir, path)?
            .ok_or_else(|| format!("{} was removed", path.join(KEY_FILE).display())),
    }
}

fn write_new(dir: &Dir, bytes: &[u8]) -> io::Result<()> {
    // A killed process may have left this file behind.
    let _ = dir.remove_file(NEW_FILE);
    let mut file = dir.open_file(NEW_FILE, OpenMode::CreateNew)?;
    private_file::write(&mut file, bytes).inspect_err(|_| drop(dir.remove_file(NEW_FILE)))
}

/// Waits at most 200 ms for the lock.
fn lock(dir: &Dir, path: &Path) -> Outcome<HeldLock> {
    let file_path = path.join(LOCK_FILE);
    let open = |suffix: &str| open_lock_file(dir, &format!("{LOCK_FILE}{suffix}"));
    let fail = |error| io_reason(&file_path, &error);
    let locks = FileLocks::open(|| open("")).map_err(fail)?;
    let deadline = Instant::now() + MAX_LOCK_WAIT;
    loop {
        match locks.try_lock(LOCK, open).map_err(fail)? {
            TryLock::Acquired(lock) => return Ok(lock),
            TryLock::Busy if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            TryLock::Busy => {
                return Err(format!("another process locks {}", file_path.display()));
            }
        }
    }
}

fn open_lock_file(dir: &Dir, name: &str) -> io::Result<File> {
    let file = dir.open_file(name, OpenMode::OpenOrCreate)?;
    let facts = FileFacts::of(&file)?;
    if facts.is_file() && facts.is_owned_by_user() {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl Place for RuntimeDir {
    fn description(&self) -> String {
        self.path.display().to_string()
    }

    fn key(&self) -> &PlaceKey {
        &self.key
    }

    fn max_entries(&self) -> usize {
        MAX_ENTRIES
    }

    fn lock(&self) -> Outcome<Option<HeldLock>> {
        lock(&self.dir, &self.path).map(Some)
    }

    fn names(&self) -> Outcome<Vec<String>> {
        let mut names = self
            .dir
            .list(".")
            .map_err(|error| io_reason(&self.path, &error))?;
        names.retain(|name| is_entry_name(name));
        Ok(names)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        read_file(&self.dir, &self.path, name).ok().flatten()
    }

    fn write(&self, name: &str, bytes: &[u8], _lasts_s: u32) -> Outcome<()> {
        write_new(&self.dir, bytes)
            .and_then(|()| self.dir.rename(NEW_FILE, &self.dir, name))
            .map_err(|error| io_reason(&self.path.join(name), &error))
    }

    fn remove(&self, name: &str) -> Outcome<()> {
        match self.dir.remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_reason(&self.path.join(name), &error))
            }
            _ => Ok(()),
        }
    }
}
