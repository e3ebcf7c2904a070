//! Whether a plugin stands where nobody else can put another in its place. Decided on open descriptors, before anything is loaded.
//!
//! What the file holds is examined in `elf.rs`.
//!
//! Rationale: constructors run inside the linker's call, before any check that follows it (CVE-2023-38408).

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::user_id;

const STICKY: u32 = 0o1000;

/// Opens a plugin's file, if it and every folder above it are safe: no link, this user's or root's, changed by nobody else.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] with the command that mends it, [`ErrorKind::Plugin`] if it is not there.
pub(super) fn open(path: &Path) -> Result<File> {
    let shown = path.display();
    let names = names(path).ok_or_else(|| {
        unsafe_file(format!("the plugin {shown} is named by no plain absolute path: name it from the root, without `.` and `..`"))
    })?;
    let (last, folders) = names.split_last().ok_or_else(|| unsafe_file(format!("the plugin {shown} is a folder: name the file")))?;
    let at = |error: &std::io::Error, place: &Path| failed(path, place, error);
    let mut here = PathBuf::from("/");
    let mut folder = Dir::root().map_err(|error| at(&error, &here))?;
    check_folder(path, &here, &folder.meta().map_err(|error| at(&error, &here))?)?;
    for name in folders {
        here.push(name);
        folder = folder.traverse(name).map_err(|error| at(&error, &here))?;
        check_folder(path, &here, &folder.meta().map_err(|error| at(&error, &here))?)?;
    }
    let file = folder.open_file(last, OpenMode::Read).map_err(|error| at(&error, path))?;
    let meta = file.metadata().map_err(|error| at(&error, path))?;
    check_file(path, &meta)?;
    Ok(file)
}

fn names(path: &Path) -> Option<Vec<&str>> {
    let mut parts = path.components();
    (parts.next() == Some(Component::RootDir)).then_some(())?;
    // The iterator leaves `.` out of the middle: the text has to be what it is read as.
    let names: Option<Vec<_>> = parts.map(|part| if let Component::Normal(name) = part { name.to_str() } else { None }).collect();
    names.filter(|names| path.to_str() == Some(&format!("/{}", names.join("/"))))
}

fn check_folder(plugin: &Path, folder: &Path, meta: &Metadata) -> Result<()> {
    let (plugin, folder) = (plugin.display(), folder.display());
    if !is_ours(meta) {
        return Err(unsafe_file(format!(
            "the plugin {plugin} is below {folder}, which belongs to another user: move it, or chown {folder}"
        )));
    }
    // In a sticky folder others can't replace what is ours.
    if meta.mode() & 0o022 != 0 && meta.mode() & STICKY == 0 {
        return Err(unsafe_file(format!("the plugin {plugin} is below {folder}, which others can change: chmod go-w {folder}")));
    }
    Ok(())
}

fn check_file(path: &Path, meta: &Metadata) -> Result<()> {
    let shown = path.display();
    if !meta.is_file() {
        return Err(unsafe_file(format!("the plugin {shown} is not a regular file: name the file itself")));
    }
    if !is_ours(meta) {
        return Err(unsafe_file(format!("the plugin {shown} belongs to another user: chown it")));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(unsafe_file(format!("the plugin {shown} can be changed by others: chmod go-w {shown}")));
    }
    Ok(())
}

fn is_ours(meta: &Metadata) -> bool {
    meta.uid() == user_id() || meta.uid() == 0
}

fn failed(plugin: &Path, place: &Path, error: &std::io::Error) -> Error {
    let (plugin, place) = (plugin.display(), place.display());
    match cause(error) {
        IoCause::LinkOrFile => unsafe_file(format!(
            "the plugin {plugin} is reached through {place}, which is a link or no folder: name the file itself, as `realpath` prints it"
        )),
        IoCause::NotFound => {
            Error::new(ErrorKind::Plugin, format!("the plugin {plugin} is not there: install it, or take it out of `plugins`"))
        }
        _ => Error::new(ErrorKind::Plugin, format!("the plugin {plugin} can't be opened ({}): make it readable", error.kind())),
    }
}

fn unsafe_file(what: String) -> Error {
    Error::new(ErrorKind::UnsafeFile, what)
}
