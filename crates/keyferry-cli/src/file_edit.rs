//! Edits a file of another program, such as `~/.bazelrc`.
//!
//! The file is replaced atomically. It keeps its permissions and its owner. A symbolic link stays: the
//! file that it leads to is edited, because programs that manage dotfiles link them.
//!
//! `private_file` does not fit here: it gives files mode 0600 and refuses symbolic links.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use keyferry::error::{Error, ErrorKind, Result};
use keyferry::sys::dir;
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::private_file::write_synced;

/// The mode of a new file, without the bits of the umask.
const FILE_MODE: u32 = 0o666;
const PROGRAM_MODE: u32 = 0o777;
/// The mode of a file that others must not read before its own mode is set.
const PRIVATE_MODE: u32 = 0o600;

/// A file with the content that it had when it was opened.
pub struct FileEdit {
    /// The path that the user knows.
    path: PathBuf,
    /// The file itself, if `path` is a symbolic link.
    target: PathBuf,
    old_bytes: Option<Vec<u8>>,
}

impl FileEdit {
    /// Reads a file. It need not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error| failure("read", path, &error);
        let is_link = fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink());
        let target = if is_link {
            fs::canonicalize(path).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    let shown = path.display();
                    let message = format!(
                        "cannot edit {shown}: it is a symbolic link to a file that does not exist; create that file, or remove the link"
                    );
                    return Error::new(ErrorKind::Config, message);
                }
                fail(error)
            })?
        } else {
            path.to_owned()
        };
        let old_bytes = read(&target).map_err(fail)?;
        Ok(Self {
            path: path.to_owned(),
            target,
            old_bytes,
        })
    }

    /// Returns the path that the user knows.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file exists.
    pub fn exists(&self) -> bool {
        self.old_bytes.is_some()
    }

    /// Returns the content, or an empty text if there is no file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the content is not UTF-8.
    pub fn text(&self) -> Result<String> {
        let bytes = self.old_bytes.clone().unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| {
            let shown = self.path.display();
            let message = format!("cannot edit {shown}: it is not UTF-8; save it as UTF-8");
            Error::new(ErrorKind::Config, message)
        })
    }

    /// Replaces the content. A file that becomes empty is removed, unless it is behind a symbolic
    /// link.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be written, or has changed since it was opened.
    pub fn replace(self, text: &str) -> Result<()> {
        if text.is_empty() && self.path == self.target {
            return self.remove();
        }
        self.write(text, FILE_MODE)
    }

    /// Replaces the content like [`replace`](Self::replace). A new file is executable.
    ///
    /// # Errors
    /// Returns the errors of [`replace`](Self::replace).
    pub fn replace_executable(self, text: &str) -> Result<()> {
        self.write(text, PROGRAM_MODE)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be removed, or has changed since it was opened.
    pub fn remove(self) -> Result<()> {
        self.check_unchanged()?;
        fs::remove_file(&self.path).map_err(|error| failure("remove", &self.path, &error))
    }

    fn write(self, text: &str, new_mode: u32) -> Result<()> {
        let fail = |error| failure("write", &self.path, &error);
        let (Some(parent), Some(name)) = (self.target.parent(), self.target.file_name()) else {
            return Err(fail(io::ErrorKind::InvalidInput.into()));
        };
        fs::create_dir_all(parent).map_err(fail)?;
        let temp_name = format!(".{}.{}", name.display(), std::process::id());
        let temp = parent.join(temp_name);
        let written = self
            .write_temp(&temp, text, new_mode)
            .map_err(fail)
            .and_then(|()| self.check_unchanged())
            .and_then(|()| fs::rename(&temp, &self.target).map_err(fail));
        if written.is_err() {
            // If removing it fails, too, nothing more can be done.
            let _ = fs::remove_file(&temp);
        }
        written?;
        File::open(parent)
            .and_then(|parent| dir::sync(&parent))
            .map_err(fail)
    }

    fn write_temp(&self, temp: &Path, text: &str, new_mode: u32) -> io::Result<()> {
        let old = match &self.old_bytes {
            Some(_) => Some(fs::metadata(&self.target)?),
            None => None,
        };
        let mode = old.as_ref().map_or(new_mode, |_| PRIVATE_MODE);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let mut file = options.open(temp)?;
        if let Some(old) = old {
            copy_owner_and_mode(&file, &old)?;
        }
        write_synced(&mut file, text.as_bytes())
    }

    fn check_unchanged(&self) -> Result<()> {
        let bytes = read(&self.target).map_err(|error| failure("read", &self.path, &error))?;
        if bytes == self.old_bytes {
            return Ok(());
        }
        let shown = self.path.display();
        let message = format!("cannot edit {shown}: another program has just changed it; retry");
        Err(Error::new(ErrorKind::Config, message))
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn copy_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner: changing the owner clears the setuid bit.
    file.set_permissions(PermissionsExt::from_mode(old.mode() & 0o7777))
}

fn failure(action: &str, path: &Path, error: &io::Error) -> Error {
    let reason = io_cause::explain(error, Subject::UserFile);
    Error::new(
        ErrorKind::Config,
        format!("cannot {action} {}: {reason}", path.display()),
    )
}
