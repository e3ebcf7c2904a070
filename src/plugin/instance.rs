//! An initialised plugin: `init` is called for the first user, `deinit` after the last.

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
#[cfg(debug_assertions)]
use super::test_host;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::sync::Mutex;

/// The timeout of `init`, `deinit` and `get_extension`.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(5);

/// An initialised plugin. It stays initialised until the last instance is dropped.
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
        self.extensions
            .service
            .map(|service| service.patterns.as_slice())
    }

    /// Whether it is a source of secrets.
    pub fn is_source(&self) -> bool {
        self.extensions.secret_source.is_some()
    }
}

impl Plugin {
    /// Initialises it, unless it is initialised already.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] if it fails, now or before, or has tables that can't be used.
    pub fn initialize(&'static self) -> Result<Arc<Instance>> {
        // Held while `init` and `deinit` run: the header promises that no two [load] functions run
        // at once. Each has a timeout.
        let mut lifecycle = self.lifecycle.lock();
        if let Some(error) = &lifecycle.fault {
            return Err(error.clone());
        }
        if lifecycle.users == 0 {
            match self.run_init(lifecycle.extensions) {
                Ok(extensions) => lifecycle.extensions = Some(extensions),
                Err(error) => {
                    // After an error of this kind `init` is not tried again. Another one, of a
                    // setting for example, may pass.
                    lifecycle.fault = (error.kind == ErrorKind::Plugin).then(|| error.clone());
                    return Err(error);
                }
            }
        }
        let Some(extensions) = lifecycle.extensions else {
            return Err(self.misbehaved("its tables are gone"));
        };
        lifecycle.users += 1;
        Ok(Arc::new(Instance {
            plugin: self,
            extensions,
        }))
    }

    fn run_init(&'static self, cached: Option<Extensions>) -> Result<Extensions> {
        if let Some(init) = self.entry.init {
            // SAFETY: the header tells plugins what `init` is called with; the table lives for
            // ever.
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
                // SAFETY: `init` was done, and nobody uses the plugin now.
                unsafe { deinit() };
                KEYFERRY_PLUGIN_OK
            };
            // A fault was logged, and nothing here depends on it.
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
        let refuse = |what: String| {
            Error::new(
                ErrorKind::Plugin,
                format!(
                    "the plugin {} ({}) {what}: report it to its author",
                    self.name,
                    self.path.display()
                ),
            )
        };
        let service = self
            .extension(abi::KEYFERRY_PLUGIN_EXTENSION_SERVICE)?
            .map(|table| {
                // SAFETY: the plugin says that this is the table of this extension, and the header
                // that it lives as long as the process.
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
                "has neither {} nor {}: this keyferry has no use for it",
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
            // SAFETY: the header tells plugins what `get_extension` is called with.
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
        // A hung call still runs the code of the plugin.
        if lifecycle.users == 0 && self.plugin.hung_calls.load(Ordering::Relaxed) == 0 {
            self.plugin.run_deinit();
        }
    }
}

/// The table of an extension, passed between threads.
struct ExtensionTable(*const c_void);

// SAFETY: the header asks of plugins that the table lives as long as the process.
unsafe impl Send for ExtensionTable {}

fn host_table() -> *const abi::keyferry_plugin_host {
    #[cfg(debug_assertions)]
    if let Some(later) = test_host::table() {
        return later;
    }
    &raw const host::HOST
}
