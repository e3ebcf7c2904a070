//! Loading plugins: examined first, loaded once a process, initialised as long as somebody uses them, never unloaded.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::abi::{self, KEYFERRY_PLUGIN_OK};
use super::call::{self, Slot};
use super::descriptor::{self, Descriptor, ServiceTable, SourceFunction};
use super::elf;
use super::path_check;
use super::stub_context::NO_CONTEXT;
use crate::config::Declared;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::dlopen;
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// The majors that this host takes.
const MAJORS: std::ops::RangeInclusive<u32> = 1..=abi::KEYFERRY_PLUGIN_ABI_MAJOR;
/// The symbol that a plugin exports.
const ENTRY: &str = "keyferry_plugin_entry";
/// What `init` and its kin may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A loaded plugin. It lives as long as the process.
pub struct Plugin {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The settings that it declares.
    pub settings: Vec<Declared>,
    /// The minor number of its ABI.
    pub minor: u32,
    entry: abi::keyferry_plugin,
    life: Mutex<Life>,
    /// How many of its calls have not come back.
    pub(super) lost: AtomicUsize,
}

// SAFETY: the entry is a copy of constants: functions that the ABI says may be called from any thread, and pointers that only
// `descriptor` follows, while it is made.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// Whether it is initialised, and what it has.
#[derive(Default)]
struct Life {
    users: usize,
    parts: Option<Parts>,
    broken: Option<Error>,
}

/// What a plugin has to give.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) service: Option<&'static ServiceTable>,
    pub(super) source: Option<SourceFunction>,
}

/// An initialised plugin: it stays so as long as there is one of these.
pub struct Instance {
    pub(super) plugin: &'static Plugin,
    pub(super) parts: Parts,
}

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
    let minor = entry.abi_minor;
    let plugin = Plugin { path: path.to_owned(), name, version, settings, minor, entry, life: Mutex::default(), lost: AtomicUsize::new(0) };
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

impl Plugin {
    /// Initialises it, if it is not yet.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] if it fails, now or before, or has tables that can't be used.
    pub fn initialize(&'static self) -> Result<Arc<Instance>> {
        // Held while the plugin runs: that is what [load] promises it. Each of these calls has its limit.
        let mut life = self.life.lock();
        if let Some(error) = &life.broken {
            return Err(error.clone());
        }
        if life.users == 0 {
            let outcome = self.begin(life.parts);
            match outcome {
                Ok(parts) => life.parts = Some(parts),
                Err(error) => {
                    // What failed of itself may succeed later; what misbehaves is left alone.
                    life.broken = (error.kind == ErrorKind::Plugin).then(|| error.clone());
                    return Err(error);
                }
            }
        }
        let Some(parts) = life.parts else { return Err(call::fault(self, "its tables are gone")) };
        life.users += 1;
        Ok(Arc::new(Instance { plugin: self, parts }))
    }

    fn begin(&'static self, known: Option<Parts>) -> Result<Parts> {
        if let Some(init) = self.entry.init {
            // SAFETY: the header tells plugins what `init` is called with; the table lives for ever.
            self.call("init", move |number| unsafe { init(host_table(), number) })?;
        }
        let parts = known.map_or_else(|| self.parts(), Ok);
        if parts.is_err() {
            self.end();
        }
        parts
    }

    fn end(&'static self) {
        if let Some(deinit) = self.entry.deinit {
            let whole = move |_| {
                // SAFETY: `init` was done, and nobody uses the plugin now.
                unsafe { deinit() };
                KEYFERRY_PLUGIN_OK
            };
            // Its fault was logged, and nothing here depends on it.
            let _ = self.call("deinit", whole);
        }
    }

    fn call(&'static self, name: &'static str, function: impl FnOnce(u64) -> i32 + Send + 'static) -> Result<()> {
        call::run(Slot { plugin: self, name, limit: LIMIT }, &NO_CONTEXT, function).map(drop)
    }

    fn parts(&'static self) -> Result<Parts> {
        let refuse = |what: String| {
            Error::new(ErrorKind::Plugin, format!("the plugin {} ({}) {what}: report it to its author", self.name, self.path.display()))
        };
        let service = match self.extension(abi::KEYFERRY_PLUGIN_SERVICE)? {
            None => None,
            // SAFETY: the plugin says that this is the table of this extension.
            Some(table) => Some(unsafe { descriptor::service(table.0.cast(), &self.settings) }.map_err(refuse)?),
        };
        let source = match self.extension(abi::KEYFERRY_PLUGIN_SOURCE)? {
            None => None,
            // SAFETY: as above.
            Some(table) => Some(unsafe { descriptor::source(table.0.cast()) }.map_err(refuse)?),
        };
        if service.is_none() && source.is_none() {
            let what = format!(
                "has neither {} nor {}: this keyferry has no use for it",
                abi::KEYFERRY_PLUGIN_SERVICE,
                abi::KEYFERRY_PLUGIN_SOURCE
            );
            return Err(refuse(what));
        }
        Ok(Parts { service: service.map(|service| &*Box::leak(Box::new(service))), source })
    }

    fn extension(&'static self, id: &'static str) -> Result<Option<Table>> {
        let Some(get) = self.entry.get_extension else { return Ok(None) };
        let found = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&found);
        let whole = move |_| {
            let id = CString::new(id).unwrap_or_default();
            // SAFETY: the header tells plugins what `get_extension` is called with.
            let table = unsafe { get(id.as_ptr()) };
            *theirs.lock() = (!table.is_null()).then_some(Table(table));
            KEYFERRY_PLUGIN_OK
        };
        self.call("get_extension", whole)?;
        let table = found.lock().take();
        Ok(table)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut life = self.plugin.life.lock();
        life.users -= 1;
        // A call that never came back is still in there.
        if life.users == 0 && self.plugin.lost.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            self.plugin.end();
        }
    }
}

/// A plugin's table, on its way between threads.
struct Table(*const c_void);

// SAFETY: it points to what lives for ever, which the header asks of plugins.
unsafe impl Send for Table {}

fn host_table() -> *const abi::keyferry_plugin_host {
    #[cfg(debug_assertions)]
    if let Some(grown) = super::test_host::table() {
        return grown;
    }
    &raw const super::host::HOST
}
