//! Loading plugins: each is examined before it is loaded, loaded once in a process, and never
//! unloaded.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use super::abi;
use super::descriptor;
use super::elf;
use super::handle::Plugin;
use super::path_check;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dlopen;
use crate::sys::file_facts::{FileFacts, FileId};
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// The major numbers of the ABI that this host takes.
const ABI_MAJORS: std::ops::RangeInclusive<u32> = 1..=abi::KEYFERRY_PLUGIN_ABI_MAJOR;
/// The symbol that a plugin exports.
const ENTRY_SYMBOL: &str = "keyferry_plugin_entry";

type LoadedPlugins = Mutex<HashMap<FileId, &'static Plugin>>;

/// The plugins that are loaded in this process. A forked child loads them again, which runs no
/// constructor again.
static LOADED: PerProcess<LoadedPlugins> = PerProcess::new();

/// Loads the plugin at a path, if its file is safe and whole.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] for the place of the file, [`ErrorKind::Plugin`] for its content; both
/// name it. None of its code has run then, unless the error is about its tables.
pub fn load(path: &Path) -> Result<&'static Plugin> {
    let refuse = |what: &str| refused(path, what);
    let file = path_check::open(path)?;
    let facts = FileFacts::of(&file)
        .map_err(|error| refuse(&format!("can't be examined: {}", error.kind())))?;
    let loaded = LOADED.get_or_try_init(|| Ok::<_, Error>(LoadedPlugins::default()))?;
    let mut loaded = loaded.lock();
    if let Some(plugin) = loaded.get(&facts.id()) {
        return Ok(plugin);
    }
    verify_abi(&file, path)?;
    let library =
        dlopen::load(file).map_err(|reason| refuse(&format!("can't be loaded: {reason}")))?;
    let symbol = CString::new(ENTRY_SYMBOL).unwrap_or_default();
    let entry = library
        .symbol(&symbol)
        .ok_or_else(|| refuse("has lost its entry while it was loaded"))?;
    // SAFETY: the symbol is data of the examined file; that it is such a table is what the header
    // asks of a plugin.
    let descriptor = unsafe { descriptor::read_entry(entry.cast::<abi::keyferry_plugin>()) };
    let descriptor =
        descriptor.map_err(|what| refuse(&format!("{what}: report it to its author")))?;
    let plugin: &'static Plugin = Box::leak(Box::new(Plugin::new(path.to_owned(), descriptor)));
    loaded.insert(facts.id(), plugin);
    Ok(plugin)
}

/// Examines the file at a path as [`load`] does, without loading it.
///
/// # Errors
/// Those of [`load`].
pub fn examine(path: &Path) -> Result<()> {
    verify_abi(&path_check::open(path)?, path)
}

fn verify_abi(file: &File, path: &Path) -> Result<()> {
    let header = elf::read_entry_header(file, ENTRY_SYMBOL).map_err(|what| refused(path, what))?;
    if ABI_MAJORS.contains(&header.abi_major) {
        return Ok(());
    }
    let remedy = if header.abi_major < *ABI_MAJORS.start() {
        "build it against the present keyferry_plugin.h"
    } else {
        "install a newer keyferry"
    };
    let (theirs, ours) = (header.abi_major, ABI_MAJORS.end());
    Err(refused(
        path,
        &format!(
            "speaks version {theirs} of the plugin ABI, and this keyferry takes {ours}: {remedy}"
        ),
    ))
}

fn refused(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Plugin,
        format!("the plugin {} {what}", path.display()),
    )
}
