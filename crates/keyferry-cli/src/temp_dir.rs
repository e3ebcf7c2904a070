//! A private temporary directory that is removed when it is dropped.
//!
//! Don't write the user's secrets to it: if the process is killed, the directory remains.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use keyferry::error::{Error, ErrorKind, Result};
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::owner::belongs_to;
use keyferry::sys::private_file;
use keyferry::sys::trusted_dir::Fault;

/// A temporary directory with mode 0700.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a directory with a random name in `parent`.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the directory cannot be created, or if `parent` belongs to neither
    /// this user nor root; [`ErrorKind::Config`] if the system
    /// provides no random numbers.
    pub fn create_in(parent: &Path) -> Result<Self> {
        let shown = parent.display();
        let random = getrandom::u64().map_err(|_| {
            Error::new(
                ErrorKind::Config,
                "cannot get random numbers from the system",
            )
        })?;
        let path = parent.join(format!("keyferry-{random:016x}"));
        let made = private_file::create_dir(&path);
        made.map_err(|fault| {
            let why = match fault {
                Fault::Io(_, error) => io_cause::explain(&error, Subject::TempFile),
                Fault::OtherOwner(path, id) => format!(
                    "{} {}; set TMPDIR to another directory",
                    path.display(),
                    belongs_to(id)
                ),
            };
            Error::new(
                ErrorKind::Store,
                format!("cannot create a directory in {shown}: {why}"),
            )
        })?;
        Ok(Self(path))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a new file with mode 0600 into the directory.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the file cannot be written.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let write =
            || -> io::Result<()> { private_file::create_new(&path)?.write_all(text.as_bytes()) };
        let shown = self.0.display();
        write().map_err(|error| {
            Error::new(
                ErrorKind::Store,
                format!(
                    "cannot write a file in {shown}: {}",
                    io_cause::explain(&error, Subject::TempFile)
                ),
            )
        })?;
        Ok(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // If this fails, the directory remains. It contains only the sandbox's certificate and
        // store. The tokens in the store are useless once the sandbox has ended.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_private_and_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let temp_dir = TempDir::create_in(parent.path()).unwrap();
        let file = temp_dir.write_file("a", "b").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.parent().unwrap()), mode(&file)), (0o700, 0o600));
        drop(temp_dir);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(TempDir::create_in(&parent.path().join("absent")).is_err());
    }
}
