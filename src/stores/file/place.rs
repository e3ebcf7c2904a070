//! Where a file store lies: its own folder, and the folder of its key.
//!
//! Imports [`crate::config`] for the look-up of variables. Touches no file.
//!
//! | `store` | folder | key |
//! |---|---|---|
//! | `file` | `$XDG_STATE_HOME/keyferry`, else `$HOME/.local/state/keyferry` | `$XDG_DATA_HOME/keyferry/store.key`, else `$HOME/.local/share/keyferry/store.key` |
//! | `file:/PATH` | `/PATH` | `/PATH/store.key`: the folders with tokens lie beside it |

use std::path::PathBuf;

use crate::config::Environment;
use crate::error::{Error, Kind, Result};

/// Where a store lies.
pub(super) struct Place {
    /// The store's folder.
    pub(super) folder: PathBuf,
    /// The folder of its key.
    pub(super) key_folder: PathBuf,
    /// What has to be the user's own before anything is made below it.
    pub(super) homes: Vec<Home>,
}

/// A folder that the environment names.
pub(super) struct Home {
    /// Which.
    pub(super) path: PathBuf,
    /// It has to be there: a folder of the XDG kind is made, a home is not.
    pub(super) is_there: bool,
}

/// The place that a setting names.
///
/// # Errors
/// [`Kind::Store`] if the environment doesn't say where the user's folders are.
pub(super) fn find(setting: &str, environment: &Environment) -> Result<Place> {
    if let Some(path) = setting.strip_prefix("file:") {
        let folder = PathBuf::from(path);
        return Ok(Place { key_folder: folder.clone(), folder, homes: Vec::new() });
    }
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |name: &str, usual: &str| {
        let own = absolute(name).map(|base| (base.join("keyferry"), Home { path: base, is_there: false }));
        let usual = |home: PathBuf| (home.join(usual).join("keyferry"), Home { path: home, is_there: true });
        own.or_else(|| absolute("HOME").map(usual)).ok_or_else(|| {
            let what = format!("neither {name} nor HOME is an absolute path: set one, or set `store` to file:/absolute/path");
            Error::new(Kind::Store, what)
        })
    };
    let (folder, home) = below("XDG_STATE_HOME", ".local/state")?;
    let (key_folder, key_home) = below("XDG_DATA_HOME", ".local/share")?;
    Ok(Place { folder, key_folder, homes: vec![home, key_home] })
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
            let found = find("file", &environment).ok();
            let found = found.as_ref().map(|place| (place.folder.to_str().unwrap(), place.key_folder.to_str().unwrap()));
            assert_eq!(found, expected);
        }
        let place = find("file:/x/y", &(Arc::new(|_: &str| None) as Environment)).unwrap();
        assert_eq!((place.folder, place.key_folder), (PathBuf::from("/x/y"), PathBuf::from("/x/y")));
    }
}
