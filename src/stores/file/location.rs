//! Determines the location of a file store: its directory, and the file or keyring that holds its
//! key. It accesses no file.
//!
//! | setting `store` | directory | file of the key |
//! |---|---|---|
//! | `file` | `$XDG_STATE_HOME/keyferry`, else `$HOME/.local/state/keyferry` | `$XDG_DATA_HOME/keyferry/store.key`, else `$HOME/.local/share/keyferry/store.key` |
//! | `file:/PATH` | `/PATH` | `/PATH/store.key` |

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::config::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::store::KeyBackend;

/// The name of the file that holds the key.
pub(super) const KEY_FILE: &str = "store.key";

/// The location of a store.
pub(super) struct Location {
    /// The store's directory.
    pub(super) dir: PathBuf,
    /// The location of the store's key.
    pub(super) key: KeyLocation,
    /// The user's home, if a directory of the store is in it. It is never created.
    pub(super) home: Option<PathBuf>,
}

/// The location of a store's key.
pub(super) enum KeyLocation {
    /// The file [`KEY_FILE`] in this directory.
    Dir(PathBuf),
    /// The item of this name in a keyring.
    Keyring(Box<dyn KeyBackend>, String),
}

impl KeyLocation {
    /// Returns the kind of location, as the store's label names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Dir(_) => "file",
            Self::Keyring(..) => "keyring",
        }
    }

    /// Returns the location as error messages show it.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Dir(dir) => dir.join(KEY_FILE).display().to_string(),
            Self::Keyring(..) => "the keyring".to_owned(),
        }
    }
}

/// Returns the location that the setting `store` names.
///
/// # Errors
/// [`ErrorKind::Store`] if the environment doesn't name the user's directories.
pub(super) fn find(
    setting: &OsStr,
    environment: &Environment,
    keyring: Option<Box<dyn KeyBackend>>,
) -> Result<Location> {
    let location = |dir: PathBuf, key_dir, home| {
        // Two directories must not have the same name, also if they are not UTF-8.
        let shown = dir
            .to_str()
            .map_or_else(|| format!("{dir:?}"), str::to_owned);
        let name = format!("store {shown}");
        let key = keyring.map_or(KeyLocation::Dir(key_dir), |backend| {
            KeyLocation::Keyring(backend, name)
        });
        Location { dir, key, home }
    };
    if let Some(path) = setting.as_bytes().strip_prefix(b"file:") {
        let path = PathBuf::from(OsStr::from_bytes(path));
        return Ok(location(path.clone(), path, None));
    }
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let in_home = |name: &str, default: &str| {
        let configured = absolute(name).map(|base| (base.join("keyferry"), None));
        let default = |home: PathBuf| (home.join(default).join("keyferry"), Some(home));
        configured.or_else(|| absolute("HOME").map(default)).ok_or_else(|| {
            let message = format!("cannot locate the store: neither {name} nor HOME is an absolute path; set one of them, or set `store` to file:/absolute/path");
            Error::new(ErrorKind::Store, message)
        })
    };
    let (dir, home) = in_home("XDG_STATE_HOME", ".local/state")?;
    let (key_dir, key_home) = in_home("XDG_DATA_HOME", ".local/share")?;
    Ok(location(dir, key_dir, home.or(key_home)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn relative_directories_are_ignored() {
        // variables, store's directory, key's directory
        type Row = (
            &'static [(&'static str, &'static str)],
            Option<(&'static str, &'static str)>,
        );
        let table: [Row; 6] = [
            (
                &[("HOME", "/h")],
                Some(("/h/.local/state/keyferry", "/h/.local/share/keyferry")),
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("XDG_STATE_HOME", "/s"),
                    ("XDG_DATA_HOME", "/d"),
                ],
                Some(("/s/keyferry", "/d/keyferry")),
            ),
            (
                &[("HOME", "/h"), ("XDG_STATE_HOME", "s")],
                Some(("/h/.local/state/keyferry", "/h/.local/share/keyferry")),
            ),
            (&[("XDG_STATE_HOME", "/s")], None),
            (&[("HOME", ""), ("XDG_STATE_HOME", "./s")], None),
            (&[], None),
        ];
        for (variables, expected) in table {
            let variables: Vec<(String, String)> = variables
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let environment: Environment = Arc::new(move |name| {
                variables
                    .iter()
                    .find(|(variable, _)| variable == name)
                    .map(|(_, value)| value.into())
            });
            let found = find(OsStr::new("file"), &environment, None).ok();
            let found = found.map(|location| {
                (
                    location.dir.display().to_string(),
                    location.key.description(),
                )
            });
            assert_eq!(
                found,
                expected.map(|(dir, key)| (dir.to_owned(), format!("{key}/store.key")))
            );
        }
        let location = find(
            OsStr::new("file:/x/y"),
            &(Arc::new(|_: &str| None) as Environment),
            None,
        )
        .unwrap();
        assert_eq!(
            (location.dir, location.key.description()),
            (PathBuf::from("/x/y"), "/x/y/store.key".to_owned())
        );
    }
}
