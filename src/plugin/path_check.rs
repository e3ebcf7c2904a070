//! Whether a plugin's file lies where no other user can replace it. Decided on open descriptors,
//! before anything is loaded.
//!
//! What the file holds is examined in `elf.rs`.
//!
//! Rationale: constructors run inside the linker's call, before any check that follows it
//! (CVE-2023-38408).

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, IoCause, OpenMode, cause};
use crate::sys::file_facts::FileFacts;

/// Opens a plugin's file, if it and every directory above it are safe: no link, owned by this user
/// or root, writable by nobody else.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] with the command that mends it, [`ErrorKind::Plugin`] if it is not
/// there.
pub(super) fn open(path: &Path) -> Result<File> {
    let shown = path.display();
    let names = names(path).ok_or_else(|| {
        unsafe_file(format!("the plugin {shown} is named by no plain absolute path: name it from the root, without `.` and `..`"))
    })?;
    let (file_name, dir_names) = names
        .split_last()
        .ok_or_else(|| unsafe_file(format!("the plugin {shown} is a folder: name the file")))?;
    let mut dir_path = PathBuf::from("/");
    let mut dir = Dir::root().map_err(|error| open_error(path, &dir_path, &error))?;
    check_dir(path, &dir_path, &dir)?;
    for name in dir_names {
        dir_path.push(name);
        dir = dir
            .traverse(name)
            .map_err(|error| open_error(path, &dir_path, &error))?;
        check_dir(path, &dir_path, &dir)?;
    }
    let file = dir
        .open_file(file_name, OpenMode::Read)
        .map_err(|error| open_error(path, path, &error))?;
    check_file(path, &file)?;
    Ok(file)
}

/// The names in an absolute path; none if it has `.` or `..`, or a name that is not UTF-8.
fn names(path: &Path) -> Option<Vec<&str>> {
    let mut components = path.components();
    (components.next() == Some(Component::RootDir)).then_some(())?;
    let name = |component| {
        if let Component::Normal(name) = component {
            name.to_str()
        } else {
            None
        }
    };
    let names: Option<Vec<_>> = components.map(name).collect();
    // The iterator leaves `.` and `//` out: the path has to be written as it is read.
    names.filter(|names| path.to_str() == Some(&format!("/{}", names.join("/"))))
}

fn check_dir(plugin: &Path, path: &Path, dir: &Dir) -> Result<()> {
    let facts = dir
        .facts()
        .map_err(|error| open_error(plugin, path, &error))?;
    let (plugin, path) = (plugin.display(), path.display());
    if !facts.is_owned_by_user_or_root() {
        return Err(unsafe_file(format!(
            "the plugin {plugin} is below {path}, which belongs to another user: move it, or chown {path}"
        )));
    }
    if facts.is_replaceable_by_others() {
        return Err(unsafe_file(format!(
            "the plugin {plugin} is below {path}, which others can change: chmod go-w {path}"
        )));
    }
    Ok(())
}

fn check_file(path: &Path, file: &File) -> Result<()> {
    let facts = FileFacts::of(file).map_err(|error| open_error(path, path, &error))?;
    let shown = path.display();
    if !facts.is_file() {
        return Err(unsafe_file(format!(
            "the plugin {shown} is not a regular file: name the file itself"
        )));
    }
    if !facts.is_owned_by_user_or_root() {
        return Err(unsafe_file(format!(
            "the plugin {shown} belongs to another user: chown it"
        )));
    }
    if facts.is_writable_by_others() {
        return Err(unsafe_file(format!(
            "the plugin {shown} can be changed by others: chmod go-w {shown}"
        )));
    }
    Ok(())
}

/// The error for `path`, which is the plugin's file or a directory above it.
fn open_error(plugin: &Path, path: &Path, error: &std::io::Error) -> Error {
    let (plugin, path) = (plugin.display(), path.display());
    match cause(error) {
        IoCause::LinkOrFile => unsafe_file(format!(
            "the plugin {plugin} is reached through {path}, which is a link or no folder: name the file itself, as `realpath` prints it"
        )),
        IoCause::NotFound => Error::new(
            ErrorKind::Plugin,
            format!("the plugin {plugin} is not there: install it, or take it out of `plugins`"),
        ),
        _ => Error::new(
            ErrorKind::Plugin,
            format!(
                "the plugin {plugin} can't be opened ({}): make it readable",
                error.kind()
            ),
        ),
    }
}

fn unsafe_file(what: String) -> Error {
    Error::new(ErrorKind::UnsafeFile, what)
}
