//! Loads plugins. Each file is examined first, loaded once per process, and never unloaded.

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
use crate::sys::io_cause::{self, Subject};
use crate::sys::sync::Mutex;

/// The major versions of the ABI that this host supports.
const ABI_MAJORS: std::ops::RangeInclusive<u32> = 1..=abi::KEYFERRY_PLUGIN_ABI_MAJOR;
/// The symbol that every plugin exports.
const ENTRY_SYMBOL: &str = "keyferry_plugin_entry";

type LoadedPlugins = Mutex<HashMap<FileId, &'static Plugin>>;

/// The plugins loaded in this process. A forked child starts with an empty map and loads them
/// again. The dynamic linker still has the objects then, so their constructors don't run a second
/// time.
static LOADED: PerProcess<LoadedPlugins> = PerProcess::new();

/// Loads the plugin at `path` after examining the file.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] if another user could replace the file; [`ErrorKind::Plugin`] if the
/// file can't be loaded or its entry is invalid. Both messages name the file. If the examination
/// fails, no code of the file has run.
#[expect(unsafe_code, reason = "reads the table that a plugin exports")]
pub fn load(path: &Path) -> Result<&'static Plugin> {
    let refuse = |reason: &str| refused(path, reason);
    let file = path_check::open(path)?;
    let facts = FileFacts::of(&file).map_err(|error| {
        refuse(&format!(
            "cannot read its metadata: {}",
            io_cause::explain(&error, Subject::UserFile)
        ))
    })?;
    let loaded = LOADED.get_or_try_init(|| Ok::<_, Error>(LoadedPlugins::default()))?;
    let mut loaded = loaded.lock();
    if let Some(plugin) = loaded.get(&facts.id()) {
        return Ok(plugin);
    }
    verify_abi(&file, path)?;
    let library =
        dlopen::load(file).map_err(|reason| refuse(&format!("the dynamic linker rejects it ({reason}); install the libraries that it needs, or rebuild it")))?;
    let symbol = CString::new(ENTRY_SYMBOL).unwrap_or_default();
    let entry = library.symbol(&symbol).ok_or_else(|| {
        refuse("the dynamic linker does not find `keyferry_plugin_entry`; rebuild it")
    })?;
    // SAFETY: `elf` has checked that the symbol is data in this file. The header requires the
    // plugin to define it as a `keyferry_plugin`.
    let descriptor = unsafe { descriptor::read_entry(entry.cast::<abi::keyferry_plugin>()) };
    let descriptor = descriptor
        .map_err(|reason| refuse(&format!("{reason}; report this to the plugin's author")))?;
    let plugin: &'static Plugin = Box::leak(Box::new(Plugin::new(path.to_owned(), descriptor)));
    loaded.insert(facts.id(), plugin);
    Ok(plugin)
}

/// Examines the file at `path` like [`load`], without loading it.
///
/// # Errors
/// Returns the errors of [`load`].
pub fn examine(path: &Path) -> Result<()> {
    verify_abi(&path_check::open(path)?, path)
}

fn verify_abi(file: &File, path: &Path) -> Result<()> {
    let header =
        elf::read_entry_header(file, ENTRY_SYMBOL).map_err(|reason| refused(path, reason))?;
    if ABI_MAJORS.contains(&header.abi_major) {
        return Ok(());
    }
    let remedy = if header.abi_major < *ABI_MAJORS.start() {
        "build it against the current keyferry_plugin.h"
    } else {
        "install a newer keyferry"
    };
    let (theirs, ours) = (header.abi_major, ABI_MAJORS.end());
    Err(refused(
        path,
        &format!(
            "it uses version {theirs} of the plugin ABI, and this keyferry supports version {ours}; {remedy}"
        ),
    ))
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::new(
        ErrorKind::Plugin,
        format!("cannot load the plugin {}: {reason}", path.display()),
    )
}
