//! Where a file store lies: its own folder, and the folder of its key, unless a keyring has that.
//!
//! Touches no file.
//!
//! | `store` | folder | key |
//! |---|---|---|
//! | `file` | `$XDG_STATE_HOME/keyferry`, else `$HOME/.local/state/keyferry` | `$XDG_DATA_HOME/keyferry/store.key`, else `$HOME/.local/share/keyferry/store.key` |
//! | `file:/PATH` | `/PATH` | `/PATH/store.key`: the folders with tokens lie beside it |

use std::path::PathBuf;

use super::master_key::NAME;
use crate::config::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::store::KeyBackend;

/// Where a store lies.
pub(super) struct Location {
    /// The store's folder.
    pub(super) folder: PathBuf,
    /// Where its key is.
    pub(super) key: KeyPlace,
    /// What has to be the user's own before anything is made below it.
    pub(super) homes: Vec<HomeDir>,
}

/// Where the key of a store is.
pub(super) enum KeyPlace {
    /// In a file in this folder.
    Folder(PathBuf),
    /// With a keeper, under this name.
    Keyring(Box<dyn KeyBackend>, String),
}

impl KeyPlace {
    /// Its word in the label.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Folder(_) => "file",
            Self::Keyring(..) => "keyring",
        }
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.join(NAME).display().to_string(),
            Self::Keyring(..) => "the keyring".to_owned(),
        }
    }
}

/// A folder that the environment names.
pub(super) struct HomeDir {
    /// Which.
    pub(super) path: PathBuf,
    /// It has to be there: a folder of the XDG kind is made, a home is not.
    pub(super) is_there: bool,
}

/// The place that a setting names.
///
/// # Errors
/// [`ErrorKind::Store`] if the environment doesn't say where the user's folders are.
pub(super) fn find(setting: &str, environment: &Environment, keyring: Option<Box<dyn KeyBackend>>) -> Result<Location> {
    let place = |folder: PathBuf, key_folder, homes| {
        let name = format!("store {}", folder.display());
        let key = keyring.map_or(KeyPlace::Folder(key_folder), |keeper| KeyPlace::Keyring(keeper, name));
        Location { folder, key, homes }
    };
    if let Some(path) = setting.strip_prefix("file:") {
        return Ok(place(PathBuf::from(path), PathBuf::from(path), Vec::new()));
    }
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |name: &str, usual: &str| {
        let own = absolute(name).map(|base| (base.join("keyferry"), HomeDir { path: base, is_there: false }));
        let usual = |home: PathBuf| (home.join(usual).join("keyferry"), HomeDir { path: home, is_there: true });
        own.or_else(|| absolute("HOME").map(usual)).ok_or_else(|| {
            let what = format!("neither {name} nor HOME is an absolute path: set one, or set `store` to file:/absolute/path");
            Error::new(ErrorKind::Store, what)
        })
    };
    let (folder, home) = below("XDG_STATE_HOME", ".local/state")?;
    let (key_folder, key_home) = below("XDG_DATA_HOME", ".local/share")?;
    Ok(place(folder, key_folder, vec![home, key_home]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn relative_folders_do_not_count() {
        // what is set, folder, key's folder
        type Row = (&'static [(&'static str, &'static str)], Option<(&'static str, &'static str)>);
        let table: [Row; 6] = [
            (&[("HOME", "/h")], Some(("/h/.local/state/keyferry", "/h/.local/share/keyferry"))),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("XDG_DATA_HOME", "/d")], Some(("/s/keyferry", "/d/keyferry"))),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "s")], Some(("/h/.local/state/keyferry", "/h/.local/share/keyferry"))),
            (&[("XDG_STATE_HOME", "/s")], None),
            (&[("HOME", ""), ("XDG_STATE_HOME", "./s")], None),
            (&[], None),
        ];
        for (set, expected) in table {
            let set: Vec<(String, String)> = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let environment: Environment = Arc::new(move |name| set.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()));
            let found = find("file", &environment, None).ok();
            let found = found.map(|place| (place.folder.display().to_string(), place.key.shown()));
            assert_eq!(found, expected.map(|(folder, key)| (folder.to_owned(), format!("{key}/store.key"))));
        }
        let place = find("file:/x/y", &(Arc::new(|_: &str| None) as Environment), None).unwrap();
        assert_eq!((place.folder, place.key.shown()), (PathBuf::from("/x/y"), "/x/y/store.key".to_owned()));
    }
}
