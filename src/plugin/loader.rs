//! Loading plugins: each is examined before it is loaded, loaded once in a process, and never unloaded.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use super::abi;
use super::descriptor::{self, Descriptor};
use super::elf;
use super::handle::Plugin;
use super::path_check;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dlopen;
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// The majors that this host takes.
const MAJORS: std::ops::RangeInclusive<u32> = 1..=abi::KEYFERRY_PLUGIN_ABI_MAJOR;
/// The symbol that a plugin exports.
const ENTRY: &str = "keyferry_plugin_entry";
type Known = Mutex<HashMap<(u64, u64), &'static Plugin>>;

/// The plugins that are loaded, by device and number of their files. A forked child loads them anew, which runs no constructor again.
static KNOWN: PerProcess<Known> = PerProcess::new();

/// Loads the plugin of a path, if it is safe and sound.
///
/// # Errors
/// [`ErrorKind::UnsafeFile`] for where it stands, [`ErrorKind::Plugin`] for what it is; both name it. None of its code has run then, unless
/// the error is about its tables.
pub fn load(path: &Path) -> Result<&'static Plugin> {
    let shown = path.display();
    let refuse = |what: &str| Error::new(ErrorKind::Plugin, format!("the plugin {shown} {what}"));
    let file = path_check::open(path)?;
    let meta = file.metadata().map_err(|error| refuse(&format!("can't be examined: {}", error.kind())))?;
    let place = (meta.dev(), meta.ino());
    let known = KNOWN.get_or_try_init(|| Ok::<_, Error>(Known::default()))?;
    let mut known = known.lock();
    if let Some(plugin) = known.get(&place) {
        return Ok(plugin);
    }
    verify_abi(&file, path)?;
    let library = dlopen::load(file).map_err(|said| refuse(&format!("can't be loaded: {said}")))?;
    let entry = library.symbol(&CString::new(ENTRY).unwrap_or_default()).ok_or_else(|| refuse("has lost its entry while it was loaded"))?;
    // SAFETY: the symbol is data of the examined file; that it is such a table is what its header asks of a plugin.
    let Descriptor { name, version, settings, entry } = unsafe { descriptor::descriptor(entry.cast::<abi::keyferry_plugin>()) }
        .map_err(|what| refuse(&format!("{what}: report it to its author")))?;
    let abi_minor = entry.abi_minor;
    let plugin = Plugin {
        path: path.to_owned(),
        name,
        version,
        settings,
        abi_minor,
        entry,
        lifecycle: Mutex::default(),
        hung_calls: AtomicUsize::new(0),
    };
    let plugin: &'static Plugin = Box::leak(Box::new(plugin));
    known.insert(place, plugin);
    Ok(plugin)
}

/// Looks at the file of a path as [`load`] does, and loads nothing.
///
/// # Errors
/// Those of [`load`].
pub fn examine(path: &Path) -> Result<()> {
    verify_abi(&path_check::open(path)?, path)
}

fn verify_abi(file: &File, path: &Path) -> Result<()> {
    let refuse = |what: &str| Error::new(ErrorKind::Plugin, format!("the plugin {} {what}", path.display()));
    let numbers = elf::examine(file, ENTRY).map_err(refuse)?;
    if MAJORS.contains(&numbers.major) {
        return Ok(());
    }
    let what = if numbers.major < *MAJORS.start() { "build it against the present keyferry_plugin.h" } else { "install a newer keyferry" };
    Err(refuse(&format!("speaks version {} of the plugin ABI, and this keyferry takes {}: {what}", numbers.major, MAJORS.end())))
}
