//! Initialised plugins. The host calls `init` before the first [`Instance`] is created, and
//! `deinit` after the last one is dropped.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::abi::{self, KEYFERRY_PLUGIN_OK};
use super::call::{self, PluginFunction};
use super::descriptor;
use super::handle::{Extensions, Plugin};
use super::host;
use super::stub_context::NO_CONTEXT;
#[cfg(feature = "test-hooks")]
use super::test_host;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::sync::Mutex;

/// The timeout of `init`, `deinit` and `get_extension`.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(5);

/// An initialised plugin. The plugin stays initialised until its last instance is dropped.
pub struct Instance {
    pub(super) plugin: &'static Plugin,
    pub(super) extensions: Extensions,
}

impl Instance {
    /// Returns the plugin.
    pub fn plugin(&self) -> &'static Plugin {
        self.plugin
    }

    /// Returns the route patterns of the plugin's service, or `None` if it has no service.
    pub fn patterns(&self) -> Option<&'static [String]> {
        self.extensions
            .service
            .map(|service| service.patterns.as_slice())
    }

    /// Returns whether the plugin is a source of secrets.
    pub fn is_source(&self) -> bool {
        self.extensions.secret_source.is_some()
    }
}

impl Plugin {
    /// Initialises the plugin, unless it is initialised already.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] if `init` fails now or failed before, or if one of the plugin's tables
    /// is invalid; otherwise the error that the plugin's `init` returned.
    pub fn initialize(&'static self) -> Result<Arc<Instance>> {
        // The lock is held while `init` and `deinit` run, because the header promises that two
        // functions marked [load] never run at the same time. Each has a timeout.
        let mut lifecycle = self.lifecycle.lock();
        if let Some(error) = &lifecycle.fault {
            return Err(error.clone());
        }
        if lifecycle.users == 0 {
            match self.run_init(lifecycle.extensions) {
                Ok(extensions) => lifecycle.extensions = Some(extensions),
                Err(error) => {
                    // `init` is not called again after an error of this kind. Other errors, such as
                    // a missing setting, may be temporary.
                    lifecycle.fault = (error.kind == ErrorKind::Plugin).then(|| error.clone());
                    return Err(error);
                }
            }
        }
        let Some(extensions) = lifecycle.extensions else {
            return Err(
                self.misbehaved("its tables are missing; report this to the plugin's author")
            );
        };
        lifecycle.users += 1;
        Ok(Arc::new(Instance {
            plugin: self,
            extensions,
        }))
    }

    fn run_init(&'static self, cached: Option<Extensions>) -> Result<Extensions> {
        if let Some(init) = self.entry.init {
            // SAFETY: the arguments are those that the header promises for `init`, and the host's
            // table is a static.
            self.call("init", move |id| unsafe { init(host_table(), id) })?;
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
                // SAFETY: `init` has succeeded, and no instance uses the plugin. The lifecycle
                // lock, which the caller holds, prevents new instances.
                unsafe { deinit() };
                KEYFERRY_PLUGIN_OK
            };
            // The caller can't do anything about a failed `deinit`.
            let _ = self.call("deinit", body);
        }
    }

    fn call(
        &'static self,
        name: &'static str,
        body: impl FnOnce(u64) -> i32 + Send + 'static,
    ) -> Result<()> {
        call::run(
            PluginFunction {
                plugin: self,
                name,
                timeout: LIFECYCLE_TIMEOUT,
            },
            &NO_CONTEXT,
            body,
        )
        .map(drop)
    }

    fn extensions(&'static self) -> Result<Extensions> {
        let refuse = |reason: String| {
            Error::new(
                ErrorKind::Plugin,
                format!(
                    "cannot use the plugin {} ({}): {reason}; report this to the plugin's author",
                    self.name,
                    self.path.display()
                ),
            )
        };
        let service = self
            .extension(abi::KEYFERRY_PLUGIN_EXTENSION_SERVICE)?
            .map(|table| {
                // SAFETY: the plugin returned this table for this extension. The header requires
                // that the table is valid until the process ends.
                let service = unsafe { descriptor::read_service(table.0.cast(), &self.settings) };
                service.map_err(refuse)
            });
        let service = service.transpose()?;
        let secret_source = self
            .extension(abi::KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE)?
            .map(|table| {
                // SAFETY: as above.
                let secret_source = unsafe { descriptor::read_secret_source(table.0.cast()) };
                secret_source.map_err(refuse)
            });
        let secret_source = secret_source.transpose()?;
        if service.is_none() && secret_source.is_none() {
            let what = format!(
                "it has neither {} nor {}, the extensions that this keyferry supports",
                abi::KEYFERRY_PLUGIN_EXTENSION_SERVICE,
                abi::KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE
            );
            return Err(refuse(what));
        }
        Ok(Extensions {
            service: service.map(|service| &*Box::leak(Box::new(service))),
            secret_source,
        })
    }

    fn extension(&'static self, id: &'static str) -> Result<Option<ExtensionTable>> {
        let Some(get) = self.entry.get_extension else {
            return Ok(None);
        };
        let found = Arc::new(Mutex::new(None));
        let sink = Arc::clone(&found);
        let body = move |_| {
            let id = CString::new(id).unwrap_or_default();
            // SAFETY: the argument is a string that ends in NUL, as the header promises for
            // `get_extension`.
            let table = unsafe { get(id.as_ptr()) };
            *sink.lock() = (!table.is_null()).then_some(ExtensionTable(table));
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
        // A hung call is still running the plugin's code.
        if lifecycle.users == 0 && self.plugin.hung_calls.load(Ordering::Relaxed) == 0 {
            self.plugin.run_deinit();
        }
    }
}

/// A pointer to the table of an extension, which may be sent to another thread.
struct ExtensionTable(*const c_void);

// SAFETY: the header requires that the table is constant and valid until the process ends.
unsafe impl Send for ExtensionTable {}

fn host_table() -> *const abi::keyferry_plugin_host {
    #[cfg(feature = "test-hooks")]
    if let Some(later) = test_host::table() {
        return later;
    }
    &raw const host::HOST
}
