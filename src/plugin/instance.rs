//! An initialised plugin: `init` is called for the first user, `deinit` after the last.

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::abi::{self, KEYFERRY_PLUGIN_OK};
use super::call::{self, Slot};
use super::descriptor;
use super::handle::{Extensions, Plugin};
use super::host;
use super::stub_context::NO_CONTEXT;
#[cfg(debug_assertions)]
use super::test_host;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::sync::Mutex;

/// The timeout of `init`, `deinit` and `get_extension`.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(5);

/// An initialised plugin: it stays so as long as there is one of these.
pub struct Instance {
    pub(super) plugin: &'static Plugin,
    pub(super) extensions: Extensions,
}

impl Instance {
    /// The plugin.
    pub fn plugin(&self) -> &'static Plugin {
        self.plugin
    }

    /// The patterns of its service's routes; none without a service.
    pub fn patterns(&self) -> Option<&'static [String]> {
        self.extensions.service.map(|service| service.patterns.as_slice())
    }

    /// Whether it is a source of secrets.
    pub fn is_source(&self) -> bool {
        self.extensions.secret_source.is_some()
    }
}

impl Plugin {
    /// Initialises it, if it is not yet.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] if it fails, now or before, or has tables that can't be used.
    pub fn initialize(&'static self) -> Result<Arc<Instance>> {
        // Held while the plugin runs: that is what [load] promises it. Each of these calls has its limit.
        let mut lifecycle = self.lifecycle.lock();
        if let Some(error) = &lifecycle.fault {
            return Err(error.clone());
        }
        if lifecycle.users == 0 {
            let outcome = self.run_init(lifecycle.extensions);
            match outcome {
                Ok(extensions) => lifecycle.extensions = Some(extensions),
                Err(error) => {
                    // What failed of itself may succeed later; what misbehaves is left alone.
                    lifecycle.fault = (error.kind == ErrorKind::Plugin).then(|| error.clone());
                    return Err(error);
                }
            }
        }
        let Some(extensions) = lifecycle.extensions else { return Err(self.misbehaved("its tables are gone")) };
        lifecycle.users += 1;
        Ok(Arc::new(Instance { plugin: self, extensions }))
    }

    fn run_init(&'static self, cached: Option<Extensions>) -> Result<Extensions> {
        if let Some(init) = self.entry.init {
            // SAFETY: the header tells plugins what `init` is called with; the table lives for ever.
            self.call("init", move |number| unsafe { init(host_table(), number) })?;
        }
        let extensions = cached.map_or_else(|| self.extensions(), Ok);
        if extensions.is_err() {
            self.run_deinit();
        }
        extensions
    }

    fn run_deinit(&'static self) {
        if let Some(deinit) = self.entry.deinit {
            let body = move |_| {
                // SAFETY: `init` was done, and nobody uses the plugin now.
                unsafe { deinit() };
                KEYFERRY_PLUGIN_OK
            };
            // Its fault was logged, and nothing here depends on it.
            let _ = self.call("deinit", body);
        }
    }

    fn call(&'static self, name: &'static str, function: impl FnOnce(u64) -> i32 + Send + 'static) -> Result<()> {
        call::run(Slot { plugin: self, name, limit: LIFECYCLE_TIMEOUT }, &NO_CONTEXT, function).map(drop)
    }

    fn extensions(&'static self) -> Result<Extensions> {
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
        Ok(Extensions { service: service.map(|service| &*Box::leak(Box::new(service))), secret_source: source })
    }

    fn extension(&'static self, id: &'static str) -> Result<Option<Table>> {
        let Some(get) = self.entry.get_extension else { return Ok(None) };
        let found = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&found);
        let body = move |_| {
            let id = CString::new(id).unwrap_or_default();
            // SAFETY: the header tells plugins what `get_extension` is called with.
            let table = unsafe { get(id.as_ptr()) };
            *theirs.lock() = (!table.is_null()).then_some(Table(table));
            KEYFERRY_PLUGIN_OK
        };
        self.call("get_extension", body)?;
        let table = found.lock().take();
        Ok(table)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut lifecycle = self.plugin.lifecycle.lock();
        lifecycle.users -= 1;
        // A call that never came back is still in there.
        if lifecycle.users == 0 && self.plugin.hung_calls.load(Ordering::Relaxed) == 0 {
            self.plugin.run_deinit();
        }
    }
}

/// A plugin's table, on its way between threads.
struct Table(*const c_void);

// SAFETY: it points to what lives for ever, which the header asks of plugins.
unsafe impl Send for Table {}

fn host_table() -> *const abi::keyferry_plugin_host {
    #[cfg(debug_assertions)]
    if let Some(later) = test_host::table() {
        return later;
    }
    &raw const host::HOST
}
