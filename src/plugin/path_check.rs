//! Checks that no other user can replace a plugin's file.
//!
//! The checks use open file descriptors and run before the file is loaded. `elf.rs` checks the
//! file's content.
//!
//! Rationale: `dlopen` runs a library's constructors before it returns, so a check after `dlopen`
//! is too late (CVE-2023-38408).

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::dir::{Dir, OpenMode};
use crate::sys::file_facts::{self, FileFacts};
use crate::sys::io_cause::{self, IoCause, Subject, cause};
use crate::sys::owner::{Owner, read_file_remedy};

/// Opens a plugin's file if the file and every directory above it are safe: not a symbolic link,
/// owned by this user or root, and not writable by other users. In a user namespace, they may also
/// belong to a user outside and be on a read-only mount.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if one of them is unsafe; [`ErrorKind::Plugin`] if the file doesn't
/// exist or can't be opened. The message names the remedy.
pub(super) fn open(path: &Path) -> Result<File> {
    let names = names(path).map_err(|fault| {
        unsafe_file(
            path,
            &format!("{fault}; use the path that `realpath` prints"),
        )
    })?;
    let (file_name, dir_names) = names
        .split_last()
        .ok_or_else(|| unsafe_file(path, "it is a directory; use the path of the plugin's file"))?;
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

/// Splits an absolute path into names.
///
/// # Errors
/// Returns what is wrong with the path: it is not absolute or not UTF-8, or has a part that
/// `realpath` would remove.
fn names(path: &Path) -> Result<Vec<&str>, &'static str> {
    let text = path.to_str().ok_or("its path is not UTF-8")?;
    let text = text.strip_prefix('/').ok_or("its path is not absolute")?;
    let names = || text.split('/');
    if names().any(|name| matches!(name, "." | "..")) {
        return Err("its path contains `.` or `..`");
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    match text.strip_suffix('/') {
        Some(rest) if !rest.is_empty() && !rest.split('/').any(str::is_empty) => {
            Err("its path ends with `/`")
        }
        _ if names().any(str::is_empty) => Err("its path contains `//`"),
        _ => Ok(names().collect()),
    }
}

/// Returns whether the owner of a part of the path is trusted. A part of a user outside this user
/// namespace must be on a read-only mount: its code would run in this process.
fn is_trusted(owner: Owner, is_read_only: impl FnOnce() -> bool) -> bool {
    match owner {
        Owner::UserOrRoot => true,
        Owner::Other => false,
        Owner::Unmapped { .. } => is_read_only(),
    }
}

fn check_dir(plugin: &Path, path: &Path, dir: &Dir) -> Result<()> {
    let facts = dir
        .facts()
        .map_err(|error| open_error(plugin, path, &error))?;
    let path = path.display();
    let owner = facts.owner();
    if !is_trusted(owner, || dir.is_on_read_only_mount()) {
        let remedy = match owner {
            Owner::Unmapped { .. } => read_file_remedy(owner).to_owned(),
            _ => format!("move the plugin, or change the owner of {path} with `chown`"),
        };
        return Err(unsafe_file(
            plugin,
            &format!("the directory {path} belongs to {}; {remedy}", owner.name()),
        ));
    }
    if facts.is_replaceable_by_others() {
        return Err(unsafe_file(
            plugin,
            &format!("the directory {path} can be changed by other users; run `chmod go-w {path}`"),
        ));
    }
    Ok(())
}

fn check_file(path: &Path, file: &File) -> Result<()> {
    let facts = FileFacts::of(file).map_err(|error| open_error(path, path, &error))?;
    if !facts.is_file() {
        return Err(unsafe_file(
            path,
            "it is not a regular file; use the path of the plugin's file",
        ));
    }
    let owner = facts.owner();
    if !is_trusted(owner, || file_facts::is_on_read_only_mount(file)) {
        let remedy = match owner {
            Owner::Unmapped { .. } => read_file_remedy(owner),
            _ => "change its owner with `chown`",
        };
        return Err(unsafe_file(
            path,
            &format!("the file belongs to {}; {remedy}", owner.name()),
        ));
    }
    if facts.is_writable_by_others() {
        return Err(unsafe_file(
            path,
            &format!(
                "the file can be changed by other users; run `chmod go-w {}`",
                path.display()
            ),
        ));
    }
    Ok(())
}

/// Returns the error for a failure to open `path`, which is the plugin's file or a directory above
/// it.
fn open_error(plugin: &Path, path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    match cause(error) {
        IoCause::LinkOrFile => unsafe_file(
            plugin,
            &format!(
                "{path} is a symbolic link, or not a directory; use the path that `realpath` prints"
            ),
        ),
        IoCause::NotFound => cannot_load(
            ErrorKind::Plugin,
            plugin,
            "the file does not exist; install it, or remove it from `plugins`",
        ),
        _ => cannot_load(
            ErrorKind::Plugin,
            plugin,
            &format!(
                "cannot open {path}: {}",
                io_cause::explain(error, Subject::UserFile)
            ),
        ),
    }
}

fn unsafe_file(plugin: &Path, reason: &str) -> Error {
    cannot_load(ErrorKind::UnsafeFile, plugin, reason)
}

fn cannot_load(kind: ErrorKind, plugin: &Path, reason: &str) -> Error {
    Error::new(
        kind,
        format!("cannot load the plugin {}: {reason}", plugin.display()),
    )
}
