//! Plugins: services and secret sources of others, through a C ABI that lasts.
//!
//! `abi.rs` is what `keyferry_plugin.h` is generated from; `place.rs` and `elf.rs` look at a file
//! before any of its code runs; `loader.rs` loads and initialises it; `descriptor.rs` reads its
//! tables; `call.rs` calls its functions, and `host.rs` answers them; `service.rs` makes a
//! [`crate::ports::service::Service`] of it all.
//!
//! A plugin that can't be used is left out, and why is kept: the other services go on, and who asks for it is told.

pub mod abi;
mod buffers;
mod call;
mod conformance;
mod descriptor;
mod elf;
mod foreign_memory;
mod host;
mod http_request;
mod loader;
mod path_check;
mod routes;
mod service;
mod status;
mod stub_context;
#[cfg(debug_assertions)]
pub mod test_host;

use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, Declared};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};

pub use conformance::check;
pub use loader::{Instance, Plugin, examine, load};
pub use service::Foreign;

/// The plugins of a session.
#[derive(Default)]
pub struct Plugins {
    /// Those that work.
    pub instances: Vec<Arc<Instance>>,
    /// Why others are left out.
    pub faults: Vec<Error>,
}

/// Loads the plugins that a configuration names, and takes their settings into it.
///
/// # Errors
/// [`ErrorKind::Config`], [`ErrorKind::UnsafeFile`] if a setting of a plugin can't be used. A plugin itself is no error: see [`Plugins::faults`].
pub fn open(config: &mut Config) -> Result<Plugins> {
    let profile = config.profile(config.chosen_account())?;
    let mut plugins = Plugins::default();
    for path in profile.text("plugins").unwrap_or_default().split(':').filter(|path| !path.is_empty()) {
        if let Err(error) = plugins.add(Path::new(path)) {
            log::write(Level::Error, format_args!("{error}"));
            plugins.faults.push(error);
        }
    }
    let declared: Vec<Declared> = plugins.instances.iter().flat_map(|instance| instance.plugin.settings.clone()).collect();
    config.admit(&declared, plugins.faults.is_empty())?;
    Ok(plugins)
}

impl Plugins {
    fn add(&mut self, path: &Path) -> Result<()> {
        let plugin = load(path)?;
        if let Some(other) = self.instances.iter().find(|instance| instance.plugin.name == plugin.name) {
            let (name, first, second) = (&plugin.name, other.plugin.path.display(), path.display());
            let what = format!("the plugin {second} is named {name}, as {first} is already: take one of them out of `plugins`");
            return Err(Error::new(ErrorKind::Plugin, what));
        }
        self.instances.push(plugin.initialize()?);
        Ok(())
    }
}

impl Instance {
    /// The plugin.
    pub fn plugin(&self) -> &'static Plugin {
        self.plugin
    }

    /// The patterns of its service's routes; none without a service.
    pub fn patterns(&self) -> Option<&'static [String]> {
        self.parts.service.map(|service| service.patterns.as_slice())
    }

    /// Whether it is a source of secrets.
    pub fn is_source(&self) -> bool {
        self.parts.source.is_some()
    }
}
